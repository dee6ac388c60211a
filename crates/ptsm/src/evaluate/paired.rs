//! Two forecasters on the same points, compared in pairs.

use serde::{Deserialize, Serialize};

use super::units::{UnitError, Units};
use super::verdict::{DifferenceInterval, Score, interval, number};

/// Differences between two means of less than this share are none worth a word.
const SAME: f64 = 0.005;

/// How a forecaster compares with another one by one metric, unit by unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PairedComparison {
    /// Which error: `MASE`, `MAE`, `sMAPE` or `MAPE`.
    pub metric: String,
    /// Mean error of the first forecaster.
    pub error: f64,
    /// Mean error of the other one.
    pub other_error: f64,
    /// `error - other_error`: below 0 where the first one is better.
    pub difference: f64,
    /// `error / other_error - 1`; `None` where the other one makes no error.
    pub relative_difference: Option<f64>,
    /// In which range the relative difference lies by a paired bootstrap of the units; `None` for fewer
    /// than 5 of them.
    pub interval: Option<DifferenceInterval>,
    /// Number of units.
    pub units: usize,
    /// What they are: `series`, or `blocks of windows`.
    pub unit: String,
    /// Share of the units in which the first one has the smaller error, of those where both have one.
    pub won: f64,
    /// Share in which the other one has it.
    pub lost: f64,
}

impl PairedComparison {
    /// Compares by one metric; `None` where one of them has no such error, or the units differ.
    pub(crate) fn new(own: &Units, other: &Units, score: Score) -> Option<Self> {
        if own.errors.len() != other.errors.len() || own.series != other.series {
            return None;
        }
        let (error, other_error) = (mean_error(own, score)?, mean_error(other, score)?);
        let pairs = own.errors.iter().zip(&other.errors);
        let pairs: Vec<(f64, f64)> =
            pairs.filter_map(|(a, b)| Some((of_unit(a, score)?, of_unit(b, score)?))).collect();
        let share = |of: fn(&&(f64, f64)) -> bool| {
            pairs.iter().filter(of).count() as f64 / pairs.len().max(1) as f64
        };
        let ratio = error / other_error - 1.0;
        Some(Self {
            metric: score.name().to_owned(),
            error,
            other_error,
            difference: error - other_error,
            relative_difference: ratio.is_finite().then_some(ratio),
            interval: interval(own, other, score),
            units: own.errors.len(),
            unit: own.name().to_owned(),
            won: share(|(a, b)| a < b),
            lost: share(|(a, b)| a > b),
        })
    }

    /// In words, of the first forecaster beside the other one, which is called `other`.
    #[must_use]
    pub fn in_words(&self, other: &str) -> String {
        let Self { metric, units, unit, .. } = self;
        let numbers =
            format!("{metric} {} and {}", number(Some(self.error)), number(Some(self.other_error)));
        let units = match (units, unit.as_str()) {
            (1, "blocks of windows") => "1 block of windows".to_owned(),
            _ => format!("{units} {unit}"),
        };
        let won = format!("better in {:.0} % of {units}", 100.0 * self.won);
        let Some(ratio) = self.relative_difference else {
            return format!("beside {other}, which makes no error: {numbers}");
        };
        let change = match ratio {
            ratio if ratio.abs() < SAME => format!("as good as {other}"),
            ratio if ratio < 0.0 => format!("better than {other} by {:.1} %", -100.0 * ratio),
            ratio => format!("worse than {other} by {:.1} %", 100.0 * ratio),
        };
        let Some(interval) = self.interval else {
            return format!("{change} ({numbers}; {won}, too few for an interval)");
        };
        let chance = if interval.lower <= 0.0 && interval.upper >= 0.0 && ratio.abs() >= SAME {
            "; the difference may be chance"
        } else {
            ""
        };
        let range = interval.in_words(ratio < 0.0);
        format!("{change} ({numbers}; {range}; {won}){chance}")
    }
}

/// The error of all units; `None` where it is not finite.
pub(crate) fn mean_error(units: &Units, score: Score) -> Option<f64> {
    let mut sum = UnitError::default();
    units.errors.iter().for_each(|unit| sum.add(*unit));
    of_unit(&sum, score)
}

fn of_unit(unit: &UnitError, score: Score) -> Option<f64> {
    Some(score.mean(unit)).filter(|mean| mean.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(errors: &[f64]) -> Units {
        let unit = |&absolute: &f64| UnitError { absolute, points: 1, ..UnitError::default() };
        Units { series: true, percents: false, errors: errors.iter().map(unit).collect() }
    }

    #[test]
    fn differences_and_shares_are_those_worked_out_by_hand() {
        let (own, other) = (units(&[1.0, 2.0, 3.0, 4.0]), units(&[2.0, 2.0, 6.0, 2.0]));
        let found = PairedComparison::new(&own, &other, Score::Mae).unwrap();
        assert_eq!((found.error, found.other_error, found.difference), (2.5, 3.0, -0.5));
        assert!((found.relative_difference.unwrap() + 1.0 / 6.0).abs() < 1e-15);
        assert_eq!((found.won, found.lost, found.interval), (0.5, 0.25, None));
        let text = found.in_words("theirs");
        assert!(text.contains("better than theirs by 16.7 %"), "{text}");
        assert!(text.contains("better in 50 % of 4 series, too few for an interval"), "{text}");
        // There is no MASE without a scale.
        assert_eq!(PairedComparison::new(&own, &other, Score::Mase), None);
        assert_eq!(PairedComparison::new(&own, &units(&[1.0]), Score::Mae), None);
    }

    #[test]
    fn the_interval_holds_the_difference_and_chance_is_said() {
        let own: Vec<f64> = (1..=20).map(|k| 0.8 * f64::from(k)).collect();
        let other: Vec<f64> = (1..=20).map(f64::from).collect();
        let found = PairedComparison::new(&units(&own), &units(&other), Score::Mae).unwrap();
        let interval = found.interval.unwrap();
        assert!((interval.lower + 0.2).abs() < 1e-12 && (interval.upper + 0.2).abs() < 1e-12);
        let text = found.in_words("theirs");
        assert!(text.contains("interval 20.0 to 20.0 %"), "{text}");
        let mixed: Vec<f64> = (1..=20).map(|k| if k % 2 == 0 { 30.0 } else { 1.0 }).collect();
        let found = PairedComparison::new(&units(&mixed), &units(&other), Score::Mae).unwrap();
        assert!(found.in_words("theirs").ends_with("may be chance"), "{found:?}");
    }
}
