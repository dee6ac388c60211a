//! How hard a window is to forecast, as far as that is known before its future is.

use serde::{Deserialize, Serialize};

use super::band::Band;
use crate::data::Batch;
use crate::evaluate::usual_changes;
use ptsm_core::OutputKind;

/// What conformity scores are divided by, and widths multiplied by. All are in the units of the batch
/// (standardised), and k times as large for k times the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Difficulty {
    /// 1 for every window: what files of the first version have.
    #[default]
    Unit,
    /// For heads that forecast points: the mean absolute change of a channel over a season, over the
    /// seen points of the window (the scale of MASE, of the window); over one step where the window
    /// shows no two points a season apart. Changes of glitches are left out.
    Change {
        /// Steps of a season; 1 = none.
        season: usize,
    },
    /// For heads with intervals of their own (distributions, quantiles): the width of the head's own
    /// interval, point by point. The head has learnt which windows and steps are hard; what it is
    /// wrong in is mostly how wide it is as a whole, which one factor mends.
    Width,
}

/// Difficulties of windows and channels, `[B, C']`; empty where they are not of whole windows.
pub(super) type Raw = Vec<Option<f64>>;

impl Difficulty {
    /// That of forecasts of this kind.
    pub(super) fn of(kind: &OutputKind, season: usize) -> Self {
        match kind.is_probabilistic() {
            true => Self::Width,
            false => Self::Change { season: season.max(1) },
        }
    }

    /// The difficulties of the windows of a batch.
    pub(super) fn of_windows(self, batch: &Batch, channels: &[usize]) -> Raw {
        let Self::Change { season } = self else { return Raw::new() };
        let windows = 0..batch.size();
        let window = |b| channels.iter().map(move |&channel| change(batch, b, channel, season));
        windows.flat_map(window).collect()
    }

    /// The difficulty of point `i` of `[B, H, C']`, of which a window has `each`; `None` where the
    /// window does not show it.
    pub(super) fn at(self, raw: &Raw, band: &Band, i: usize, each: usize) -> Option<f64> {
        match self {
            Self::Unit => Some(1.0),
            Self::Width => Some(band.upper[i] - band.lower[i]),
            Self::Change { .. } => {
                let channels = raw.len() * each / band.lower.len();
                raw[i / each * channels + i % channels]
            }
        }
    }

    /// Half the head's own interval, in difficulties: from the middle of the interval to where scores
    /// are 0.
    pub(super) fn half_width(self) -> f64 {
        if self == Self::Width { 0.5 } else { 0.0 }
    }

    /// What the scores of step `step`, from 1, are divided by where those of all steps are taken
    /// together. Errors of points grow like those of a random walk; the head's own width grows by
    /// itself.
    pub(super) fn growth(self, step: usize) -> f64 {
        if self == Self::Width { 1.0 } else { libm::sqrt(step as f64) }
    }
}

/// The mean absolute change of a channel of a window over a season, or over one step where no two
/// points a season apart are seen; `None` without two neighbours either.
fn change(batch: &Batch, window: usize, channel: usize, season: usize) -> Option<f64> {
    let (rows, width) = (batch.context_length(), batch.num_channels());
    let place = |row: usize| (window * rows + row) * width + channel;
    let (values, mask) = (batch.past_values(), batch.observed_mask());
    let seen = |row: usize| mask.is_none_or(|mask| mask[place(row)] != 0.0);
    let over = |lag: usize| -> Option<f64> {
        let both = (lag..rows).filter(|&row| seen(row) && seen(row - lag));
        let change = |row: usize| {
            (f64::from(values[place(row)]) - f64::from(values[place(row - lag)])).abs()
        };
        let usual = usual_changes(both.map(change).collect());
        let count = usual.len();
        (count > 0).then(|| usual.into_iter().sum::<f64>() / count as f64)
    };
    over(season).or_else(|| over(1))
}

/// A window is at least this part of a typical one in difficulty: no point of a constant is divided
/// by 0, and none has an interval of width 0 beside others that change. Small, so that series a
/// hundred times smaller than most still have intervals of their own size.
const SMALLEST: f64 = 0.001;

/// The difficulty that is used: that of the window within bounds, the typical one if it shows none.
pub(super) fn usable(found: Option<f64>, typical: f64) -> f64 {
    found.map_or(typical, |found| found.max(SMALLEST * typical))
}

/// The median of difficulties; their mean where most are 0 (constants), 1 where all are.
pub(super) fn typical(mut found: Vec<f64>) -> f64 {
    found.retain(|x| x.is_finite());
    found.sort_unstable_by(f64::total_cmp);
    let median = found.get(found.len() / 2).copied().unwrap_or_default();
    let mean = found.iter().sum::<f64>() / found.len().max(1) as f64;
    [median, mean].into_iter().find(|&x| x > 0.0).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BatchShape;

    /// One window of one channel; NaN is a missing point.
    fn batch(values: &[f32]) -> Batch {
        let shape = BatchShape { size: 1, context_length: values.len(), num_channels: 1 };
        let mask = values.iter().map(|x| f32::from(u8::from(!x.is_nan()))).collect::<Vec<_>>();
        let values = values.iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect();
        Batch::new(shape, values).unwrap().with_observed_mask(mask).unwrap()
    }

    fn change(values: &[f32], season: usize) -> Option<f64> {
        Difficulty::Change { season }.of_windows(&batch(values), &[0])[0]
    }

    #[test]
    fn a_window_is_as_hard_as_it_changes_over_a_season() {
        assert_eq!(change(&[0.0, 5.0, 2.0, 9.0], 2), Some(3.0));
        assert_eq!(change(&[0.0, 50.0, 20.0, 90.0], 2), Some(30.0));
        // The season is longer than what is seen: neighbours.
        assert_eq!(change(&[f32::NAN, 5.0, 2.0, 9.0], 3), Some(5.0));
        assert_eq!(change(&[f32::NAN, 5.0, f32::NAN], 2), None);
        assert_eq!(change(&[7.0; 4], 1), Some(0.0));
    }

    #[test]
    fn a_glitch_does_not_make_a_window_hard() {
        let mut values: Vec<f32> = (0..40).map(|i| (i % 2) as f32).collect();
        values[20] = -9999.0;
        assert_eq!(change(&values, 1), Some(1.0));
    }

    #[test]
    fn constants_are_neither_divided_by_zero_nor_without_bounds() {
        assert_eq!(typical(vec![0.0, 0.0, 0.0, 4.0]), 1.0);
        assert_eq!(typical(vec![3.0, f64::NAN, 1.0, 2.0]), 2.0);
        assert_eq!(typical(vec![0.0; 3]), 1.0);
        assert_eq!((usable(Some(0.0), 2.0), usable(None, 2.0)), (0.002, 2.0));
        assert_eq!(usable(Some(9.0), 2.0), 9.0);
    }
}
