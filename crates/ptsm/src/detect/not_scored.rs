//! [`NotScored`]: points that could not be compared with a forecast.

use serde::Serialize;

use super::detector::{Detector, LEAST};

/// Points of the scanned rows that have no score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NotScored {
    /// They have no value.
    pub missing: usize,
    /// They have too few rows before them for a forecast, or no value of their channel in its context.
    pub without_context: usize,
    /// Their series had fewer than 20 calibration points of the channel.
    pub not_calibrated: usize,
}

impl NotScored {
    /// All of them.
    pub fn total(&self) -> usize {
        self.missing + self.without_context + self.not_calibrated
    }

    /// Why not one point was scored.
    pub(super) fn none_scored(&self, detector: &Detector) -> String {
        format!(
            "no point can be scored: {} have no value, {} have no {} rows before them, and of {} the series has fewer \
             than {LEAST} calibration points (give more rows, or calibrate on rows of the same series)",
            self.missing,
            self.without_context,
            detector.reach().rows_before(),
            self.not_calibrated
        )
    }
}
