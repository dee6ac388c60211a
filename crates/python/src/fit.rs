//! Training of a forecaster, and the forecast without training.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ptsm::Task;
use ptsm::forecast::{AnySeries, AnySeriesOptions};
use ptsm::job::{ChoiceJob, Job, JobData, Metric, Save, SaveMode, SeriesData, automatic_recipe};
use ptsm::model_dir::ModelDir;
use ptsm::spec::{DataSpec, Source};
use ptsm::zero_shot::zero_shot_network;
use ptsm::{Cpu, Error, Result};
use pyo3::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::columns::Wanted;
use crate::errors::raised;
use crate::files::{Files, temporary};
use crate::forecaster::{ForecastCore, Horizon, forecasts, refuse_empty};
use crate::frames::{Batches, Frame};
use crate::settings::{from_text, left_out, split, training};
use crate::work::{Watcher, long};

/// What a training is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    data: DataSpec,
    /// Lengths of the forecaster.
    h: Option<usize>,
    context_length: Option<usize>,
    seed: Option<u64>,
    metric: Option<Metric>,
    /// Options of a network, which is then trained alone.
    options: Map<String, Value>,
    /// Whether a model that is in the folder is replaced, in place of an unfinished run that is resumed.
    overwrite: bool,
}

impl Asked {
    /// Trains into a folder; notes on what was chosen.
    fn run(self, mut data: SeriesData, save: Save, watcher: &mut Watcher) -> Result<Vec<String>> {
        let alone = self.options.values().any(|value| !value.is_null());
        if let (true, Some(_)) = (alone, self.metric) {
            let text = "is for the default forecaster, without options of a network (`percent_loss` trains a network \
                        for it)";
            return Err(Error::config("metric", text));
        }
        let (mut model, mut settings) = split(self.options)?;
        model.prediction_length = self.h.or(model.prediction_length);
        model.context_length = self.context_length.or(model.context_length);
        if let Some(seed) = self.seed {
            settings.insert("seed".to_owned(), seed.into());
        }
        let (mut recipe, mut notes) = automatic_recipe(&data, &model);
        recipe.model = recipe.model.with(&model);
        recipe.model.settle();
        recipe.training = training(&recipe.training, &settings)?;
        let steps = recipe.model.prediction_length.unwrap_or(1);
        notes.extend(data.settle_covariates(steps)?.map(|choice| choice.sentence()));
        let data = JobData::from(data);
        if !alone {
            let metric = self.metric.unwrap_or_default();
            let job = ChoiceJob { data: &data, recipe, metric, save, budget: None };
            notes.push(job.run(watcher)?.choice.sentence());
            return Ok(notes);
        }
        let (model, training) = (recipe.model, recipe.training);
        let save = Some(save);
        let task = Task::Forecasting;
        let job = Job { data: &data, task, model, training, start: None, few_shot: None, save };
        let trained = job.run(watcher)?;
        watcher.0.go_on()?;
        let history = trained.record.history;
        notes.extend(history.divergence().map(|why| format!("the training diverged: {why}")));
        Ok(notes)
    }
}

/// Trains a forecaster on the series of a frame; what is asked for is JSON. `checkpoint` is a folder in which an
/// unfinished run of the same is resumed.
#[pyfunction]
pub(crate) fn fit(
    py: Python<'_>,
    frame: &Bound<'_, PyAny>,
    asked: &str,
    observer: Option<&Bound<'_, PyAny>>,
    checkpoint: Option<PathBuf>,
) -> PyResult<(ForecastCore, Vec<String>)> {
    let asked: Asked = raised(py, from_text(asked))?;
    let frame = Frame::take(frame)?;
    long(py, observer, move |shared| {
        let table = frame.table(&asked.data.read_options()?)?;
        let data = SeriesData::of_source(&asked.data, &Source::of_table(table))?;
        let folder = if checkpoint.is_some() { None } else { Some(temporary()?) };
        let dir = match (&checkpoint, &folder) {
            (Some(dir), _) => dir.as_path(),
            (None, Some(folder)) => folder.path(),
            (None, None) => return Err(Error::internal("a training has no folder")),
        };
        let mode = match (&checkpoint, asked.overwrite) {
            (Some(_), false) => SaveMode::Resume,
            (Some(_), true) => SaveMode::Replace,
            (None, _) => SaveMode::New,
        };
        let save = Save { dir: ModelDir::new(dir), mode };
        let notes = asked.run(data, save, &mut Watcher(shared))?;
        Ok((ForecastCore::load(Files::of_dir(dir)?)?, notes))
    })
}

/// What a forecast without training is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Untrained {
    data: DataSpec,
    /// `builtin`, or a directory of `ptsm pretrain`.
    model: PathBuf,
    h: Option<usize>,
    /// Levels of the intervals in (0, 1).
    levels: Vec<f64>,
    rows_before_end: usize,
    wanted: Wanted,
}

/// Forecasts every series of a frame by a network that was trained on others; what is asked for is JSON.
#[pyfunction]
pub(crate) fn forecast(
    py: Python<'_>,
    frame: &Bound<'_, PyAny>,
    asked: &str,
) -> PyResult<(Batches, Vec<String>)> {
    let asked: Untrained = raised(py, from_text(asked))?;
    let frame = Frame::take(frame)?;
    let schema = Arc::clone(&frame.schema);
    long(py, None, move |shared| {
        let Some(network) = zero_shot_network(&asked.model)? else {
            return Err(not_any_series(&asked.model));
        };
        let source = Source::of_table(frame.table(&asked.data.read_options()?)?);
        let options = AnySeriesOptions {
            data: &asked.data,
            steps: asked.h,
            levels: Some(&asked.levels),
            season_from: None,
        };
        let opened = AnySeries::open(network, &source, &options, &Cpu::default())?;
        // The series have all that is needed, so the memory of the table is released.
        drop(source);
        let AnySeries { mut forecaster, mut set, .. } = opened;
        let left = set.leave_out_unknown(asked.rows_before_end);
        refuse_empty(&set)?;
        let horizon = Horizon { rows_before_end: asked.rows_before_end, steps: None };
        let all = forecasts(&mut forecaster, &mut set, horizon, &|| shared.go_on())?;
        Ok((Batches::new(asked.wanted.batch(&set, &all, &schema)?), left_out(&left)))
    })
}

fn not_any_series(model: &Path) -> Error {
    let text =
        "was trained on a table, and forecasts tables like that (`Forecaster.from_pretrained`)";
    Error::config("model", text).at(model.display().to_string())
}

/// Refuses options of a network that are not known or have impossible values.
#[pyfunction]
pub(crate) fn check_options(py: Python<'_>, options: &str) -> PyResult<()> {
    raised(py, from_text(options).and_then(split).map(|_| ()))
}
