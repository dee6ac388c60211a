//! Scale injection: brings what scaling removed, the location and scale of the window, into the
//! hidden state.
//!
//! Source: `InjectScalerStatistics4D`, transformers 5.23.0. Four linear layers, no activation.

use super::interface::Trained;
use crate::layers::scaler::Scaled;
use crate::real::Real;
use crate::weights::InjectSlot;

/// What the gradient of the injection needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// `[B C, 2]`: loc and scale.
    statistics: Vec<T>,
    /// `[B C, 4]`.
    widened: Vec<T>,
    /// `[B C N, D + 2]`.
    joined: Vec<T>,
    /// `[B C N, 2 D]`.
    expanded: Vec<T>,
}

/// The layers with their sizes.
pub(crate) struct Inject<'a> {
    pub(crate) slot: &'a InjectSlot,
    pub(crate) num_patches: usize,
    pub(crate) d_model: usize,
}

impl Inject<'_> {
    /// `hidden` `[B, C, N, D]` gives `[B, C, N, D]`.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        hidden: &[T],
        scaled: &Scaled<T>,
    ) -> (Vec<T>, Cache<T>) {
        let pairs = scaled.loc.iter().zip(&scaled.scale);
        let statistics: Vec<T> = pairs.flat_map(|(&loc, &scale)| [loc, scale]).collect();
        let widened = self.slot.map_expansion.forward(trained, &statistics);
        // The same for every patch of a channel, so it is computed once.
        let mapped = self.slot.map_compression.forward(trained, &widened);
        let mut joined = Vec::with_capacity(hidden.len() / self.d_model * (self.d_model + 2));
        for (row, patch) in hidden.chunks_exact(self.d_model).enumerate() {
            let channel = row / self.num_patches;
            joined.extend_from_slice(patch);
            joined.extend_from_slice(&mapped[2 * channel..2 * channel + 2]);
        }
        let expanded = self.slot.inverse_expansion.forward(trained, &joined);
        let out = self.slot.inverse_compression.forward(trained, &expanded);
        (out, Cache { statistics, widened, joined, expanded })
    }

    /// Adds the gradients of the layers to those of the weights, and the gradients of the
    /// statistics to `d_loc` and `d_scale`; returns the gradient of the hidden state.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        cache: &Cache<T>,
        d_out: &[T],
        d_loc: &mut [T],
        d_scale: &mut [T],
    ) -> Vec<T> {
        let Trained { weights, grads } = trained;
        let slot = self.slot;
        let d = slot.inverse_compression.backward(weights, &cache.expanded, d_out, grads);
        let d_joined = slot.inverse_expansion.backward(weights, &cache.joined, &d, grads);
        let mut d_hidden = Vec::with_capacity(d_out.len());
        let mut d_mapped = vec![T::ZERO; cache.statistics.len()];
        for (row, d) in d_joined.chunks_exact(self.d_model + 2).enumerate() {
            let channel = row / self.num_patches;
            d_hidden.extend_from_slice(&d[..self.d_model]);
            d_mapped[2 * channel] += d[self.d_model];
            d_mapped[2 * channel + 1] += d[self.d_model + 1];
        }
        let d = slot.map_compression.backward(weights, &cache.widened, &d_mapped, grads);
        let d = slot.map_expansion.backward(weights, &cache.statistics, &d, grads);
        for ((d, d_loc), d_scale) in d.chunks_exact(2).zip(d_loc).zip(d_scale) {
            *d_loc += d[0];
            *d_scale += d[1];
        }
        d_hidden
    }
}
