//! Running sums of the scores, in double precision; the order of the additions is that of cutoffs and
//! series, whatever the number of threads.

use std::ops::Range;

use super::metrics::{BacktestMetrics, IntervalMetrics, QuantileLoss};
use crate::evaluate::formulas::{NaiveError, interval_score, pinball};
use crate::evaluate::{PercentSums, SCORED_LEVELS, UnitError};
use crate::forecast::ForecastInterval;

/// What the errors of a channel of one window are measured by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChannelScale {
    /// That of the seasonal naive forecast before the cutoff.
    pub(super) naive: Option<NaiveError>,
    /// A size that single precision cannot tell from 0 in this channel.
    pub(super) rounding: f64,
}

/// Forecast values of one level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quantile<'a> {
    pub(super) level: f64,
    /// `[H, C']`.
    pub(super) values: &'a [f64],
}

/// The forecast of one window beside the truth; arrays are `[H, C']`, data units.
#[derive(Debug, Clone)]
pub(super) struct Window<'a> {
    /// NaN where it is missing.
    pub(super) truth: &'a [f64],
    pub(super) values: &'a [f64],
    pub(super) intervals: &'a [ForecastInterval],
    /// The scored ones.
    pub(super) quantiles: Vec<Quantile<'a>>,
    /// One for each channel.
    pub(super) scales: &'a [ChannelScale],
}

/// A mean over windows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Sums of one central interval.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct IntervalSums {
    level: f64,
    held: u64,
    width: f64,
    score: f64,
    scaled: Mean,
}

/// Sums of one scored level.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct LevelSum {
    level: f64,
    pinball: f64,
}

/// Running sums over some points.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    windows: u64,
    missing: u64,
    truth: f64,
    percent: PercentSums,
    mase: Mean,
    rmsse: Mean,
    levels: Vec<LevelSum>,
    intervals: Vec<IntervalSums>,
}

/// Sums over the known points of one channel of one window.
#[derive(Default)]
struct ChannelSums {
    absolute: f64,
    squared: f64,
    points: u64,
    /// Summed interval scores.
    scores: Vec<f64>,
}

impl Sums {
    /// Adds some steps of a window.
    pub(super) fn push(&mut self, window: &Window<'_>, steps: Range<usize>) {
        self.take_shape(window);
        let channels = window.scales.len();
        let before = self.percent.points;
        for (channel, scale) in window.scales.iter().enumerate() {
            let mut own =
                ChannelSums { scores: vec![0.0; window.intervals.len()], ..Default::default() };
            for step in steps.clone() {
                let place = step * channels + channel;
                match window.truth[place].is_nan() {
                    true => self.missing += 1,
                    false => self.push_point(window, place, scale.rounding, &mut own),
                }
            }
            self.push_scaled(&own, scale.naive);
        }
        self.windows += u64::from(self.percent.points > before);
    }

    fn take_shape(&mut self, window: &Window<'_>) {
        if self.levels.is_empty() {
            let level = |quantile: &Quantile<'_>| LevelSum { level: quantile.level, pinball: 0.0 };
            self.levels = window.quantiles.iter().map(level).collect();
        }
        if self.intervals.is_empty() {
            let interval = |interval: &ForecastInterval| IntervalSums {
                level: interval.level,
                ..IntervalSums::default()
            };
            self.intervals = window.intervals.iter().map(interval).collect();
        }
    }

    fn push_point(
        &mut self,
        window: &Window<'_>,
        place: usize,
        rounding: f64,
        own: &mut ChannelSums,
    ) {
        let (truth, value) = (window.truth[place], window.values[place]);
        let error = value - truth;
        self.truth += truth.abs();
        self.percent.add(&PercentSums::point(value, truth, rounding));
        own.absolute += error.abs();
        own.squared += error * error;
        own.points += 1;
        for (sum, quantile) in self.levels.iter_mut().zip(&window.quantiles) {
            sum.pinball += pinball(truth, quantile.values[place], quantile.level);
        }
        let found = self.intervals.iter_mut().zip(window.intervals).zip(&mut own.scores);
        for ((sums, interval), own) in found {
            let ends = (interval.lower[place], interval.upper[place]);
            let score = interval_score(truth, ends, interval.level);
            sums.held += u64::from(ends.0 <= truth && truth <= ends.1);
            sums.width += ends.1 - ends.0;
            sums.score += score;
            *own += score;
        }
    }

    /// Adds what is measured by the naive error of the channel, if there is one.
    fn push_scaled(&mut self, own: &ChannelSums, naive: Option<NaiveError>) {
        let Some(naive) = naive.filter(|_| own.points > 0) else { return };
        let count = own.points as f64;
        self.mase.add(own.absolute / count / naive.absolute);
        self.rmsse.add((own.squared / count / naive.squared).sqrt());
        for (sums, score) in self.intervals.iter_mut().zip(&own.scores) {
            sums.scaled.add(score / count / naive.absolute);
        }
    }

