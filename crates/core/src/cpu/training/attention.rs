//! Self-attention over patches in training, forward and backward, on the activations of one sample.
//!
//! The N x N attention weights are never kept: both passes work on one strip of queries after the
//! other, and the backward pass computes the weights of a strip again. A weight after dropout is a
//! softmax times a factor, as in a gated attention, so the kernels of the gate compute it here too.

use ptsm_kernels::{
    Aligned, Draws, Finish, GateGradients, Gated, Isa, Matrix, MatrixMut, MatrixShape, PaddedRows,
    ProductShape, Strided, dropout_columns, gate_rows_backward, gate_rows_keeping, product,
    softmax_columns, transpose,
};

use super::super::blocks::strips;
use super::super::sizes::Sizes;
use super::common::{DropoutSite, LayerGradients, SamplePass, WeightSums};
use super::linear::Linear;
use super::norm::{Norm, NormCache};
use crate::layers::Dropout;
use crate::network::Axis;
use crate::weights::{AttentionSlot, Parameters};

/// Queries that are computed together: a multiple of the lanes of every instruction set.
const STRIP: usize = 32;

/// The attention of one patch mixer with its weights packed, and the norm that follows it.
#[derive(Debug)]
pub(super) struct Attention {
    isa: Isa,
    sizes: Sizes,
    heads: usize,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    pub(super) norm: Norm,
    /// Dropout of the attention weights.
    site: DropoutSite,
}

/// What the attention keeps of one sample for the gradient, `[C][D][pitch]` each.
#[derive(Debug, Default)]
pub(super) struct AttentionCache {
    /// Divided by the root of a head's width.
    query: Aligned,
    key: Aligned,
    value: Aligned,
    /// Outputs of the heads, side by side.
    mixed: Aligned,
    pub(super) norm: NormCache,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    strip: StripScratch,
    d: ProjectionGradients,
}

/// Gradients of what an [`AttentionCache`] holds, laid out alike.
#[derive(Debug, Default)]
struct ProjectionGradients {
    query: Aligned,
    key: Aligned,
    value: Aligned,
    mixed: Aligned,
}

/// Buffers of `[queries of a strip][keys]`; in the forward pass, which uses `weights` alone, of
/// `[keys][queries of a strip]`.
#[derive(Debug, Default)]
struct StripScratch {
    weights: Aligned,
    /// What dropout multiplies the weights by.
    factors: Aligned,
    /// The weights after dropout.
    dropped: Aligned,
    d_dropped: Aligned,
    d_scores: Aligned,
    /// Where the kernel of the gate writes a gradient of `factors`, which nothing reads; then the
    /// gradient of the scores, transposed.
    other: Aligned,
}

/// Some queries of one head.
#[derive(Clone, Copy)]
struct Strip {
    head: Head,
    /// Number of the first query.
    first: usize,
    queries: usize,
}

/// One head of one channel.
#[derive(Clone, Copy)]
struct Head {
    /// Where its features begin in `[C][D][pitch]`.
    start: usize,
    /// Its number among the heads of all channels of the sample.
    number: usize,
}

impl Attention {
    pub(super) fn new(
        isa: Isa,
        sizes: &Sizes,
        slot: &AttentionSlot,
        site: DropoutSite,
        sums: &mut usize,
    ) -> Self {
        let norm = Norm::new(isa, sizes, &slot.norm, sums);
        let mut linear = |slot| Linear::new(isa, Axis::Features, sizes, slot, sums);
        Self {
            isa,
            sizes: *sizes,
            heads: slot.heads,
            query: linear(&slot.query),
            key: linear(&slot.key),
            value: linear(&slot.value),
            out: linear(&slot.out),
            norm,
            site,
        }
    }

    fn linears(&self) -> [&Linear; 4] {
        [&self.query, &self.key, &self.value, &self.out]
    }

    /// Packs the weights as they are now.
    pub(super) fn load(&mut self, parameters: &Parameters<f32>) {
        for linear in [&mut self.query, &mut self.key, &mut self.value, &mut self.out] {
            linear.load(&parameters.trained);
        }
        self.norm.load(parameters);
    }

    /// Adds the sums of its layers to the gradients `grads` of all weights.
    pub(super) fn flush(&self, sums: &[f32], grads: &mut [f32]) {
        self.norm.flush(sums, grads);
        self.linears().iter().for_each(|linear| linear.flush(sums, grads));
    }

    /// Width of a head.
    fn width(&self) -> usize {
        self.sizes.d_model / self.heads
    }

