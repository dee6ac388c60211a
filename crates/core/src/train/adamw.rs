//! AdamW with decoupled weight decay, as PyTorch's.

use crate::real::{AdamWStep, Real};

/// The optimiser and its moments.
///
/// One step: `p -= lr * weight_decay * p`, then `p -= lr * m_hat / (sqrt(v_hat) + eps)`.
///
/// Source: `torch.optim.AdamW`; tested against the six optimiser steps in the fixtures.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW<T> {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub eps: f64,
    /// Share of a weight that is taken away in each step, times the learning rate.
    pub weight_decay: f64,
    /// Steps done so far.
    pub step: u64,
    /// First moment, one number per weight.
    pub first_moment: Vec<T>,
    /// Second moment, one number per weight.
    pub second_moment: Vec<T>,
}

impl<T: Real> AdamW<T> {
    /// An optimiser for `len` weights that has not moved yet.
    pub fn new(len: usize, beta1: f64, beta2: f64, eps: f64, weight_decay: f64) -> Self {
        Self {
            beta1,
            beta2,
            eps,
            weight_decay,
            step: 0,
            first_moment: vec![T::ZERO; len],
            second_moment: vec![T::ZERO; len],
        }
    }

    /// Moves `weights` against `gradients`.
    ///
    /// # Panics
    ///
    /// If the lengths differ from the moments': our bug.
    pub fn update(&mut self, learning_rate: f64, weights: &mut [T], gradients: &[T]) {
        self.update_from(0, learning_rate, weights, gradients);
    }

    /// As [`AdamW::update`], but leaves the weights before `first` as they are.
    ///
    /// # Panics
    ///
    /// If the lengths differ from the moments': our bug.
    pub fn update_from(
        &mut self,
        first: usize,
        learning_rate: f64,
        weights: &mut [T],
        gradients: &[T],
    ) {
        assert_eq!(weights.len(), self.first_moment.len(), "weights");
        assert_eq!(gradients.len(), self.first_moment.len(), "gradients");
        self.step += 1;
        let correction = |beta: f64| 1.0 - libm::pow(beta, self.step as f64);
        let step = AdamWStep {
            beta1: self.beta1,
            beta2: self.beta2,
            keep: 1.0 - learning_rate * self.weight_decay,
            step_size: learning_rate / correction(self.beta1),
            root: correction(self.beta2).sqrt(),
            eps: self.eps,
        };
        let (m, v) = (&mut self.first_moment[first..], &mut self.second_moment[first..]);
        T::adamw(step, &mut weights[first..], &gradients[first..], m, v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_moves_by_the_learning_rate_and_decays() {
        let mut adamw = AdamW::<f64>::new(2, 0.9, 0.999, 1e-8, 0.1);
        let mut weights = [1.0, 2.0];
        adamw.update(0.01, &mut weights, &[3.0, -0.5]);
        assert!((weights[0] - (1.0 * 0.999 - 0.01)).abs() < 1e-9, "{}", weights[0]);
        assert!((weights[1] - (2.0 * 0.999 + 0.01)).abs() < 1e-8, "{}", weights[1]);
    }
}
