//! A trained forecaster: its files, the model in memory, and what it can be asked.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use ptsm::calibration::{Calibration, CalibrationOptions};
use ptsm::data::{NO_COLUMN, Part, ReadOptions, SeriesSet, Table};
use ptsm::evaluate::Detail;
use ptsm::forecast::ForecastModel;
use ptsm::job::{Choice, trained_on_validation};
use ptsm::model_dir::{ModelDir, read_json};
use ptsm::model_writer::ModelWriter;
use ptsm::score::ScoreOptions;
use ptsm::spec::{DataSpec, Source};
use ptsm::{Cpu, Error, Forecast, Forecaster, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde::Deserialize;

use crate::columns::Wanted;
use crate::errors::raised;
use crate::files::Files;
use crate::frames::{Batches, Frame};
use crate::onnx;
use crate::settings::{Rows, from_text, left_out};
use crate::work::{long, short};

/// Rows up to which a forecast is made in place; of more in a thread of its own, so that Ctrl-C is heard.
const SHORT_ROWS: usize = 1 << 14;
/// Series that are forecast between two looks at whether the call was interrupted.
const AT_ONCE: usize = 256;

/// A trained forecaster.
#[pyclass(frozen, module = "ptsm._ptsm")]
pub(crate) struct ForecastCore {
    pub(crate) files: Arc<Files>,
    pub(crate) model: Arc<ForecastModel>,
    /// Forecasters that nobody uses at the moment. Touched only with the interpreter's lock held.
    idle: Mutex<Vec<Forecaster>>,
}

/// What a forecast is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    data: DataSpec,
    h: Option<usize>,
    rows_before_end: usize,
    wanted: Wanted,
}

/// What scores are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scored {
    data: DataSpec,
    split: Rows,
    baselines: bool,
    per_step: bool,
    per_channel: bool,
    per_series: bool,
}

/// What a calibration is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calibrated {
    data: DataSpec,
    split: Rows,
    /// Levels in (0, 1), ascending.
    levels: Vec<f64>,
}

impl ForecastCore {
    /// Loads a model from its files.
    pub(crate) fn load(files: Files) -> Result<Self> {
        let model = files.in_folder(|dir| ForecastModel::from_dir(dir, &Cpu::default()))?;
        Ok(Self { files: Arc::new(files), model: Arc::new(model), idle: Mutex::default() })
    }

    fn take(&self) -> Option<Forecaster> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give_back(&self, forecaster: Forecaster) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(forecaster);
    }
}

/// How a frame is read for a model: the names of its series to the letter, and what meant "missing" in training.
pub(crate) fn reading(model: &ForecastModel, spec: &DataSpec) -> Result<ReadOptions> {
    let preprocessor = model.preprocessor();
    let id = spec.id.clone().or_else(|| preprocessor.roles.id.clone());
    let missing = spec.missing.iter().chain(&preprocessor.missing).cloned().collect();
    DataSpec { id, missing, ..spec.clone() }.read_options()
}

/// The series of a frame, as the model reads them.
pub(crate) fn series(model: &ForecastModel, spec: &DataSpec, table: Table) -> Result<SeriesSet> {
    let source = Source::of_table(table);
    let repair = spec.repair(&source)?;
    model.preprocessor().read_as(&source.table, &spec.roles(), &repair)
}

/// A table, and one of covariates in the steps after it.
pub(crate) struct Planned {
    pub(crate) table: Table,
    pub(crate) plan: Option<Table>,
}

impl Planned {
    /// The series, with the plan after their ends.
    pub(crate) fn series(self, model: &ForecastModel, spec: &DataSpec) -> Result<SeriesSet> {
        let mut set = series(model, spec, self.table)?;
        if let Some(plan) = self.plan {
            let source = Source::of_table(plan);
            let repair = spec.repair(&source)?;
            let plan = model.preprocessor().read_plan(&source.table, &spec.roles(), &repair)?;
            set.join_plan(&plan)?;
        }
        Ok(set)
    }
}

/// Where forecasts begin, and how far they go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Horizon {
    pub(crate) rows_before_end: usize,
    /// `None` = the model's own.
    pub(crate) steps: Option<usize>,
}