    /// Adds the sums of other points.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.levels.is_empty() {
            self.levels = other.levels.iter().map(|l| LevelSum { pinball: 0.0, ..*l }).collect();
        }
        if self.intervals.is_empty() {
            let empty =
                |one: &IntervalSums| IntervalSums { level: one.level, ..Default::default() };
            self.intervals = other.intervals.iter().map(empty).collect();
        }
        self.windows += other.windows;
        self.missing += other.missing;
        self.truth += other.truth;
        self.percent.add(&other.percent);
        self.mase.merge(other.mase);
        self.rmsse.merge(other.rmsse);
        for (own, other) in self.levels.iter_mut().zip(&other.levels) {
            own.pinball += other.pinball;
        }
        for (own, other) in self.intervals.iter_mut().zip(&other.intervals) {
            own.held += other.held;
            own.width += other.width;
            own.score += other.score;
            own.scaled.merge(other.scaled);
        }
    }

    /// The scores so far.
    pub(super) fn metrics(&self) -> BacktestMetrics {
        let PercentSums { absolute, squared, points, .. } = self.percent;
        let count = points as f64;
        let mean = |sum: f64| (points > 0).then(|| sum / count);
        let scored = points > 0 && !self.levels.is_empty();
        let losses = self.levels.iter().filter(|_| scored);
        let quantiles: Vec<QuantileLoss> = losses
            .map(|sum| QuantileLoss { level: sum.level, pinball: sum.pinball / count })
            .collect();
        let levels = quantiles.len() as f64;
        let summed = quantiles.iter().map(|one| one.pinball).sum::<f64>();
        let pinball = scored.then(|| summed / levels);
        let even = quantiles.iter().map(|one| one.level).eq(SCORED_LEVELS);
        let weight = self.truth > 0.0;
        let intervals = self.intervals.iter().filter(|_| points > 0);
        BacktestMetrics {
            windows: self.windows,
            points,
            missing: self.missing,
            mae: mean(absolute),
            mse: mean(squared),
            rmse: mean(squared).map(f64::sqrt),
            smape: self.percent.smape(),
            mape: self.percent.mape(),
            wape: weight.then(|| 100.0 * absolute / self.truth),
            mase: self.mase.value(),
            rmsse: self.rmsse.value(),
            pinball,
            wql: pinball.filter(|_| weight).map(|loss| 2.0 * loss * count / self.truth),
            crps: pinball.filter(|_| even).map(|loss| 2.0 * loss),
            quantiles,
            intervals: intervals.map(|one| one.metrics(count)).collect(),
        }
    }

    /// Its errors as a unit of a comparison.
    pub(super) fn unit(&self) -> UnitError {
        let PercentSums { absolute, points, symmetric, plain, .. } = self.percent;
        UnitError {
            absolute,
            points,
            scaled: self.mase.sum,
            scaled_points: self.mase.count,
            percents: [symmetric, plain],
        }
    }
}

