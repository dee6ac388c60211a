//! Self-attention over patches: plain, not causal, without a mask.
//!
//! Source: `PatchTSMixerAttention`, transformers 5.23.0.

use super::pass::{Pass, Place};
use crate::real::Real;
use crate::weights::AttentionSlot;

/// What the gradient of the attention needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// Input `[B*C, N, D]`.
    x: Vec<T>,
    query: Vec<T>,
    key: Vec<T>,
    value: Vec<T>,
    /// Attention weights before dropout, `[B*C, heads, N, N]`.
    weights: Vec<T>,
    /// Heads side by side, before the output projection, `[B*C, N, D]`.
    mixed: Vec<T>,
}

/// One attention with its sizes.
pub(crate) struct Attention<'a> {
    pub(crate) slot: &'a AttentionSlot,
    pub(crate) num_patches: usize,
    pub(crate) dropout: f64,
    pub(crate) place: Place,
}

/// Indices of one head of one sequence.
#[derive(Clone, Copy)]
struct Head {
    /// Start of the sequence in `[B*C, N, D]` plus the head's first feature.
    start: usize,
    /// Start of the head's weights in `[B*C, heads, N, N]`.
    weights: usize,
}

impl Attention<'_> {
    fn d_model(&self) -> usize {
        self.slot.query.inputs
    }

    fn head_dim(&self) -> usize {
        self.d_model() / self.slot.heads
    }

    fn all_heads(&self, sequences: usize) -> impl Iterator<Item = Head> + use<> {
        let (n, d, heads, dim) =
            (self.num_patches, self.d_model(), self.slot.heads, self.head_dim());
        (0..sequences * heads)
            .map(move |i| Head { start: i / heads * n * d + i % heads * dim, weights: i * n * n })
    }

    fn scale<T: Real>(&self) -> T {
        T::ONE / T::from_usize(self.head_dim()).sqrt()
    }

    /// The head's row of one patch.
    fn row<'a, T>(&self, x: &'a [T], head: Head, patch: usize) -> &'a [T] {
        &x[head.start + patch * self.d_model()..][..self.head_dim()]
    }

    fn row_mut<'a, T>(&self, x: &'a mut [T], head: Head, patch: usize) -> &'a mut [T] {
        &mut x[head.start + patch * self.d_model()..][..self.head_dim()]
    }

    /// `x` `[B*C, N, D]` gives `[B*C, N, D]`.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        x: Vec<T>,
        pass: &Pass,
    ) -> (Vec<T>, Cache<T>) {
        let n = self.num_patches;
        let query = self.slot.query.forward(trained, &x);
        let key = self.slot.key.forward(trained, &x);
        let value = self.slot.value.forward(trained, &x);
        let sequences = x.len() / (n * self.d_model());
        let mut weights = vec![T::ZERO; sequences * self.slot.heads * n * n];
        for head in self.all_heads(sequences) {
            for i in 0..n {
                let query = self.row(&query, head, i);
                for j in 0..n {
                    weights[head.weights + i * n + j] =
                        dot(query, self.row(&key, head, j)) * self.scale();
                }
            }
        }
        T::softmax_rows(n, &mut weights);
        let mut dropped = weights.clone();
        pass.dropout(self.place, 2, self.dropout, &mut dropped);
        let mut mixed = vec![T::ZERO; x.len()];
        for head in self.all_heads(sequences) {
            for i in 0..n {
                for j in 0..n {
                    let weight = dropped[head.weights + i * n + j];
                    let value = self.row(&value, head, j);
                    add_scaled(self.row_mut(&mut mixed, head, i), weight, value);
                }
            }
        }
        let out = self.slot.out.forward(trained, &mixed);
        (out, Cache { x, query, key, value, weights, mixed })
    }

    /// Adds the gradients of the projections to `grads` and returns that of the input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        cache: &Cache<T>,
        d_out: &[T],
        grads: &mut [T],
        pass: &Pass,
    ) -> Vec<T> {
        let n = self.num_patches;
        let sequences = cache.x.len() / (n * self.d_model());
        let d_mixed = self.slot.out.backward(trained, &cache.mixed, d_out, grads);
        let mut dropped = cache.weights.clone();
        pass.dropout(self.place, 2, self.dropout, &mut dropped);
        let mut d_value = vec![T::ZERO; cache.x.len()];
        let mut d_weights = vec![T::ZERO; cache.weights.len()];
        for head in self.all_heads(sequences) {
            for i in 0..n {
                let d_mixed = self.row(&d_mixed, head, i);
                for j in 0..n {
                    let at = head.weights + i * n + j;
                    add_scaled(self.row_mut(&mut d_value, head, j), dropped[at], d_mixed);
                    d_weights[at] = dot(d_mixed, self.row(&cache.value, head, j));
                }
            }
        }
        pass.dropout(self.place, 2, self.dropout, &mut d_weights);
        T::softmax_rows_backward(n, &cache.weights, &mut d_weights);
        let mut d_query = vec![T::ZERO; cache.x.len()];
        let mut d_key = vec![T::ZERO; cache.x.len()];
        for head in self.all_heads(sequences) {
            for i in 0..n {
                for j in 0..n {
                    let d = d_weights[head.weights + i * n + j] * self.scale();
                    let key = self.row(&cache.key, head, j);
                    add_scaled(self.row_mut(&mut d_query, head, i), d, key);
                    let query = self.row(&cache.query, head, i);
                    add_scaled(self.row_mut(&mut d_key, head, j), d, query);
                }
            }
        }
        let mut d_x = self.slot.query.backward(trained, &cache.x, &d_query, grads);
        for (slot, d) in [(&self.slot.key, d_key), (&self.slot.value, d_value)] {
            add(&mut d_x, &slot.backward(trained, &cache.x, &d, grads));
        }
        d_x
    }
}

fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// `y += x`.
pub(crate) fn add<T: Real>(y: &mut [T], x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// `y += a x`.
fn add_scaled<T: Real>(y: &mut [T], a: T, x: &[T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}
