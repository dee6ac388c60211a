//! The plan of one model, made once: its stages with their weights packed, and how the work is cut.

use ptsm_kernels::{Aligned, ColumnLinear, Isa};

use super::pack::{ColumnBlock, PackedBlock, Packer, RowBlock};
use super::sizes::{GROUP, Sizes};
use crate::config::Scaler;
use crate::model::Model;
use crate::network::{Axis, Embedding, Stage};
use crate::weights::{BlockSlot, TensorStore};

/// Everything about a model's backbone that does not change between calls.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) isa: Isa,
    pub(super) window: Window,
    pub(super) scaler: Scaler,
    pub(super) mixes_channels: bool,
    pub(super) patcher: ColumnLinear,
    /// Positional table `[D][pitch]`.
    pub(super) position: Option<Aligned>,
    /// The hidden state that the embedding gives.
    pub(super) first: Sizes,
    /// The stages, in order.
    pub(super) runs: Vec<Run>,
    /// The hidden state that the head reads.
    pub(super) last: Sizes,
    pub(super) buffers: Buffers,
}

/// How windows are cut into patches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) context_length: usize,
    pub(super) patch_length: usize,
    pub(super) patch_stride: usize,
    pub(super) patch_start: usize,
}

/// Which window of a batch: that of one channel of one sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowIndex {
    pub(super) sample: usize,
    pub(super) channel: usize,
}

/// Blocks that rows pass one after the other while they are in the cache.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) sizes: Sizes,
    /// A channel mixer before them, which needs all rows of a sample.
    pub(super) channel: Option<ColumnBlock>,
    /// Blocks that see one row.
    pub(super) blocks: Vec<PackedBlock>,
    /// (sample, channel) rows that pass them together.
    pub(super) stack: usize,
    /// Shape of the hidden state after a reshape at the end, where there is one.
    pub(super) reshape: Option<Sizes>,
}

/// How many numbers the buffers of one thread hold, enough for every run. Those for whole samples
/// are 0 where channels are not mixed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Buffers {
    /// Hidden states of a group of rows.
    pub(super) group: usize,
    /// The same in another shape; 0 where there is one shape only.
    pub(super) reshaped: usize,
    /// A stack of rows in a patch mixer.
    pub(super) stacked: usize,
    pub(super) patch_hidden: usize,
    /// One row in a self-attention, a strip of its weights, and the outputs of a stack of rows.
    pub(super) attention_row: usize,
    pub(super) attention_weights: usize,
    pub(super) attended: usize,
    /// A strip of columns.
    pub(super) columns: usize,
    pub(super) columns_hidden: usize,
    /// A sample: its hidden state, the same in another shape, the same normalised for a channel
    /// mixer, and what the channel mixer adds.
    pub(super) sample: usize,
    pub(super) sample_reshaped: usize,
    pub(super) sample_normed: usize,
    pub(super) sample_mixed: usize,
}

impl Plan {
    /// Packs the backbone of `model` for one instruction set.
    pub(super) fn new(model: &Model, isa: Isa) -> Self {
        let parameters = &model.parameters;
        let packer = Packer { isa, parameters };
        let backbone = &model.layout().backbone;
        let Embedding { context_length, patch_length, patch_stride, patch_start, state, .. } =
            &model.network().embedding;
        let first = Sizes::new(isa, *state);
        let position = backbone.position.as_ref().map(|(store, range)| {
            let table = match store {
                TensorStore::Trained => &parameters.trained[range.clone()],
                _ => &parameters.buffers[range.clone()],
            };
            features_first(&first, table)
        });
        let runs = runs(packer, first, &backbone.stages);
        let mixes_channels = model.network().mixes_channels();
        Self {
            isa,
            window: Window {
                context_length: *context_length,
                patch_length: *patch_length,
                patch_stride: *patch_stride,
                patch_start: *patch_start,
            },
            scaler: model.config().scaler(),
            mixes_channels,
            patcher: packer.column_linear(&backbone.patcher),
            position,
            first,
            last: Sizes::new(isa, model.network().last_state()),
            buffers: Buffers::of(first, &runs, mixes_channels),
            runs,
        }
    }
}

