//! The linear skip: a linear layer from the scaled window straight to the scaled forecast, in
//! parallel with the mixers. An extension of ours.
//!
//! The layer is the same for all channels, so by itself it is a linear forecaster. It may start as
//! a ridge regression; then the mixers have to learn only what is not linear.

use super::interface::Trained;
use crate::layers::scaler::Scaled;
use crate::real::Real;
use crate::weights::LinearSlot;

/// What the gradient of the skip needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// `[B, C', L]`; 0 where nothing was observed.
    windows: Vec<T>,
}

/// The layer with its sizes.
pub(crate) struct SkipHead<'a> {
    pub(crate) linear: &'a LinearSlot,
    /// Steps of a window, L.
    pub(crate) context_length: usize,
    /// Channels of a window, C.
    pub(crate) num_input_channels: usize,
    /// Channels that are forecast, C'.
    pub(crate) channels: &'a [usize],
}

impl SkipHead<'_> {
    /// Adds to `forecast` `[B, H, C']`.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        scaled: &Scaled<T>,
        forecast: &mut [T],
    ) -> Cache<T> {
        let mut windows = vec![T::ZERO; self.rows(scaled) * self.context_length];
        self.for_each_point(scaled, |place, from, seen| {
            windows[place] = scaled.values[from] * seen;
        });
        let added = self.linear.forward(trained, &windows);
        self.for_each_step(forecast.len(), |place, from| forecast[place] += added[from]);
        Cache { windows }
    }

    /// Adds the gradients of the layer to those of the weights, and the gradient of the scaled
    /// window to `d_values` `[B, L, C]`; `d` is the gradient of the forecast.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        scaled: &Scaled<T>,
        cache: &Cache<T>,
        d: &[T],
        d_values: &mut [T],
    ) {
        let mut d_added = vec![T::ZERO; d.len()];
        self.for_each_step(d.len(), |place, from| d_added[from] = d[place]);
        let Trained { weights, grads } = trained;
        let d_windows = self.linear.backward(weights, &cache.windows, &d_added, grads);
        self.for_each_point(scaled, |place, from, seen| d_values[from] += d_windows[place] * seen);
    }

    fn rows<T>(&self, scaled: &Scaled<T>) -> usize {
        scaled.loc.len() / self.num_input_channels * self.channels.len()
    }

    /// Calls `f(index in [B, C', L], index in [B, L, C], 1 if observed)`.
    fn for_each_point<T: Real>(&self, scaled: &Scaled<T>, mut f: impl FnMut(usize, usize, T)) {
        let kept = self.channels.len();
        for row in 0..self.rows(scaled) {
            let (b, c) = (row / kept, self.channels[row % kept]);
            for t in 0..self.context_length {
                let from = (b * self.context_length + t) * self.num_input_channels + c;
                let seen = scaled.observed.as_ref().map_or(T::ONE, |mask| mask[from]);
                f(row * self.context_length + t, from, seen);
            }
        }
    }

    /// Calls `f(index in [B, H, C'], index in [B, C', H])`.
    fn for_each_step(&self, len: usize, mut f: impl FnMut(usize, usize)) {
        let (kept, steps) = (self.channels.len(), self.linear.outputs);
        for place in 0..len {
            let (b, t, k) = (place / kept / steps, place / kept % steps, place % kept);
            f(place, (b * kept + k) * steps + t);
        }
    }
}
