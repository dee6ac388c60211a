//! The projections of a forecasting head, forward and backward.
//!
//! Their weights are many more than a sample's activations, so the inputs of a whole group of
//! samples are kept, and one matrix product gives the gradients of the weights for all of them.

use std::ops::Range;

use ptsm_kernels::{
    Aligned, Finish, Isa, Matrix, MatrixMut, MatrixShape, ProductShape, RowLinear, Strided, add,
    add_rows, product, transpose,
};

use super::super::sizes::Sizes;
use super::common::DropoutSite;
use super::linear::{Shape, apply_dropout};
use crate::config::Config;
use crate::layers::{Dropout, HEAD_SITE};
use crate::network::Axis;
use crate::weights::{ForecastSlot, LinearSlot};

/// The packed projections.
#[derive(Debug)]
pub(super) struct HeadPlan {
    isa: Isa,
    sizes: Sizes,
    /// Dropout of the hidden state.
    site: DropoutSite,
    projections: Vec<Projection>,
}

/// One projection; its inputs are in the order of the hidden state `[D][N]`, features first.
#[derive(Debug)]
struct Projection {
    forward: RowLinear,
    backward: RowLinear,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

/// What the head keeps of one group of samples for the gradient, one row for each sample and
/// channel.
#[derive(Debug, Default)]
pub(super) struct HeadCache {
    /// Inputs of the projections, `[rows][padded D N]`.
    x: Aligned,
    /// Gradients of their outputs, by projection, `[rows][padded outputs]`.
    d: Vec<Aligned>,
    /// Gradients of the inputs, for the rows of the chunk that is computed now.
    d_x: Aligned,
    /// The output of a projection, or the gradient of its weights.
    scratch: Aligned,
    transposed: Vec<f32>,
    /// Rows of the chunks that are finished; the next chunk's rows follow them.
    done: usize,
}

impl HeadPlan {
    pub(super) fn new(isa: Isa, config: &Config, sizes: &Sizes, slot: &ForecastSlot) -> Self {
        let inputs = sizes.d_model * sizes.num_patches;
        let projection = |slot: &LinearSlot| Projection {
            forward: RowLinear::zeros(isa, inputs, slot.outputs),
            backward: RowLinear::zeros(isa, slot.outputs, inputs),
            outputs: slot.outputs,
            weight: slot.weight.clone(),
            bias: slot.bias.clone(),
        };
        let projections = slot.projections.iter().map(projection).collect();
        let site = DropoutSite { number: HEAD_SITE, probability: config.head_dropout };
        Self { isa, sizes: *sizes, site, projections }
    }

    /// Packs the weights as they are now.
    pub(super) fn load(&mut self, trained: &[f32]) {
        let Sizes { num_patches, d_model, .. } = self.sizes;
        let mut features_first = Vec::new();
        for projection in &mut self.projections {
            let weight = &trained[projection.weight.clone()];
            features_first.resize(weight.len(), 0.0);
            let inputs = d_model * num_patches;
            let rows = weight.chunks_exact(inputs).zip(features_first.chunks_exact_mut(inputs));
            for (from, to) in rows {
                let shape = MatrixShape { rows: num_patches, columns: d_model };
                let (from, to) = (Matrix::new(from, d_model), MatrixMut::new(to, num_patches));
                transpose(self.isa, shape, from, to);
            }
            projection.forward.pack(&features_first, &trained[projection.bias.clone()]);
            projection.backward.pack_transposed(&features_first);
        }
    }

    /// From one row of inputs to the next.
    fn pitch(&self) -> usize {
        self.isa.pad(self.sizes.d_model * self.sizes.num_patches)
    }

    /// Begins a new group of samples.
    pub(super) fn start(&self, cache: &mut HeadCache) {
        cache.done = 0;
    }

    /// Applies dropout to the hidden state `[C][D][pitch]` of sample `i` of a chunk, and keeps it
    /// as the input of the projections.
    pub(super) fn keep_input(
        &self,
        hidden: &mut [f32],
        i: usize,
        cache: &mut HeadCache,
        draws: Option<Dropout>,
    ) {
        let Sizes { num_channels, num_patches, pitch, .. } = self.sizes;
        self.drop(hidden, draws);
        let first = cache.done + i * num_channels;
        grow(&mut cache.x, (first + num_channels) * self.pitch());
        let to = cache.x[first * self.pitch()..].chunks_exact_mut(self.pitch());
        for (from, to) in hidden.chunks_exact(self.sizes.row()).zip(to) {
            for (from, to) in from.chunks_exact(pitch).zip(to.chunks_exact_mut(num_patches)) {
                to.copy_from_slice(&from[..num_patches]);
            }
        }
    }

