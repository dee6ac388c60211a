//! Forecasting head: flatten, dropout, one projection, un-scaling.
//!
//! Source: `PatchTSMixerForPredictionHead`, transformers 5.23.0.

use crate::model::{Pass, Place, Real};
use crate::weights::LinearSlot;

/// What the gradient of the head needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// Flattened and dropped input `[B, C, N D]`.
    x: Vec<T>,
    /// In the scaled space, `[B, H, C']`.
    pub(crate) scaled: Vec<T>,
}

/// The head with its sizes.
pub(crate) struct PredictionHead<'a> {
    pub(crate) projection: &'a LinearSlot,
    pub(crate) head_dropout: f64,
    pub(crate) num_channels: usize,
    /// Channels that are kept, ascending.
    pub(crate) channels: &'a [usize],
}

/// `loc` and `scale` of all channels, `[B, C]`.
pub(crate) struct Statistics<'a, T> {
    pub(crate) loc: &'a [T],
    pub(crate) scale: &'a [T],
}

impl PredictionHead<'_> {
    /// `hidden` `[B, C, N, D]` gives the forecast `[B, H, C']` in data units.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        hidden: &[T],
        statistics: &Statistics<'_, T>,
        pass: &Pass,
    ) -> (Vec<T>, Cache<T>) {
        let mut x = hidden.to_vec();
        pass.dropout(Place::HEAD, 0, self.head_dropout, &mut x);
        let projected = self.projection.forward(trained, &x); // [B, C, H]
        let mut scaled = vec![T::ZERO; self.outputs(pass.batch)];
        let mut prediction = scaled.clone();
        self.for_each_output(pass.batch, |out, projection, place| {
            scaled[out] = projected[projection];
            prediction[out] = scaled[out] * statistics.scale[place] + statistics.loc[place];
        });
        (prediction, Cache { x, scaled })
    }

    /// Adds the gradients of the projection to `grads`; adds those of the statistics to `d_loc` and
    /// `d_scale` `[B, C]`; returns that of the hidden state.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        (cache, statistics): (&Cache<T>, &Statistics<'_, T>),
        d_prediction: &[T],
        (d_loc, d_scale): (&mut [T], &mut [T]),
        (grads, pass): (&mut [T], &Pass),
    ) -> Vec<T> {
        let outputs = self.projection.outputs;
        let mut d_projected = vec![T::ZERO; pass.batch * self.num_channels * outputs];
        self.for_each_output(pass.batch, |out, projection, place| {
            let d = d_prediction[out];
            d_projected[projection] = d * statistics.scale[place];
            d_scale[place] += d * cache.scaled[out];
            d_loc[place] += d;
        });
        let mut d_x = self.projection.backward(trained, &cache.x, &d_projected, grads);
        pass.dropout(Place::HEAD, 0, self.head_dropout, &mut d_x);
        d_x
    }

    fn outputs(&self, batch: usize) -> usize {
        batch * self.projection.outputs * self.channels.len()
    }

    /// Calls `f(index in [B, H, C'], index in [B, C, H], index in [B, C])` for every output.
    fn for_each_output(&self, batch: usize, mut f: impl FnMut(usize, usize, usize)) {
        let steps = self.projection.outputs;
        let mut out = 0;
        for b in 0..batch {
            for t in 0..steps {
                for &c in self.channels {
                    let place = b * self.num_channels + c;
                    f(out, place * steps + t, place);
                    out += 1;
                }
            }
        }
    }
}
