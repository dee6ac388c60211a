//! Norms over features in training, forward and backward.
//!
//! Layer norm computes each patch by itself. Batch norm needs the statistics of the whole batch,
//! and its gradient needs sums over the batch: [`together`](super::together) computes both.

use std::ops::Range;

use ptsm_kernels::{
    AffineGradients, Aligned, CentredAffine, Combination, Isa, KeptNorm, LayerNorm, Matrix,
    MatrixMut, MatrixShape, Moments, Normed, add_lanes, add_product_lanes, affine_columns,
    combine_columns, moments, normalise_columns_backward, normalise_columns_keeping, sum_lanes,
};

use super::super::sizes::Sizes;
use super::common::LayerGradients;
use crate::layers::norm::BatchStatistics;
use crate::network;
use crate::weights::{NormSlot, Parameters};

/// A norm with its weights.
#[derive(Debug)]
pub(super) struct Norm {
    isa: Isa,
    sizes: Sizes,
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
    /// Statistics for evaluation; missing for layer norm, which measures its own.
    running: Option<Running>,
    /// Ranges of weight and bias among the trained numbers.
    places: [Range<usize>; 2],
    /// Range of the sums of its gradients, by lanes: those of the weight, then those of the bias.
    sums: Range<usize>,
}

/// Running statistics, and their ranges among the buffers.
#[derive(Debug)]
struct Running {
    mean: Range<usize>,
    variance: Range<usize>,
    now: Statistics,
    /// One for each feature.
    zeros: Vec<f32>,
}

/// What batch norm subtracts and divides by, one number for each feature.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    pub(crate) batch: BatchStatistics<f32>,
    inverse_deviation: Vec<f32>,
}

/// The gradient of batch norm as an affine map of `d`, the gradient of its output:
/// `d_x = scale d + slope z + offset`, with one number of each kind for each feature. The slope and
/// the offset come from sums over the whole batch.
#[derive(Debug)]
pub(super) struct Slopes {
    scale: Vec<f32>,
    slope: Vec<f32>,
    offset: Vec<f32>,
}

/// What a norm keeps of one sample for the gradient, and its output.
#[derive(Debug, Default)]
pub(super) struct NormCache {
    /// Normalised, before weight and bias, `[C][D][pitch]`.
    z: Aligned,
    /// The output: `z` after weight and bias.
    pub(super) normed: Aligned,
    /// One over the deviation that each patch was divided by, `[C][pitch]`; layer norm alone.
    inverse_deviation: Aligned,
}

impl Statistics {
    pub(super) fn new(batch: BatchStatistics<f32>, eps: f32) -> Self {
        let inverse = |v: &f32| (1.0 / (f64::from(*v) + f64::from(eps)).sqrt()) as f32;
        let inverse_deviation = batch.variance.iter().map(inverse).collect();
        Self { batch, inverse_deviation }
    }
}

impl Norm {
    /// Makes room for the weights. `sums` counts the sums of the layers made so far; this one's are
    /// added to it.
    pub(super) fn new(isa: Isa, sizes: &Sizes, slot: &NormSlot, sums: &mut usize) -> Self {
        let (start, len) = (*sums, slot.weight.len());
        *sums += 2 * len * isa.lanes();
        Self {
            isa,
            sizes: *sizes,
            weight: vec![0.0; len],
            bias: vec![0.0; len],
            eps: slot.eps as f32,
            running: (slot.kind == network::Norm::Batch).then(|| Running {
                mean: slot.running_mean.clone(),
                variance: slot.running_var.clone(),
                now: Statistics::new(BatchStatistics::default(), slot.eps as f32),
                zeros: vec![0.0; len],
            }),
            places: [slot.weight.clone(), slot.bias.clone()],
            sums: start..*sums,
        }
    }

    /// Takes the weights and the running statistics as they are now.
    pub(super) fn load(&mut self, parameters: &Parameters<f32>) {
        let [weight, bias] = &self.places;
        self.weight.copy_from_slice(&parameters.trained[weight.clone()]);
        self.bias.copy_from_slice(&parameters.trained[bias.clone()]);
        if let Some(Running { mean, variance, now, .. }) = &mut self.running {
            let of = |range: &Range<usize>| parameters.buffers[range.clone()].to_vec();
            let batch = BatchStatistics { mean: of(mean), variance: of(variance), rows: 0 };
            *now = Statistics::new(batch, self.eps);
        }
    }

