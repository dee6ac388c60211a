//! The linear skip of a point forecast: scaled windows times one matrix, added to what the head wrote.

use ptsm_kernels::{
    Aligned, Finish, Isa, Matrix, MatrixMut, RowLinear, StridedSlice, gather, standardise,
};
use rayon::prelude::*;

use super::arena::Statistics;
use super::plan::Plan;
use super::sizes::GROUP;
use crate::batch::Batch;
use crate::config::Scaler;
use crate::model::Model;
use crate::weights::LinearSlot;

/// The packed layer.
#[derive(Debug)]
pub(super) struct Skip {
    isa: Isa,
    linear: RowLinear,
    context_length: usize,
}

impl Skip {
    /// Packs the layer.
    pub(super) fn new(model: &Model, slot: &LinearSlot, plan: &Plan) -> Self {
        let trained = &model.parameters.trained;
        let (weight, bias) = (&trained[slot.weight.clone()], &trained[slot.bias.clone()]);
        let linear = RowLinear::new(plan.isa, slot.inputs, slot.outputs, weight, bias);
        Self { isa: plan.isa, linear, context_length: slot.inputs }
    }

    /// Adds to `out`, rows of equal pitch, one for each of `statistics`; equal shares of the rows
    /// belong to each sample. Every row is computed by itself.
    pub(super) fn add(
        &self,
        plan: &Plan,
        (batch, statistics): (&Batch, &[Statistics]),
        channel: impl Fn(usize) -> usize + Sync,
        (windows, out): (&mut Aligned, &mut [f32]),
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
                    let place = (row / per_sample, channel(row));
                    self.read(plan, batch, (place, statistics), window);
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
        ((sample, channel), statistics): ((usize, usize), &Statistics),
        window: &mut [f32],
    ) {
        let channels = batch.num_channels();
        let place = sample * self.context_length * channels + channel;
        let values = batch.past_values();
        gather(StridedSlice { values, offset: place, stride: channels }, window);
        if plan.scaler != Scaler::None {
            standardise(self.isa, window, statistics.loc, statistics.scale);
        }
        if let Some(mask) = batch.observed_mask() {
            let seen = mask[place..].iter().step_by(channels);
            window.iter_mut().zip(seen).for_each(|(x, seen)| *x *= seen);
        }
    }
}
