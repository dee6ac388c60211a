//! Cross-channel forecast reconciliation: every step of the forecast is corrected by the forecasts
//! of all channels at the steps around it.
//!
//! Source: `ForecastChannelHeadMixer` without its mixer, granite-tsfm 0.3.11; TSMixer (arXiv
//! 2306.09364). Everything is in the scaled space.

use super::interface::Trained;
use crate::layers::gated_attn;
use crate::real::Real;
use crate::weights::CrossChannelSlot;

/// What the gradient of the head needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    gate: Option<gated_attn::Cache<T>>,
    /// Input of the last layer, `[B H, C' (2 cl + 1)]`.
    gated: Vec<T>,
}

/// The head with its sizes.
pub(crate) struct CrossChannelHead<'a> {
    pub(crate) slot: &'a CrossChannelSlot,
    /// Steps on either side, cl.
    pub(crate) context_length: usize,
    /// Steps of the forecast, H.
    pub(crate) steps: usize,
    /// Channels that are forecast, C'.
    pub(crate) channels: usize,
}

/// Where one number of a step's window comes from.
enum Source {
    /// Index in the forecast `[B, H, C']`.
    Forecast(usize),
    /// Index in the last past values `[B, cl, C']`.
    Past(usize),
    /// A step after the last one of the forecast.
    Zero,
}

impl CrossChannelHead<'_> {
    /// Steps of one window.
    fn span(&self) -> usize {
        2 * self.context_length + 1
    }

    /// Calls `f(index, source)` for every number of the windows `[B, H, C', 2 cl + 1]`.
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

    /// Adds the gradients of the layers and returns those of `base` and `past`.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        cache: &Cache<T>,
        d_out: &[T],
    ) -> (Vec<T>, Vec<T>) {
        let Trained { weights, grads } = trained;
        let mut d_windows = self.slot.mlp.backward(weights, &cache.gated, d_out, grads);
        if let (Some(slot), Some(gate)) = (&self.slot.gate, &cache.gate) {
            d_windows = gated_attn::backward(slot, weights, gate, &d_windows, grads);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::max_relative;
    use crate::weights::LinearSlot;
    use crate::{WideTensor, read_tensors};
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    const BLOCK: [&str; 4] = [
        "head.fcm_block.fcm_gating_block.attn_layer.weight",
        "head.fcm_block.fcm_gating_block.attn_layer.bias",
        "head.fcm_block.mlp.weight",
        "head.fcm_block.mlp.bias",
    ];

    /// The block's fixture, where it is present.
    fn fixture() -> Option<PathBuf> {
        let shared = std::env::var_os("PTSM_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            PathBuf::from,
        );
        let dir = shared.join("fixtures/t03_ttm_cross_channel");
        if !dir.is_dir() {
            eprintln!("skipped: the cross-channel fixture is not here");
            return None;
        }
        Some(dir)
    }

    fn values(tensors: &BTreeMap<String, WideTensor>, name: &str) -> Vec<f64> {
        let double = name.strip_prefix("out.").map(|short| format!("ref64.{short}"));
        let found = double.and_then(|name| tensors.get(&name)).or_else(|| tensors.get(name));
        found.unwrap_or_else(|| panic!("the fixture has {name}")).values.clone()
    }

    #[test]
    fn output_and_gradients_are_those_of_the_reference_block() {
        let Some(dir) = fixture() else { return };
        let io = read_tensors(&dir.join("io.safetensors")).unwrap();
        let weights = read_tensors(&dir.join("model.safetensors")).unwrap();
        let (batch, steps, channels, width) = (2, 24, 3, 15);
        let slot = CrossChannelSlot {
            gate: Some(LinearSlot { inputs: 15, outputs: 15, weight: 0..225, bias: 225..240 }),
            mlp: LinearSlot { inputs: width, outputs: 3, weight: 240..285, bias: 285..288 },
        };
        let trained: Vec<f64> =
            BLOCK.iter().flat_map(|name| weights[*name].values.clone()).collect();
        let head = CrossChannelHead { slot: &slot, context_length: 2, steps, channels };
        let mut base = vec![0.0; batch * steps * channels];
        for (from, to) in values(&io, "out.base_forecast_scaled")
            .chunks_exact(steps * channels)
            .zip(base.chunks_exact_mut(steps * channels))
        {
            f64::transpose(channels, steps, from, to);
        }
        let (out, cache) = head.forward(&trained, &base, None);
        let error = max_relative(&out, &values(&io, "out.head"));
        assert!(error < 1e-6, "output {error:.1e}");

        let (prediction, scale) = (values(&io, "out.prediction"), values(&io, "out.scale"));
        let truth = values(&io, "in.future_values");
        let count = truth.len() as f64;
        let d_out: Vec<f64> = (0..truth.len())
            .map(|i| {
                let channel = i / (steps * channels) * channels + i % channels;
                2.0 * (prediction[i] - truth[i]) / count * scale[channel]
            })
            .collect();
        let mut grads = vec![0.0; trained.len()];
        head.backward(&mut Trained { weights: &trained, grads: &mut grads }, &cache, &d_out);
        let wanted: Vec<f64> =
            BLOCK.iter().flat_map(|name| values(&io, &format!("grad.{name}"))).collect();
        for range in [0..225, 225..240, 240..285, 285..288] {
            let error = max_relative(&grads[range.clone()], &wanted[range.clone()]);
            assert!(error < 1e-5, "gradient {range:?} {error:.1e}");
        }
    }
}
