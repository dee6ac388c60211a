//! Self-attention over patches that learns, on the activations of one sample.
//!
//! Nothing of N x N numbers is kept: strips of queries are worked on one after the other, and the
//! backward pass computes their weights again. Dropped weights are a gate, of dropout's factors by
//! the softmax, so its kernels serve here too.

use ptsm_kernels::{
    Aligned, Draws, Finish, GateGradients, Gated, Isa, Matrix, MatrixMut, MatrixShape, PaddedRows,
    ProductShape, Strided, dropout_columns, gate_rows_backward, gate_rows_keeping, product,
    softmax_columns, transpose,
};

use super::super::blocks::strips;
use super::super::sizes::Sizes;
use super::common::{Common, Sums};
use super::linear::Linear;
use super::norm::{Norm, NormCache};
use crate::layers::Dropout;
use crate::network::Axis;
use crate::weights::{AttentionSlot, Parameters};

/// Queries that are worked on together: a multiple of every register.
const STRIP: usize = 32;

/// The attention of one patch mixer with its weights packed, and the norm behind it.
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
    probability: f64,
    /// Number of its draw site.
    site: u64,
}

/// What the attention of one sample leaves for the gradient, `[C][D][pitch]` each.
#[derive(Debug, Default)]
pub(super) struct AttentionCache {
    /// Over the root of a head's width.
    query: Aligned,
    key: Aligned,
    value: Aligned,
    /// Heads side by side.
    mixed: Aligned,
    pub(super) norm: NormCache,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct AttentionScratch {
    strip: Strip,
    d_mixed: Aligned,
    d_query: Aligned,
    d_key: Aligned,
    d_value: Aligned,
}

/// Numbers of a strip of queries by all keys.
#[derive(Debug, Default)]
struct Strip {
    weights: Aligned,
    /// What dropout multiplies the weights by.
    factors: Aligned,
    dropped: Aligned,
    d_dropped: Aligned,
    d_scores: Aligned,
    /// What a gradient of factors would be; also the scores' gradient with the keys first.
    other: Aligned,
}

/// One head of one channel.
#[derive(Clone, Copy)]
struct Head {
    /// Place of its first feature.
    start: usize,
    /// Number of its sequence's and its own among those of the sample.
    number: usize,
}

impl Attention {
    pub(super) fn new(
        slot: &AttentionSlot,
        common: &Common<'_>,
        site: u64,
        sums: &mut usize,
    ) -> Self {
        let Common { isa, sizes, probability } = *common;
        let norm = Norm::new(&slot.norm, common, sums);
        let mut linear = |slot| Linear::new(isa, (Axis::Features, sizes), slot, sums);
        Self {
            isa,
            sizes: *sizes,
            heads: slot.heads,
            query: linear(&slot.query),
            key: linear(&slot.key),
            value: linear(&slot.value),
            out: linear(&slot.out),
            norm,
            probability,
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

    /// Adds what the layers learnt to the gradients of all weights.
    pub(super) fn flush(&self, sums: &mut Sums<'_>) {
        self.norm.flush(sums);
        self.linears().iter().for_each(|linear| linear.flush(sums.layers, sums.grads));
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
            key: dropout.key(self.site),
            counter: (number * n + first as u64) * n,
            row: 1,
            column: n,
            probability: self.probability as f32,
        }
    }

    /// `normed` `[C][D][pitch]` of one sample gives `out`.
    pub(super) fn forward(
        &self,
        normed: &[f32],
        cache: &mut AttentionCache,
        (scratch, draws): (&mut AttentionScratch, Option<Dropout>),
        out: &mut [f32],
    ) {
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

    /// Adds the gradient of `normed` to `d_normed`; `d` is that of what the attention gave.
    pub(super) fn backward(
        &self,
        (cache, normed): (&AttentionCache, &[f32]),
        d: &[f32],
        (scratch, draws): (&mut AttentionScratch, Option<Dropout>),
        (sums, turned): (&mut [f32], &mut Aligned),
        d_normed: &mut [f32],
    ) {
        let len = normed.len();
        scratch.reserve(len, &self.sizes);
        let AttentionScratch { strip, d_mixed, d_query, d_key, d_value } = scratch;
        let [d_mixed, d_query, d_key, d_value] =
            [d_mixed, d_query, d_key, d_value].map(|buffer| &mut buffer[..len]);
        self.out.backward(d, Finish::Store, d_mixed);
        self.out.learn(&cache.mixed[..len], d, (sums, turned));
        // Sums over the strips of queries.
        d_key.fill(0.0);
        d_value.fill(0.0);
        for head in self.all_heads() {
            for (first, rows) in strips(self.sizes.pitch, STRIP) {
                let place = (head, first, rows);
                self.weights_backward(cache, place, (d_mixed, draws), strip);
                let ds = [&mut *d_mixed, &mut *d_query, &mut *d_key, &mut *d_value];
                self.strip_backward(cache, place, strip, ds);
            }
        }
        self.scale(d_query);
        for (linear, d) in [(&self.query, d_query), (&self.key, d_key), (&self.value, d_value)] {
            linear.backward(d, Finish::Add, d_normed);
            linear.learn(normed, d, (sums, turned));
        }
    }

    /// The weights of a strip of queries once more, dropped too, and the gradient of their scores;
    /// queries by keys, nothing behind the keys.
    fn weights_backward(
        &self,
        cache: &AttentionCache,
        (head, first, rows): (Head, usize, usize),
        (d_mixed, draws): (&[f32], Option<Dropout>),
        strip: &mut Strip,
    ) {
        let Sizes { num_patches: n, pitch, .. } = self.sizes;
        let (isa, at, len) = (self.isa, head.start + first, rows * pitch);
        let Strip { weights, factors, dropped, d_dropped, d_scores, other } = strip;
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

    /// What a strip of queries gives to the gradients of its queries, all keys and all values.
    fn strip_backward(
        &self,
        cache: &AttentionCache,
        (head, first, rows): (Head, usize, usize),
        strip: &mut Strip,
        [d_mixed, d_query, d_key, d_value]: [&mut [f32]; 4],
    ) {
        let Sizes { num_patches: n, pitch, .. } = self.sizes;
        let (isa, at, width) = (self.isa, head.start + first, self.width());
        let Strip { dropped, d_scores, other, .. } = strip;
        let onto = |from: &[f32], strip: &[f32], to: &mut [f32]| {
            let left = Strided { values: &from[at..], row: pitch, step: 1 };
            let shape = ProductShape { rows: width, columns: pitch, inner: rows };
            let to = MatrixMut::new(&mut to[head.start..], pitch);
            product(isa, shape, left, Matrix::new(strip, pitch), Finish::Add, to);
        };
        onto(d_mixed, dropped, d_value);
        onto(&cache.query, d_scores, d_key);
        let shape = MatrixShape { rows, columns: n };
        transpose(isa, shape, Matrix::new(d_scores, pitch), MatrixMut::new(other, rows));
        let keys = Strided { values: &cache.key[head.start..], row: pitch, step: 1 };
        let shape = ProductShape { rows: width, columns: rows, inner: n };
        let to = MatrixMut::new(&mut d_query[at..], pitch);
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
        for buffer in [&mut self.d_mixed, &mut self.d_query, &mut self.d_key, &mut self.d_value] {
            buffer.reserve(len);
        }
        let Strip { weights, factors, dropped, d_dropped, d_scores, other } = &mut self.strip;
        for buffer in [weights, factors, dropped, d_dropped, d_scores, other] {
            buffer.reserve(STRIP * sizes.pitch);
        }
    }
}
