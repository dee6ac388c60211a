//! Every buffer of a session, kept between calls: a batch of a size that was seen before allocates
//! nothing.

use ptsm_kernels::Aligned;

use super::plan::{GROUP, Plan};

/// The buffers of one session.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// One for each thread.
    pub(super) workers: Vec<Worker>,
    /// What the head wrote, one row for each row of the backbone.
    pub(super) out: Aligned,
    /// One for each row.
    pub(super) statistics: Vec<Statistics>,
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
        let attention = plan.layers.iter().any(|layer| layer.attention.is_some());
        let only = |wanted: bool, len: usize| Aligned::zeros(if wanted { len } else { 0 });
        let strip = |width: usize, columns: usize| width * columns;
        let mut block = strip(sizes.d_model, sizes.feature_columns);
        if plan.mixes_channels {
            block = block.max(strip(sizes.num_channels, sizes.channel_columns));
        }
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
    ) {
        while self.workers.len() < threads {
            self.workers.push(Worker::new(plan, head));
        }
        self.out.reserve(rows * width);
        if self.statistics.len() < rows {
            self.statistics.resize(rows, Statistics::default());
        }
    }
}