    /// The outputs of each projection for the `samples` of the chunk, `[B, C, outputs]`.
    pub(super) fn project(&self, samples: usize, cache: &mut HeadCache) -> Vec<Vec<f32>> {
        let (rows, pitch) = (samples * self.sizes.num_channels, self.pitch());
        let HeadCache { x, scratch, done, .. } = cache;
        let x = Matrix::new(&x[*done * pitch..], pitch);
        let apply = |projection: &Projection| {
            let wide = self.isa.pad(projection.outputs);
            scratch.reserve(rows * wide);
            projection.forward.apply(rows, x, Finish::Store, MatrixMut::new(scratch, wide));
            let rows = scratch[..rows * wide].chunks_exact(wide);
            rows.flat_map(|row| &row[..projection.outputs]).copied().collect()
        };
        self.projections.iter().map(apply).collect()
    }

    /// Takes the gradients `d` of what [`Self::project`] returned for the same samples back to the
    /// inputs, and keeps them for [`Self::finish`].
    pub(super) fn backward(&self, d: &[Vec<f32>], cache: &mut HeadCache) {
        let (channels, pitch) = (self.sizes.num_channels, self.pitch());
        let HeadCache { d: kept, d_x, done, .. } = cache;
        kept.resize_with(self.projections.len().max(kept.len()), Aligned::default);
        let pairs = self.projections.iter().zip(d).zip(kept);
        for (i, ((projection, d), kept)) in pairs.enumerate() {
            let (outputs, wide) = (projection.outputs, self.isa.pad(projection.outputs));
            let rows = d.len() / outputs;
            debug_assert_eq!(rows % channels, 0);
            grow(kept, (*done + rows) * wide);
            let kept = &mut kept[*done * wide..(*done + rows) * wide];
            for (from, to) in d.chunks_exact(outputs).zip(kept.chunks_exact_mut(wide)) {
                to[..outputs].copy_from_slice(from);
                to[outputs..].fill(0.0);
            }
            d_x.reserve(rows * pitch);
            let finish = if i == 0 { Finish::Store } else { Finish::Add };
            let (kept, d_x) = (Matrix::new(kept, wide), MatrixMut::new(d_x, pitch));
            projection.backward.apply(rows, kept, finish, d_x);
        }
        *done += d.first().map_or(0, |d| d.len() / self.projections[0].outputs);
    }

    /// Writes the gradient of the hidden state `[C][D][pitch]` of sample `i` of the chunk.
    pub(super) fn input_gradient(
        &self,
        hidden: &mut [f32],
        i: usize,
        cache: &HeadCache,
        draws: Option<Dropout>,
    ) {
        let Sizes { num_channels, num_patches, pitch, .. } = self.sizes;
        let from = cache.d_x[i * num_channels * self.pitch()..].chunks_exact(self.pitch());
        for (from, to) in from.zip(hidden.chunks_exact_mut(self.sizes.row())) {
            for (from, to) in from.chunks_exact(num_patches).zip(to.chunks_exact_mut(pitch)) {
                to[..num_patches].copy_from_slice(from);
                to[num_patches..].fill(0.0);
            }
        }
        self.drop(hidden, draws);
    }

    /// Adds the gradients of the weights, summed over all rows, to `grads`.
    pub(super) fn finish(&self, cache: &mut HeadCache, grads: &mut [f32]) {
        let Sizes { num_patches, d_model, .. } = self.sizes;
        let (isa, pitch, inputs) = (self.isa, self.pitch(), d_model * num_patches);
        let HeadCache { x, d, scratch, transposed, done, .. } = cache;
        if *done == 0 {
            return;
        }
        transposed.resize(inputs.max(transposed.len()), 0.0);
        for (projection, d) in self.projections.iter().zip(d) {
            let (outputs, wide) = (projection.outputs, isa.pad(projection.outputs));
            scratch.reserve((outputs * pitch).max(wide));
            let shape = ProductShape { rows: outputs, columns: pitch, inner: *done };
            let left = Strided { values: d, row: 1, step: wide };
            let out = MatrixMut::new(scratch, pitch);
            product(isa, shape, left, Matrix::new(x, pitch), Finish::Store, out);
            let rows = scratch.chunks_exact(pitch);
            for (from, to) in rows.zip(grads[projection.weight.clone()].chunks_exact_mut(inputs)) {
                let shape = MatrixShape { rows: d_model, columns: num_patches };
                let from = Matrix::new(&from[..inputs], num_patches);
                transpose(isa, shape, from, MatrixMut::new(transposed, d_model));
                add(isa, to, &transposed[..inputs]);
            }
            let sums = &mut scratch[..wide];
            sums.fill(0.0);
            let shape = MatrixShape { rows: *done, columns: wide };
            add_rows(isa, shape, Matrix::new(d, wide), sums);
            add(isa, &mut grads[projection.bias.clone()], &sums[..outputs]);
        }
    }

    fn drop(&self, hidden: &mut [f32], draws: Option<Dropout>) {
        let shape = Shape::new(self.isa, Axis::Features, self.sizes.d_model, &self.sizes);
        apply_dropout(self.isa, self.site, shape, draws, hidden);
    }
}

/// Makes room for `len` numbers and keeps what is there.
fn grow(values: &mut Aligned, len: usize) {
    if values.len() < len {
        let mut wider = Aligned::zeros(len.max(2 * values.len()));
        wider[..values.len()].copy_from_slice(values);
        *values = wider;
    }
}
