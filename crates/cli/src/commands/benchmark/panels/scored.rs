//! The scores of the default forecaster and the baselines on one panel.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ptsm::evaluate::{BaselineOutcome, Evaluation, Metrics};
use ptsm::job::Metric;
use serde::{Deserialize, Serialize};

/// What the default forecaster is called in tables.
pub(super) const OURS: &str = "ptsm";

/// The scores of one panel and seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Scored {
    pub(super) panel: String,
    pub(super) seed: u64,
    pub(super) model: PathBuf,
    /// What was chosen, in a sentence.
    pub(super) chosen: String,
    /// Seconds of training and choice, on the machine's threads.
    pub(super) seconds: f64,
    /// Known points of the test part.
    pub(super) points: u64,
    /// By forecaster; percent, or MASE (MAE where it is not defined).
    pub(super) errors: BTreeMap<String, f64>,
}

/// The error of every forecaster that has one.
pub(super) fn errors(evaluation: &Evaluation, metric: Metric) -> BTreeMap<String, f64> {
    let error = |metrics: &Metrics| match metric {
        Metric::Mae => metrics.mase.or(Some(metrics.mae)),
        Metric::Smape => metrics.smape,
        Metric::Mape => metrics.mape,
    };
    let own = error(&evaluation.model).map(|error| (OURS.to_owned(), error));
    let baselines = evaluation.baselines.iter().filter_map(|baseline| match &baseline.outcome {
        BaselineOutcome::Scored(metrics) => Some((baseline.name.clone(), error(metrics)?)),
        BaselineOutcome::NotScored { .. } => None,
    });
    own.into_iter().chain(baselines).collect()
}
