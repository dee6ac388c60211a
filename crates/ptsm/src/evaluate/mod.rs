//! Scores of a forecaster over every window of a split, beside simple baselines.
//!
//! All errors are in the units of the batches (standardised by the training rows, as the published
//! tables have them). Masked points never count, and nothing turns into NaN unnoticed: a score
//! without points, or a forecast that is not finite, is an error; a score that is not defined is
//! `None`.
//!
//! The path: a [`WindowSet`](crate::data::WindowSet) and a forecaster go into [`evaluate`], which
//! gives [`Metrics`]; [`score_baselines`] gives the same for the baselines; [`Evaluation`] holds
//! both and renders them as JSON or as a table.

mod baselines;
mod by_series;
mod classes;
mod coherence;
pub mod formulas;
mod metrics;
mod paired;
mod percent;
mod probabilistic;
mod report;
mod ridge;
mod simple_labels;
mod units;
mod values;
mod verdict;
mod windows;

pub(crate) use baselines::fit_ridge;
pub use baselines::{
    BaselinePlan, TAKES_A_WHILE, THETA_LIMIT, repeat_last, score_baselines, seasonal_naive,
};
pub use by_series::{SeriesMean, SeriesMetrics};
pub use classes::ClassScores;
pub use coherence::Coherence;
pub(crate) use formulas::usual_changes;
pub use metrics::{Accumulator, DataUnits, Detail, MaseScale, Metrics, PartMetrics, ScoredWindows};
pub use paired::PairedComparison;
pub(crate) use paired::mean_error;
pub(crate) use percent::PercentSums;
pub use probabilistic::{
    CoverageBySeries, IntervalScore, ProbabilisticScores, ProbabilisticSums, SCORED_LEVELS,
    SeriesCoverage,
};
pub use report::{BaselineOutcome, BaselineScore, Evaluation, best_rows};
pub(crate) use ridge::Cholesky;
pub use ridge::{LogRidge, LogRidgeOptions, PENALTIES, Ridge, RidgeOptions};
pub use simple_labels::SimpleLabels;
pub(crate) use units::{Blocks, UnitError, Units};
pub use values::{TargetScores, ValueScores};
pub use verdict::{DifferenceInterval, Measure, Verdict};
pub(crate) use verdict::{Score, number};
pub use windows::{EvaluateOptions, evaluate, select_channels};
