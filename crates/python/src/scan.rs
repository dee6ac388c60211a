//! Points that were not expected, and what moved a forecast.

use std::sync::Arc;

use ptsm::data::{Part, SeriesSet, Split};
use ptsm::detect::{
    DetectorOptions, FlagBy, ScanOptions, SeriesRows, rows_before_test, rows_of_part, whole_rows,
};
use ptsm::explain::{ExplainOptions, explanation_table};
use ptsm::job::trained_on_validation;
use ptsm::spec::DataSpec;
use ptsm::{Error, Forecaster, Result};
use pyo3::prelude::*;
use serde::Deserialize;

use crate::columns::as_given;
use crate::errors::raised;
use crate::files::Files;
use crate::forecaster::{ForecastCore, Planned, reading, refuse_empty, series};
use crate::frames::{Batches, Frame, SOURCE};
use crate::settings::{from_text, left_out};
use crate::work::long;

/// What a scan is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scanned {
    data: DataSpec,
    /// Borders in place of those of the training.
    split: Option<Split>,
    /// A rate of false discoveries, or a level of p-values; one of them.
    fdr: Option<f64>,
    alpha: Option<f64>,
    hide: Option<f64>,
    ahead: usize,
}

/// Rows that are calibrated on, their series where they are others, and rows that are scanned.
struct Rows {
    name: String,
    calibrated: Option<SeriesSet>,
    calibration: SeriesRows,
    scanned: SeriesRows,
}

impl Scanned {
    fn options(&self) -> Result<ScanOptions> {
        let flag_by = match (self.fdr, self.alpha) {
            (Some(rate), None) => FlagBy::FalseDiscoveries(rate),
            (None, Some(level)) => FlagBy::Level(level),
            _ => return Err(Error::config("alpha", "give either this or `fdr`")),
        };
        let options = ScanOptions { flag_by, hide: self.hide };
        options.check()?;
        Ok(options)
    }

    /// As `ptsm detect` has it: all rows where others are calibrated on, else the test part.
    fn rows(
        &self,
        forecaster: &Forecaster,
        files: &Files,
        set: &SeriesSet,
        calibrated: Option<SeriesSet>,
    ) -> Result<Rows> {
        if let Some(other) = calibrated {
            let (calibration, scanned) = (whole_rows(&other), whole_rows(set));
            let name = "all rows of calibration".to_owned();
            return Ok(Rows { name, calibrated: Some(other), calibration, scanned });
        }
        if self.split.is_none() && files.in_folder(trained_on_validation)? {
            let text = "is not given, and this model was fitted to the validation part of its split, too: residuals \
                        there are too small (give rows that training did not see, or `split` with a validation part \
                        among them, such as 8:1:1)";
            return Err(Error::config("calibration", text));
        }
        let preprocessor = forecaster.preprocessor();
        let split = self.split.unwrap_or(preprocessor.split);
        let (on, calibration) = match preprocessor.takes_any_series() {
            true => ("the rows before the test part", rows_before_test(set, split)?),
            false => ("the validation part", rows_of_part(set, split, Part::Validation)?),
        };
        let name = format!("{on} of {SOURCE}, split {split}");
        let scanned = rows_of_part(set, split, Part::Test)?;
        Ok(Rows { name, calibrated: None, calibration, scanned })
    }
}

/// Holds points of a frame against their forecasts: a row for each, and the report as JSON.
#[pyfunction]
#[pyo3(signature = (core, frame, calibration, asked))]
pub(crate) fn detect(
    py: Python<'_>,
    core: &ForecastCore,
    frame: &Bound<'_, PyAny>,
    calibration: Option<&Bound<'_, PyAny>>,
    asked: &str,
) -> PyResult<(Batches, String)> {
    let asked: Scanned = raised(py, from_text(asked))?;
    let (frame, calibration) = (Frame::take(frame)?, calibration.map(Frame::take).transpose()?);
    let schema = Arc::clone(&frame.schema);
    let (model, files) = (Arc::clone(&core.model), Arc::clone(&core.files));
    long(py, None, move |shared| {
        let options = asked.options()?;
        let read = |frame: Frame| {
            let table = frame.table(&reading(&model, &asked.data)?)?;
            series(&model, &asked.data, table)
        };
        let (set, calibrated) = (read(frame)?, calibration.map(read).transpose()?);
        let mut forecaster = Forecaster::new(Arc::clone(&model))?;
        let rows = asked.rows(&forecaster, &files, &set, calibrated)?;
        let mut tell = |_: usize, _: usize| shared.go_on();
        let on = rows.calibrated.as_ref().unwrap_or(&set);
        let how = DetectorOptions { ahead: asked.ahead, min_rows: None };
        let detector = forecaster.detector(on, &rows.calibration, &how, &rows.name, &mut tell)?;
        let found = forecaster.detect(&set, &rows.scanned, &detector, options, &mut tell)?;
        let report = serde_json::to_string(&found.report(&set, &detector))
            .map_err(|e| Error::internal("a report cannot be written").because(e))?;
        Ok((Batches::new(as_given(&found.table(&set)?, &schema)?), report))
    })
}

/// What an explanation is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explained {
    data: DataSpec,
    rows_before_end: usize,
    stretch: Option<usize>,
}

/// What moved the forecasts of a frame: a row for each channel and source of influence, and notes.
#[pyfunction]
#[pyo3(signature = (core, frame, plan, asked))]
pub(crate) fn explain(
    py: Python<'_>,
    core: &ForecastCore,
    frame: &Bound<'_, PyAny>,
    plan: Option<&Bound<'_, PyAny>>,
    asked: &str,
) -> PyResult<(Batches, Vec<String>)> {
    let asked: Explained = raised(py, from_text(asked))?;
    let (frame, plan) = (Frame::take(frame)?, plan.map(Frame::take).transpose()?);
    let schema = Arc::clone(&frame.schema);
    let model = Arc::clone(&core.model);
    long(py, None, move |shared| {
        let options = reading(&model, &asked.data)?;
        let plan = plan.map(|plan| plan.table(&options)).transpose()?;
        let planned = Planned { table: frame.table(&options)?, plan };
        let mut set = planned.series(&model, &asked.data)?;
        let notes = left_out(&set.leave_out_unknown(asked.rows_before_end));
        refuse_empty(&set)?;
        let mut forecaster = Forecaster::new(Arc::clone(&model))?;
        let how = ExplainOptions { rows_before_end: asked.rows_before_end, stretch: asked.stretch };
        let found = forecaster.explain(&set, &how, &mut |_, _| shared.go_on())?;
        let table = explanation_table(&set, &found)?;
        Ok((Batches::new(as_given(&table, &schema)?), notes))
    })
}
