//! Every buffer of a session, kept between calls: a batch of a size that was seen before allocates
//! nothing.

use ptsm_kernels::Aligned;

use super::plan::{GROUP, Plan, Sizes};
use crate::{Result, memory};

/// The buffers of one session.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// One for each thread.
    pub(super) workers: Vec<Worker>,
    /// What the head wrote, one row for each row of the backbone.
    pub(super) out: Aligned,
    /// One for each row.
    pub(super) statistics: Vec<Statistics>,
    /// Scaled windows of all rows, for the linear skip.
    pub(super) windows: Aligned,
}

/// What undoes the scaling of one channel of one sample, in data units.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statistics {
    pub(super) loc: f32,
    pub(super) scale: f32,
}

/// Scratch of one thread.
#[derive(Debug)]
pub(super) struct Worker {
    /// One channel's window, and its mask.
    pub(super) column: Aligned,
    pub(super) mask: Aligned,
    /// `[p][pitch]`.
    pub(super) patches: Aligned,
    /// Hidden state of a group of rows.
    pub(super) group: Aligned,
    pub(super) patch: PatchScratch,
    pub(super) attention: AttentionScratch,
    pub(super) column_block: ColumnScratch,
    /// What the head asks for.
    pub(super) head: Aligned,
    /// The sample in work, in `mix_channel` mode.
    pub(super) sample: Sample,
}

/// Buffers of the patch mixer: `[rows D][pitch]` each, the hidden one wider.
#[derive(Debug)]
pub(super) struct PatchScratch {
    pub(super) normed: Aligned,
    pub(super) hidden: Aligned,
    pub(super) value: Aligned,
    pub(super) logits: Aligned,
}

/// Buffers of the self-attention; empty without it.
#[derive(Debug)]
pub(super) struct AttentionScratch {
    pub(super) query: Aligned,
    pub(super) key: Aligned,
    pub(super) value: Aligned,
    /// Heads side by side.
    pub(super) mixed: Aligned,
    /// `[N][columns]`: transposed weights of a strip of patches.
    pub(super) weights: Aligned,
    /// The outputs of a stack of rows.
    pub(super) attended: Aligned,
}

/// Buffers of a block that mixes down columns: `[width][columns]` each, the hidden one higher.
#[derive(Debug)]
pub(super) struct ColumnScratch {
    pub(super) normed: Aligned,
    pub(super) hidden: Aligned,
    pub(super) value: Aligned,
    pub(super) logits: Aligned,
}

/// One sample whose channels are mixed.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// `[C][D][pitch]`.
    pub(super) hidden: Aligned,
    /// The same, normalised for the channel mixer.
    pub(super) normed: Aligned,
    /// What the channel mixer adds: strips `[C][channel_columns]`.
    pub(super) mixed: Aligned,
}

impl Worker {
    fn new(plan: &Plan, head: usize) -> Self {
        let sizes = &plan.sizes;
        let stacked = sizes.stack * sizes.row();
        let shape = WorkerShape::of(plan, head);
        let (attention, block) = (shape.attends, shape.block());
        let only = |wanted: bool, len: usize| Aligned::zeros(if wanted { len } else { 0 });
        Self {
            column: Aligned::zeros(sizes.context_length),
            mask: Aligned::zeros(sizes.context_length),
            patches: Aligned::zeros(sizes.patch_length * sizes.pitch),
            group: only(!plan.mixes_channels, GROUP * sizes.row()),
            patch: PatchScratch {
                normed: Aligned::zeros(stacked),
                hidden: Aligned::zeros(sizes.stack * sizes.d_model * sizes.hidden_pitch),
                value: Aligned::zeros(stacked),
                logits: Aligned::zeros(stacked),
            },
            attention: AttentionScratch {
                query: only(attention, sizes.row()),
                key: only(attention, sizes.row()),
                value: only(attention, sizes.row()),
                mixed: only(attention, sizes.row()),
                weights: only(attention, sizes.num_patches * sizes.feature_columns),
                attended: only(attention, stacked),
            },
            column_block: ColumnScratch {
                normed: Aligned::zeros(block),
                hidden: Aligned::zeros(block * sizes.expansion_factor),
                value: Aligned::zeros(block),
                logits: Aligned::zeros(block),
            },
            head: Aligned::zeros(head),
            sample: Sample::default(),
        }
    }
}

impl Sample {
    /// Makes room for one sample.
    pub(super) fn reserve(&mut self, plan: &Plan) {
        let sizes = &plan.sizes;
        let strips = sizes.row().div_ceil(sizes.channel_columns);
        let hidden = sizes.num_channels * sizes.row();
        self.hidden.reserve(hidden);
        self.normed.reserve(hidden);
        self.mixed.reserve(strips * sizes.num_channels * sizes.channel_columns);
    }
}

