//! [`Kind`]: what a model does.

use std::sync::{Arc, Mutex};

use ptsm::Model;
use ptsm::forecast::ForecastModel;
use ptsm::labeller::Labeller;

/// What a model does.
pub(crate) enum Kind {
    /// Forecasts tables like that of its training.
    Forecasts(Arc<ForecastModel>),
    /// Forecasts any series.
    AnySeries(Box<Model>),
    /// Labels cases.
    Labels(Box<Mutex<Labeller>>),
}
