//! [`Kind`]: what a model does.

use std::sync::{Arc, Mutex};

use ptsm::forecast::{ForecastModel, LoadedNetwork};
use ptsm::labeller::Labeller;

/// What a model does.
pub(crate) enum Kind {
    /// Forecasts tables like that of its training.
    Forecasts(Arc<ForecastModel>),
    /// Forecasts any series.
    AnySeries(Box<LoadedNetwork>),
    /// Labels cases.
    Labels(Box<Mutex<Labeller>>),
}
