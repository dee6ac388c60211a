//! The plan of one model: its sizes, its weights packed, and how the work is cut. Made once.

use ptsm_kernels::{Aligned, ColumnLinear, Isa};

use super::pack::{PackedLayer, Packer};
use crate::config::{Config, Scaler};
use crate::model::Model;
use crate::weights::Store;

/// Rows that pass the head together: its weights do not fit into the first-level cache, and are
/// read once for all of them.
pub(super) const GROUP: usize = 8;
/// Bytes that a column block's buffers may take of the first-level cache.
const BLOCK_BYTES: usize = 24 << 10;
/// Patch mixers with more bytes of weights than this are not counted on to stay in a second-level
/// cache: a whole group shares one reading of them.
const RESIDENT_BYTES: usize = 512 << 10;
/// Rows that start a multiple of so many bytes apart fall into the same sets of the first-level
/// cache.
const ALIAS_BYTES: usize = 4096;

/// Everything about a model's backbone that does not change between calls.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) isa: Isa,
    pub(super) sizes: Sizes,
    pub(super) scaler: Scaler,
    pub(super) mixes_channels: bool,
    pub(super) patcher: ColumnLinear,
    /// Positional table `[D][pitch]`.
    pub(super) position: Option<Aligned>,
    pub(super) layers: Vec<PackedLayer>,
}

/// Lengths, and how the work is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) context_length: usize,
    pub(super) num_channels: usize,
    pub(super) patch_length: usize,
    pub(super) patch_stride: usize,
    pub(super) patch_start: usize,
    pub(super) num_patches: usize,
    pub(super) d_model: usize,
    pub(super) expansion_factor: usize,
    /// From one feature's patches to the next one's.
    pub(super) pitch: usize,
    /// The same in the hidden layer of the patch mixer.
    pub(super) hidden_pitch: usize,
    /// (sample, channel) rows that pass a patch mixer together.
    pub(super) stack: usize,
    /// Columns that pass a feature mixer together.
    pub(super) feature_columns: usize,
    /// Columns that pass a channel mixer together.
    pub(super) channel_columns: usize,
}

impl Sizes {
    pub(super) fn new(isa: Isa, config: &Config) -> Self {
        let (n, d, e) = (config.num_patches(), config.d_model, config.expansion_factor);
        let pitch = spread(isa, n);
        let weights = n * n * (2 * e + usize::from(config.gated_attn)) * size_of::<f32>();
        let columns = |width: usize, available: usize| {
            // Normed input, hidden layer, output, logits.
            let room = BLOCK_BYTES / (width * (e + 3) * size_of::<f32>());
            let tile = 2 * isa.lanes();
            (room / tile * tile).max(tile).min(available)
        };
        Self {
            context_length: config.context_length,
            num_channels: config.num_input_channels,
            patch_length: config.patch_length,
            patch_stride: config.patch_stride,
            patch_start: config.patch_start(),
            num_patches: n,
            d_model: d,
            expansion_factor: e,
            pitch,
            hidden_pitch: spread(isa, n * e),
            stack: if weights > RESIDENT_BYTES { GROUP } else { 1 },
            feature_columns: columns(d, pitch),
            channel_columns: columns(config.num_input_channels, d * pitch),
        }
    }

    /// Numbers in the hidden state of one (sample, channel) row, `[D][pitch]`.
    pub(super) fn row(&self) -> usize {
        self.d_model * self.pitch
    }
}

/// What a row of `n` numbers takes: whole registers, and no multiple of the aliasing distance.
fn spread(isa: Isa, n: usize) -> usize {
    let padded = isa.pad(n);
    let aliases = (padded * size_of::<f32>()).is_multiple_of(ALIAS_BYTES);
    if aliases { padded + isa.pad(16) } else { padded }
}

impl Plan {
    /// Packs the backbone of `model` for one instruction set.
    pub(super) fn new(model: &Model, isa: Isa) -> Self {
        let (config, parameters) = (model.config(), &model.parameters);
        let packer = Packer { isa, config, parameters };
        let backbone = &model.layout().backbone;
        let sizes = Sizes::new(isa, config);
        let position = backbone.position.as_ref().map(|(store, range)| {
            let table = match store {
                Store::Trained => &parameters.trained[range.clone()],
                _ => &parameters.buffers[range.clone()],
            };
            features_first(&sizes, table)
        });
        Self {
            isa,
            sizes,
            scaler: config.scaler(),
            mixes_channels: config.mixes_channels(),
            patcher: packer.column_linear(&backbone.patcher),
            position,
            layers: backbone.layers.iter().map(|slot| packer.layer(slot)).collect(),
        }
    }
}

/// `[N, D]` as `[D][pitch]`.
fn features_first(sizes: &Sizes, table: &[f32]) -> Aligned {
    let mut out = Aligned::zeros(sizes.row());
    for (n, row) in table.chunks_exact(sizes.d_model).enumerate() {
        for (d, &x) in row.iter().enumerate() {
            out[d * sizes.pitch + n] = x;
        }
    }
    out
}
