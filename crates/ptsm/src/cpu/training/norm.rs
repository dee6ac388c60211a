//! Norms over features that learn.

use std::ops::Range;

use ptsm_kernels::{
    Aligned, Columns, Isa, KeptNorm, Normed, normalise_columns_backward, normalise_columns_keeping,
    sum_lanes,
};

use super::super::plan::Sizes;
use super::block::{Common, Sums};
use crate::weights::NormSlot;

/// A norm with its weights.
#[derive(Debug)]
pub(super) struct Norm {
    isa: Isa,
    sizes: Sizes,
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
    places: [Range<usize>; 2],
    /// Place of the sums of its gradients, by lanes: those of the weight, then those of the bias.
    sums: Range<usize>,
}

/// What a norm of one sample leaves for the gradient, and what it gave.
#[derive(Debug, Default)]
pub(super) struct NormCache {
    /// Normalised, in front of weight and bias, `[C][D][pitch]`.
    z: Aligned,
    /// Behind them.
    pub(super) normed: Aligned,
    /// One over what it was divided by, `[C][pitch]`.
    inverse_deviation: Aligned,
}

impl Norm {
    /// Makes room for the weights; `sums` says where its sums start, and moves on.
    pub(super) fn new(slot: &NormSlot, common: &Common<'_>, sums: &mut usize) -> Self {
        let (start, len) = (*sums, slot.weight.len());
        *sums += 2 * len * common.isa.lanes();
        Self {
            isa: common.isa,
            sizes: *common.sizes,
            weight: vec![0.0; len],
            bias: vec![0.0; len],
            eps: common.eps,
            places: [slot.weight.clone(), slot.bias.clone()],
            sums: start..*sums,
        }
    }

    pub(super) fn load(&mut self, trained: &[f32]) {
        let [weight, bias] = &self.places;
        self.weight.copy_from_slice(&trained[weight.clone()]);
        self.bias.copy_from_slice(&trained[bias.clone()]);
    }

    fn rows(&self) -> (Columns, usize) {
        let Sizes { d_model, pitch, .. } = self.sizes;
        (Columns { rows: d_model, columns: pitch }, pitch)
    }

    /// Normalises `x` `[C][D][pitch]` of one sample into the cache.
    pub(super) fn forward(&self, x: &[f32], cache: &mut NormCache) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        cache.reserve(x.len(), self.sizes.d_model);
        let kept = cache.z.chunks_exact_mut(row).zip(cache.inverse_deviation.chunks_mut(pitch));
        let rows = x.chunks_exact(row).zip(cache.normed.chunks_exact_mut(row));
        for ((x, normed), (z, inverse_deviation)) in rows.zip(kept) {
            let kept = KeptNorm { z: (z, pitch), inverse_deviation };
            let affine = (&self.weight[..], &self.bias[..], self.eps);
            normalise_columns_keeping(self.isa, shape, (x, pitch), affine, (normed, pitch), kept);
        }
    }

    /// Adds the gradient of what it read to `d_x`; `d` is that of what it gave.
    pub(super) fn backward(&self, cache: &NormCache, d: &[f32], d_x: &mut [f32], all: &mut [f32]) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        let (d_weight, d_bias) = all[self.sums.clone()].split_at_mut(self.sums.len() / 2);
        let kept = cache.z.chunks_exact(row).zip(cache.inverse_deviation.chunks_exact(pitch));
        let rows = d.chunks_exact(row).zip(d_x.chunks_exact_mut(row));
        for ((d, d_x), (z, inverse_deviation)) in rows.zip(kept) {
            let normed = Normed { z: (z, pitch), inverse_deviation, weight: &self.weight };
            let to = (&mut *d_weight, &mut *d_bias);
            normalise_columns_backward(self.isa, shape, normed, (d, pitch), to, (d_x, pitch));
        }
    }

    /// Adds what it learnt to the gradients of all weights.
    pub(super) fn flush(&self, sums: &mut Sums<'_>) {
        let parts = sums.layers[self.sums.clone()].chunks_exact(self.sums.len() / 2);
        for (place, part) in self.places.iter().zip(parts) {
            sum_lanes(self.isa, part, &mut sums.grads[place.clone()]);
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
