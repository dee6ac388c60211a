//! The formulas of the metrics of single points and windows, in the units of the data. Every score of
//! this library is a sum or mean of these; `docs/metrics.md` has them all, with sources.

/// A change this many times the median one is that of a glitch (-9999 in some cells), not of the data.
const GLITCH: f64 = 1000.0;

/// One term of sMAPE, in percent: `200 |f - y| / (|y| + |f|)`, from 0 to 200; 0 where both sizes together
/// are at most `rounding`, the 0 that single precision makes of nothing.
///
/// Source: Makridakis and Hibon, The M3-Competition, 2000.
#[must_use]
pub fn symmetric_percentage(forecast: f64, truth: f64, rounding: f64) -> f64 {
    let both = forecast.abs() + truth.abs();
    if both > rounding { 200.0 * (forecast - truth).abs() / both } else { 0.0 }
}

/// One term of MAPE, in percent: `100 |f - y| / |y|`. Of a truth of 0 it means nothing: the sum that it
/// goes into has no MAPE.
#[must_use]
pub fn percentage(forecast: f64, truth: f64) -> f64 {
    100.0 * (forecast - truth).abs() / truth.abs().max(f64::MIN_POSITIVE)
}

/// The pinball loss of a quantile of this level, in the units of the truth: `level (y - q)` where the truth
/// is above it, `(1 - level) (q - y)` below.
///
/// Source: Koenker and Bassett, Regression quantiles, 1978.
#[must_use]
pub fn pinball(truth: f64, quantile: f64, level: f64) -> f64 {
    let error = truth - quantile;
    error * if error < 0.0 { level - 1.0 } else { level }
}

/// The interval score of a central interval of this level, in the units of the truth: its width, and
/// `2 / (1 - level)` for each unit that the truth lies outside.
///
/// Source: Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, 2007; divided by
/// the naive error of the series it is the MSIS of the M4 competition.
#[must_use]
pub fn interval_score(truth: f64, (lower, upper): (f64, f64), level: f64) -> f64 {
    let outside = (lower - truth).max(truth - upper).max(0.0);
    upper - lower + 2.0 / (1.0 - level) * outside
}

/// The errors of the seasonal naive forecast on known rows, by which MASE, RMSSE and MSIS are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NaiveError {
    /// Mean absolute error, above 0.
    pub absolute: f64,
    /// Mean squared error, above 0.
    pub squared: f64,
}

impl NaiveError {
    /// That of the absolute changes over a season, glitches left out; `None` where nothing changes, or no
    /// two points lie a season apart.
    ///
    /// Source: Hyndman and Koehler, Another look at measures of forecast accuracy, 2006; of squares:
    /// Makridakis, Spiliotis and Assimakopoulos, The M5 competition, 2022.
    #[must_use]
    pub fn of(changes: Vec<f64>) -> Option<Self> {
        let changes = usual_changes(changes);
        let count = changes.len() as f64;
        let absolute = changes.iter().sum::<f64>() / count;
        let squared = changes.iter().map(|change| change * change).sum::<f64>() / count;
        (absolute > 0.0 && squared > 0.0).then_some(Self { absolute, squared })
    }
}

/// Absolute changes without those of glitches: of errors measured by them every forecast would look good.
pub(crate) fn usual_changes(mut changes: Vec<f64>) -> Vec<f64> {
    let limit = most_of_data(&changes);
    changes.retain(|&change| change <= limit);
    changes
}

/// The largest change that is no glitch; any, where most rows do not change.
fn most_of_data(changes: &[f64]) -> f64 {
    let mut sorted = changes.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
    if median > 0.0 { GLITCH * median } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_those_worked_out_by_hand() {
        assert_eq!(percentage(110.0, 100.0), 10.0);
        assert_eq!(percentage(50.0, -100.0), 150.0);
        assert_eq!(symmetric_percentage(50.0, 150.0, 0.0), 100.0);
        assert_eq!(symmetric_percentage(3.0, 0.0, 0.0), 200.0);
        assert_eq!(symmetric_percentage(0.0, 0.0, 0.0), 0.0);
        assert_eq!(symmetric_percentage(1e-9, 0.0, 1e-6), 0.0);
    }

    #[test]
    fn losses_of_quantiles_and_intervals_are_those_worked_out_by_hand() {
        assert_eq!(pinball(3.0, 1.0, 0.9), 1.8);
        assert!((pinball(1.0, 3.0, 0.9) - 0.2).abs() < 1e-15);
        assert_eq!(pinball(1.0, 1.0, 0.3), 0.0);
        assert_eq!(interval_score(2.0, (1.0, 3.0), 0.5), 2.0);
        assert_eq!(interval_score(0.5, (1.0, 3.0), 0.5), 2.0 + 4.0 * 0.5);
        assert_eq!(interval_score(4.0, (1.0, 3.0), 0.75), 2.0 + 8.0);
    }

    #[test]
    fn the_naive_error_leaves_out_glitches_and_is_none_of_a_constant() {
        let found = NaiveError::of(vec![1.0, 3.0]).unwrap();
        assert_eq!((found.absolute, found.squared), (2.0, 5.0));
        let glitch = NaiveError::of(vec![1.0, 3.0, 2.0, 9999.0]).unwrap();
        assert_eq!(glitch.absolute, 2.0);
        assert_eq!(NaiveError::of(vec![0.0; 4]), None);
        assert_eq!(NaiveError::of(Vec::new()), None);
    }
}
