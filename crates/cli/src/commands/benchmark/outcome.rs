//! The outcome of a suite for each data set and horizon.

use std::path::{Path, PathBuf};

use ptsm::Result;
use ptsm::evaluate::{BaselineOutcome, BaselineScore};
use serde::Serialize;

use crate::output::write_text;

/// The outcome for one data set and horizon.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    pub(super) data: String,
    pub(super) horizon: usize,
    /// Test windows; all of them are scored.
    pub(super) windows: usize,
    pub(super) rows: Vec<RowOutcome>,
    pub(super) baselines: Vec<BaselineScore>,
    pub(super) tried: Vec<Tried>,
}

/// The scores of one row of the suite.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RowOutcome {
    pub(super) row: String,
    /// The candidate that was taken, by its validation error.
    pub(super) picked: String,
    pub(super) seeds: Vec<SeedOutcome>,
}

/// One trained model on the test part.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SeedOutcome {
    pub(super) seed: u64,
    pub(super) model: PathBuf,
    pub(super) parameters: usize,
    pub(super) mse: f64,
    pub(super) mae: f64,
    pub(super) correlation: Option<f64>,
    pub(super) training_seconds: f64,
    pub(super) sequences_per_s: f64,
}

/// A candidate on the validation part.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tried {
    pub(super) row: String,
    pub(super) candidate: String,
    /// Mean over the seeds.
    pub(super) validation_mse: f64,
    pub(super) picked: bool,
}

impl RowOutcome {
    /// MSE and MAE, means over the seeds.
    pub(super) fn means(&self) -> (f64, f64) {
        let count = self.seeds.len().max(1) as f64;
        let mean = |of: fn(&SeedOutcome) -> f64| self.seeds.iter().map(of).sum::<f64>() / count;
        (mean(|seed| seed.mse), mean(|seed| seed.mae))
    }
}

/// A baseline's errors, where it has any.
pub(super) fn errors(baseline: &BaselineScore) -> Option<(f64, f64)> {
    match &baseline.outcome {
        BaselineOutcome::Scored(metrics) => Some((metrics.mse, metrics.mae)),
        BaselineOutcome::NotScored { .. } => None,
    }
}

/// Writes a text file beside the others of the report.
pub(super) fn write_page(dir: &Path, name: &str, text: &str) -> Result<()> {
    write_text(&dir.join(name), text)
}
