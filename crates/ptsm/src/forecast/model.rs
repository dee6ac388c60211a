//! A forecaster's immutable part: everything that a model directory says, shared by all that use it.

use std::path::Path;
use std::sync::Arc;

use super::answer::{Forecast, ForecastInterval};
use crate::calibration::{self, Calibration};
use crate::data::{Batch, BatchShape, Repair, Series, SeriesSet, Table};
use crate::ensemble::{load_members, load_together};
use crate::train::numbers_fingerprint;
use ptsm_core::option;

use crate::preprocessor::Preprocessor;
use crate::{Config, Error, Model, Result};
use ptsm_core::{Backend, Loaded, OutputSpec, Prediction, Session};

/// Levels of the intervals of a head that says how sure it is.
const DEFAULT_LEVELS: [f64; 2] = [0.8, 0.95];

/// A trained forecaster that never changes: one of it, in an [`Arc`], serves every thread and every
/// stream. To compute, each of them takes a session of its own ([`ForecastModel::session`], or a
/// [`Forecaster`](crate::Forecaster)).
pub struct ForecastModel {
    config: Config,
    preprocessor: Preprocessor,
    output: Arc<OutputSpec>,
    calibration: Option<Calibration>,
    /// Levels of the intervals that forecasts come with.
    levels: Vec<f64>,
    loaded: Arc<dyn Loaded>,
    fingerprint: String,
}

impl ForecastModel {
    /// Loads a model directory, or an ensemble of them, onto a backend.
    ///
    /// # Errors
    ///
    /// `Io`, `InvalidConfig` or `InvalidWeights` naming the file; `BackendUnavailable`.
    pub fn from_dir(dir: &Path, backend: &dyn Backend) -> Result<Self> {
        let members = load_members(dir)?;
        // The members agree in everything that is read from it here.
        let config = members[0].0.config().clone();
        let preprocessor = Preprocessor::from_dir(dir, &config)?;
        if !members[0].0.output().kind().is_forecast() {
            let text = format!("{} forecasts nothing", config.task()?.architecture());
            return Err(Error::config("architectures", text).at(dir.display().to_string()));
        }
        let calibration = Calibration::from_dir(dir, &config)?;
        Self::assemble(&members, preprocessor, calibration, backend)
    }

    /// Puts members that agree in what they read and forecast onto a backend.
    pub(crate) fn assemble(
        members: &[(Model, f64)],
        preprocessor: Preprocessor,
        calibration: Option<Calibration>,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let config = members[0].0.config().clone();
        let loaded = load_together(members, backend)?;
        let output = Arc::clone(members[0].0.output());
        let levels = match &calibration {
            Some(calibration) => calibration.intervals.iter().map(|i| i.level).collect(),
            None if output.kind().is_probabilistic() => DEFAULT_LEVELS.to_vec(),
            None => Vec::new(),
        };
        let numbers: Vec<&[f32]> = members
            .iter()
            .flat_map(|(model, _)| [&model.parameters.trained[..], &model.parameters.buffers])
            .collect();
        let fingerprint = numbers_fingerprint(&numbers);
        Ok(Self { config, preprocessor, output, calibration, levels, loaded, fingerprint })
    }

    /// Levels of the intervals that forecasts come with: those of the calibration, or 80 and 95 %
    /// for a head that says how sure it is.
    pub fn interval_levels(&self) -> &[f64] {
        &self.levels
    }

    /// How the intervals were calibrated, if they were.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// SHA-256 over the weights.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What the head puts out.
    pub fn output_spec(&self) -> &OutputSpec {
        &self.output
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How tables are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// The weights on their backend.
    pub fn loaded(&self) -> &dyn Loaded {
        self.loaded.as_ref()
    }

    /// Something to run the model with, for one thread.
    ///
    /// # Errors
    ///
    /// As [`Loaded::session`].
    pub fn session(&self) -> Result<Box<dyn Session>> {
        self.loaded.session()
    }

    /// The interval at number `index` of [`ForecastModel::interval_levels`], `[B, H, C']` low and
    /// high, standardised units.
    ///
    /// # Panics
    ///
    /// If there is no such level.
    pub fn interval(&self, output: &Prediction, index: usize) -> (Vec<f64>, Vec<f64>) {
        match &self.calibration {
            Some(calibration) => calibration.apply(output, index),
            None => calibration::interval(output, self.levels[index]),
        }
    }

    /// Takes the model's channels out of a table, as in training.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    pub fn read(&self, table: &Table, repair: &Repair) -> Result<SeriesSet> {
        self.preprocessor.read(table, repair)
    }

