//! Cross-channel forecast reconciliation: every step of the forecast is corrected by the forecasts
//! of all channels at the steps around it.
//!
//! Source: `ForecastChannelHeadMixer` without its mixer, granite-tsfm 0.3.11; TSMixer (arXiv
//! 2306.09364). Everything is in the scaled space.

use crate::model::{Real, gated_attn};
use crate::weights::CrossChannelSlot;

/// What the gradient of the head needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    gate: Option<gated_attn::Cache<T>>,
    /// What the last layer read, `[B H, C' (2 cl + 1)]`.
    gated: Vec<T>,
}

/// The head with its sizes.
pub(crate) struct CrossChannelHead<'a> {
    pub(crate) slot: &'a CrossChannelSlot,
    /// Steps on either side, cl.
    pub(crate) context_length: usize,
    /// H.
    pub(crate) steps: usize,
    /// C'.
    pub(crate) channels: usize,
}

/// Where one number of a step's window comes from.
enum Source {
    /// Place in `[B, H, C']`.
    Forecast(usize),
    /// Place in `[B, cl, C']`.
    Past(usize),
    /// Behind the last step.
    Zero,
}

impl CrossChannelHead<'_> {
    /// Steps of one window.
    fn span(&self) -> usize {
        2 * self.context_length + 1
    }

    /// Calls `f(place in the windows, source)` for every number: `[B, H, C', 2 cl + 1]`.
    fn for_each_place(&self, batch: usize, mut f: impl FnMut(usize, Source)) {
        let (steps, channels, context) = (self.steps, self.channels, self.context_length);
        let mut place = 0;
        for b in 0..batch {
            for t in 0..steps {
                for c in 0..channels {
                    for k in 0..self.span() {
                        // `step` counts from the first of the `context` steps before the forecast.
                        let step = t + k;
                        let source = if step < context {
                            Source::Past((b * context + step) * channels + c)
                        } else if step - context < steps {
                            Source::Forecast((b * steps + step - context) * channels + c)
                        } else {
                            Source::Zero
                        };
                        f(place, source);
                        place += 1;
                    }
                }
            }
        }
    }

    /// `base` `[B, H, C']` and, where it is used, `past` `[B, cl, C']` give `[B, H, C']`.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        base: &[T],
        past: Option<&[T]>,
    ) -> (Vec<T>, Cache<T>) {
        let mut windows = vec![T::ZERO; base.len() * self.span()];
        let batch = base.len() / (self.steps * self.channels);
        self.for_each_place(batch, |place, source| match (source, past) {
            (Source::Forecast(from), _) => windows[place] = base[from],
            (Source::Past(from), Some(past)) => windows[place] = past[from],
            _ => {}
        });
        let (gated, gate) = match &self.slot.gate {
            Some(slot) => {
                let (gated, cache) = gated_attn::forward(slot, trained, windows);
                (gated, Some(cache))
            }
            None => (windows, None),
        };
        let mut out = self.slot.mlp.forward(trained, &gated);
        out.iter_mut().zip(base).for_each(|(out, &base)| *out += base);
        (out, Cache { gate, gated })
    }

    /// Adds the gradients of the layers to `grads` and returns those of `base` and `past`.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        cache: &Cache<T>,
        d_out: &[T],
        grads: &mut [T],
    ) -> (Vec<T>, Vec<T>) {
        let mut d_windows = self.slot.mlp.backward(trained, &cache.gated, d_out, grads);
        if let (Some(slot), Some(gate)) = (&self.slot.gate, &cache.gate) {
            d_windows = gated_attn::backward(slot, trained, gate, &d_windows, grads);
        }
        let batch = d_out.len() / (self.steps * self.channels);
        let mut d_base = d_out.to_vec();
        let mut d_past = vec![T::ZERO; batch * self.context_length * self.channels];
        self.for_each_place(batch, |place, source| match source {
            Source::Forecast(to) => d_base[to] += d_windows[place],
            Source::Past(to) => d_past[to] += d_windows[place],
            Source::Zero => {}
        });
        (d_base, d_past)
    }
}