/// Forecasts of every series; `go_on` is asked between some of them and others.
pub(crate) fn forecasts(
    forecaster: &mut Forecaster,
    set: &mut SeriesSet,
    horizon: Horizon,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Vec<Forecast>> {
    let steps = horizon.steps.unwrap_or(forecaster.config().prediction_length);
    let mut all = Vec::with_capacity(set.series.len());
    let mut rest = std::mem::take(&mut set.series).into_iter();
    let mut done = Vec::with_capacity(rest.len());
    while rest.len() > 0 {
        set.series = rest.by_ref().take(AT_ONCE).collect();
        all.extend(forecaster.predict_steps(set, horizon.rows_before_end, steps)?);
        done.append(&mut set.series);
        go_on()?;
    }
    set.series = done;
    Ok(all)
}

/// A forecast that is asked for, of a table that is read.
struct Run {
    model: Arc<ForecastModel>,
    asked: Asked,
    schema: SchemaRef,
    planned: Planned,
    /// A forecaster that nobody uses, if there is one.
    idle: Option<Forecaster>,
}

/// What comes of it: rows, notes, and the forecaster for the next call.
struct Ended {
    batches: Batches,
    notes: Vec<String>,
    forecaster: Forecaster,
}

impl Run {
    fn run(self, go_on: &dyn Fn() -> Result<()>) -> Result<Ended> {
        let Self { model, asked, schema, planned, idle } = self;
        let mut set = planned.series(&model, &asked.data)?;
        let notes = left_out(&set.leave_out_unknown(asked.rows_before_end));
        refuse_empty(&set)?;
        let mut forecaster = match idle {
            Some(idle) => idle,
            None => Forecaster::new(model)?,
        };
        let horizon = Horizon { rows_before_end: asked.rows_before_end, steps: asked.h };
        let all = forecasts(&mut forecaster, &mut set, horizon, go_on)?;
        let batches = Batches::new(asked.wanted.batch(&set, &all, &schema)?);
        Ok(Ended { batches, notes, forecaster })
    }
}

#[pymethods]
impl ForecastCore {
    /// Loads a model directory.
    #[staticmethod]
    fn from_dir(py: Python<'_>, dir: std::path::PathBuf) -> PyResult<Self> {
        short(py, || Self::load(Files::of_dir(&dir)?))
    }

    /// Loads a model from its files by their names.
    #[staticmethod]
    fn from_files(
        py: Python<'_>,
        files: std::collections::BTreeMap<String, Vec<u8>>,
    ) -> PyResult<Self> {
        short(py, || Self::load(Files(files)))
    }

    /// Its files by their names below the model directory.
    fn files<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        files_dict(py, &self.files)
    }

    /// Writes the model as an ONNX file; what is asked for, and what the file takes and gives, is JSON.
    fn to_onnx(&self, py: Python<'_>, path: std::path::PathBuf, asked: &str) -> PyResult<String> {
        short(py, || onnx::write(&self.files, &path, asked))
    }

    /// Writes the model directory, as a whole or not at all.
    fn save(&self, py: Python<'_>, dir: std::path::PathBuf, overwrite: bool) -> PyResult<()> {
        short(py, || self.files.save(&dir, overwrite))
    }

    /// What the model is, as JSON.
    fn info(&self, py: Python<'_>) -> PyResult<String> {
        short(py, || {
            let (config, preprocessor) = (self.model.config(), self.model.preprocessor());
            let named = |role: &Option<String>| role.clone().filter(|name| name != NO_COLUMN);
            let channels = config.prediction_channels();
            let names = channels.iter().map(|&channel| &preprocessor.channels[channel]);
            let value = serde_json::json!({
                "h": config.prediction_length,
                "context_length": config.context_length,
                "channels": preprocessor.channels,
                "targets": names.collect::<Vec<_>>(),
                "id_col": named(&preprocessor.roles.id),
                "time_col": named(&preprocessor.roles.timestamp),
                "freq": preprocessor.frequency,
                "season_length": preprocessor.seasonal_period,
                "covariates": preprocessor.roles.future_covariates,
                "level": self.model.interval_levels().iter().map(|level| 100.0 * level).collect::<Vec<_>>(),
                "wanted_rows": self.model.wanted_rows(),
            });
            Ok(value.to_string())
        })
    }

    /// Forecasts past the end of every series of a frame; what is asked for is JSON. `plan` has the covariates in the
    /// steps of the forecast.
    #[pyo3(signature = (frame, plan, asked))]
    fn predict(
        &self,
        py: Python<'_>,
        frame: &Bound<'_, PyAny>,
        plan: Option<&Bound<'_, PyAny>>,
        asked: &str,
    ) -> PyResult<(Batches, Vec<String>)> {
        let asked: Asked = raised(py, from_text(asked))?;
        let (frame, plan) = (Frame::take(frame)?, plan.map(Frame::take).transpose()?);
        let schema = Arc::clone(&frame.schema);
        let options = raised(py, reading(&self.model, &asked.data))?;
        let read = || -> Result<Planned> {
            let plan = plan.map(|plan| plan.table(&options)).transpose()?;
            Ok(Planned { table: frame.table(&options)?, plan })
        };
        let planned = raised(py, py.detach(read))?;
        let (model, idle) = (Arc::clone(&self.model), self.take());
        let is_short = planned.table.num_rows() <= SHORT_ROWS;
        let run = Run { model, asked, schema, planned, idle };
        let Ended { batches, notes, forecaster } = match is_short {
            true => short(py, move || run.run(&|| Ok(())))?,
            false => long(py, None, move |shared| run.run(&|| shared.go_on()))?,
        };
        self.give_back(forecaster);
        Ok((batches, notes))
    }

    /// Scores beside baselines, as JSON and as the table that people read.
    fn evaluate(
        &self,
        py: Python<'_>,
        frame: &Bound<'_, PyAny>,
        asked: &str,
    ) -> PyResult<(String, String)> {
        let asked: Scored = raised(py, from_text(asked))?;
        let frame = Frame::take(frame)?;
        let (model, files) = (Arc::clone(&self.model), Arc::clone(&self.files));
        long(py, None, move |shared| {
            let table = frame.table(&reading(&model, &asked.data)?)?;
            let set = series(&model, &asked.data, table)?;
            let mut forecaster = Forecaster::new(model)?;
            let prepared = forecaster.prepare_up_to(&set, asked.split.borders)?;
            let measure =
                files.in_folder(|dir| read_json::<Choice>(&ModelDir::new(dir).choice()))?;
            let go_on = |_, _| shared.go_on();
            let options = ScoreOptions {
                dataset: crate::frames::SOURCE.to_owned(),
                part: asked.split.part,
                baselines: asked.baselines,
                season: asked.data.season,
                measure: measure.map(|choice| choice.metric.measure()).unwrap_or_default(),
                detail: Detail {
                    per_step: asked.per_step,
                    per_channel: asked.per_channel,
                    per_series: asked.per_series,
                },
                progress: Some(&go_on),
                ..ScoreOptions::default()
            };
            let evaluation = forecaster.score(&prepared, &options)?;
            let text = serde_json::to_string(&evaluation)
                .map_err(|e| Error::internal("scores cannot be written").because(e))?;
            Ok((text, evaluation.table()))
        })
    }

    /// The same forecaster with intervals whose coverage was fitted on one part of a frame.
    fn calibrate(&self, py: Python<'_>, frame: &Bound<'_, PyAny>, asked: &str) -> PyResult<Self> {
        let asked: Calibrated = raised(py, from_text(asked))?;
        let frame = Frame::take(frame)?;
        let (model, files) = (Arc::clone(&self.model), Arc::clone(&self.files));
        long(py, None, move |_| {
            let table = frame.table(&reading(&model, &asked.data)?)?;
            let set = series(&model, &asked.data, table)?;
            files.in_folder(|dir| {
                if asked.split.part == Part::Validation
                    && asked.split.borders.is_none()
                    && trained_on_validation(dir)?
                {
                    let text = "a member of this model was fitted to the validation part, too: intervals from it \
                                would be too narrow (`split=\"test\"`, or a frame of later rows)";
                    return Err(Error::config("split", text));
                }
                let mut forecaster = Forecaster::new(model)?;
                let prepared = forecaster.prepare(&set, asked.split.borders)?;
                let season = forecaster.preprocessor().seasonal_period;
                let name = format!("{}, {}", crate::frames::SOURCE, asked.split.part.name());
                let options = CalibrationOptions { name: &name, levels: &asked.levels, season };
                let config = forecaster.config().clone();
                let windows = prepared.part(asked.split.part);
                let fitted = Calibration::fit(&config, forecaster.session(), windows, &options)?;
                ModelWriter::existing(&ModelDir::new(dir))?.add(|staged| fitted.save(staged.path()))?;
                Self::load(Files::of_dir(dir)?)
            })
        })
    }
}

/// Refuses a forecast of nothing.
pub(crate) fn refuse_empty(set: &SeriesSet) -> Result<()> {
    match set.series.is_empty() {
        true => Err(Error::input("no series has a value before the forecast (give more rows)")),
        false => Ok(()),
    }
}

/// Files as a dictionary of bytes.
pub(crate) fn files_dict<'py>(py: Python<'py>, files: &Files) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, bytes) in &files.0 {
        dict.set_item(name, PyBytes::new(py, bytes))?;
    }
    Ok(dict)
}
