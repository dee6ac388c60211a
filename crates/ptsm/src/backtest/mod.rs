//! Backtests: forecasts from rolling origins, scored in the units of the data beside simple forecasts and
//! other models.
//!
//! [`Origins`] says where the cutoffs lie, counted from the end of each series. [`Backtest::run`] goes over
//! the cutoffs, and at each over blocks of series, so that memory does not grow with their number: every
//! [`Contestant`] forecasts the block, its points are scored ([`BacktestMetrics`]), and the rows are handed
//! out ([`BacktestObserver::block`], [`BacktestBlock::table`]). A [`Journal`] keeps finished forecasts, so
//! that a backtest that was killed resumes to the same bits. [`Forecaster::backtest`] does it all in
//! memory.
//!
//! | file | holds |
//! |---|---|
//! | `origins.rs` | cutoffs |
//! | `contestant.rs` | a forecaster that takes part, and when it is trained again |
//! | `run.rs` | the loop over cutoffs and blocks |
//! | `block.rs` | the windows of a block: truth, simple forecasts, sums |
//! | `ridge.rs` | the linear baseline |
//! | `sums.rs`, `metrics.rs` | running sums, and the scores that they give |
//! | `summary.rs` | the result of a run |
//! | `totals.rs` | sums by cutoff, step and series |
//! | `report.rs` | the form of the result: scores, comparisons, what was left out or seen in training |
//! | `table.rs` | the rows of a block as a table |
//! | `journal.rs` | finished forecasts in a file |
//! | `in_memory.rs` | the backtest of a forecaster in a line |
//!
//! [`Forecaster::backtest`]: crate::Forecaster::backtest

mod block;
mod contestant;
mod in_memory;
mod journal;
mod metrics;
mod origins;
mod report;
mod ridge;
mod run;
mod summary;
mod sums;
mod table;
mod totals;

pub use contestant::{Contestant, Refit};
pub use in_memory::{BacktestOptions, Backtested};
pub use journal::Journal;
pub use metrics::{BacktestMetrics, IntervalMetrics, QuantileLoss};
pub use origins::Origins;
pub use report::{BacktestReport, ContestantScores, CutoffReport, NamedMetrics, Rival, Seen};
pub use run::{Backtest, BacktestObserver, Silent};
pub use table::BacktestBlock;
