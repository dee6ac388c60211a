//! [`Past`]: the past of one channel of a window, without gaps and seasonal components.

use ptsm_classical::{Seasonal, SeasonalKind, fill, is_seasonal, seasonal_f_statistic};

use super::blocks::Blocks;
use crate::data::Batch;

/// F statistic beyond which the steps of a season differ.
const SEASONAL_F: f64 = 3.0;

/// Steps of the past and their seasons.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Steps of a season.
    pub(super) season: usize,
    /// Steps of a week, if a season may be a day.
    pub(super) week: Option<usize>,
    /// Steps at the end that are forecast from; those before them only show the week.
    pub(super) recent: usize,
    /// Steps whose mean is forecast as one.
    pub(super) block: usize,
}

/// One channel of one window of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) window: usize,
    pub(super) channel: usize,
}

/// The recent values of a channel up to the last seen one, at least one; missing points are filled.
///
/// They are counted from the data's zero if all of them lie above it, and are in the units of the batch
/// otherwise.
#[derive(Debug, Clone)]
pub(super) struct Past {
    /// As they are, but for the component of a week.
    pub(super) values: Vec<f64>,
    /// Seasonally adjusted, without the component of a season, too; in blocks.
    pub(super) adjusted: Blocks,
    /// The component of a week; `None` if there is none.
    weekly: Option<Component>,
    /// The component of a season; `None` if there is none.
    seasonal: Option<Component>,
    /// Whether every value, adjusted or not, lies above the data's zero.
    pub(super) positive: bool,
    /// What is added to values that are counted from the data's zero.
    shift: f64,
    /// What no value of the batch lies below; minus infinity where nothing is known.
    least: f64,
    /// Steps at the end of the window that were not seen, and are to be forecast too.
    pub(super) unseen: usize,
}

/// A seasonal component, and how many steps after the start of a season the past ends.
#[derive(Debug, Clone)]
struct Component {
    seasonal: Seasonal,
    end: usize,
}

impl Component {
    /// That of a series, found in `shown`, which has as many values: factors where `positive`.
    fn find(shown: &[f64], season: usize, positive: bool) -> Option<Self> {
        let find = |kind| Seasonal::find(shown, season, kind);
        let factors = positive.then(|| find(SeasonalKind::Multiplicative)).flatten();
        let seasonal = factors.or_else(|| find(SeasonalKind::Additive))?;
        Some(Self { seasonal, end: shown.len() })
    }

    fn is_factor(&self) -> bool {
        self.seasonal.kind() == SeasonalKind::Multiplicative
    }

    /// Values that follow the past, with the component.
    fn put_back(component: Option<&Self>, values: Vec<f64>) -> Vec<f64> {
        match component {
            Some(Self { seasonal, end }) => seasonal.put_back(&values, *end),
            None => values,
        }
    }
}

impl Past {
    /// `None` if no value was seen.
    pub(super) fn of(batch: &Batch, place: Place, span: Span) -> Option<Self> {
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
        let mut values = fill(&seen, span.season);
        let is_factor =
            |component: &Option<Component>| component.as_ref().is_none_or(Component::is_factor);
        let weekly = weekly(&values, span, above);
        if let Some(Component { seasonal, .. }) = &weekly {
            values = seasonal.remove(&values);
        }
        values.drain(..values.len().saturating_sub(span.recent));
        let positive = above && is_factor(&weekly);
        let seasonal = seasonal(&values, span.season, positive);
        let adjusted = match &seasonal {
            Some(Component { seasonal, .. }) => seasonal.remove(&values),
            None => values.clone(),
        };
        // Fewer steps than a block are their own.
        let block = if adjusted.len() < 2 * span.block { 1 } else { span.block };
        let adjusted = Blocks::of(&adjusted, block);
        let (positive, unseen) = (positive && is_factor(&seasonal), all.len() - end);
        // One up, so that what it is in the units of the data is not below zero by rounding.
        let least = zero.map_or(f64::NEG_INFINITY, |zero| f64::from((zero as f32).next_up()));
        Some(Self { values, adjusted, weekly, seasonal, positive, shift, least, unseen })
    }

    /// Seasonally adjusted values that follow the past, with all seasonal components.
    pub(super) fn with_seasons(&self, forecast: Vec<f64>) -> Vec<f64> {
        self.with_week(Component::put_back(self.seasonal.as_ref(), forecast))
    }

    /// Values that follow the past, with the component of a week.
    pub(super) fn with_week(&self, forecast: Vec<f64>) -> Vec<f64> {
        Component::put_back(self.weekly.as_ref(), forecast)
    }

    /// A value in the units of the batch; none lies below the data's zero where no seen one does.
    pub(super) fn restore(&self, value: f64) -> f64 {
        (value + self.shift).max(self.least)
    }
}