    fn all_heads(&self) -> impl Iterator<Item = Head> + use<> {
        let each = self.width() * self.sizes.pitch;
        (0..self.sizes.num_channels * self.heads)
            .map(move |number| Head { start: number * each, number })
    }

    /// Divides queries, or their gradients, by the root of a head's width.
    fn scale(&self, x: &mut [f32]) {
        let scale = 1.0 / (self.width() as f32).sqrt();
        x.iter_mut().for_each(|x| *x *= scale);
    }

    /// The draws of a head's weights from query `first` on: from one key to the next they are one
    /// apart, from one query to the next N.
    fn draws(&self, dropout: Dropout, head: Head, first: usize) -> Draws {
        let (n, heads) = (self.sizes.num_patches as u64, self.sizes.num_channels * self.heads);
        let number = dropout.first_sample * heads as u64 + head.number as u64;
        Draws {
            key: dropout.key(self.site.number),
            counter: (number * n + first as u64) * n,
            row: 1,
            column: n,
            probability: self.site.probability as f32,
        }
    }

    /// `normed` `[C][D][pitch]` of one sample gives `out`.
    pub(super) fn forward(
        &self,
        normed: &[f32],
        cache: &mut AttentionCache,
        pass: SamplePass<'_, AttentionScratch>,
        out: &mut [f32],
    ) {
        let SamplePass { scratch, draws } = pass;
        let (len, isa) = (normed.len(), self.isa);
        let Sizes { num_patches: n, pitch, .. } = self.sizes;
        cache.reserve(len);
        let AttentionCache { query, key, value, mixed, .. } = cache;
        let (query, mixed) = (&mut query[..len], &mut mixed[..len]);
        self.query.apply(normed, query);
        self.scale(query);
        self.key.apply(normed, &mut key[..len]);
        self.value.apply(normed, &mut value[..len]);
        let weights = &mut scratch.strip.weights;
        weights.reserve(n * STRIP);
        for head in self.all_heads() {
            for (first, columns) in strips(pitch, STRIP) {
                // Keys by queries, so that the softmax runs down the columns.
                let at = head.start + first;
                let keys = Strided { values: &key[head.start..], row: 1, step: pitch };
                let shape = ProductShape { rows: n, columns, inner: self.width() };
                let to = MatrixMut::new(weights, columns);
                product(isa, shape, keys, Matrix::new(&query[at..], pitch), Finish::Store, to);
                let shape = MatrixShape { rows: n, columns };
                softmax_columns(isa, shape, MatrixMut::new(weights, columns));
                if let Some(dropout) = draws {
                    let draws = self.draws(dropout, head, first);
                    dropout_columns(isa, shape, draws, MatrixMut::new(weights, columns));
                }
                let values = Strided { values: &value[head.start..], row: pitch, step: 1 };
                let shape = ProductShape { rows: self.width(), columns, inner: n };
                let to = MatrixMut::new(&mut mixed[at..], pitch);
                product(isa, shape, values, Matrix::new(weights, columns), Finish::Store, to);
            }
        }
        self.out.apply(mixed, out);
    }

    /// Adds the gradient of `normed`, which [`Self::forward`] read, to that of the input.
    pub(super) fn backward(
        &self,
        cache: &AttentionCache,
        normed: &[f32],
        gradients: LayerGradients<'_>,
        pass: SamplePass<'_, AttentionScratch>,
        sums: &mut WeightSums<'_>,
    ) {
        let (len, LayerGradients { output, input }) = (normed.len(), gradients);
        let SamplePass { scratch, draws } = pass;
        scratch.reserve(len, &self.sizes);
        let AttentionScratch { strip: buffers, d } = scratch;
        self.out.backward(output, Finish::Store, &mut d.mixed[..len]);
        self.out.learn(&cache.mixed[..len], output, sums);
        // Every strip of queries adds to the gradients of all keys and values.
        d.key[..len].fill(0.0);
        d.value[..len].fill(0.0);
        for head in self.all_heads() {
            for (first, queries) in strips(self.sizes.pitch, STRIP) {
                let strip = Strip { head, first, queries };
                self.weights_backward(cache, strip, &d.mixed, draws, buffers);
                self.strip_backward(cache, strip, buffers, d);
            }
        }
        self.scale(&mut d.query[..len]);
        for (linear, d) in [(&self.query, &d.query), (&self.key, &d.key), (&self.value, &d.value)] {
            linear.backward(&d[..len], Finish::Add, input);
            linear.learn(normed, &d[..len], sums);
        }
    }

