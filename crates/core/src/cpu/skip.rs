//! The linear skip of a point forecast: scaled windows times one matrix, added to what the head
//! wrote.

use ptsm_kernels::{Aligned, Finish, Matrix, MatrixMut, RowLinear, StridedSlice, gather};
use rayon::prelude::*;

use super::arena::Statistics;
use super::plan::{Plan, WindowIndex};
use super::sizes::GROUP;
use crate::batch::Batch;
use crate::model::Model;
use crate::weights::LinearSlot;

/// A batch, and what undoes the scaling of each row that its windows became.
#[derive(Clone, Copy)]
pub(super) struct ScaledBatch<'a> {
    pub(super) batch: &'a Batch,
    pub(super) statistics: &'a [Statistics],
}

/// The packed layer.
#[derive(Debug)]
pub(super) struct Skip {
    linear: RowLinear,
    context_length: usize,
}

impl Skip {
    /// Packs the layer.
    pub(super) fn new(model: &Model, slot: &LinearSlot, plan: &Plan) -> Self {
        let trained = &model.parameters.trained;
        let (weight, bias) = (&trained[slot.weight.clone()], &trained[slot.bias.clone()]);
        let linear = RowLinear::new(plan.isa, slot.inputs, slot.outputs, weight, bias);
        Self { linear, context_length: slot.inputs }
    }

    /// Adds to `out`, rows of equal pitch, one for each of the statistics; equal shares of the rows
    /// belong to each sample, and `channel` says whose window a row reads. `windows` is scratch.
    /// Every row is computed by itself.
    pub(super) fn add(
        &self,
        plan: &Plan,
        ScaledBatch { batch, statistics }: ScaledBatch<'_>,
        channel: impl Fn(usize) -> usize + Sync,
        windows: &mut Aligned,
        out: &mut [f32],
    ) {
        let (rows, length) = (statistics.len(), self.context_length);
        let (pitch, per_sample) = (out.len() / rows, rows / batch.size());
        windows.reserve(rows * length);
        let outs = out.par_chunks_mut(GROUP * pitch);
        let windows = windows[..rows * length].par_chunks_mut(GROUP * length);
        outs.zip(windows).zip(statistics.par_chunks(GROUP)).enumerate().for_each(
            |(g, ((out, windows), statistics))| {
                let each = windows.chunks_exact_mut(length).zip(statistics).enumerate();
                for (i, (window, statistics)) in each {
                    let row = g * GROUP + i;
                    let index = WindowIndex { sample: row / per_sample, channel: channel(row) };
                    self.read(plan, batch, index, *statistics, window);
                }
                let (x, out) = (Matrix::new(windows, length), MatrixMut::new(out, pitch));
                self.linear.apply(statistics.len(), x, Finish::Add, out);
            },
        );
    }

    /// One scaled window; a missing point is 0 there.
    fn read(
        &self,
        plan: &Plan,
        batch: &Batch,
        WindowIndex { sample, channel }: WindowIndex,
        statistics: Statistics,
        window: &mut [f32],
    ) {
        let channels = batch.num_channels();
        let place = sample * self.context_length * channels + channel;
        let values = batch.past_values();
        gather(StridedSlice { values, offset: place, stride: channels }, window);
        plan.scale(window, statistics);
        if let Some(mask) = batch.observed_mask() {
            let seen = mask[place..].iter().step_by(channels);
            window.iter_mut().zip(seen).for_each(|(x, seen)| *x *= seen);
        }
    }
}
