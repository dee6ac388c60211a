//! Forecasts from rolling cutoffs, as a frame and as scores.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::RecordBatch;
use ptsm::backtest::{Backtest, BacktestBlock, BacktestObserver, Contestant, Origins, Refit};
use ptsm::data::{Column, SeriesSet, Table};
use ptsm::evaluate::Measure;
use ptsm::forecast::{IntervalNames, free_name};
use ptsm::job::{Again, SeriesData, trained_on_validation};
use ptsm::spec::DataSpec;
use ptsm::{Error, Forecaster, Result};
use pyo3::prelude::*;
use serde::Deserialize;

use crate::columns::as_given;
use crate::errors::raised;
use crate::files::Files;
use crate::forecaster::{ForecastCore, reading, series};
use crate::frames::{Batches, Frame, SOURCE};
use crate::settings::from_text;
use crate::work::{Shared, long};

/// What a backtest is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    data: DataSpec,
    h: Option<usize>,
    windows: usize,
    step: Option<usize>,
    /// Cutoffs from one training to the next; 0 = the model stays as it is.
    refit: usize,
    baselines: bool,
    /// Name of the forecast of a single channel.
    alias: String,
}

impl Asked {
    fn contestant(&self, forecaster: Forecaster, files: &Files) -> Result<Contestant> {
        let preprocessor = forecaster.preprocessor();
        let others = preprocessor.takes_any_series();
        let split = (!others).then_some(preprocessor.split);
        let again = match self.refit {
            0 => None,
            _ if others => {
                let text =
                    "would not be used: the model was not trained on these data (leave it out)";
                return Err(Error::config("refit", text));
            }
            _ if preprocessor.standardiser.effects.is_some() => {
                let text = "models with covariates are not trained again yet (leave it out)";
                return Err(Error::config("refit", text));
            }
            _ => Some(files.in_folder(Again::from_dir)?),
        };
        let with_validation = files.in_folder(trained_on_validation)?;
        Ok(Contestant { name: self.alias.clone(), forecaster, split, with_validation, again })
    }

    fn data(&self, forecaster: &Forecaster, set: SeriesSet) -> SeriesData {
        let preprocessor = forecaster.preprocessor();
        SeriesData {
            name: SOURCE.to_owned(),
            split: preprocessor.split,
            missing: preprocessor.missing.clone(),
            grid: preprocessor.grid,
            seasonal_period: self.data.season.unwrap_or(preprocessor.seasonal_period),
            set,
            effects: None,
            covariates: None,
        }
    }
}

/// Collects the rows of a backtest.
struct Taker<'a> {
    alias: &'a str,
    /// Columns of the frame, whose types those of the rows are.
    given: &'a Schema,
    batches: Vec<RecordBatch>,
    shared: &'a Shared,
}

impl BacktestObserver for Taker<'_> {
    fn block(&mut self, block: &BacktestBlock<'_>) -> Result<()> {
        let table = block.table(IntervalNames::Nixtla)?;
        if table.num_rows() > 0 {
            let places = Places::of(block, &table)?;
            let table = places.as_nixtla(&table, self.alias)?;
            self.batches.push(as_given(&table, &places.with_cutoff(self.given, &table))?);
        }
        Ok(())
    }

    fn progress(&mut self, _: usize, _: usize) -> Result<()> {
        self.shared.go_on()
    }

    fn training(&mut self, _: usize, _: &str) -> Result<()> {
        self.shared.go_on()
    }
}

/// Where the columns of a block lie: ids, the cutoff and the time before it, then the truth of each channel, then the
/// forecasts. Names tell nothing: a column of ids or a target may be called like any of them.
struct Places {
    /// Names of the channels.
    channels: Vec<String>,
    /// The first column of the truth.
    truth: usize,
}

impl Places {
    fn of(block: &BacktestBlock<'_>, table: &Table) -> Result<Self> {
        let first = block.forecasts.first().and_then(|all| all.first());
        let first = first.ok_or_else(|| Error::internal("a block without forecasts has rows"))?;
        let forecasts = 1 + 2 * first.intervals.len() + first.quantiles.len();
        let channels = first.channels.clone();
        let later = channels.len() * (1 + forecasts);
        match table.columns().len().checked_sub(later) {
            Some(truth) if truth >= 2 => Ok(Self { channels, truth }),
            _ => Err(Error::internal("a block of a backtest lacks columns")),
        }
    }