    /// Computes the weights of a strip of queries again, before and after dropout, and the gradient
    /// of their scores. The gradient is 0 in the padding after the keys.
    fn weights_backward(
        &self,
        cache: &AttentionCache,
        Strip { head, first, queries: rows }: Strip,
        d_mixed: &[f32],
        draws: Option<Dropout>,
        buffers: &mut StripScratch,
    ) {
        let Sizes { num_patches: n, pitch, .. } = self.sizes;
        let (isa, at, len) = (self.isa, head.start + first, rows * pitch);
        let StripScratch { weights, factors, dropped, d_dropped, d_scores, other } = buffers;
        let (weights, factors) = (&mut weights[..len], &mut factors[..len]);
        let (dropped, d_dropped) = (&mut dropped[..len], &mut d_dropped[..len]);
        let shape = ProductShape { rows, columns: pitch, inner: self.width() };
        let queries = Strided { values: &cache.query[at..], row: 1, step: pitch };
        let keys = Matrix::new(&cache.key[head.start..], pitch);
        product(isa, shape, queries, keys, Finish::Store, MatrixMut::new(weights, pitch));
        factors.fill(1.0);
        if let Some(dropout) = draws {
            let draws = self.draws(dropout, head, first);
            let draws = Draws { row: draws.column, column: draws.row, ..draws };
            let shape = MatrixShape { rows, columns: pitch };
            dropout_columns(isa, shape, draws, MatrixMut::new(factors, pitch));
        }
        dropped.fill(0.0);
        gate_rows_keeping(isa, PaddedRows { width: n, pitch }, weights, factors, dropped);
        let d = Strided { values: &d_mixed[at..], row: 1, step: pitch };
        let values = Matrix::new(&cache.value[head.start..], pitch);
        product(isa, shape, d, values, Finish::Store, MatrixMut::new(d_dropped, pitch));
        let gated = Gated { value: factors, softmax: weights };
        let gradients = GateGradients { value: &mut other[..len], logits: &mut d_scores[..len] };
        gate_rows_backward(isa, pitch, d_dropped, gated, gradients);
    }

    /// Writes the gradient of a strip's queries, and adds its part of the gradients of all keys and
    /// values.
    fn strip_backward(
        &self,
        cache: &AttentionCache,
        Strip { head, first, queries: rows }: Strip,
        buffers: &mut StripScratch,
        d: &mut ProjectionGradients,
    ) {
        let Sizes { num_patches: n, pitch, .. } = self.sizes;
        let (isa, at, width) = (self.isa, head.start + first, self.width());
        let StripScratch { dropped, d_scores, other, .. } = buffers;
        let onto = |from: &[f32], strip: &[f32], to: &mut [f32]| {
            let left = Strided { values: &from[at..], row: pitch, step: 1 };
            let shape = ProductShape { rows: width, columns: pitch, inner: rows };
            let to = MatrixMut::new(&mut to[head.start..], pitch);
            product(isa, shape, left, Matrix::new(strip, pitch), Finish::Add, to);
        };
        onto(&d.mixed, dropped, &mut d.value);
        onto(&cache.query, d_scores, &mut d.key);
        let shape = MatrixShape { rows, columns: n };
        transpose(isa, shape, Matrix::new(d_scores, pitch), MatrixMut::new(other, rows));
        let keys = Strided { values: &cache.key[head.start..], row: pitch, step: 1 };
        let shape = ProductShape { rows: width, columns: rows, inner: n };
        let to = MatrixMut::new(&mut d.query[at..], pitch);
        product(isa, shape, keys, Matrix::new(other, rows), Finish::Store, to);
    }
}

impl AttentionCache {
    fn reserve(&mut self, len: usize) {
        for buffer in [&mut self.query, &mut self.key, &mut self.value, &mut self.mixed] {
            buffer.reserve(len);
        }
    }
}

impl AttentionScratch {
    fn reserve(&mut self, len: usize, sizes: &Sizes) {
        let ProjectionGradients { query, key, value, mixed } = &mut self.d;
        for buffer in [query, key, value, mixed] {
            buffer.reserve(len);
        }
        let StripScratch { weights, factors, dropped, d_dropped, d_scores, other } =
            &mut self.strip;
        for buffer in [weights, factors, dropped, d_dropped, d_scores, other] {
            buffer.reserve(STRIP * sizes.pitch);
        }
    }
}
