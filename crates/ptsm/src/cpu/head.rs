//! What stands on the backbone: reads the hidden state of a few rows at a time, while it is in the
//! cache.

use ptsm_kernels::{Finish, RowLinear};

use super::arena::Arena;
use super::plan::{GROUP, Plan, Sizes};
use crate::model::Model;
use crate::weights::HeadSlot;

/// The part of a head that needs one (sample, channel) row only.
pub(super) trait RowHead: Sync {
    /// Channels whose rows it wants; channels that are mixed come all.
    fn channels(&self) -> &[usize];

    /// Numbers that it writes for one row.
    fn width(&self) -> usize;

    /// Numbers of scratch that it needs for a group of rows.
    fn scratch(&self, sizes: &Sizes) -> usize;

    /// Reads `hidden` `[rows][D][pitch]` and writes `out` `[rows][width]`; at most a group of rows.
    /// The patches behind the last hold numbers without a meaning.
    fn apply(&self, sizes: &Sizes, hidden: &[f32], scratch: &mut [f32], out: &mut [f32]);
}

/// Forecasting: one projection of the whole hidden state, un-scaled in the end.
#[derive(Debug)]
pub(super) struct PredictionHead {
    /// Its inputs in the order of the hidden state, features first.
    projection: RowLinear,
    width: usize,
    /// Channels that are forecast, ascending.
    channels: Vec<usize>,
}

impl PredictionHead {
    /// Packs the head of `model`.
    pub(super) fn new(model: &Model, plan: &Plan) -> Self {
        let HeadSlot::Prediction { projection } = &model.layout().head;
        let Sizes { num_patches, d_model, .. } = plan.sizes;
        let trained = &model.parameters.trained;
        let mut weight = vec![0.0; projection.weight.len()];
        let rows = trained[projection.weight.clone()].chunks_exact(projection.inputs);
        for (from, to) in rows.zip(weight.chunks_exact_mut(projection.inputs)) {
            for n in 0..num_patches {
                for d in 0..d_model {
                    to[d * num_patches + n] = from[n * d_model + d];
                }
            }
        }
        let bias = &trained[projection.bias.clone()];
        let (inputs, outputs) = (projection.inputs, projection.outputs);
        Self {
            projection: RowLinear::new(plan.isa, inputs, outputs, &weight, bias),
            width: plan.isa.pad(outputs),
            channels: model.config().prediction_channels(),
        }
    }

    /// Un-scales what the rows' heads wrote, into `[B, H, C']`.
    pub(super) fn finish(
        &self,
        batch: usize,
        plan: &Plan,
        arena: &Arena,
        prediction: &mut Vec<f32>,
    ) {
        let (steps, count) = (self.projection.outputs(), self.channels.len());
        let per_sample = plan.rows_per_sample(&self.channels);
        prediction.resize(batch * steps * count, 0.0);
        for (b, out) in prediction.chunks_exact_mut(steps * count).enumerate() {
            for (i, &channel) in self.channels.iter().enumerate() {
                let place = if plan.mixes_channels { channel } else { i };
                let row = b * per_sample + place;
                let statistics = arena.statistics[row];
                let scaled = &arena.out[row * self.width..][..steps];
                for (out, y) in out[i..].iter_mut().step_by(count).zip(scaled) {
                    *out = y * statistics.scale + statistics.loc;
                }
            }
        }
    }
}

impl RowHead for PredictionHead {
    fn channels(&self) -> &[usize] {
        &self.channels
    }

    fn width(&self) -> usize {
        self.width
    }

    fn scratch(&self, sizes: &Sizes) -> usize {
        let dense = sizes.pitch == sizes.num_patches;
        if dense { 0 } else { GROUP * sizes.d_model * sizes.num_patches }
    }

    fn apply(&self, sizes: &Sizes, hidden: &[f32], scratch: &mut [f32], out: &mut [f32]) {
        let rows = out.len() / self.width;
        let out = (out, self.width);
        let Sizes { num_patches, pitch, .. } = *sizes;
        if pitch == num_patches {
            return self.projection.apply(rows, (hidden, sizes.row()), Finish::Store, out);
        }
        for (from, to) in hidden.chunks_exact(pitch).zip(scratch.chunks_exact_mut(num_patches)) {
            to.copy_from_slice(&from[..num_patches]);
        }
        let row = sizes.d_model * num_patches;
        self.projection.apply(rows, (scratch, row), Finish::Store, out);
    }
}
