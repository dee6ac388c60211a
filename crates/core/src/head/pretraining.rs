//! Pretraining head: dropout and one projection of every patch back to its values.
//!
//! Source: `PatchTSMixerPretrainHead`, transformers 5.23.0.

use super::interface::Trained;
use crate::layers::{Pass, Place};
use crate::real::Real;
use crate::weights::LinearSlot;

/// What the gradient of the head needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// Input of the projection: the hidden state after dropout, `[B, C, N, D]`.
    x: Vec<T>,
}

/// The head.
pub(crate) struct PretrainingHead<'a> {
    pub(crate) projection: &'a LinearSlot,
    pub(crate) head_dropout: f64,
}

impl PretrainingHead<'_> {
    /// `hidden` `[B, C, N, D]` gives scaled patches `[B, C, N, p]`.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        hidden: &[T],
        pass: &Pass,
    ) -> (Vec<T>, Cache<T>) {
        let mut x = hidden.to_vec();
        pass.dropout(Place::HEAD, 0, self.head_dropout, &mut x);
        (self.projection.forward(trained, &x), Cache { x })
    }

    /// Adds the gradients of the projection and returns that of the hidden state.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        cache: &Cache<T>,
        d_prediction: &[T],
        pass: &Pass,
    ) -> Vec<T> {
        let mut d_x =
            self.projection.backward(trained.weights, &cache.x, d_prediction, trained.grads);
        pass.dropout(Place::HEAD, 0, self.head_dropout, &mut d_x);
        d_x
    }
}