    /// The columns with their names in Nixtla's libraries: id, time, cutoff, the truth under the name of the target, and
    /// the forecast of a single target under the alias.
    fn as_nixtla(&self, table: &Table, alias: &str) -> Result<Table> {
        let mut columns: Vec<Column> = table.columns().to_vec();
        if let [target] = &self.channels[..] {
            let leading = columns[..self.truth].iter().map(|one| one.name.clone());
            let taken: Vec<String> = leading.chain([target.clone()]).collect();
            let free = free_name(alias, &taken);
            columns[self.truth].name.clone_from(target);
            for column in &mut columns[self.truth + 1..] {
                let rest = column.name.strip_prefix(target.as_str()).unwrap_or(&column.name);
                column.name = format!("{free}{rest}");
            }
        }
        // Times come before cutoffs.
        columns.swap(self.truth - 2, self.truth - 1);
        Table::new(columns)
    }

    /// Types of the columns, the cutoff of the type of the times; `table` is one of [`Self::as_nixtla`].
    fn with_cutoff(&self, given: &Schema, table: &Table) -> Schema {
        let mut fields: Vec<Field> = given.fields().iter().map(|field| (**field).clone()).collect();
        let name = |place: usize| table.columns()[place].name.as_str();
        let cutoff = name(self.truth - 1);
        fields.retain(|field| field.name() != cutoff);
        if let Ok(times) = given.field_with_name(name(self.truth - 2)) {
            fields.push(times.clone().with_name(cutoff));
        }
        Schema::new(fields)
    }
}

/// Forecasts the series of a frame from rolling cutoffs: the rows, the scores as JSON, and the table that people read.
#[pyfunction]
pub(crate) fn backtest(
    py: Python<'_>,
    core: &ForecastCore,
    frame: &Bound<'_, PyAny>,
    asked: &str,
) -> PyResult<(Batches, String, String)> {
    let asked: Asked = raised(py, from_text(asked))?;
    let frame = Frame::take(frame)?;
    let schema = Arc::clone(&frame.schema);
    let (model, files) = (Arc::clone(&core.model), Arc::clone(&core.files));
    long(py, None, move |shared| {
        let table = frame.table(&reading(&model, &asked.data)?)?;
        let set = series(&model, &asked.data, table)?;
        let forecaster = Forecaster::new(model)?;
        let steps = asked.h.unwrap_or(forecaster.config().prediction_length);
        let data = asked.data(&forecaster, set);
        let backtest = Backtest {
            data: &data,
            origins: Origins::new(steps, asked.windows, asked.step)?,
            refit: if asked.refit == 0 { Refit::Never } else { Refit::Every(asked.refit) },
            baselines: asked.baselines,
            every_theta: false,
            measure: measure(&files)?,
        };
        let mut contestants = [asked.contestant(forecaster, &files)?];
        let (alias, given) = (&asked.alias, &*schema);
        let mut taker = Taker { alias, given, batches: Vec::new(), shared: &shared };
        let report = backtest.run(&mut contestants, None, &mut taker)?;
        let rows = match taker.batches.first() {
            Some(first) => concat_batches(&first.schema(), &taker.batches),
            None => Ok(RecordBatch::new_empty(Arc::new(Schema::empty()))),
        };
        let failed = |e: &dyn std::fmt::Display| Error::internal(format!("no rows: {e}"));
        let rows = rows.map_err(|e| failed(&e))?;
        let scores = serde_json::to_string(&report).map_err(|e| failed(&e))?;
        Ok((Batches::new(rows), scores, report.table()))
    })
}

/// By what the forecaster was chosen.
fn measure(files: &Files) -> Result<Measure> {
    use ptsm::job::Choice;
    use ptsm::model_dir::{ModelDir, read_json};
    let choice = files.in_folder(|dir| read_json::<Choice>(&ModelDir::new(dir).choice()))?;
    Ok(choice.map(|choice| choice.metric.measure()).unwrap_or_default())
}
