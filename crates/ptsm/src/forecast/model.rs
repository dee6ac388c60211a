//! [`ForecastModel`]: the immutable part of a forecaster, shared by all threads and streams.

use std::borrow::Borrow;
use std::path::Path;
use std::sync::Arc;

use super::answer::Forecast;
use super::interface::{Contexts, ForecastInterface};
use crate::calibration::{Band, Calibration};
use crate::data::{Batch, Repair, Series, SeriesSet, Table};
use crate::ensemble::Members;
use crate::preprocessor::Preprocessor;
use crate::{Config, Error, Result};
use ptsm_core::{Backend, Loaded, OutputSpec, Prediction, Session, read_consistently};

/// A trained forecaster that never changes: one of it, in an [`Arc`], serves every thread and every
/// stream. To compute, each of them takes a session of its own ([`ForecastModel::session`], or a
/// [`Forecaster`](crate::Forecaster)).
pub struct ForecastModel {
    pub(super) interface: ForecastInterface,
    loaded: Arc<dyn Loaded>,
    fingerprint: String,
    wanted_rows: usize,
    recent_rows: usize,
}

impl ForecastModel {
    /// Loads a model directory, or an ensemble of them, onto a backend.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights` naming the file; `BackendUnavailable`.
    pub fn from_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        read_consistently(dir, || Self::read_dir(dir, backend))
    }

    fn read_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        let members = Members::from_dir(dir)?;
        let config = &members.config;
        let preprocessor = Preprocessor::from_dir(dir, config)?;
        if !members.output()?.kind().is_forecast() {
            let text = format!("{} forecasts nothing", config.task()?.architecture());
            return Err(Error::config("architectures", text).at(dir.display().to_string()));
        }
        let calibration = Calibration::from_dir(dir, config)?;
        Self::assemble(&members, preprocessor, calibration, backend)
    }

    /// Puts members that agree in what they read and forecast onto a backend.
    pub(crate) fn assemble(
        members: &Members,
        preprocessor: Preprocessor,
        calibration: Option<Calibration>,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let loaded = members.load(backend)?;
        let (config, output) = (members.config.clone(), members.output()?);
        let interface = ForecastInterface::of_output(config, output, preprocessor, calibration);
        let (fingerprint, wanted_rows) = (members.fingerprint(), members.wanted_rows());
        let recent_rows = members.recent_rows();
        Ok(Self { interface, loaded, fingerprint, wanted_rows, recent_rows })
    }

    /// Levels of the intervals that forecasts come with: those of the calibration, or those of the
    /// uncalibrated head ([`OutputKind::interval_levels`](ptsm_core::OutputKind::interval_levels)).
    pub fn interval_levels(&self) -> &[f64] {
        &self.interface.levels
    }

    /// How the intervals were calibrated, if they were.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.interface.calibration.as_ref()
    }

    /// What differs for other members, see [`Members::fingerprint`].
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Rows from which a forecast is as it is meant to be: the whole context of networks and ridge
    /// regressions; two seasons, and 8 rows at least, for classical methods.
    pub fn wanted_rows(&self) -> usize {
        self.wanted_rows
    }

    /// Rows at the end of a context that a forecast is computed from, and that baselines beside it see: the whole
    /// context, but of a zero-shot network those before them only show its week.
    pub fn recent_rows(&self) -> usize {
        self.recent_rows
    }

    /// What the head puts out.
    pub fn output_spec(&self) -> &OutputSpec {
        &self.interface.output
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.interface.config
    }

    /// How tables are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.interface.preprocessor
    }

    /// The weights on their backend.
    pub fn loaded(&self) -> &dyn Loaded {
        self.loaded.as_ref()
    }

    /// A session that runs the model in one thread.
    ///
    /// # Errors
    ///
    /// As [`Loaded::session`].
    pub fn session(&self) -> Result<Box<dyn Session>> {
        self.loaded.session()
    }

    /// The interval of every level of [`ForecastModel::interval_levels`] for the output of the head
    /// for a batch, `[B, H, C']`, standardised units.
    pub fn bands(&self, batch: &Batch, output: &Prediction) -> Vec<Band> {
        self.interface.bands(batch, output)
    }

    /// Takes the model's channels out of a table, as in training.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    pub fn read(&self, table: &Table, repair: &Repair) -> Result<SeriesSet> {
        self.interface.preprocessor.read(table, repair)
    }

    /// The last window in front of `rows_before_end` rows before the end of each series, each
    /// standardised by its series' shift and scale: one batch. No window looks at another one. What
    /// is missing in front of a series that is shorter than the context is masked.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the series, if it has no row before the forecast, another number of
    /// channels, or a value in the window that is beyond the range of single precision.
    pub fn contexts<S: Borrow<Series> + Sync>(
        &self,
        series: &[S],
        rows_before_end: usize,
    ) -> Result<Contexts> {
        self.interface.contexts(series, rows_before_end)
    }

    /// The forecasts of these contexts in data units, one for each window, without name and times;
    /// `output` is that of the head for their batch.
    pub fn read_out(&self, output: &Prediction, contexts: &Contexts) -> Vec<Forecast> {
        self.interface.read_out(output, contexts)
    }

    /// What lies between the data and the network.
    pub(crate) fn interface(&self) -> &ForecastInterface {
        &self.interface
    }
}
