//! Classical methods over batches of windows, each fitted anew to every window that it forecasts.

use ptsm_classical::{History, Method};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::Batch;

/// A classical method and the season that it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classical {
    /// The method.
    pub method: Method,
    /// Steps of a season; 1 = none.
    pub season: usize,
}

impl Classical {
    /// Forecasts every window of a batch, in its units: `[B, H, C']` for the chosen channels,
    /// row-major. Ratios are used where the batch says where zero lies. A channel without any seen
    /// point in its context gets 0, the training mean of standardised data.
    pub fn forecast(self, batch: &Batch, steps: usize, channels: &[usize]) -> Vec<f32> {
        let each = steps * channels.len();
        let mut forecast = vec![0.0; batch.size() * each];
        let windows = forecast.par_chunks_mut(each.max(1)).enumerate();
        windows.for_each(|(window, out)| {
            for (place, &channel) in channels.iter().enumerate() {
                let values = history(batch, window, channel);
                let is_seen = values.iter().any(|value| !value.is_nan());
                let origin = batch.origin().filter(|_| is_seen);
                let zero =
                    origin.map(|origin| f64::from(origin[window * batch.num_channels() + channel]));
                let history = History { values: &values, season: self.season, zero };
                let numbers = self.method.forecast(&history, steps);
                for (step, x) in numbers.into_iter().enumerate() {
                    out[step * channels.len() + place] = x as f32;
                }
            }
        });
        forecast
    }
}

/// The past of one channel of a window, oldest first; NaN where a point is missing.
fn history(batch: &Batch, window: usize, channel: usize) -> Vec<f64> {
    let (rows, width) = (batch.context_length(), batch.num_channels());
    let place = |row: usize| (window * rows + row) * width + channel;
    let mask = batch.observed_mask();
    let value = |row| match mask.is_some_and(|mask| mask[place(row)] == 0.0) {
        true => f64::NAN,
        false => f64::from(batch.past_values()[place(row)]),
    };
    (0..rows).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BatchShape;

    #[test]
    fn every_channel_of_every_window_is_forecast_from_its_own_past() {
        let shape = BatchShape { size: 2, context_length: 4, num_channels: 2 };
        let past = (0..16).map(|i| i as f32).collect();
        let mut mask = vec![1.0; 16];
        mask[14] = 0.0;
        let batch = Batch::new(shape, past).and_then(|b| b.with_observed_mask(mask)).unwrap();
        let last = Classical { method: Method::RepeatLast, season: 1 };
        assert_eq!(last.forecast(&batch, 2, &[0, 1]), [6.0, 7.0, 6.0, 7.0, 12.0, 15.0, 12.0, 15.0]);
        let drift = Classical { method: Method::Drift, season: 1 };
        assert_eq!(drift.forecast(&batch, 2, &[1]), [9.0, 11.0, 17.0, 19.0]);
    }
}
