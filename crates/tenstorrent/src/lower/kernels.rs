//! Our kernels as steps.

use ptsm_core::Result;
use ptsm_core::network::{Axis, Norm, NormLayer, SelfAttention};

use super::attention::{AttentionHead, attention_head};
use super::backbone::{Backbone, Block, Mixed};
use super::builder::{Builder, LinearWeights};
use super::tables::{Affine, Features, Table};
use super::windows::Windows;
use crate::program::{
    AttentionTiles, ChannelTiles, DataType, EmbedTiles, FACE, MAX_COLUMNS, MathFidelity,
    MixerTiles, Op, TILE, TensorId,
};

/// Part of a core's memory that a kernel's buffers may take; the rest is for activations and for weights that are kept.
const BUFFERS_SHARE: f64 = 0.8;

/// Whether buffers of so many tiles are small enough for a kernel.
fn has_room(b: &Builder<'_>, buffers: &[usize]) -> bool {
    let bytes = buffers.iter().sum::<usize>() * DataType::Bfloat16.tile_bytes();
    bytes as f64 <= BUFFERS_SHARE * b.chip().l1_bytes as f64
}

/// Whether a state of so many features, and buffers of so many tiles, are small enough for a kernel with a norm.
fn fits(b: &Builder<'_>, features: usize, buffers: &[usize]) -> bool {
    features.div_ceil(TILE) <= MAX_COLUMNS && has_room(b, buffers)
}

/// The tiles of the embedding's kernel for patches of `d_model` features.
fn embed_tiles(windows: Windows, d_model: usize) -> EmbedTiles {
    let Windows { patch_length, patch_stride, patches } = windows;
    EmbedTiles { patch_length, patch_stride, patches, columns: d_model.div_ceil(TILE) }
}

/// Whether the embedding's kernel has room; without it the embedding consists of `ttnn`'s operations, which take patches.
pub(super) fn embedding_fits(b: &Builder<'_>, windows: Windows, d_model: usize) -> bool {
    has_room(b, &embed_tiles(windows, d_model).buffers())
}

