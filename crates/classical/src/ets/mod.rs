//! Automatic exponential smoothing.

use crate::scaled::Scaled;
use crate::theta;

/// The forecast of a scaled series.
pub(crate) fn forecast(series: &Scaled, horizon: usize) -> Vec<f64> {
    theta::forecast(series, horizon)
}