impl Arena {
    /// Makes room for `rows` rows of `width` numbers on `threads` threads, with `head` numbers of
    /// scratch for the head.
    pub(super) fn reserve(
        &mut self,
        plan: &Plan,
        (rows, width): (usize, usize),
        head: usize,
        threads: usize,
    ) -> Result<()> {
        let workers = threads.saturating_sub(self.workers.len());
        if self.out.len() < rows * width || workers > 0 {
            let shape = WorkerShape::of(plan, head);
            let new_rows = if self.out.len() < rows * width { rows * width } else { 0 };
            let bytes =
                memory::bytes_of(&[workers, shape.numbers()]) + memory::bytes_of(&[new_rows]);
            let task = format!("a forecast of {rows} rows on {threads} threads");
            memory::require_memory(&task, bytes, "a smaller batch, or fewer threads")?;
        }
        while self.workers.len() < threads {
            self.workers.push(Worker::new(plan, head));
        }
        self.out.reserve(rows * width);
        if self.statistics.len() < rows {
            self.statistics.resize(rows, Statistics::default());
        }
        Ok(())
    }
}

/// What the buffers of one thread depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkerShape<'a> {
    pub(super) sizes: &'a Sizes,
    pub(super) mixes_channels: bool,
    pub(super) attends: bool,
    /// Numbers of scratch for the head.
    pub(super) head: usize,
}

impl<'a> WorkerShape<'a> {
    fn of(plan: &'a Plan, head: usize) -> Self {
        let attends = plan.layers.iter().any(|layer| layer.attention.is_some());
        Self { sizes: &plan.sizes, mixes_channels: plan.mixes_channels, attends, head }
    }

    /// Numbers of a block that mixes down columns.
    fn block(&self) -> usize {
        let sizes = self.sizes;
        let features = sizes.d_model * sizes.feature_columns;
        let channels = sizes.num_channels * sizes.channel_columns;
        if self.mixes_channels { features.max(channels) } else { features }
    }

    /// Numbers of all buffers together, those of a sample whose channels are mixed among them.
    pub(super) fn numbers(&self) -> usize {
        let Sizes { num_channels, num_patches, d_model, pitch, expansion_factor, .. } = *self.sizes;
        let (row, stacked) = (self.sizes.row(), self.sizes.stack * self.sizes.row());
        let window = 2 * self.sizes.context_length + self.sizes.patch_length * pitch;
        let patch = 3 * stacked + self.sizes.stack * d_model * self.sizes.hidden_pitch;
        let attention = 4 * row + num_patches * self.sizes.feature_columns + stacked;
        let columns = self.block() * (3 + expansion_factor);
        let strips = row.next_multiple_of(self.sizes.channel_columns);
        let sample = num_channels * (2 * row + strips);
        let group = if self.mixes_channels { sample } else { GROUP * row };
        let attention = if self.attends { attention } else { 0 };
        window + patch + attention + columns + group + self.head
    }
}

#[cfg(test)]
mod tests {
    use ptsm_kernels::Isa;

    use super::*;
    use crate::{Config, Init, Model};

    #[test]
    fn the_numbers_of_a_worker_are_those_of_its_buffers() {
        for (mode, self_attn) in [("common_channel", false), ("mix_channel", true)] {
            let config = Config {
                context_length: 68,
                prediction_length: 5,
                num_input_channels: 3,
                patch_length: 4,
                patch_stride: 4,
                mode: mode.into(),
                self_attn,
                self_attn_heads: 2,
                ..Config::default()
            };
            let plan = Plan::new(&Model::new(config, Init::PyTorch, 1).unwrap(), Isa::Portable);
            let mut worker = Worker::new(&plan, 11);
            if plan.mixes_channels {
                worker.sample.reserve(&plan);
            }
            let Worker { column, mask, patches, group, patch, attention, .. } = &worker;
            let (block, sample) = (&worker.column_block, &worker.sample);
            let all = [
                [column, mask, patches, group, &worker.head, &sample.hidden],
                [
                    &patch.normed,
                    &patch.hidden,
                    &patch.value,
                    &patch.logits,
                    &block.normed,
                    &block.hidden,
                ],
                [
                    &attention.query,
                    &attention.key,
                    &attention.value,
                    &attention.mixed,
                    &block.value,
                    &block.logits,
                ],
                [
                    &attention.weights,
                    &attention.attended,
                    &sample.normed,
                    &sample.mixed,
                    &Aligned::zeros(0),
                    &Aligned::zeros(0),
                ],
            ];
            let numbers: usize = all.iter().flatten().map(|buffer| buffer.len()).sum();
            assert_eq!(WorkerShape::of(&plan, 11).numbers(), numbers, "{mode}");
        }
    }
}