    fn rows(&self) -> (MatrixShape, usize) {
        let Sizes { d_model, pitch, .. } = self.sizes;
        (MatrixShape { rows: d_model, columns: pitch }, pitch)
    }

    /// Normalises `x` `[C][D][pitch]` of one sample into the cache. Batch norm does it with `given`
    /// statistics, or with the running ones.
    pub(super) fn forward(&self, x: &[f32], cache: &mut NormCache, given: Option<&Statistics>) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        cache.reserve(x.len(), self.sizes.d_model);
        if let Some(running) = &self.running {
            let with = given.unwrap_or(&running.now);
            return self.standardise(x, cache, with, &running.zeros);
        }
        let kept = cache.z.chunks_exact_mut(row).zip(cache.inverse_deviation.chunks_mut(pitch));
        let rows = x.chunks_exact(row).zip(cache.normed.chunks_exact_mut(row));
        for ((x, normed), (z, inverse_deviation)) in rows.zip(kept) {
            let kept = KeptNorm { z: MatrixMut::new(z, pitch), inverse_deviation };
            let norm = LayerNorm { weight: &self.weight, bias: &self.bias, eps: self.eps };
            let (x, normed) = (Matrix::new(x, pitch), MatrixMut::new(normed, pitch));
            normalise_columns_keeping(self.isa, shape, x, norm, normed, kept);
        }
    }

    /// Batch norm. The padding after the patches is set to 0: the statistics do not cover it, so it
    /// could grow without bound.
    fn standardise(
        &self,
        x: &[f32],
        cache: &mut NormCache,
        statistics: &Statistics,
        zeros: &[f32],
    ) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        let Statistics { batch, inverse_deviation } = statistics;
        let kept = cache.z.chunks_exact_mut(row).zip(cache.normed.chunks_exact_mut(row));
        for (x, (z, normed)) in x.chunks_exact(row).zip(kept) {
            let map = CentredAffine { mean: &batch.mean, weight: inverse_deviation, bias: zeros };
            affine_columns(self.isa, shape, Matrix::new(x, pitch), map, MatrixMut::new(z, pitch));
            self.clear_padding(z);
            let map = CentredAffine { mean: zeros, weight: &self.weight, bias: &self.bias };
            let (z, normed) = (Matrix::new(z, pitch), MatrixMut::new(normed, pitch));
            affine_columns(self.isa, shape, z, map, normed);
        }
    }

    fn clear_padding(&self, x: &mut [f32]) {
        let Sizes { num_patches, pitch, .. } = self.sizes;
        x.chunks_exact_mut(pitch).for_each(|row| row[num_patches..].fill(0.0));
    }

    /// Appends the moments of `x` `[C][D][pitch]` of one sample, by channel and feature, to those
    /// `found` in its batch.
    pub(super) fn measure(&self, x: &[f32], found: &mut Vec<Moments>) {
        let Sizes { num_patches, pitch, .. } = self.sizes;
        let rows = x.chunks_exact(pitch);
        found.extend(rows.map(|row| moments(self.isa, &row[..num_patches], None)));
    }

    /// The statistics of a batch from the moments that [`Self::measure`] found in its samples, in
    /// order; each is over as many patches, so all count the same.
    pub(super) fn statistics<'a>(
        &self,
        found: impl Iterator<Item = &'a Moments> + Clone,
    ) -> Statistics {
        let (d, n) = (self.weight.len(), self.sizes.num_patches);
        let (mut mean, mut variance, mut parts) = (vec![0.0; d], vec![0.0; d], 0);
        for (i, part) in found.clone().enumerate() {
            mean[i % d] += part.mean;
            parts = i / d + 1;
        }
        mean.iter_mut().for_each(|mean| *mean /= parts as f64);
        for (i, part) in found.enumerate() {
            variance[i % d] += part.variance + (part.mean - mean[i % d]).powi(2);
        }
        let narrow = |x: Vec<f64>, count: f64| x.iter().map(|x| (x / count) as f32).collect();
        let (mean, variance) = (narrow(mean, 1.0), narrow(variance, parts as f64));
        Statistics::new(BatchStatistics { mean, variance, rows: parts * n }, self.eps)
    }

    /// Adds to the gradient of the input. Layer norm adds the gradients of weight and bias to
    /// `sums` too; for batch norm [`Self::learn`] has done so, and [`Self::slopes`] has given
    /// `slopes`.
    pub(super) fn backward(
        &self,
        cache: &NormCache,
        gradients: LayerGradients<'_>,
        slopes: Option<&Slopes>,
        sums: &mut [f32],
    ) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        let LayerGradients { output: d, input: d_x } = gradients;
        let (d_weight, d_bias) = sums[self.sums.clone()].split_at_mut(self.sums.len() / 2);
        let kept = cache.z.chunks_exact(row).zip(cache.inverse_deviation.chunks_exact(pitch));
        let rows = d.chunks_exact(row).zip(d_x.chunks_exact_mut(row));
        for ((d, d_x), (z, inverse_deviation)) in rows.zip(kept) {
            let d = Matrix::new(d, pitch);
            if let Some(Slopes { scale, slope, offset }) = slopes {
                let by = Combination { scale, slope, offset };
                let out = MatrixMut::new(d_x, pitch);
                combine_columns(self.isa, shape, d, Matrix::new(z, pitch), by, out);
                self.clear_padding(d_x);
                continue;
            }
            let z = Matrix::new(z, pitch);
            let normed = Normed { z, inverse_deviation, weight: &self.weight };
            let gradients = AffineGradients { weight: d_weight, bias: d_bias };
            let d_x = MatrixMut::new(d_x, pitch);
            normalise_columns_backward(self.isa, shape, normed, d, gradients, d_x);
        }
    }

    /// Adds the gradients of weight and bias to the sums, for batch norm; `d` is the gradient of
    /// its output.
    pub(super) fn learn(&self, cache: &NormCache, d: &[f32], sums: &mut [f32]) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        let (d_weight, d_bias) = sums[self.sums.clone()].split_at_mut(self.sums.len() / 2);
        for (d, z) in d.chunks_exact(row).zip(cache.z.chunks_exact(row)) {
            let (d, z) = (Matrix::new(d, pitch), Matrix::new(z, pitch));
            add_product_lanes(self.isa, shape, d, z, d_weight);
            add_lanes(self.isa, shape, d, d_bias);
        }
    }

    /// The affine map that is the gradient of a batch; `parts` are the sums of all layers, one for
    /// each part of the batch, in order, after [`Self::learn`].
    pub(super) fn slopes<'a>(
        &self,
        statistics: &Statistics,
        parts: impl Iterator<Item = &'a [f32]>,
    ) -> Slopes {
        let d = self.weight.len();
        let mut totals = vec![0.0_f64; 2 * d];
        for sums in parts {
            let mut part = vec![0.0; 2 * d];
            sum_lanes(self.isa, &sums[self.sums.clone()], &mut part);
            totals.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(part));
        }
        let rows = statistics.batch.rows as f64;
        let scale = |i: usize| self.weight[i] * statistics.inverse_deviation[i];
        let mean = |i: usize, total: f64| (-f64::from(scale(i)) * total / rows) as f32;
        Slopes {
            scale: (0..d).map(scale).collect(),
            slope: (0..d).map(|i| mean(i, totals[i])).collect(),
            offset: (0..d).map(|i| mean(i, totals[d + i])).collect(),
        }
    }

    /// Adds its sums to the gradients `grads` of all weights.
    pub(super) fn flush(&self, sums: &[f32], grads: &mut [f32]) {
        let parts = sums[self.sums.clone()].chunks_exact(self.sums.len() / 2);
        for (place, part) in self.places.iter().zip(parts) {
            sum_lanes(self.isa, part, &mut grads[place.clone()]);
        }
    }
}

impl NormCache {
    fn reserve(&mut self, len: usize, d_model: usize) {
        self.z.reserve(len);
        self.normed.reserve(len);
        self.inverse_deviation.reserve(len / d_model);
    }
}
