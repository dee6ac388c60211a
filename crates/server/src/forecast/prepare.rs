//! A request as series, with everything checked that can be before it waits.

use std::sync::Arc;

use ptsm::data::{Series, SeriesSet};
use ptsm::forecast::{AnySeriesOptions, ForecastModel, LoadedNetwork, OpenSeries, ZeroShotOptions};
use ptsm::spec::{DataSpec, Source};

use super::open::{labels_alone, trained_series};
use super::request::{Input, Request};
use super::rows::{TableSource, limit};
use crate::engine::{AnySeriesWork, Work};
use crate::failure::{Answered, Failure};
use crate::limits::Limits;
use crate::registry::{Kind, Served};

/// A request that is ready to be computed.
pub(super) struct Prepared {
    pub(super) set: Arc<SeriesSet>,
    pub(super) skipped: Vec<String>,
    /// The work for all series.
    pub(super) work: Work,
    /// Windows that each series counts as.
    pub(super) windows: usize,
    /// Levels that are kept of the model's.
    pub(super) levels: Option<Vec<f64>>,
}

/// Reads the data of a request.
pub(super) fn prepare(request: &Request, limits: &Limits) -> Answered<Prepared> {
    if let Some(steps) = request.steps {
        if steps == 0 {
            return Err(Failure::unusable("prediction_length: must be at least 1"));
        }
        limit("steps", steps, limits.steps)?;
    }
    let levels = request.levels.as_deref().unwrap_or_default();
    limit("levels", levels.len(), limits.levels)?;
    if let Some(level) = levels.iter().find(|level| !(0.0..1.0).contains(*level) || **level == 0.0)
    {
        let text = format!("levels: {level} is not between 0 and 1 (0.8 is an interval of 80 %)");
        return Err(Failure::unusable(text));
    }
    match &request.model.kind {
        Kind::Forecasts(model) => prepare_trained(request, model, limits),
        Kind::AnySeries(network) => prepare_any_series(request, network, limits),
        Kind::Labels(_) => Err(labels_alone()),
    }
}

fn prepare_trained(
    request: &Request,
    model: &ForecastModel,
    limits: &Limits,
) -> Answered<Prepared> {
    let own = model.config().prediction_length;
    let steps = request.steps.unwrap_or(own);
    let levels = kept_levels(request, &request.model, steps > own)?;
    let mut set = match &request.input {
        Input::Set(set) => set.as_ref().clone(),
        Input::Table { rows, data, .. } => trained_series(model, rows, data, limits)?.0,
    };
    let skipped = leave_out(&mut set, request.rows_before_end)?;
    if let Input::Table { data, future: Some(future), .. } = &request.input {
        join_plan(model, &mut set, future, data, limits)?;
    }
    check_size(&set, steps, limits)?;
    let set = Arc::new(set);
    let (rows_before_end, series) = (request.rows_before_end, 0..set.series.len());
    let work = Work::Forecast { set: Arc::clone(&set), series, rows_before_end, steps };
    Ok(Prepared { set, skipped, work, windows: steps.div_ceil(own.max(1)), levels })
}

fn join_plan(
    model: &ForecastModel,
    set: &mut SeriesSet,
    future: &TableSource,
    data: &DataSpec,
    limits: &Limits,
) -> Answered<()> {
    let data = data.for_model(model.preprocessor());
    let source = Source::of_table(future.read(&data.read_options()?, limits)?);
    let repair = data.repair(&source)?;
    let plan = model.preprocessor().read_plan(&source.table, &data.roles(), &repair)?;
    Ok(set.join_plan(&plan)?)
}

fn prepare_any_series(
    request: &Request,
    network: &LoadedNetwork,
    limits: &Limits,
) -> Answered<Prepared> {
    let options = |data| AnySeriesOptions {
        data,
        steps: request.steps,
        levels: request.levels.as_deref(),
        season_from: None,
    };
    let OpenSeries { mut set, season, steps } = match &request.input {
        Input::Table { future: Some(_), .. } => {
            return Err(Failure::unusable("future: the model takes no covariates"));
        }
        Input::Table { rows, data, future: None } => {
            let table = rows.read(&data.read_options()?, limits)?;
            OpenSeries::read(&Source::of_table(table), &options(data))?
        }
        Input::Set(_) => {
            return Err(Failure::internal("a set without a table for any series"));
        }
    };
    let skipped = leave_out(&mut set, request.rows_before_end)?;
    check_size(&set, steps, limits)?;
    let windows = set.channels.len();
    // Other levels are the network's to refuse, and it gives no others.
    let asked = ZeroShotOptions { steps, levels: request.levels.clone() };
    let made = Arc::new(network.model(season, &set, &asked)?);
    let set = Arc::new(set);
    let work = Work::AnySeries(AnySeriesWork {
        made,
        set: Arc::clone(&set),
        series: 0..set.series.len(),
        rows_before_end: request.rows_before_end,
        steps,
    });
    Ok(Prepared { set, skipped, work, windows, levels: None })
}

/// The levels that are asked for, if the model has them.
fn kept_levels(request: &Request, model: &Served, further: bool) -> Answered<Option<Vec<f64>>> {
    let Some(levels) = &request.levels else { return Ok(None) };
    let own = model.interval_levels();
    let known = |level: &&f64| !own.iter().any(|own| (own - **level).abs() < 1e-9);
    if let Some(level) = levels.iter().find(known) {
        let text = match own.is_empty() {
            true => {
                format!("levels: {level}: the model has no intervals (ptsm calibrate adds them)")
            }
            false => {
                format!("levels: {level}: the model has {own:?} (ptsm calibrate makes others)")
            }
        };
        return Err(Failure::unusable(text));
    }
    if further && !levels.is_empty() {
        let text =
            "levels: there are none beyond the model's own prediction_length (leave them out)";
        return Err(Failure::unusable(text));
    }
    Ok(Some(levels.clone()))
}

/// Takes out the series that have no value before the forecast; their names.
fn leave_out(set: &mut SeriesSet, rows_before_end: usize) -> Answered<Vec<String>> {
    let left: Vec<Series> = set.leave_out_unknown(rows_before_end);
    if set.series.is_empty() {
        let text = format!(
            "no series has a value before the forecast, which begins {rows_before_end} rows before the end"
        );
        return Err(Failure::unusable(text));
    }
    Ok(left.into_iter().map(|series| series.id).collect())
}

fn check_size(set: &SeriesSet, steps: usize, limits: &Limits) -> Answered<()> {
    limit("series", set.series.len(), limits.series)?;
    limit("channels", set.channels.len(), limits.channels)?;
    let numbers = set.series.len().saturating_mul(steps).saturating_mul(set.channels.len());
    limit("numbers in the answer", numbers, limits.cells)
}