/// The stages as runs: a channel mixer starts one, a reshape ends one.
fn runs(packer: Packer<'_>, first: Sizes, stages: &[Stage<BlockSlot>]) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut run = Run::new(first);
    for stage in stages {
        match stage {
            Stage::Mixer(slot) => match slot.block.axis {
                Axis::Channels => {
                    let next = Run::new(run.sizes);
                    runs.push(std::mem::replace(&mut run, next));
                    run.channel = Some(packer.column_block(slot, run.sizes));
                }
                Axis::Patches => {
                    let block = packer.row_block(slot, run.sizes);
                    run.stack = run.stack.max(block.stack);
                    run.blocks.push(PackedBlock::Patches(block));
                }
                Axis::Features => {
                    let block = packer.column_block(slot, run.sizes);
                    run.blocks.push(PackedBlock::Features(block));
                }
            },
            Stage::Reshape(reshape) => {
                let to = Sizes::new(packer.isa, reshape.to);
                run.reshape = Some(to);
                runs.push(std::mem::replace(&mut run, Run::new(to)));
            }
        }
    }
    runs.push(run);
    runs.retain(|run| !run.is_empty());
    runs
}

impl Run {
    fn new(sizes: Sizes) -> Self {
        Self { sizes, channel: None, blocks: Vec::new(), stack: 1, reshape: None }
    }

    fn is_empty(&self) -> bool {
        self.channel.is_none() && self.blocks.is_empty() && self.reshape.is_none()
    }

    fn row_blocks(&self) -> impl Iterator<Item = &RowBlock> {
        self.blocks.iter().filter_map(|block| match block {
            PackedBlock::Patches(block) => Some(block),
            PackedBlock::Features(_) => None,
        })
    }

    fn column_blocks(&self) -> impl Iterator<Item = &ColumnBlock> {
        let features = self.blocks.iter().filter_map(|block| match block {
            PackedBlock::Features(block) => Some(block),
            PackedBlock::Patches(_) => None,
        });
        self.channel.iter().chain(features)
    }
}

impl Buffers {
    fn of(first: Sizes, runs: &[Run], mixes_channels: bool) -> Self {
        let mut all = Self::default();
        let grow = |to: &mut usize, wanted: usize| *to = wanted.max(*to);
        let (channels, mut row) = (first.num_channels, first.row());
        for run in runs {
            grow(&mut row, run.sizes.row());
            grow(&mut row, run.reshape.map_or(0, |to| to.row()));
            for block in run.row_blocks() {
                grow(&mut all.stacked, run.stack * run.sizes.row());
                grow(&mut all.patch_hidden, run.stack * run.sizes.d_model * block.hidden_pitch);
                if let Some(attention) = &block.attention {
                    let weights = run.sizes.num_patches * attention.columns;
                    grow(&mut all.attention_row, run.sizes.row());
                    grow(&mut all.attention_weights, weights);
                    grow(&mut all.attended, run.stack * run.sizes.row());
                }
            }
            for block in run.column_blocks() {
                grow(&mut all.columns, block.width * block.columns);
                grow(&mut all.columns_hidden, block.fc1.outputs() * block.columns);
            }
            if let Some(channel) = &run.channel {
                let strips = run.sizes.row().next_multiple_of(channel.columns);
                grow(&mut all.sample_normed, channels * run.sizes.row());
                grow(&mut all.sample_mixed, channels * strips);
            }
        }
        let reshaped = if runs.iter().any(|run| run.reshape.is_some()) { row } else { 0 };
        match mixes_channels {
            true => (all.sample, all.sample_reshaped) = (channels * row, channels * reshaped),
            false => (all.group, all.reshaped) = (GROUP * row, GROUP * reshaped),
        }
        all
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