/// The component of a season, if there is one.
fn seasonal(values: &[f64], season: usize, positive: bool) -> Option<Component> {
    if !(is_seasonal(values, season) || seasonal_f_statistic(values, season) > SEASONAL_F) {
        return None;
    }
    Component::find(values, season, positive)
}

/// The component of a week, if there is one: what is left of it without that of a day. It is smaller by the share
/// of the differences that chance makes.
fn weekly(values: &[f64], span: Span, positive: bool) -> Option<Component> {
    let week = span.week?;
    let without_day = match Component::find(values, span.season, positive) {
        Some(Component { seasonal, .. }) => seasonal.remove(values),
        None => values.to_vec(),
    };
    let ratio = seasonal_f_statistic(&without_day, week);
    if ratio <= SEASONAL_F {
        return None;
    }
    let found = Component::find(&without_day, week, positive)?;
    Some(Component { seasonal: found.seasonal.shrunk(1.0 - 1.0 / ratio), ..found })
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

    /// As [`past_of`], where no season may be a day.
    fn past(values: &[f32], zero: Option<f32>, season: usize) -> Option<Past> {
        past_of(values, zero, Span { season, week: None, recent: 120, block: 1 })
    }

    /// A window whose second channel holds these values, NaN = missing, with its zero.
    fn past_of(values: &[f32], zero: Option<f32>, span: Span) -> Option<Past> {
        let shape = BatchShape { size: 1, context_length: values.len(), num_channels: 2 };
        let all = values.iter().flat_map(|&x| [9.0, if x.is_nan() { 0.0 } else { x }]).collect();
        let seen = values.iter().flat_map(|x| [1.0, if x.is_nan() { 0.0 } else { 1.0 }]);
        let batch = Batch::new(shape, all)
            .and_then(|batch| batch.with_observed_mask(seen.collect::<Vec<f32>>()))
            .and_then(|batch| batch.with_origin(zero.map(|zero| vec![0.0, zero])))
            .unwrap();
        Past::of(&batch, PLACE, span)
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
            let last = found.adjusted.means.last().unwrap();
            let next = found.with_seasons(vec![*last; 4]);
            for (next, before) in next.iter().zip(&found.values[20..]) {
                assert!((next / before - 1.0).abs() < 0.02, "{next} {before}");
            }
            let ratio =
                found.adjusted.means.iter().copied().fold(0.0, f64::max) / found.adjusted.means[3];
            assert!(ratio < 1.1, "{ratio}");
        }
        assert!(past(&values, None, 1).unwrap().seasonal.is_none());
        assert!(past(&values[..7], None, 4).unwrap().seasonal.is_none());
    }

    #[test]
    fn a_week_is_taken_out_of_a_longer_past_and_put_back() {
        let span = Span { season: 24, week: Some(168), recent: 240, block: 1 };
        // Days differ in level and shape; a third of the noise of an hour is that of the hour before.
        let week = |i: usize| {
            let (hour, day) = (i % 24, i / 24 % 7);
            let night = if hour < 7 { 5.0 } else { 0.0 };
            20.0 - night - if day > 4 { 8.0 + (hour % 5) as f32 } else { 0.0 }
        };
        let mut state = 5u64;
        let mut noise = 0.0;
        let mut value = |i: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise = noise / 3.0 + (state >> 40) as f32 / (1 << 24) as f32 - 0.5;
            week(i) + noise
        };
        let values: Vec<f32> = (0..1700).map(&mut value).collect();
        for zero in [None, Some(0.0)] {
            let found = past_of(&values, zero, span).unwrap();
            assert_eq!((found.values.len(), found.adjusted.means.len()), (240, 240));
            assert_eq!(found.positive, zero.is_some());
            let level = found.adjusted.means.iter().sum::<f64>() / 240.0;
            for (step, next) in found.with_seasons(vec![level; 168]).into_iter().enumerate() {
                let wanted = f64::from(week(1700 + step));
                assert!((next - wanted).abs() < 1.2, "{step}: {next} {wanted}");
            }
            let naive = found.with_week(found.values[240 - 24..].to_vec());
            for (step, next) in naive.into_iter().enumerate() {
                let wanted = f64::from(week(1700 + step));
                assert!((next - wanted).abs() < 2.5, "{step}: {next} {wanted}");
            }
        }
        // Without a week, or too few of them to show one, the recent values are as they are.
        let daily: Vec<f32> =
            values.iter().enumerate().map(|(i, x)| x - week(i) + week(i % 24)).collect();
        for rows in [&daily[..], &values[..500]] {
            let found = past_of(rows, None, span).unwrap();
            assert!(found.weekly.is_none());
            let last: Vec<f64> = rows[rows.len() - 240..].iter().map(|&x| f64::from(x)).collect();
            assert_eq!(found.values, last);
        }
    }
}
