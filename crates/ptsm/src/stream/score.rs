//! How good the forecasts of a stream have been, and an alarm for when they get worse.

use serde::{Deserialize, Serialize};

/// Errors of forecasts whose truth has come, in standardised units as `evaluate` has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamScore {
    /// Points that were scored; a point that was forecast five times counts five times.
    pub points: u64,
    /// Sum of squared errors.
    pub squared: f64,
    /// Sum of absolute errors.
    pub absolute: f64,
}

impl StreamScore {
    /// Mean squared error; `None` before the first point.
    pub fn mse(&self) -> Option<f64> {
        (self.points > 0).then(|| self.squared / self.points as f64)
    }

    /// Mean absolute error; `None` before the first point.
    pub fn mae(&self) -> Option<f64> {
        (self.points > 0).then(|| self.absolute / self.points as f64)
    }

    pub(super) fn push(&mut self, error: f64) {
        self.points += 1;
        self.squared += error * error;
        self.absolute += error.abs();
    }
}

/// When the drift alarm is raised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DriftOptions {
    /// Rows with an error that say what is normal, at least 2.
    pub baseline: u64,
    /// Deviations above normal that are still normal, at least 0.
    pub slack: f64,
    /// Sum of deviations beyond the slack that raises the alarm, above 0.
    pub threshold: f64,
}

impl Default for DriftOptions {
    fn default() -> Self {
        Self { baseline: 500, slack: 1.0, threshold: 50.0 }
    }
}

/// A one-sided cumulative sum of each row's mean absolute error (E. S. Page, Continuous Inspection
/// Schemes, Biometrika 1954): 0 while errors are as in the first `baseline` rows, rising when they
/// stay larger. After an alarm the next rows say what is normal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drift {
    /// Alarms so far.
    pub alarms: u64,
    /// Number of the row of the last alarm.
    pub last_alarm: Option<u64>,
    /// The sum now, in deviations.
    pub sum: f64,
    /// Rows of the baseline so far, their mean, and their summed squared distance from it.
    rows: u64,
    mean: f64,
    squares: f64,
}

impl Drift {
    /// Takes in the mean absolute error of a row; says whether this row raises the alarm.
    pub(super) fn push(&mut self, row: u64, error: f64, options: &DriftOptions) -> bool {
        if self.rows < options.baseline {
            // Welford's update.
            self.rows += 1;
            let before = error - self.mean;
            self.mean += before / self.rows as f64;
            self.squares += before * (error - self.mean);
            return false;
        }
        let deviation = (self.squares / (self.rows - 1) as f64).sqrt().max(f64::MIN_POSITIVE);
        self.sum = (self.sum + (error - self.mean) / deviation - options.slack).max(0.0);
        let alarm = self.sum > options.threshold;
        if alarm {
            *self = Self { alarms: self.alarms + 1, last_alarm: Some(row), ..Self::default() };
        }
        alarm
    }
}

/// Forecasts that wait for their truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// Points of one forecast, H C'.
    each: usize,
    /// `[slots, H, C']`, in data units; bits of f64.
    values: Vec<u64>,
    /// Number of the first row of each slot's forecast.
    first_rows: Vec<Option<u64>>,
    next: usize,
}

impl Pending {
    pub(super) fn new(slots: usize, each: usize) -> Self {
        Self { each, values: vec![0; slots * each], first_rows: vec![None; slots], next: 0 }
    }

    pub(super) fn fits(&self, slots: usize, each: usize) -> bool {
        self.each == each
            && self.first_rows.len() == slots
            && self.values.len() == slots * each
            && self.next < slots
    }

    /// Keeps a forecast in place of the oldest one.
    pub(super) fn push(&mut self, first_row: u64, points: &[f64]) {
        let slot = &mut self.values[self.next * self.each..][..self.each];
        slot.iter_mut().zip(points).for_each(|(to, from)| *to = from.to_bits());
        self.first_rows[self.next] = Some(first_row);
        self.next = (self.next + 1) % self.first_rows.len();
    }

    /// Each waiting forecast of `row`: the number of its first row, and its points `[C']`.
    pub(super) fn of_row(&self, row: u64, width: usize) -> impl Iterator<Item = (u64, &[u64])> {
        let slots = self.first_rows.iter().zip(self.values.chunks_exact(self.each));
        slots.filter_map(move |(first, values)| {
            let first = (*first)?;
            let step = usize::try_from(row.checked_sub(first)?).ok()?;
            values.get(step * width..(step + 1) * width).map(|points| (first, points))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_comes_after_a_shift_and_not_before() {
        let options = DriftOptions { baseline: 100, slack: 1.0, threshold: 20.0 };
        let mut drift = Drift::default();
        let noise = |row: u64| (row as f64 * 1.7).sin() + 2.0;
        assert!((0..5000).all(|row| !drift.push(row, noise(row), &options)));
        let found = (5000..5100).find(|&row| drift.push(row, noise(row) + 3.0, &options));
        // Four deviations above, one is slack: about seven rows to the sum of twenty.
        assert!(found.is_some_and(|row| (5005..5012).contains(&row)), "{found:?}");
        assert_eq!((drift.alarms, drift.last_alarm), (1, found));
        // What is normal is learnt anew.
        assert!((5100..6000).all(|row| !drift.push(row, noise(row) + 3.0, &options)));
    }

    #[test]
    fn a_forecast_waits_for_each_of_its_rows() {
        let mut pending = Pending::new(2, 6);
        pending.push(10, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        pending.push(11, &[10.0, 11.0, 12.0, 13.0, 14.0, 15.0]);
        let at = |pending: &Pending, row| {
            let of = pending.of_row(row, 2);
            of.map(|(first, x)| (first, f64::from_bits(x[1]))).collect::<Vec<_>>()
        };
        assert_eq!(at(&pending, 9), []);
        assert_eq!(at(&pending, 10), [(10, 1.0)]);
        assert_eq!(at(&pending, 12), [(10, 5.0), (11, 13.0)]);
        assert_eq!(at(&pending, 13), [(11, 15.0)]);
        pending.push(12, &[0.5; 6]);
        assert_eq!(at(&pending, 12), [(12, 0.5), (11, 13.0)]);
    }
}
