//! The MLP of every block: widen, GELU, dropout, narrow, dropout.
//!
//! Source: `PatchTSMixerMLP`, transformers 5.23.0.

use super::pass::{Pass, Place};
use crate::real::Real;
use crate::weights::LinearSlot;

/// What the gradient of an MLP needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// Input `[rows, width]`.
    x: Vec<T>,
    /// Before the GELU, `[rows, width * expansion_factor]`.
    hidden: Vec<T>,
    /// After GELU and dropout.
    active: Vec<T>,
}

/// The two layers of an MLP and where its draws come from.
pub(crate) struct Mlp<'a> {
    pub(crate) fc1: &'a LinearSlot,
    pub(crate) fc2: &'a LinearSlot,
    pub(crate) dropout: f64,
    pub(crate) place: Place,
}

impl Mlp<'_> {
    /// `x` `[rows, width]` gives `[rows, width]`.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        x: Vec<T>,
        pass: &Pass,
    ) -> (Vec<T>, Cache<T>) {
        let hidden = self.fc1.forward(trained, &x);
        let mut active = vec![T::ZERO; hidden.len()];
        T::gelu(&hidden, &mut active);
        pass.dropout(self.place, 0, self.dropout, &mut active);
        let mut out = self.fc2.forward(trained, &active);
        pass.dropout(self.place, 1, self.dropout, &mut out);
        (out, Cache { x, hidden, active })
    }

    /// Adds the gradients of both layers to `grads` and returns that of the input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        cache: &Cache<T>,
        mut d_out: Vec<T>,
        grads: &mut [T],
        pass: &Pass,
    ) -> Vec<T> {
        pass.dropout(self.place, 1, self.dropout, &mut d_out);
        let mut d_active = self.fc2.backward(trained, &cache.active, &d_out, grads);
        pass.dropout(self.place, 0, self.dropout, &mut d_active);
        let mut d_hidden = vec![T::ZERO; d_active.len()];
        T::gelu_backward(&cache.hidden, &d_active, &mut d_hidden);
        self.fc1.backward(trained, &cache.x, &d_hidden, grads)
    }
}
