//! Layer norm and batch norm over the last axis, D, forward and backward.
//!
//! Source: `PatchTSMixerNormLayer`, `PatchTSMixerBatchNorm`, transformers 5.23.0.

use super::pass::Pass;
use crate::config::Norm;
use crate::real::Real;
use crate::weights::{NormSlot, Parameters};

/// Weight of a new batch in the running statistics: PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// What the gradient of a norm needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// The normalised input, before weight and bias, `[rows, D]`.
    normalised: Vec<T>,
    /// 1 / deviation: per row (layer norm) or per feature (batch norm).
    inverse_deviation: Vec<T>,
    /// The statistics of the batch; `None` for layer norm, and where the running ones were used.
    batch: Option<BatchStatistics<T>>,
}

/// Statistics of one training batch, one number for each feature.
#[derive(Debug, Clone, Default)]
pub(crate) struct BatchStatistics<T> {
    pub(crate) mean: Vec<T>,
    /// Biased: divided by `rows`.
    pub(crate) variance: Vec<T>,
    /// How many numbers of a feature the statistics are over.
    pub(crate) rows: usize,
}

impl NormSlot {
    /// Normalises `x` `[rows, D]` and applies weight and bias.
    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &Parameters<T>,
        x: &[T],
        pass: &Pass,
    ) -> (Vec<T>, Cache<T>) {
        let eps = T::from_f64(self.eps);
        let cache = match self.kind {
            Norm::Layer => layer_statistics(self.width, eps, x),
            Norm::Batch if pass.train_norm => batch_statistics(self.width, eps, x),
            Norm::Batch => self.running_statistics(parameters, eps, x),
        };
        let weight = &parameters.trained[self.weight.clone()];
        let bias = &parameters.trained[self.bias.clone()];
        let mut out = vec![T::ZERO; x.len()];
        T::affine_rows(&cache.normalised, weight, bias, &mut out);
        (out, cache)
    }

    fn running_statistics<T: Real>(&self, parameters: &Parameters<T>, eps: T, x: &[T]) -> Cache<T> {
        let mean = &parameters.buffers[self.running_mean.clone()];
        let variance = &parameters.buffers[self.running_var.clone()];
        let inverse_deviation: Vec<T> =
            variance.iter().map(|&v| T::ONE / (v + eps).sqrt()).collect();
        let normalised = x
            .chunks_exact(self.width)
            .flat_map(|row| (0..self.width).map(|d| (row[d] - mean[d]) * inverse_deviation[d]))
            .collect();
        Cache { normalised, inverse_deviation, batch: None }
    }

    /// Adds the gradients of weight and bias to `grads` and returns that of the input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        cache: &Cache<T>,
        d_out: &[T],
        grads: &mut [T],
    ) -> Vec<T> {
        let width = self.width;
        let weight = &trained[self.weight.clone()];
        let mut d_normalised = d_out.to_vec();
        // The bias directly follows the weight in every layout, so one split serves both.
        debug_assert_eq!(self.weight.end, self.bias.start);
        let (d_weight, d_bias) = grads[self.weight.start..self.bias.end].split_at_mut(width);
        T::affine_rows_backward(&cache.normalised, weight, &mut d_normalised, d_weight, d_bias);
        match (self.kind, &cache.batch) {
            (Norm::Layer, _) => {
                let (z, inverse) = (&cache.normalised, &cache.inverse_deviation);
                T::normalise_rows_backward(width, z, inverse, &mut d_normalised);
                d_normalised
            }
            (Norm::Batch, Some(_)) => batch_backward(width, cache, d_normalised),
            (Norm::Batch, None) => {
                for row in d_normalised.chunks_exact_mut(width) {
                    for d in 0..width {
                        row[d] *= cache.inverse_deviation[d];
                    }
                }
                d_normalised
            }
        }
    }

    /// Moves the running statistics towards those of the batch in `cache`; does nothing for layer
    /// norm and in evaluation.
    pub(crate) fn update_running<T: Real>(&self, parameters: &mut Parameters<T>, cache: &Cache<T>) {
        if let Some(batch) = &cache.batch {
            self.move_running(parameters, batch);
        }
    }

    /// Moves the running statistics towards those of a batch.
    pub(crate) fn move_running<T: Real>(
        &self,
        parameters: &mut Parameters<T>,
        batch: &BatchStatistics<T>,
    ) {
        let share = T::from_f64(MOMENTUM);
        let rest = T::from_f64(1.0 - MOMENTUM);
        let rows = T::from_usize(batch.rows);
        // Unbiased in the running variance, biased in the normalisation, as in PyTorch.
        let unbiased = rows / (rows - T::ONE);
        for d in 0..self.width {
            let mean = &mut parameters.buffers[self.running_mean.start + d];
            *mean = rest * *mean + share * batch.mean[d];
            let variance = &mut parameters.buffers[self.running_var.start + d];
            *variance = rest * *variance + share * batch.variance[d] * unbiased;
        }
        parameters.counters[self.num_batches_tracked.start] += 1;
    }
}

/// Population mean and variance of every row, in two passes.
fn layer_statistics<T: Real>(width: usize, eps: T, x: &[T]) -> Cache<T> {
    let mut normalised = vec![T::ZERO; x.len()];
    let mut inverse_deviation = vec![T::ZERO; x.len() / width];
    T::normalise_rows(width, eps, x, &mut normalised, &mut inverse_deviation);
    Cache { normalised, inverse_deviation, batch: None }
}

/// Population mean and variance of every column, in two passes.
fn batch_statistics<T: Real>(width: usize, eps: T, x: &[T]) -> Cache<T> {
    let rows = x.len() / width;
    let count = T::from_usize(rows);
    let mut mean = vec![T::ZERO; width];
    for row in x.chunks_exact(width) {
        for d in 0..width {
            mean[d] += row[d];
        }
    }
    mean.iter_mut().for_each(|m| *m = *m / count);
    let mut variance = vec![T::ZERO; width];
    for row in x.chunks_exact(width) {
        for d in 0..width {
            variance[d] += (row[d] - mean[d]) * (row[d] - mean[d]);
        }
    }
    variance.iter_mut().for_each(|v| *v = *v / count);
    let inverse_deviation: Vec<T> = variance.iter().map(|&v| T::ONE / (v + eps).sqrt()).collect();
    let normalised = x
        .chunks_exact(width)
        .flat_map(|row| (0..width).map(|d| (row[d] - mean[d]) * inverse_deviation[d]))
        .collect();
    let batch = Some(BatchStatistics { mean, variance, rows });
    Cache { normalised, inverse_deviation, batch }
}

/// `d_x = (d - mean(d) - z mean(d z)) / deviation` along each column.
fn batch_backward<T: Real>(width: usize, cache: &Cache<T>, mut d: Vec<T>) -> Vec<T> {
    let count = T::from_usize(d.len() / width);
    let mut mean = vec![T::ZERO; width];
    let mut slope = vec![T::ZERO; width];
    for (row, z) in d.chunks_exact(width).zip(cache.normalised.chunks_exact(width)) {
        for i in 0..width {
            mean[i] += row[i] / count;
            slope[i] += row[i] * z[i] / count;
        }
    }
    for (row, z) in d.chunks_exact_mut(width).zip(cache.normalised.chunks_exact(width)) {
        for i in 0..width {
            row[i] = (row[i] - mean[i] - z[i] * slope[i]) * cache.inverse_deviation[i];
        }
    }
    d
}