impl IntervalSums {
    fn metrics(&self, count: f64) -> IntervalMetrics {
        IntervalMetrics {
            level: self.level,
            coverage: self.held as f64 / count,
            width: self.width / count,
            score: self.score / count,
            msis: self.scaled.value(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(absolute: f64) -> ChannelScale {
        let naive = NaiveError { absolute, squared: absolute * absolute };
        ChannelScale { naive: Some(naive), rounding: 0.0 }
    }

    fn close(found: Option<f64>, wanted: f64) {
        let found = found.expect("a score");
        assert!((found - wanted).abs() < 1e-12, "{found}, wanted {wanted}");
    }

    /// Two steps of one channel, the truth 10 and 20, the forecast 12 and 14.
    fn worked() -> BacktestMetrics {
        let (lower, upper) = (vec![11.0, 10.0], vec![13.0, 18.0]);
        let intervals = [ForecastInterval { level: 0.8, lower, upper }];
        let median = [12.0, 14.0];
        let window = Window {
            truth: &[10.0, 20.0],
            values: &median,
            intervals: &intervals,
            quantiles: vec![
                Quantile { level: 0.1, values: &intervals[0].lower },
                Quantile { level: 0.5, values: &median },
            ],
            scales: &[scale(2.0)],
        };
        let mut sums = Sums::default();
        sums.push(&window, 0..2);
        sums.metrics()
    }

    #[test]
    fn every_metric_is_that_worked_out_by_hand() {
        let found = worked();
        assert_eq!((found.windows, found.points, found.missing), (1, 2, 0));
        close(found.mae, 4.0);
        close(found.mse, 20.0);
        close(found.rmse, 20f64.sqrt());
        close(found.smape, 0.5 * (200.0 * 2.0 / 22.0 + 200.0 * 6.0 / 34.0));
        close(found.mape, 0.5 * (20.0 + 30.0));
        close(found.wape, 100.0 * 8.0 / 30.0);
        close(found.mase, 2.0);
        close(found.rmsse, (20f64 / 4.0).sqrt());
        // Level 0.1: the truth 1 below 11, 10 above 10; level 0.5: 2 below, 6 above.
        close(Some(found.quantiles[0].pinball), 0.5 * (0.9 + 1.0));
        close(Some(found.quantiles[1].pinball), 0.5 * (1.0 + 3.0));
        close(found.pinball, 0.5 * (0.95 + 2.0));
        close(found.wql, 2.0 * (1.9 + 4.0) / 2.0 / 30.0);
        // Two levels are no even cover of the distribution.
        assert_eq!(found.crps, None);
        let interval = found.intervals[0];
        assert_eq!((interval.coverage, interval.width), (0.0, 5.0));
        // Width 2 and 1 outside; width 8 and 2 outside; 2 / (1 - 0.8) is 10.
        close(Some(interval.score), 0.5 * (12.0 + 28.0));
        close(interval.msis, 0.5 * (12.0 + 28.0) / 2.0);
    }

    #[test]
    fn crps_is_that_of_nine_even_levels() {
        let values = [[1.0]; 9];
        let quantile = |(&level, values): (&f64, &'static [f64; 1])| Quantile { level, values };
        let nine: &'static [[f64; 1]; 9] = Box::leak(Box::new(values));
        let window = Window {
            truth: &[3.0],
            values: &[1.0],
            intervals: &[],
            quantiles: SCORED_LEVELS.iter().zip(nine).map(quantile).collect(),
            scales: &[scale(1.0)],
        };
        let mut sums = Sums::default();
        sums.push(&window, 0..1);
        // The pinball losses are 2 x level, their mean is 1.
        close(sums.metrics().crps, 2.0);
        close(sums.metrics().wql, 2.0 / 3.0);
    }

    fn plain<'a>(
        truth: &'a [f64],
        values: &'a [f64],
        scales: &'a [ChannelScale],
    ) -> BacktestMetrics {
        let window = Window { truth, values, intervals: &[], quantiles: Vec::new(), scales };
        let mut sums = Sums::default();
        sums.push(&window, 0..truth.len() / scales.len());
        sums.metrics()
    }

    #[test]
    fn missing_truths_do_not_count_and_are_counted() {
        let found = plain(&[1.0, f64::NAN, 3.0], &[2.0, 9.0, 3.0], &[scale(1.0)]);
        assert_eq!((found.points, found.missing), (2, 1));
        close(found.mae, 0.5);
        let none = plain(&[f64::NAN; 2], &[1.0; 2], &[scale(1.0)]);
        assert_eq!((none.windows, none.points, none.mae, none.mase), (0, 0, None, None));
        assert_eq!((none.wape, none.smape, none.missing), (None, None, 2));
    }

    #[test]
    fn what_is_not_defined_is_none() {
        // A zero has no MAPE, zeros alone no WAPE, a negative truth no sMAPE.
        let zero = plain(&[0.0, 2.0], &[1.0, 2.0], &[scale(1.0)]);
        assert_eq!(zero.mape, None);
        close(zero.smape, 100.0);
        close(zero.wape, 50.0);
        let zeros = plain(&[0.0; 2], &[1.0, 0.0], &[scale(1.0)]);
        assert_eq!((zeros.wape, zeros.mape, zeros.wql), (None, None, None));
        close(zeros.smape, 100.0);
        assert_eq!(plain(&[-1.0], &[1.0], &[scale(1.0)]).smape, None);
        // A series that never changed has no scale.
        let constant = ChannelScale { naive: None, rounding: 0.0 };
        let found = plain(&[1.0], &[2.0], &[constant]);
        assert_eq!((found.mase, found.rmsse), (None, None));
        close(found.mae, 1.0);
    }

    #[test]
    fn scaled_errors_are_means_over_windows_and_channels() {
        // Channels of errors 1, 1 and 4, 4; scales 1 and 2: MASE 1 and 2.
        let scales = [scale(1.0), scale(2.0)];
        let found = plain(&[0.0; 4], &[1.0, 4.0, 1.0, 4.0], &scales);
        close(found.mase, 1.5);
        close(found.rmsse, 1.5);
    }

    #[test]
    fn merged_sums_are_those_of_all_points() {
        let window = |values: &'static [f64; 2]| Window {
            truth: &[1.0, 2.0],
            values,
            intervals: &[],
            quantiles: Vec::new(),
            scales: const {
                &[ChannelScale {
                    naive: Some(NaiveError { absolute: 1.0, squared: 1.0 }),
                    rounding: 0.0,
                }]
            },
        };
        let (mut both, mut first, mut second) = (Sums::default(), Sums::default(), Sums::default());
        for (values, own) in [(&[2.0, 5.0], &mut first), (&[0.0, 4.0], &mut second)] {
            own.push(&window(values), 0..2);
            both.push(&window(values), 0..2);
        }
        let mut merged = Sums::default();
        merged.merge(&first);
        merged.merge(&second);
        let (merged_metrics, wanted) = (merged.metrics(), both.metrics());
        assert_eq!((merged_metrics.mae, merged_metrics.mse), (wanted.mae, wanted.mse));
        assert_eq!((merged_metrics.mase, merged_metrics.rmsse), (wanted.mase, wanted.rmsse));
        // The order of additions differs.
        close(merged_metrics.smape, wanted.smape.unwrap());
        assert_eq!(merged.unit().points, 4);
    }
}
