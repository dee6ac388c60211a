//! Rules of a stream: when it forecasts, and what it does with second rows.

use serde::{Deserialize, Serialize};

use super::score::DriftOptions;
use crate::data::Duplicates;
use crate::{Error, Result};

/// Rules of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StreamOptions {
    /// Rows of the grid from one forecast to the next, at least 1.
    pub every: u64,
    /// Rows that must have come before the first forecast; `None` =
    /// [`ForecastModel::wanted_rows`](crate::forecast::ForecastModel::wanted_rows). Rows that have not
    /// come are missing points.
    pub min_rows: Option<u64>,
    /// What a second row of the newest time does; `Mean` is not known to streams.
    pub duplicates: Duplicates,
    /// When the drift alarm is raised.
    pub drift: DriftOptions,
}

impl Default for StreamOptions {
    fn default() -> Self {
        let duplicates = Duplicates::Last;
        Self { every: 1, min_rows: None, duplicates, drift: DriftOptions::default() }
    }
}

impl StreamOptions {
    pub(super) fn check(&self) -> Result<()> {
        if self.every == 0 {
            return Err(Error::config("every", "0 must be at least 1"));
        }
        if self.duplicates == Duplicates::Mean {
            let text =
                "is mean, which needs every row of a time at once (use error, first or last)";
            return Err(Error::config("duplicates", text));
        }
        let DriftOptions { baseline, slack, threshold } = self.drift;
        if baseline < 2 {
            return Err(Error::config("drift baseline", format!("{baseline} must be at least 2")));
        }
        if !(slack.is_finite() && slack >= 0.0) {
            return Err(Error::config("drift slack", format!("{slack} must be at least 0")));
        }
        if threshold.is_nan() || threshold <= 0.0 {
            return Err(Error::config("drift threshold", format!("{threshold} must be above 0")));
        }
        Ok(())
    }
}
