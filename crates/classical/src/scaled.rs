//! A history made fit for models: without gaps, of mean 0 and deviation 1.

use crate::history::History;

/// Steps that a model uses at most, if 12 seasons are not more.
const LONGEST: usize = 1000;

/// The farthest zero, in deviations: beyond it, multiplicative and additive models do not differ.
const FARTHEST_ZERO: f64 = 1e6;

/// A series without gaps, of mean 0 and deviation 1.
pub(crate) struct Scaled {
    /// At least [`FEWEST`] values, from the first observed one to the last.
    pub(crate) values: Vec<f64>,
    /// The zero in the same units, if it was given and lies below every value.
    pub(crate) zero: Option<f64>,
    /// Steps of a season; 1 if there is none or two of them have not been seen.
    pub(crate) season: usize,
    /// Missing steps at the end of the history, to be forecast as well.
    pub(crate) unseen: usize,
    size: f64,
    units: Units,
}

/// Observed points below which a model has too few errors to be fitted by.
const FEWEST: usize = 7;

impl Scaled {
    /// `None` if fewer than [`FEWEST`] values were observed or all are equal.
    pub(crate) fn new(history: &History<'_>) -> Option<Self> {
        let seen = |value: &f64| value.is_finite();
        let first = history.values.iter().position(seen)?;
        let end = history.values.iter().rposition(seen)? + 1;
        let observed = &history.values[first..end];
        if observed.iter().filter(|value| seen(value)).count() < FEWEST {
            return None;
        }
        // In two steps, as squares of the first units may overflow.
        let size =
            observed.iter().filter(|value| seen(value)).fold(0.0, |m: f64, v| m.max(v.abs()));
        let sized: Vec<f64> = observed.iter().map(|value| value / size).collect();
        let filled = fill(&sized, history.season);
        let kept = LONGEST.max(history.season.saturating_mul(12)).min(filled.len());
        let (exact, units) = Units::of(&filled[filled.len() - kept..])?;
        let values: Vec<f64> = exact.into_iter().map(rounded).collect();
        let season = if history.season <= kept / 2 { history.season.max(1) } else { 1 };
        let below =
            |zero: &f64| *zero > -FARTHEST_ZERO && values.iter().all(|value| value - zero > 0.0);
        let zero = history.zero.map(|zero| rounded(units.apply(zero / size))).filter(below);
        Some(Self { values, zero, season, unseen: history.values.len() - end, size, units })
    }

    /// A value in the units of the history.
    pub(crate) fn restore(&self, value: f64) -> f64 {
        self.units.restore(value) * self.size
    }

    /// The values above zero, where multiplicative components are allowed.
    pub(crate) fn above_zero(&self) -> Option<Vec<f64>> {
        self.zero.map(|zero| self.values.iter().map(|value| value - zero).collect())
    }
}

/// The nearest multiple of 2^-36: a search then takes the same path whatever the units of the
/// history were.
fn rounded(value: f64) -> f64 {
    const STEPS: f64 = (1u64 << 36) as f64;
    (value * STEPS).round() / STEPS
}

/// A shift and a scale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Units {
    mean: f64,
    deviation: f64,
}

impl Units {
    /// The values with mean 0 and deviation 1, and the way back; `None` if all are equal.
    pub(crate) fn of(values: &[f64]) -> Option<(Vec<f64>, Self)> {
        let first = *values.first()?;
        if values.iter().all(|&value| value == first) {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let units = Self { mean, deviation: (squares / count).sqrt() };
        if !(units.deviation > 0.0 && units.deviation.is_finite()) {
            return None;
        }
        Some((values.iter().map(|&value| units.apply(value)).collect(), units))
    }

    pub(crate) fn apply(&self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    pub(crate) fn restore(&self, value: f64) -> f64 {
        value * self.deviation + self.mean
    }
}

/// Gaps filled with the value a season before, or else linearly between their neighbours. The first and
/// the last value are observed, NaN = missing.
pub fn fill(values: &[f64], season: usize) -> Vec<f64> {
    let mut filled = values.to_vec();
    let mut last = 0;
    for i in 0..values.len() {
        if values[i].is_finite() {
            last = i;
            continue;
        }
        if season > 1 && i >= season {
            filled[i] = filled[i - season];
            continue;
        }
        let next = (i..values.len()).find(|&j| values[j].is_finite()).unwrap_or(last);
        let share = (i - last) as f64 / (next - last).max(1) as f64;
        filled[i] = values[last] * (1.0 - share) + values[next] * share;
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    #[test]
    fn gaps_are_filled_by_the_season_before_or_linearly() {
        let values = [1.0, NAN, NAN, 4.0, NAN, 6.0];
        assert_eq!(fill(&values, 3), [1.0, 2.0, 3.0, 4.0, 2.0, 6.0]);
        assert_eq!(fill(&values, 1), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn scaled_values_come_back_and_zero_must_lie_below() {
        let values = [NAN, 2e300, 6e300, NAN, 4e300, 5e300, 2e300, 6e300, 4e300, NAN, NAN];
        let scaled = |zero| Scaled::new(&History { values: &values, season: 2, zero }).unwrap();
        let got = scaled(Some(1e300));
        assert_eq!((got.unseen, got.season), (2, 2));
        let back: Vec<f64> = got.values.iter().map(|&value| got.restore(value) / 1e300).collect();
        for (a, b) in back.iter().zip([2.0, 6.0, 2.0, 4.0, 5.0, 2.0, 6.0, 4.0]) {
            assert!((a - b).abs() < 1e-10, "{back:?}");
        }
        assert!((got.restore(got.zero.unwrap()) / 1e300 - 1.0).abs() < 1e-10);
        for zero in [None, Some(2e300), Some(3e300), Some(NAN), Some(f64::NEG_INFINITY)] {
            assert!(scaled(zero).zero.is_none(), "{zero:?}");
        }
    }

    #[test]
    fn few_or_equal_points_have_no_scale() {
        for values in [
            &[][..],
            &[1.0, 2.0],
            &[1.0, 2.0, 4.0, 3.0, 5.0, 9.0],
            &[3.0; 9],
            &[NAN, 0.0, 0.0, 0.0],
        ] {
            assert!(Scaled::new(&History { values, season: 1, zero: None }).is_none());
        }
    }

    #[test]
    fn a_long_history_is_cut() {
        let values: Vec<f64> = (0..5000).map(f64::from).collect();
        for (season, kept) in [(1, 1000), (12, 1000), (100, 1200), (1000, 5000)] {
            let got = Scaled::new(&History { values: &values, season, zero: None }).unwrap();
            assert_eq!((got.values.len(), got.season), (kept, season));
        }
    }
}
