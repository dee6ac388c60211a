//! How long a training is reckoned to take: counted, not timed, so that the same command finds the same model on every
//! machine.

use crate::{Error, Result};

/// Multiply-adds a second that a training is reckoned with, and what a step costs besides: a core of a small server.
const SPEED: f64 = 1.5e10;
const STEP: f64 = 3e-4;

/// Cores that are reckoned with.
const CORES: f64 = 2.0;

/// Forward and backward passes, in forward passes.
const PASSES: f64 = 3.0;

/// Seconds on one core of a training of `steps` steps with `batch_size` samples, of a network with so many multiply-adds
/// a sample.
pub(super) fn core_seconds(multiply_adds: u64, batch_size: usize, steps: f64) -> f64 {
    steps * (PASSES * multiply_adds as f64 * batch_size as f64 / SPEED + STEP)
}

/// Seconds on one core that a budget of `seconds` on all cores is.
///
/// # Errors
///
/// `InvalidConfig` if it is not above 0.
pub(super) fn budget(seconds: f64) -> Result<f64> {
    if !(seconds > 0.0 && seconds.is_finite()) {
        let text = format!("{seconds} must be above 0 seconds");
        return Err(Error::config("budget", text));
    }
    Ok(seconds * CORES)
}