impl Backbone<'_> {
    /// The input and its embedding.
    pub(super) fn embedding_kernel(
        &self,
        b: &mut Builder<'_>,
        layer: &LinearWeights,
        batch: usize,
        windows: Windows,
    ) -> Result<TensorId> {
        let d_model = layer.outputs;
        let tiles = embed_tiles(windows, d_model);
        let shape = [batch, self.network.embedding.state.channels, 1, tiles.window()];
        let input = b.input_rows("windows", shape);
        let name = format!("{}.table", layer.name);
        let table = b.constant(&name, tiles.table_shape(), DataType::Bfloat16, || {
            let mut table = Table::default();
            table.push(1, 1, |i, j| f32::from(u8::from(i == j)));
            table.push_layer(false, layer);
            table.values
        });
        let op = Op::Embed {
            tiles,
            buffers: tiles.buffers(),
            d_model,
            core_grid: b.chip().grid,
            math_fidelity: MathFidelity::HiFi4,
        };
        b.step(&layer.name, op, &[input, table])
    }

    /// Weight and bias of a norm, of batch norm with its statistics.
    fn affine(&self, norm: &NormLayer) -> Result<Affine> {
        let (slope, offset) = match norm.kind {
            Norm::Batch => self.batch_norm(norm)?,
            Norm::Layer => {
                let part = |part: &str| self.weights.values(&norm.tensor(part));
                (part("weight")?.to_vec(), part("bias")?.to_vec())
            }
        };
        Ok(Affine { slope, offset })
    }

    /// The block as a kernel on the state `h`, mixing its rows (patches) or its columns
    /// (features); `None` if it is too large. With self-attention the state is not added: the attention does that.
    pub(super) fn mixer_kernel(
        &self,
        b: &mut Builder<'_>,
        block: &Block<'_>,
        h: TensorId,
    ) -> Result<Option<TensorId>> {
        let (mixer, left) = (block.mixer, block.mixer.axis == Axis::Patches);
        let [.., patches, features] = b.shape(h);
        let tiles = MixerTiles {
            left,
            rows: if left { patches.div_ceil(TILE) } else { 1 },
            columns: features.div_ceil(TILE),
            hidden: block.fc1.outputs.div_ceil(TILE),
            gate: block.gate.is_some(),
            layer_norm: mixer.norm.kind == Norm::Layer,
            residual: mixer.attention.is_none(),
        };
        let (buffers, core_grid) = (tiles.buffers(), b.chip().grid);
        if !fits(b, features, &buffers) {
            return Ok(None);
        }
        let values = match b.with_values() {
            true => self.mixer_table(block, tiles, features)?,
            false => Vec::new(),
        };
        let name = match tiles.residual {
            true => mixer.name.clone(),
            false => format!("{}.mixed", mixer.name),
        };
        let table_name = format!("{}.table", mixer.name);
        let table = b.constant(&table_name, tiles.table_shape(), DataType::Bfloat16, || values);
        let (epsilon, math_fidelity) = (mixer.norm.eps, MathFidelity::HiFi4);
        let op = Op::Mixer { tiles, buffers, epsilon, core_grid, math_fidelity };
        b.step(&name, op, &[h, table]).map(Some)
    }

    /// All numbers of a block in the order that the kernel reads, see `TablePlaces`.
    fn mixer_table(
        &self,
        block: &Block<'_>,
        tiles: MixerTiles,
        features: usize,
    ) -> Result<Vec<f32>> {
        let (at, affine) = (tiles.places().norm, self.affine(&block.mixer.norm)?);
        let features = Features { count: features, side_by_side: 1 };
        let (mut table, left) = (Table::default(), tiles.left);
        table.push_head();
        table.push_centre(at, features);
        let mut first = block.fc1.clone();
        match left {
            true => table.push_affine(at, &affine, features),
            false => first = first.after_affine(&affine.slope, &affine.offset),
        }
        table.push_layer(left, &first);
        match &block.gate {
            Some(gate) => {
                let gate = self.weights.composed(&block.fc2, gate)?;
                table.push_gated(left, &block.fc2, &gate);
            }
            None => table.push_layer(left, &block.fc2),
        }
        Ok(table.values)
    }

    /// A channel mixer as a kernel on the state `h`; `None` if it is too large, or if DRAM cannot be read by half rows of a tile, as
    /// on Blackhole.
    pub(super) fn channel_kernel(
        &self,
        b: &mut Builder<'_>,
        block: &Block<'_>,
        h: TensorId,
    ) -> Result<Option<TensorId>> {
        let (mixer, [_, channels, _, count]) = (block.mixer, b.shape(h));
        let tiles = ChannelTiles {
            rows: channels.div_ceil(TILE),
            columns: count.div_ceil(TILE),
            hidden: block.fc1.outputs.div_ceil(TILE),
            gate: block.gate.is_some(),
            layer_norm: mixer.norm.kind == Norm::Layer,
            side_by_side: ChannelTiles::patches_of_unit(count),
        };
        let (buffers, core_grid) = (tiles.buffers(), b.chip().grid);
        let half_row = FACE * DataType::Bfloat16.tile_bytes() / (TILE * TILE);
        if !fits(b, count, &buffers) || b.chip().dram_alignment > half_row {
            return Ok(None);
        }
        let mut table = Table::default();
        if b.with_values() {
            let features = Features { count, side_by_side: tiles.side_by_side };
            let (at, affine) = (tiles.places().norm, self.affine(&mixer.norm)?);
            table.push_head();
            table.push_centre(at, features);
            table.push_affine(at, &affine, features);
            if let Some(gate) = &block.gate {
                table.push_logits(true, gate);
            }
            table.push_layer(true, &block.fc1);
            table.push_layer(true, &block.fc2);
        }
        let name = format!("{}.table", mixer.name);
        let shape = tiles.table_shape();
        let table = b.constant(&name, shape, DataType::Bfloat16, || table.values);
        let (epsilon, math_fidelity) = (mixer.norm.eps, MathFidelity::HiFi4);
        let op = Op::Channels { tiles, buffers, epsilon, core_grid, math_fidelity };
        b.step(&mixer.name, op, &[h, table]).map(Some)
    }

    /// The self-attention of a block, its norm and the residual as a kernel; `None` if it is too large.
    pub(super) fn attention_kernel(
        &self,
        b: &mut Builder<'_>,
        block: &Block<'_>,
        attention: &SelfAttention,
        input: Mixed,
    ) -> Result<Option<TensorId>> {
        let (mixer, [.., patches, count]) = (block.mixer, b.shape(input.state));
        let tiles = AttentionTiles {
            rows: patches.div_ceil(TILE),
            columns: count.div_ceil(TILE),
            heads: attention.heads,
            layer_norm: mixer.norm.kind == Norm::Layer,
        };
        let (buffers, core_grid) = (tiles.buffers(), b.chip().grid);
        let same = [attention.norm.kind == mixer.norm.kind, attention.norm.eps == mixer.norm.eps];
        if !fits(b, count, &buffers) || same.contains(&false) {
            return Ok(None);
        }
        let mut table = Table::default();
        if b.with_values() {
            let features = Features { count, side_by_side: 1 };
            let at = tiles.places();
            table.push_head();
            table.push_mask(patches);
            table.push_centre(at.norm, features);
            table.push_affine(at.norm, &self.affine(&mixer.norm)?, features);
            table.push_affine(at.last_norm, &self.affine(&attention.norm)?, features);
            let heads = 0..attention.heads;
            let heads =
                heads.map(|head| attention_head(self.weights, &mixer.name, attention, head));
            let heads = heads.collect::<Result<Vec<AttentionHead>>>()?;
            heads.iter().for_each(|head| table.push_layer(false, &head.value));
            heads.iter().for_each(|head| table.push_layer(false, &head.query));
        }
        let name = format!("{}.self_attn_layer.table", mixer.name);
        let shape = tiles.table_shape();
        let table = b.constant(&name, shape, DataType::Bfloat16, || table.values);
        let (epsilon, math_fidelity) = (mixer.norm.eps, MathFidelity::HiFi4);
        let op = Op::Attention { tiles, buffers, epsilon, core_grid, math_fidelity };
        b.step(&mixer.name, op, &[input.state, table, input.mixed]).map(Some)
    }
}
