//! Forecasts while the rows come in, one after the other.
//!
//! What a stream has seen ([`StreamState`], some kilobytes) is apart from what computes
//! ([`StreamWorker`]: a shared [`ForecastModel`](crate::forecast::ForecastModel), a session, buffers): one
//! worker serves any number of streams of its model, and any number of workers one model. An
//! [`OnlineForecaster`] is the pair for a single stream.
//!
//! | file | holds |
//! |---|---|
//! | `online.rs` | one stream with a worker of its own |
//! | `worker.rs` | what computes: model, session, buffers |
//! | `state.rs` | what a stream has seen; its file in `file.rs` |
//! | `options.rs` | when a stream forecasts |
//! | `watch.rs` | rows compared with their forecasts |
//! | `clock.rs`, `window.rs`, `score.rs` | the place of a row, the last rows, errors and drift |

mod clock;
mod file;
mod online;
mod options;
mod panel;
mod score;
mod state;
#[cfg(test)]
mod tests;
mod watch;
#[cfg(test)]
mod watch_tests;
mod window;
mod worker;

pub use online::OnlineForecaster;
pub use options::StreamOptions;
pub use panel::StreamPanel;
pub use score::{Drift, DriftOptions, StreamScore};
pub use state::{Counters, StreamRow, StreamState};
pub use watch::{StreamDetection, WatchCounts, WatchedPoint};
pub use worker::StreamWorker;
