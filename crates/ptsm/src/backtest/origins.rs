//! The cutoffs of a backtest: how many rows before the end of each series they lie.

use serde::{Deserialize, Serialize};

use crate::data::Series;
use crate::{Error, Result};

/// Rolling origins, counted from the end of each series: the last one is a horizon before it, the others
/// every `step` rows before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Origins {
    /// Steps that are forecast from each cutoff, H.
    pub steps: usize,
    /// Number of cutoffs.
    pub windows: usize,
    /// Rows from one cutoff to the next.
    pub step: usize,
}

/// More cutoffs are a slip.
const MOST_WINDOWS: usize = 100_000;

impl Origins {
    /// `windows` cutoffs for forecasts of `steps` steps; `step` rows apart, a horizon if not given.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, for a number of 0, or more than 100,000 windows.
    pub fn new(steps: usize, windows: usize, step: Option<usize>) -> Result<Self> {
        let step = step.unwrap_or(steps);
        for (field, number) in [("prediction_length", steps), ("windows", windows), ("step", step)]
        {
            if number == 0 {
                return Err(Error::config(field, "0 must be at least 1"));
            }
        }
        if windows > MOST_WINDOWS {
            let text = format!("{windows} must be at most {MOST_WINDOWS}");
            return Err(Error::config("windows", text));
        }
        Ok(Self { steps, windows, step })
    }

    /// Rows between cutoff number `cutoff`, from 0, the earliest first, and the end of each series.
    #[must_use]
    pub fn rows_before_end(&self, cutoff: usize) -> usize {
        let later = self.windows.saturating_sub(cutoff + 1);
        later.saturating_mul(self.step).saturating_add(self.steps)
    }

    /// Whether a series has a known value before a cutoff.
    pub(super) fn has_past(&self, series: &Series, cutoff: usize) -> bool {
        let end = series.num_rows().saturating_sub(self.rows_before_end(cutoff));
        let before = end * series.num_channels;
        match &series.observed {
            None => before > 0,
            Some(observed) => observed[..before].contains(&true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cutoff_is_a_horizon_before_the_end_and_the_others_steps_before_it() {
        let origins = Origins::new(12, 3, None).unwrap();
        let rows = |origins: Origins| [0, 1, 2].map(|cutoff| origins.rows_before_end(cutoff));
        assert_eq!(rows(origins), [36, 24, 12]);
        assert_eq!(rows(Origins::new(12, 3, Some(1)).unwrap()), [14, 13, 12]);
        for (steps, windows, step) in [(0, 1, Some(1)), (1, 0, None), (1, 1, Some(0))] {
            assert!(Origins::new(steps, windows, step).is_err());
        }
        assert!(Origins::new(1, 1_000_000, None).is_err());
    }

    #[test]
    fn a_series_needs_a_known_value_before_the_cutoff() {
        let origins = Origins::new(2, 2, None).unwrap();
        let short = Series::new("", 1, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!(!origins.has_past(&short, 0) && origins.has_past(&short, 1));
        let gap = Series::new("", 1, vec![f64::NAN, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!(!origins.has_past(&gap, 0) && origins.has_past(&gap, 1));
    }
}
