//! Errors in percent of the truth, in the units of the data.

use super::formulas::{percentage, symmetric_percentage};
use super::metrics::{DataUnits, ScoredWindows};
use crate::data::{Standardiser, WindowSet};
use crate::{Error, Result};
use ptsm_core::train::Samples;

/// Running sums of the symmetric and the plain mean absolute percentage error.
///
/// Each is a mean over all points, as in the M3 and tourism competitions.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PercentSums {
    pub(crate) symmetric: f64,
    pub(crate) plain: f64,
    pub(crate) absolute: f64,
    pub(crate) squared: f64,
    pub(crate) points: u64,
    /// Points whose truth is 0, and below.
    zeros: u64,
    negative: u64,
}

/// Percentage errors of forecasts whose units are known.
pub(super) struct PercentErrors<'a> {
    /// What the series of each segment was standardised by; `None` = not known, nothing is added.
    scales: Option<&'a [Standardiser]>,
    /// Which channel each of the K channels of a forecast is.
    channels: Vec<usize>,
    pub(super) sums: PercentSums,
    /// The same for each segment of the windows.
    segments: Vec<PercentSums>,
}

impl<'a> PercentErrors<'a> {
    pub(super) fn new(scales: Option<&'a [Standardiser]>, channels: Vec<usize>) -> Self {
        let segments = vec![PercentSums::default(); scales.map_or(0, <[_]>::len)];
        Self { scales, channels, sums: PercentSums::default(), segments }
    }

    /// Adds windows of a set.
    pub(super) fn push(&mut self, scored: &ScoredWindows<'_>) -> Result<()> {
        let Some(scales) = self.scales else { return Ok(()) };
        let ScoredWindows { windows, indices, forecast, truth, mask } = *scored;
        let each = windows.shape().prediction_length * self.channels.len();
        for (k, &index) in indices.iter().enumerate() {
            let segment = windows.segment_of(index);
            let Some(scale) = scales.get(segment) else {
                return Err(Error::input("there are fewer scales than segments of the windows"));
            };
            for i in k * each..(k + 1) * each {
                if mask.is_none_or(|mask| mask[i] != 0.0) {
                    let channel = self.channels[i % self.channels.len()];
                    let undo = |x| scale.undo_value(channel, x);
                    let rounding = f64::from(f32::EPSILON) * size(scale, channel);
                    let point = PercentSums::point(undo(forecast[i]), undo(truth[i]), rounding);
                    self.sums.add(&point);
                    self.segments[segment].add(&point);
                }
            }
        }
        Ok(())
    }
}

impl PercentErrors<'_> {
    /// Sums of sMAPE and MAPE of every segment that has windows, in percent.
    pub(super) fn of_series(&self, windows: &WindowSet) -> Vec<[f64; 2]> {
        let has_windows = windows.groups().into_iter().map(|group| !group.is_empty());
        let each = self.segments.iter().zip(has_windows).filter(|(_, has)| *has);
        each.map(|(sums, _)| [sums.symmetric, sums.plain]).collect()
    }

    /// Errors in data units, where the values were transformed; `None` where they were not, or nothing
    /// was added.
    pub(super) fn data_units(&self) -> Option<DataUnits> {
        let transformed = self.scales?.first().is_some_and(|scale| !scale.transform.is_none());
        let PercentSums { absolute, squared, points, .. } = self.sums;
        let count = points as f64;
        (transformed && points > 0)
            .then(|| DataUnits { mae: absolute / count, rmse: (squared / count).sqrt() })
    }
}

impl PercentSums {
    /// One point; a truth below `rounding` is the 0 that single precision made of it.
    pub(crate) fn point(forecast: f64, truth: f64, rounding: f64) -> Self {
        let is_zero = truth.abs() <= rounding;
        let error = (forecast - truth).abs();
        Self {
            symmetric: symmetric_percentage(forecast, truth, rounding),
            plain: percentage(forecast, truth),
            absolute: error,
            squared: error * error,
            points: 1,
            zeros: u64::from(is_zero),
            negative: u64::from(!is_zero && truth < 0.0),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.symmetric += other.symmetric;
        self.plain += other.plain;
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.points += other.points;
        self.zeros += other.zeros;
        self.negative += other.negative;
    }

    /// sMAPE in percent; `None` without a point, or where a truth is negative.
    pub(crate) fn smape(&self) -> Option<f64> {
        (self.points > 0 && self.negative == 0).then(|| self.symmetric / self.points as f64)
    }

    /// MAPE in percent; `None` without a point, or where a truth is not above 0.
    pub(crate) fn mape(&self) -> Option<f64> {
        let defined = self.points > 0 && self.negative + self.zeros == 0;
        defined.then(|| self.plain / self.points as f64)
    }
}

/// The size of the numbers that single precision rounds.
fn size(scale: &Standardiser, channel: usize) -> f64 {
    scale.mean[channel].abs() + scale.scale[channel]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(points: &[(f64, f64)]) -> PercentSums {
        let mut sums = PercentSums::default();
        let point = |&(forecast, truth): &(f64, f64)| PercentSums::point(forecast, truth, 1e-9);
        points.iter().for_each(|pair| sums.add(&point(pair)));
        sums
    }

    #[test]
    fn a_worked_example() {
        let found = sums(&[(110.0, 100.0), (50.0, 200.0)]);
        assert!((found.mape().unwrap() - (10.0 + 75.0) / 2.0).abs() < 1e-12);
        assert!((found.smape().unwrap() - (2000.0 / 210.0 + 120.0) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn zeros_and_negative_truths_have_no_percentage() {
        let zero = sums(&[(1.0, 0.0), (0.0, 0.0), (2.0, 2.0)]);
        assert_eq!((zero.mape(), zero.smape()), (None, Some(200.0 / 3.0)));
        let negative = sums(&[(1.0, -1.0)]);
        assert_eq!((negative.mape(), negative.smape()), (None, None));
        assert_eq!(PercentSums::default().smape(), None);
    }
}