    /// The last window in front of `rows_before_end` rows before the end of each series,
    /// standardised: one batch. No window looks at another one.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the series, if it is shorter than the context, has another number of
    /// channels, or holds a value in the window that is beyond the range of single precision.
    pub fn windows(&self, series: &[Series], rows_before_end: usize) -> Result<Batch> {
        let Config { context_length, num_input_channels, .. } = self.config;
        let points = series.len() * context_length * num_input_channels;
        let mut past_values = Vec::with_capacity(points);
        let gaps = series.iter().any(|series| series.observed.is_some());
        let mut mask: Option<Vec<f32>> = gaps.then(|| Vec::with_capacity(points));
        for series in series {
            let end = self.end_of(series, rows_before_end)?;
            let rows = end - context_length..end;
            let apply = self.preprocessor.standardiser.apply_rows(series, rows.clone());
            past_values.extend(apply.map_err(|e| match series.id.as_str() {
                "" => e,
                id => e.at(id),
            })?);
            let points = rows.start * num_input_channels..rows.end * num_input_channels;
            if let Some(mask) = &mut mask {
                match &series.observed {
                    Some(seen) => {
                        mask.extend(seen[points].iter().map(|&seen| f32::from(u8::from(seen))));
                    }
                    None => mask.resize(mask.len() + points.len(), 1.0),
                }
            }
        }
        let shape =
            BatchShape { size: series.len(), context_length, num_channels: num_input_channels };
        Batch::new(shape, past_values)?.with_observed_mask(mask)
    }

    /// Rows in front of the forecast: at least a whole context.
    fn end_of(&self, series: &Series, rows_before_end: usize) -> Result<usize> {
        let context_length = self.config.context_length;
        let end = series.num_rows().saturating_sub(rows_before_end);
        if end < context_length {
            let name = if series.id.is_empty() { "the data" } else { &series.id };
            let text = format!(
                "{name}: {end} rows in front of the forecast, context_length {context_length} \
                 needs as many (give more rows, or train with a shorter {})",
                option("context_length", None)
            );
            return Err(Error::input(text));
        }
        Ok(end)
    }

    /// The forecasts of a batch in data units, one for each window, without name and times.
    pub fn read_out(&self, output: &Prediction) -> Vec<Forecast> {
        let points = output.points();
        let bands = self.bands(output);
        let each = self.config.prediction_length * self.output.channels().len();
        let forecast = |(b, points): (usize, &[f32])| {
            let mut forecast = self.empty_forecast();
            self.fill(points, &bands, b * each, &mut forecast);
            forecast
        };
        points.chunks_exact(each).enumerate().map(forecast).collect()
    }

    /// As [`ForecastModel::read_out`] for one window, into memory that is there already; leaves the
    /// standardised points in `points`.
    pub(crate) fn read_one(
        &self,
        output: &Prediction,
        points: &mut Vec<f32>,
        forecast: &mut Forecast,
    ) {
        output.points_into(points);
        self.fill(points, &self.bands(output), 0, forecast);
    }

    /// A forecast with the model's channels and no values.
    pub(crate) fn empty_forecast(&self) -> Forecast {
        let channels = self.output.channels();
        Forecast {
            id: String::new(),
            timestamps: None,
            first_row: 0,
            values: Vec::new(),
            intervals: Vec::new(),
            channels: channels.iter().map(|&c| self.preprocessor.channels[c].clone()).collect(),
        }
    }

    /// Every interval of a batch, standardised.
    fn bands(&self, output: &Prediction) -> Vec<(Vec<f64>, Vec<f64>)> {
        (0..self.levels.len()).map(|i| self.interval(output, i)).collect()
    }

    /// Standardised values of one window, `[H, C']`, in data units.
    pub(crate) fn in_data_units(&self, window: &[f64]) -> Vec<f64> {
        window.iter().enumerate().map(|(i, &x)| self.undo(i, x as f32)).collect()
    }

    /// Value `i` of a window, `[H, C']`, in data units.
    fn undo(&self, i: usize, x: f32) -> f64 {
        let channels = self.output.channels();
        self.preprocessor.standardiser.undo_value(channels[i % channels.len()], x)
    }

    /// Writes one window's points, and its part of the intervals from number `first` on, in data
    /// units.
    fn fill(
        &self,
        points: &[f32],
        bands: &[(Vec<f64>, Vec<f64>)],
        first: usize,
        forecast: &mut Forecast,
    ) {
        forecast.values.clear();
        let values = points.iter().enumerate().map(|(i, &x)| self.undo(i, x));
        forecast.values.extend(values);
        let undo_all = |ends: &[f64]| self.in_data_units(&ends[first..first + points.len()]);
        forecast.intervals.clear();
        forecast.intervals.extend(self.levels.iter().zip(bands).map(|(&level, (low, high))| {
            ForecastInterval { level, lower: undo_all(low), upper: undo_all(high) }
        }));
    }
}
