//! The buffers of a session, which are kept between calls, so that a batch of a size that was seen
//! before allocates nothing.

use ptsm_kernels::Aligned;

use super::plan::{Buffers, Plan};
use crate::layers::level;
use crate::{Result, memory};

/// The buffers of one session.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// One for each thread.
    pub(super) workers: Vec<Worker>,
    /// Outputs of the head, one row for each row of the backbone.
    pub(super) out: Aligned,
    /// One for each row.
    pub(super) statistics: Vec<Statistics>,
    /// Scaled windows of all rows, for the linear skip.
    pub(super) windows: Aligned,
}

/// How large one call is: what it needs of the buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallSize {
    /// Rows of the backbone.
    pub(super) rows: usize,
    /// Numbers that the head writes for one row.
    pub(super) width: usize,
    /// Numbers of scratch that the head needs on each thread.
    pub(super) head_scratch: usize,
    pub(super) threads: usize,
}

/// What undoes the scaling of one channel of one sample, in data units.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statistics {
    pub(super) loc: f32,
    pub(super) scale: f32,
    /// Of a scaling by level, see [`level::Fitted`]; else 0.
    pub(super) least: f32,
}

impl From<level::Fitted<f32>> for Statistics {
    fn from(level::Fitted { loc, scale, least }: level::Fitted<f32>) -> Self {
        Self { loc, scale, least }
    }
}

/// Scratch of one thread.
#[derive(Debug)]
pub(super) struct Worker {
    /// One channel's window, and its mask.
    pub(super) column: Aligned,
    pub(super) mask: Aligned,
    /// `[p][pitch]`.
    pub(super) patches: Aligned,
    /// Hidden states of a group of rows.
    pub(super) group: Aligned,
    /// Where they are reshaped to.
    pub(super) reshaped: Aligned,
    pub(super) patch: PatchScratch,
    pub(super) attention: AttentionScratch,
    pub(super) column_block: ColumnScratch,
    /// Scratch of the head.
    pub(super) head: Aligned,
    /// The sample that is computed now, where channels are mixed.
    pub(super) sample: Sample,
}

/// Buffers of the patch mixer: `[rows D][pitch]` each, `hidden` with longer rows.
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
    /// Outputs of the heads, side by side.
    pub(super) mixed: Aligned,
    /// `[N][columns]`: transposed weights of a strip of patches.
    pub(super) weights: Aligned,
    /// Outputs of a stack of rows.
    pub(super) attended: Aligned,
}

/// Buffers of a block that mixes down columns: `[width][columns]` each, `hidden` with more rows.
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
    /// Where it is reshaped to.
    pub(super) reshaped: Aligned,
    /// The same, normalised for the channel mixer.
    pub(super) normed: Aligned,
    /// What the channel mixer adds: strips `[C][columns]`.
    pub(super) mixed: Aligned,
}

impl Worker {
    fn new(plan: &Plan, head_scratch: usize) -> Self {
        let zeros = Aligned::zeros;
        let (window, buffers) = (plan.window, &plan.buffers);
        Self {
            column: zeros(window.context_length),
            mask: zeros(window.context_length),
            patches: zeros(window.patch_length * plan.first.pitch),
            group: zeros(buffers.group),
            reshaped: zeros(buffers.reshaped),
            patch: PatchScratch {
                normed: zeros(buffers.stacked),
                hidden: zeros(buffers.patch_hidden),
                value: zeros(buffers.stacked),
                logits: zeros(buffers.stacked),
            },
            attention: AttentionScratch {
                query: zeros(buffers.attention_row),
                key: zeros(buffers.attention_row),
                value: zeros(buffers.attention_row),
                mixed: zeros(buffers.attention_row),
                weights: zeros(buffers.attention_weights),
                attended: zeros(buffers.attended),
            },
            column_block: ColumnScratch {
                normed: zeros(buffers.columns),
                hidden: zeros(buffers.columns_hidden),
                value: zeros(buffers.columns),
                logits: zeros(buffers.columns),
            },
            head: zeros(head_scratch),
            sample: Sample::default(),
        }
    }
}

impl Sample {
    /// Makes room for one sample.
    pub(super) fn reserve(&mut self, plan: &Plan) {
        let Buffers { sample, sample_reshaped, sample_normed, sample_mixed, .. } = plan.buffers;
        self.hidden.reserve(sample);
        self.reshaped.reserve(sample_reshaped);
        self.normed.reserve(sample_normed);
        self.mixed.reserve(sample_mixed);
    }
}

impl Arena {
    /// Makes room for a call.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` if the buffers would have to grow beyond what is there.
    pub(super) fn reserve(&mut self, plan: &Plan, size: CallSize) -> Result<()> {
        let CallSize { rows, width, head_scratch, threads } = size;
        let workers = threads.saturating_sub(self.workers.len());
        if self.out.len() < rows * width || workers > 0 {
            let new_rows = if self.out.len() < rows * width { rows * width } else { 0 };
            let bytes = memory::bytes_of(&[workers, numbers(plan, head_scratch)])
                + memory::bytes_of(&[new_rows]);
            let task = format!("a forecast of {rows} rows on {threads} threads");
            memory::require_memory(&task, bytes, "a smaller batch, or fewer threads")?;
        }
        while self.workers.len() < threads {
            self.workers.push(Worker::new(plan, head_scratch));
        }
        self.out.reserve(rows * width);
        if self.statistics.len() < rows {
            self.statistics.resize(rows, Statistics::default());
        }
        Ok(())
    }
}

/// How many numbers the buffers of one thread hold, with those of a sample whose channels are
/// mixed.
fn numbers(plan: &Plan, head_scratch: usize) -> usize {
    let buffers = &plan.buffers;
    let window = 2 * plan.window.context_length + plan.window.patch_length * plan.first.pitch;
    let patch = 3 * buffers.stacked + buffers.patch_hidden;
    let attention = 4 * buffers.attention_row + buffers.attention_weights + buffers.attended;
    let columns = 3 * buffers.columns + buffers.columns_hidden;
    let sample = buffers.sample + buffers.sample_reshaped + buffers.sample_normed;
    let group = buffers.group + buffers.reshaped + sample + buffers.sample_mixed;
    window + patch + attention + columns + group + head_scratch
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
            assert_eq!(super::numbers(&plan, 11), numbers, "{mode}");
        }
    }
}
