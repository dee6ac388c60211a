//! One stream with a worker of its own.

use std::path::Path;

use super::options::StreamOptions;
use super::score::{Drift, StreamScore};
use super::state::{Counters, StreamRow, StreamState};
use super::worker::StreamWorker;
use crate::forecast::{Forecast, Forecaster};
use crate::preprocessor::Preprocessor;
use crate::{Config, Result};
use ptsm_core::Backend;

/// A forecaster that remembers the last rows and forecasts from them, again and again: a
/// [`StreamState`], which has the rules of rows and times, with a [`StreamWorker`].
///
/// The forecast after a row is, bit for bit, that of [`Forecaster::predict`] for a series that ends
/// with this row. After the first forecasts a model with point forecasts allocates nothing.
pub struct OnlineForecaster {
    worker: StreamWorker,
    pub(super) state: StreamState,
}

impl OnlineForecaster {
    /// Loads a model directory onto a backend and waits for the first row.
    ///
    /// # Errors
    ///
    /// Those of [`Forecaster::from_dir`]; `InvalidConfig` for impossible options.
    pub fn from_dir(dir: &Path, backend: &dyn Backend, options: StreamOptions) -> Result<Self> {
        Self::new(Forecaster::from_dir(dir, backend)?, options)
    }

    /// Waits for the first row.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible options.
    pub fn new(forecaster: Forecaster, options: StreamOptions) -> Result<Self> {
        let state = StreamState::new(forecaster.model(), options)?;
        let (model, session) = forecaster.into_parts();
        Ok(Self { worker: StreamWorker::with_session(model, session), state })
    }

    /// Takes in a row; gives a forecast if one is due.
    ///
    /// # Errors
    ///
    /// As [`StreamWorker::push`].
    pub fn push(&mut self, row: StreamRow<'_>) -> Result<Option<&Forecast>> {
        self.worker.push(&mut self.state, row)
    }

    /// What happened to the rows.
    pub fn counters(&self) -> Counters {
        self.state.counters()
    }

    /// Errors of the forecasts whose truth has come.
    pub fn score(&self) -> StreamScore {
        self.state.score()
    }

    /// The drift alarm.
    pub fn drift(&self) -> Drift {
        self.state.drift()
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        self.worker.model().config()
    }

    /// How rows are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        self.worker.model().preprocessor()
    }

    /// Writes everything that the stream has learnt so far to a file, atomically. A forecaster that
    /// restores it resumes with the same bits.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save_state(&self, path: &Path) -> Result<()> {
        self.state.save(path)
    }

    /// Resumes where [`OnlineForecaster::save_state`] was called.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidInput` if it is damaged or of another model, or was
    /// written with another `every`.
    pub fn restore_state(&mut self, path: &Path) -> Result<()> {
        self.state = StreamState::load(path, self.worker.model(), *self.state.options())?;
        Ok(())
    }
}
