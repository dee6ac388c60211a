//! [`Request`] and [`Answer`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use ptsm::Forecast;
use ptsm::data::SeriesSet;
use ptsm::spec::DataSpec;

use super::rows::TableSource;
use crate::registry::Served;

/// A request for forecasts.
pub(crate) struct Request {
    pub(crate) model: Arc<Served>,
    pub(crate) input: Input,
    /// Rows before the end of the data from which it is forecast.
    pub(crate) rows_before_end: usize,
    /// Steps; `None` = those of the model.
    pub(crate) steps: Option<usize>,
    /// Levels of the intervals; `None` = those of the model.
    pub(crate) levels: Option<Vec<f64>>,
    pub(crate) deadline: Instant,
}

/// The past that is forecast from.
pub(crate) enum Input {
    /// A table, read as the model's own or as `data` says.
    Table { rows: TableSource, data: Box<DataSpec>, future: Option<TableSource> },
    /// Series with the model's channels.
    Set(Box<SeriesSet>),
}

/// Forecasts, and the time that they took.
pub(crate) struct Answer {
    pub(crate) set: Arc<SeriesSet>,
    pub(crate) forecasts: Vec<Forecast>,
    /// Series without a value before the forecast, which are not forecast.
    pub(crate) skipped: Vec<String>,
    pub(crate) times: Times,
}

/// Where the time of a request went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) parse: Duration,
    pub(crate) queue: Duration,
    pub(crate) compute: Duration,
}
