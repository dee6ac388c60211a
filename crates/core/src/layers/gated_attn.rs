//! Gated attention: `x * softmax(Linear(x))` over the last axis. No sigmoid, no rescaling.
//!
//! Source: `PatchTSMixerGatedAttention`, transformers 5.23.0.

use crate::real::Real;
use crate::weights::LinearSlot;

/// What the gradient of a gate needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// Input `[rows, width]`.
    x: Vec<T>,
    /// Softmax weights `[rows, width]`; every row sums to 1.
    weights: Vec<T>,
}

/// `x` `[rows, width]` gives `[rows, width]`.
pub(crate) fn forward<T: Real>(slot: &LinearSlot, trained: &[T], x: Vec<T>) -> (Vec<T>, Cache<T>) {
    let mut weights = slot.forward(trained, &x);
    T::softmax_rows(slot.outputs, &mut weights);
    let out = x.iter().zip(&weights).map(|(&x, &w)| x * w).collect();
    (out, Cache { x, weights })
}

/// Adds the gradients of the layer to `grads` and returns that of the input.
pub(crate) fn backward<T: Real>(
    slot: &LinearSlot,
    trained: &[T],
    cache: &Cache<T>,
    d_out: &[T],
    grads: &mut [T],
) -> Vec<T> {
    let mut d_logits: Vec<T> = d_out.iter().zip(&cache.x).map(|(&d, &x)| d * x).collect();
    T::softmax_rows_backward(slot.outputs, &cache.weights, &mut d_logits);
    let mut d_x = slot.backward(trained, &cache.x, &d_logits, grads);
    for ((d_x, &d_out), &w) in d_x.iter_mut().zip(d_out).zip(&cache.weights) {
        *d_x += d_out * w;
    }
    d_x
}
