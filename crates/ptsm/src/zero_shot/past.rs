//! [`Past`]: the past of one channel of a window, without gaps and season.

use ptsm_classical::{Seasonal, SeasonalKind, fill, is_seasonal, seasonal_f_statistic};

use crate::data::Batch;

/// F statistic beyond which the steps of a season differ.
const SEASONAL_F: f64 = 3.0;

/// One channel of one window of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) window: usize,
    pub(super) channel: usize,
}

/// The values of a channel from the first seen one to the last, at least one; missing points are filled.
///
/// They are counted from the data's zero if all of them lie above it, and are in the units of the batch
/// otherwise.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// As they are.
    pub(super) values: Vec<f64>,
    /// Seasonally adjusted: without the seasonal component.
    pub(super) adjusted: Vec<f64>,
    /// The seasonal component; `None` if there is none.
    seasonal: Option<Seasonal>,
    /// Whether every value, adjusted or not, lies above the data's zero.
    pub(super) positive: bool,
    /// What is added to values that are counted from the data's zero.
    shift: f64,
    /// What no value of the batch lies below; minus infinity where nothing is known.
    least: f64,
    /// Steps at the end of the window that were not seen, and are to be forecast too.
    pub(super) unseen: usize,
}

impl Past {
    /// `None` if no value was seen.
    pub(super) fn of(batch: &Batch, place: Place, season: usize) -> Option<Self> {
        let all = values(batch, place);
        let first = all.iter().position(|value| !value.is_nan())?;
        let end = all.iter().rposition(|value| !value.is_nan())? + 1;
        let least = all[first..end].iter().copied().fold(f64::INFINITY, f64::min);
        let at = place.window * batch.num_channels() + place.channel;
        // To rounding: both are differences from a mean in single precision.
        let rounding = |zero: f64| 1e-6 * zero.abs().max(1.0);
        let zero = batch.origin().map(|origin| f64::from(origin[at]));
        let zero = zero.filter(|&zero| zero <= least + rounding(zero));
        let above = zero.is_some_and(|zero| zero + rounding(zero) < least);
        let shift = zero.filter(|_| above).unwrap_or_default();
        let seen: Vec<f64> = all[first..end].iter().map(|value| value - shift).collect();
        let values = fill(&seen, season);
        let seasonal = seasonal(&values, season, above);
        let adjusted = match &seasonal {
            Some(seasonal) => seasonal.remove(&values),
            None => values.clone(),
        };
        let factors = seasonal.as_ref().is_none_or(|s| s.kind() == SeasonalKind::Multiplicative);
        let (positive, unseen) = (above && factors, all.len() - end);
        // One up, so that what it is in the units of the data is not below zero by rounding.
        let least = zero.map_or(f64::NEG_INFINITY, |zero| f64::from((zero as f32).next_up()));
        Some(Self { values, adjusted, seasonal, positive, shift, least, unseen })
    }

    /// Puts the seasonal component back onto adjusted values that follow the past.
    pub(super) fn with_season(&self, forecast: Vec<f64>) -> Vec<f64> {
        match &self.seasonal {
            Some(seasonal) => seasonal.put_back(&forecast, self.values.len()),
            None => forecast,
        }
    }

    /// A value in the units of the batch; none lies below the data's zero where no seen one does.
    pub(super) fn restore(&self, value: f64) -> f64 {
        (value + self.shift).max(self.least)
    }
}

/// The seasonal component, if there is one: factors where all values are above zero.
fn seasonal(values: &[f64], season: usize, above: bool) -> Option<Seasonal> {
    if !(is_seasonal(values, season) || seasonal_f_statistic(values, season) > SEASONAL_F) {
        return None;
    }
    let factors = above.then(|| Seasonal::find(values, season, SeasonalKind::Multiplicative));
    factors.flatten().or_else(|| Seasonal::find(values, season, SeasonalKind::Additive))
}

/// A channel of a window, oldest first; NaN where a point is missing.
fn values(batch: &Batch, Place { window, channel }: Place) -> Vec<f64> {
    let (rows, width) = (batch.context_length(), batch.num_channels());
    let mask = batch.observed_mask();
    let value = |row| {
        let at = (window * rows + row) * width + channel;
        match mask.is_some_and(|mask| mask[at] == 0.0) {
            true => f64::NAN,
            false => f64::from(batch.past_values()[at]),
        }
    };
    (0..rows).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BatchShape;

    const PLACE: Place = Place { window: 0, channel: 1 };

    /// A window whose second channel holds these values, NaN = missing, with its zero.
    fn past(values: &[f32], zero: Option<f32>, season: usize) -> Option<Past> {
        let shape = BatchShape { size: 1, context_length: values.len(), num_channels: 2 };
        let all = values.iter().flat_map(|&x| [9.0, if x.is_nan() { 0.0 } else { x }]).collect();
        let seen = values.iter().flat_map(|x| [1.0, if x.is_nan() { 0.0 } else { 1.0 }]);
        let batch = Batch::new(shape, all)
            .and_then(|batch| batch.with_observed_mask(seen.collect::<Vec<f32>>()))
            .and_then(|batch| batch.with_origin(zero.map(|zero| vec![0.0, zero])))
            .unwrap();
        Past::of(&batch, PLACE, season)
    }

    #[test]
    fn gaps_are_filled_and_ends_are_counted() {
        const NAN: f32 = f32::NAN;
        let found = past(&[NAN, 1.0, NAN, 3.0, NAN], None, 1).unwrap();
        assert_eq!((found.values, found.unseen, found.positive), (vec![1.0, 2.0, 3.0], 1, false));
        assert!(past(&[NAN; 3], None, 1).is_none());
        let found = past(&[1.0, 3.0], Some(-1.0), 1).unwrap();
        assert_eq!((&found.values[..], found.positive), (&[2.0, 4.0][..], true));
        assert_eq!(found.restore(5.0), 4.0);
        assert!((found.restore(-5.0) + 1.0).abs() < 1e-6);
        // A value is the zero itself: nothing can be divided by it, and nothing lies below it.
        let found = past(&[1.0, 3.0], Some(1.0), 1).unwrap();
        assert_eq!((&found.values[..], found.positive), (&[1.0, 3.0][..], false));
        assert!((found.restore(0.5) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_season_is_taken_out_and_put_back() {
        let season = [1.0, 2.0, 4.0, 1.0];
        let values: Vec<f32> = (0..24).map(|i| 10.0 * season[i % 4] + 0.01 * i as f32).collect();
        for zero in [None, Some(0.0)] {
            let found = past(&values, zero, 4).unwrap();
            assert_eq!(found.positive, zero.is_some());
            let last = found.adjusted.last().unwrap();
            let next = found.with_season(vec![*last; 4]);
            for (next, before) in next.iter().zip(&found.values[20..]) {
                assert!((next / before - 1.0).abs() < 0.02, "{next} {before}");
            }
            let ratio = found.adjusted.iter().copied().fold(0.0, f64::max) / found.adjusted[3];
            assert!(ratio < 1.1, "{ratio}");
        }
        assert!(past(&values, None, 1).unwrap().seasonal.is_none());
        assert!(past(&values[..7], None, 4).unwrap().seasonal.is_none());
    }
}
