//! Forecasts without parameters.

use crate::history::History;

/// The last observed value.
pub(crate) fn last_value(history: &History<'_>) -> Option<f64> {
    history.values.iter().rfind(|value| value.is_finite()).copied()
}

/// The value a whole number of seasons before each step, the latest that was observed.
pub(crate) fn seasonal(history: &History<'_>, horizon: usize) -> Vec<f64> {
    let values = history.values;
    let last = last_value(history).unwrap_or(f64::NAN);
    let season = history.season.max(1);
    let at = |step: usize| {
        let phase = step % season;
        let back = (season - phase).min(values.len() + 1);
        let ends = (back..=values.len()).step_by(season);
        ends.map(|back| values[values.len() - back]).find(|value| value.is_finite()).unwrap_or(last)
    };
    let first: Vec<f64> = (0..horizon.min(season)).map(at).collect();
    first.iter().cycle().take(horizon).copied().collect()
}

/// The line from the first to the last observed point.
pub(crate) fn drift(history: &History<'_>, horizon: usize) -> Vec<f64> {
    let values = history.values;
    let seen = |&place: &usize| values[place].is_finite();
    let first = (0..values.len()).find(seen).unwrap_or(0);
    let last = (0..values.len()).rfind(seen).unwrap_or(0);
    let steps = (last - first).max(1) as f64;
    // Not of the difference, which may overflow.
    let slope = values[last] / steps - values[first] / steps;
    (0..horizon).map(|step| values[last] + slope * (values.len() + step - last) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn history(values: &[f64], season: usize) -> History<'_> {
        History { values, season, zero: None }
    }

    #[test]
    fn seasonal_takes_the_last_season_then_earlier_ones_then_the_last_value() {
        let got = seasonal(&history(&[9.0, 1.0, 2.0, 3.0], 3), 7);
        assert_eq!(got, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]);
        let got = seasonal(&history(&[1.0, 2.0, NAN, NAN, 5.0, NAN], 3), 3);
        assert_eq!(got, [1.0, 5.0, 5.0]);
        assert_eq!(seasonal(&history(&[1.0, 2.0], 5), 6), [2.0, 2.0, 2.0, 1.0, 2.0, 2.0]);
        assert_eq!(seasonal(&history(&[1.0, 2.0], 0), 2), [2.0, 2.0]);
        assert_eq!(seasonal(&history(&[1.0, 2.0], usize::MAX), 2), [2.0, 2.0]);
    }

    #[test]
    fn drift_counts_missing_steps() {
        let got = drift(&history(&[NAN, 1.0, NAN, 5.0, NAN], 1), 2);
        assert_eq!(got, [9.0, 11.0]);
        assert_eq!(drift(&history(&[4.0], 1), 2), [4.0, 4.0]);
    }
}
