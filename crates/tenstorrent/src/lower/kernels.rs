//! Our kernels as steps, and the tables of tiles that they read.

use ptsm_core::Result;
use ptsm_core::network::{Axis, Norm};

use super::backbone::{Backbone, Block};
use super::builder::{Builder, LinearWeights};
use super::windows::Windows;
use crate::program::{DataType, EmbedTiles, MathFidelity, MixerTiles, Op, TILE, TensorId};

/// Largest `d_model`: up to it `D I - J` (see `TablePlaces`) is exact in bfloat16.
const MAX_FEATURES: usize = 256;
/// The kernel's buffers take at most a core's memory divided by this.
const BUFFERS_SHARE: usize = 2;
/// Logit of padding: so low that its softmax is 0.
const PADDING_LOGIT: f32 = -1e4;
/// First rows of the faces of a tile, which has four of 16 x 16.
const FACES: [usize; 2] = [0, TILE / 2];

/// The constants of a kernel as tiles, one below the other.
struct Table {
    values: Vec<f32>,
}

impl Table {
    /// Appends a matrix of `rows` by `columns` tiles, row by row of tiles; `at` gives its numbers.
    fn push(&mut self, rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) {
        for place in 0..rows * columns {
            let (top, left) = (place / columns * TILE, place % columns * TILE);
            for i in 0..TILE {
                self.values.extend((0..TILE).map(|j| at(top + i, left + j)));
            }
        }
    }

    /// Appends a weight of `outputs` by `inputs` tiles, whose numbers `at` gives: as it is if it
    /// multiplies the state from the left, transposed otherwise.
    fn push_weight(
        &mut self,
        left: bool,
        outputs: usize,
        inputs: usize,
        at: impl Fn(usize, usize) -> f32,
    ) {
        match left {
            true => self.push(outputs, inputs, at),
            false => self.push(inputs, outputs, |i, o| at(o, i)),
        }
    }
}

/// A number of a layer's weight; 0 outside its shape.
fn weight(layer: &LinearWeights, output: usize, input: usize) -> f32 {
    match output < layer.outputs && input < layer.inputs {
        true => layer.weight[output * layer.inputs + input],
        false => 0.0,
    }
}

/// The number at `place`, or `padding` after the last one.
fn get_or(values: &[f32], place: usize, padding: f32) -> f32 {
    values.get(place).copied().unwrap_or(padding)
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
        let Windows { patch_length, patch_stride, patches } = windows;
        let d_model = layer.outputs;
        let columns = d_model.div_ceil(TILE);
        let tiles = EmbedTiles { patch_length, patch_stride, patches, columns };
        let shape = [batch, self.network.embedding.state.channels, 1, tiles.window()];
        let input = b.input_rows("windows", shape);
        let name = format!("{}.table", layer.name);
        let table = b.constant(&name, tiles.table_shape(), DataType::Bfloat16, || {
            let mut table = Table { values: Vec::new() };
            table.push(1, 1, |i, j| f32::from(u8::from(i == j)));
            table.push(tiles.inner(), columns, |i, o| weight(layer, o, i));
            table.push(1, columns, |_, o| get_or(&layer.bias, o, 0.0));
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

    /// The block as a kernel on the state `h`, mixing its rows (patches) or its columns
    /// (features); `None` if there is none for it.
    pub(super) fn mixer_kernel(
        &self,
        b: &mut Builder<'_>,
        block: &Block<'_>,
        h: TensorId,
    ) -> Result<Option<TensorId>> {
        let norm = &block.mixer.norm;
        let Some(gate) = block.gate.as_ref().filter(|_| norm.kind == Norm::Layer) else {
            return Ok(None);
        };
        let left = block.mixer.axis == Axis::Patches;
        let [.., patches, features] = b.shape(h);
        let tiles = MixerTiles {
            left,
            rows: if left { patches.div_ceil(TILE) } else { 1 },
            columns: features.div_ceil(TILE),
            hidden: block.fc1.outputs.div_ceil(TILE),
        };
        let (buffers, chip) = (tiles.buffers(), b.chip());
        let bytes = buffers.iter().sum::<usize>() * DataType::Bfloat16.tile_bytes();
        if features > MAX_FEATURES || bytes > chip.l1_bytes / BUFFERS_SHARE {
            return Ok(None);
        }
        let values = match b.with_values() {
            true => self.table(block, gate, tiles, features)?,
            false => Vec::new(),
        };
        let name = &block.mixer.name;
        let table_name = format!("{name}.table");
        let table = b.constant(&table_name, tiles.table_shape(), DataType::Bfloat16, || values);
        let op = Op::Mixer {
            tiles,
            buffers,
            epsilon: norm.eps,
            core_grid: chip.grid,
            math_fidelity: MathFidelity::HiFi4,
        };
        b.step(name, op, &[h, table]).map(Some)
    }

    /// All numbers of a block in the order that the kernel reads, see `TablePlaces`.
    fn table(
        &self,
        block: &Block<'_>,
        gate: &LinearWeights,
        tiles: MixerTiles,
        features: usize,
    ) -> Result<Vec<f32>> {
        let norm = |part: &str| self.weights.values(&block.mixer.norm.tensor(part));
        let (slope, offset) = (norm("weight")?, norm("bias")?);
        let MixerTiles { left, columns, hidden, .. } = tiles;
        let mixed = tiles.mixed();
        let gate = self.weights.composed(&block.fc2, gate)?;
        let mut first = block.fc1.clone();
        if !left {
            first = first.after_affine(slope, offset);
        }
        let mut table = Table { values: Vec::new() };
        let bit = |x: bool| f32::from(u8::from(x));
        table.push(1, 1, |i, j| bit(i == j));
        table.push(1, 1, |_, _| 1.0);
        table.push(1, 1, |i, _| bit(FACES.contains(&i)));
        let width = features as f32;
        let inside = |i: usize, j: usize| i < features && j < features;
        table.push(columns, columns, |i, j| bit(inside(i, j)) * (width * bit(i == j) - 1.0));
        table.push(columns, columns, |i, j| bit(inside(i, j)) / width);
        if left {
            table.push(1, columns, |_, j| get_or(slope, j, 0.0));
            table.push(1, columns, |_, j| get_or(offset, j, 0.0));
        }
        table.push_weight(left, hidden, mixed, |o, i| weight(&first, o, i));
        table.push_weight(left, hidden, 1, |o, _| get_or(&first.bias, o, 0.0));
        let size = mixed * TILE;
        let (second, bias) = (&block.fc2, &block.fc2.bias);
        table.push_weight(left, 2 * mixed, hidden, |o, i| match o.checked_sub(size) {
            None => weight(second, o, i),
            Some(o) => weight(&gate, o, i),
        });
        table.push_weight(left, 2 * mixed, 1, |o, _| match o.checked_sub(size) {
            None => get_or(bias, o, 0.0),
            Some(o) => get_or(&gate.bias, o, PADDING_LOGIT),
        });
        Ok(table.values)
    }
}
