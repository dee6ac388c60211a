//! Anomalies: points that a forecaster did not expect, each with a p-value and a flag.
//!
//! The residual of a point is its value less the forecast of it, made from the rows up to some steps before it
//! ([`DetectorOptions::ahead`]). A [`Detector`] holds the sizes of residuals on rows that training did not see, and
//! turns a residual into a p-value by split conformal prediction. [`Forecaster::detect`] scans rows of series and
//! flags points by a level or by control of false discoveries; a stream does the same row by row
//! ([`StreamPanel::with_detector`](crate::stream::StreamPanel::with_detector)), at a fixed threshold or one that
//! adapts.
//!
//! Sources: p-values: Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005; false discoveries among
//! them: Bates, Candes, Lei, Romano, Sesia: Testing for outliers with conformal p-values, 2023 (arXiv 2104.08279);
//! Benjamini, Hochberg: Controlling the false discovery rate, 1995; the adaptive threshold: Gibbs, Candes: Adaptive
//! conformal inference under distribution shift, 2021 (arXiv 2106.00170).
//!
//! | file | holds |
//! |---|---|
//! | `rows.rs` | which rows of series are scanned or calibrated on |
//! | `expected.rs` | forecasts of rows from those before them |
//! | `hiding.rs` | unexpected points that later forecasts are made without |
//! | `detector.rs` | sizes of residuals, p-values; its file in `file.rs` |
//! | `discoveries.rs` | p-values adjusted for the number of points |
//! | `scan.rs` | [`Forecaster::detect`] |
//! | `not_scored.rs` | points without a forecast or a calibration |
//! | `table.rs` | the scanned points as a table |
//! | `report.rs` | events, counts, what is expected to be flagged falsely |
//! | `adaptive.rs` | a level that follows the share of flagged rows |
//!
//! [`Forecaster::detect`]: crate::Forecaster::detect

mod adaptive;
mod detector;
mod discoveries;
mod expected;
mod file;
mod hiding;
mod not_scored;
mod report;
mod rows;
mod scan;
mod table;
#[cfg(test)]
mod tests;

pub use adaptive::AdaptiveLevel;
pub use detector::{Detector, DetectorOptions, PValue, ValueAndForecast};
pub use discoveries::adjusted;
pub(crate) use hiding::HiddenRows;
pub use not_scored::NotScored;
pub use report::{DetectionReport, Event};
pub use rows::{SeriesRows, TrainedOn, rows_before_test, rows_of_part, whole_rows};
pub(crate) use scan::check_hide;
pub use scan::{Detection, FlagBy, ScanOptions, ScannedPoint};
