//! KServe's time-series API (`kserve.protocol.rest.timeseries`, tried with kserve 0.21.0), univariate and multivariate.
//!
//! A multivariate series is a list with one list for each step. The point forecast answers for `mean_forecast` and for
//! the quantile 0.5. Without `start_timestamp` the forecast's is empty.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use jiff::civil::DateTime;
use jiff::{Span, ToSpan};
use ptsm::data::{Column, Frequency, RepairReport, Roles, Series, SeriesSet, Table, TimeRules};
use ptsm::spec::DataSpec;
use ptsm::{Forecast, data};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::tensors::quantile_levels;
use crate::failure::{Answered, Code, Failure};
use crate::forecast::{Input, Media, Request, TableSource, Times, beside};
use crate::http::answer::Refused;
use crate::http::asked::Asked;
use crate::http::options::of_json;
use crate::http::{answer, body};
use crate::registry::{Kind, Served};
use crate::state::Service;

/// Column of the number of a series, for models that forecast any series.
const SERIES: &str = "series";

/// Series of a request, at most.
const MOST_INPUTS: usize = 1000;

/// A failure as this contract says it.
pub(crate) fn refused(failure: &Failure) -> Response<Body> {
    let kind = match failure.code {
        Code::Unreadable | Code::Unusable => "invalid_request_error",
        Code::QueueFull => "rate_limit_error",
        _ => "server_error",
    };
    let error = json!({
        "code": failure.code.status().as_u16().to_string(), "message": failure.message,
        "param": failure.place, "type": kind,
    });
    answer::refusal(failure, json!({"error": error}))
}

/// A request; further fields are taken and not read, as the contract allows them everywhere.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ForecastRequest {
    model: String,
    inputs: Vec<SeriesInput>,
    options: Options,
}

#[derive(Deserialize, ToSchema)]
struct SeriesInput {
    #[serde(rename = "type")]
    kind: SeriesType,
    name: String,
    #[schema(value_type = Vec<Object>)]
    series: SeriesValues,
    /// second, minute, hour, day, week, month, quarter, year, or S, T, H, D, W, M, Q, Y.
    frequency: String,
    start_timestamp: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SeriesType {
    UnivariateTimeSeries,
    MultivariateTimeSeries,
}

/// null is missing.
#[derive(Deserialize)]
#[serde(untagged)]
enum SeriesValues {
    One(Vec<Option<f64>>),
    Many(Vec<Vec<Option<f64>>>),
}

#[derive(Deserialize, ToSchema)]
struct Options {
    horizon: usize,
    quantiles: Option<Vec<f64>>,
}

/// A step of the contract.
struct Step {
    /// As this library writes it.
    name: &'static str,
    span: Span,
}

fn step(name: &str) -> Answered<Step> {
    let (name, span) = match name {
        "second" | "S" => ("1s", 1.second()),
        "minute" | "T" => ("1min", 1.minute()),
        "hour" | "H" => ("1h", 1.hour()),
        "day" | "D" => ("1d", 1.day()),
        "week" | "W" => ("7d", 1.week()),
        "month" | "M" => ("1mo", 1.month()),
        "quarter" | "Q" => ("3mo", 3.months()),
        "year" | "Y" => ("12mo", 1.year()),
        other => {
            let other: String = other.chars().take(16).collect();
            return Err(Failure::unusable(format!("frequency: {other} is not known")));
        }
    };
    Ok(Step { name, span })
}

/// The numbers of a series, `[T, C]`, NaN for missing.
struct Past {
    values: Vec<f64>,
    channels: usize,
}

fn past(series: SeriesValues, kind: SeriesType) -> Answered<Past> {
    let bad = |text: &str| Err(Failure::unusable(format!("series: {text}")));
    let number = |cell: Option<f64>| cell.unwrap_or(f64::NAN);
    match (series, kind) {
        (SeriesValues::One(cells), SeriesType::UnivariateTimeSeries) if !cells.is_empty() => {
            Ok(Past { values: cells.into_iter().map(number).collect(), channels: 1 })
        }
        (SeriesValues::Many(rows), SeriesType::MultivariateTimeSeries) if !rows.is_empty() => {
            let channels = rows[0].len();
            if channels == 0 || rows.iter().any(|row| row.len() != channels) {
                return bad("wanted one list for each step, all of one length");
            }
            Ok(Past { values: rows.into_iter().flatten().map(number).collect(), channels })
        }
        (SeriesValues::One(_), SeriesType::UnivariateTimeSeries)
        | (SeriesValues::Many(_), SeriesType::MultivariateTimeSeries) => bad("it is empty"),
        (_, SeriesType::UnivariateTimeSeries) => bad("a univariate one is a list of numbers"),
        (_, SeriesType::MultivariateTimeSeries) => bad("a multivariate one is a list of lists"),
    }
}

/// What a series of a request is beside its numbers.
struct Named {
    kind: SeriesType,
    name: String,
    /// As it was asked for.
    frequency: String,
    /// Time of the first step of the forecast; empty where none was given.
    start: String,
    /// Numbers that were read.
    read: usize,
}

/// Series of one step and one number of channels, which are forecast together.
struct Group {
    /// As this library writes it.
    step: &'static str,
    channels: usize,
    /// Numbers of the series in the request, and their own.
    members: Vec<(usize, Past)>,
}

impl Group {
    /// The series as a model reads them; their names are their numbers.
    fn input(self, model: &Served) -> Answered<Input> {
        let frequency: Frequency = self.step.parse()?;
        if let Kind::AnySeries(_) = model.kind {
            return self.table(frequency.seasonal_period());
        }
        let (own, channels) = (model.channels(), self.channels);
        if own.len() != channels {
            let text = format!(
                "series: {channels} channels; the model takes {} ({})",
                own.len(),
                own.join(", ")
            );
            return Err(Failure::unusable(text));
        }
        let model_step = model.forecast_model().and_then(|model| model.preprocessor().frequency);
        if let Some(own) = model_step.filter(|own| *own != frequency) {
            let text = format!("frequency: {} is not the model's step, {own}", self.step);
            return Err(Failure::unusable(text));
        }
        let series = self.members.into_iter();
        let series =
            series.map(|(number, past)| Series::new(number.to_string(), channels, past.values));
        Ok(Input::Set(Box::new(SeriesSet {
            channels: own,
            covariates: Vec::new(),
            series: series.collect::<ptsm::Result<_>>()?,
            frequency: None,
            time_style: None,
            times: TimeRules::default(),
            roles: Roles::default(),
            repairs: RepairReport::default(),
        })))
    }

    /// The same as a table, for models that forecast any series.
    fn table(&self, season: usize) -> Answered<Input> {
        let rows = |past: &Past| past.values.len() / self.channels;
        let numbers = self.members.iter();
        let numbers = numbers.flat_map(|(number, past)| repeat_n(number.to_string(), rows(past)));
        let mut columns = vec![Column::text(SERIES, numbers.collect())];
        for channel in 0..self.channels {
            let cells = self.members.iter().flat_map(|(_, past)| {
                past.values.iter().skip(channel).step_by(self.channels).copied()
            });
            columns.push(Column::numbers(format!("channel_{channel}"), cells.collect()));
        }
        let data = DataSpec {
            id: Some(SERIES.to_owned()),
            timestamp: Some(data::NO_COLUMN.to_owned()),
            season: Some(season),
            ..DataSpec::default()
        };
        let rows = TableSource::Held(Box::new(Table::new(columns)?));
        Ok(Input::Table { rows, data: Box::new(data), future: None })
    }
}

/// The time `steps` steps after a time, written as that is.
fn later(start: &str, step: &Step, steps: usize) -> Answered<String> {
    let bad = || {
        let start: String = start.chars().take(40).collect();
        Failure::unusable(format!("start_timestamp: \"{start}\" is no time of ISO 8601"))
    };
    let date = start.get(..10).ok_or_else(bad)?.len();
    let zone = start[date..].find(['Z', 'z', '+', '-']).map_or(start.len(), |at| date + at);
    let (civil, zone) = start.split_at(zone);
    let civil: DateTime = civil.parse().map_err(|_| bad())?;
    let span = i64::try_from(steps).ok().and_then(|steps| step.span.checked_mul(steps).ok());
    let time = civil.checked_add(span.ok_or_else(bad)?).map_err(|_| bad())?;
    Ok(format!("{time}{zone}"))
}

/// Forecasts series.
#[utoipa::path(
    post, path = "/v1/timeseries/forecast", tag = "kserve", request_body = ForecastRequest,
    responses((status = 200, description = "Forecasts"), (status = "4XX", description = "error"),
              (status = "5XX", description = "error")),
)]
pub(crate) async fn forecast(
    State(service): State<Arc<Service>>,
    asked: Asked,
    body: Body,
) -> Result<Response<Body>, Refused> {
    let bytes = body::read(body, &service).await?;
    let size = bytes.len();
    let Parsed { model, series, groups, options } = beside(size, move || parsed(&bytes)).await?;
    let model = asked.model(&service.registry, &model)?;
    let levels = quantile_levels(options.quantiles.as_deref().unwrap_or_default())?;
    let own = Arc::clone(&model);
    let inputs = move || groups.into_iter().map(|group| group.input(&own)).collect();
    let inputs: Vec<Input> = beside(size, inputs).await?;
    let mut forecasts: Vec<Option<Forecast>> = series.iter().map(|_| None).collect();
    let mut times = Times::default();
    for input in inputs {
        let request = Request {
            model: Arc::clone(&model),
            input,
            rows_before_end: 0,
            steps: Some(options.horizon),
            levels: Some(levels.clone()),
            deadline: asked.deadline,
        };
        let answer = crate::forecast::forecast(&service, request).await?;
        for forecast in answer.forecasts {
            let number: Option<usize> = forecast.id.parse().ok();
            if let Some(place) = number.and_then(|number| forecasts.get_mut(number)) {
                *place = Some(forecast);
            }
        }
        times.parse += answer.times.parse;
        times.queue = times.queue.max(answer.times.queue);
        times.compute += answer.times.compute;
    }
    let (id, name) = (service.request_id(), model.name.clone());
    let size = forecasts.iter().flatten().map(|forecast| 8 * forecast.values.len()).sum();
    let work = move || written(&id, &name, &Answers { series, forecasts, options });
    let bytes = beside(size, work).await?;
    Ok(answer::said(answer::body(Media::Json, bytes), &model.name, times))
}

/// A failure of one input, by its number.
fn of_input(number: usize, failure: Failure) -> Failure {
    Failure { message: format!("inputs[{number}].{}", failure.message), ..failure }
}

/// A request with its series checked.
struct Parsed {
    model: String,
    series: Vec<Named>,
    groups: Vec<Group>,
    options: Options,
}

fn parsed(bytes: &[u8]) -> Answered<Parsed> {
    let ForecastRequest { model, inputs, options } = of_json(bytes)?;
    if inputs.is_empty() || inputs.len() > MOST_INPUTS {
        return Err(Failure::unusable(format!("inputs: wanted 1 to {MOST_INPUTS}")));
    }
    let (mut all, mut groups) = (Vec::with_capacity(inputs.len()), Vec::<Group>::new());
    for (number, input) in inputs.into_iter().enumerate() {
        let SeriesInput { kind, name, series, frequency, start_timestamp } = input;
        let named = |failure| of_input(number, failure);
        let (step, past) = (step(&frequency).map_err(named)?, past(series, kind).map_err(named)?);
        let (read, channels) = (past.values.len(), past.channels);
        let start = start_timestamp.map(|start| later(&start, &step, read / channels));
        let start = start.transpose().map_err(named)?.unwrap_or_default();
        all.push(Named { kind, name, frequency, start, read });
        let step = step.name;
        match groups.iter_mut().find(|group| (group.step, group.channels) == (step, channels)) {
            Some(group) => group.members.push((number, past)),
            None => groups.push(Group { step, channels, members: vec![(number, past)] }),
        }
    }
    Ok(Parsed { model, series: all, groups, options })
}

/// Series, and the forecast of each that has one.
struct Answers {
    series: Vec<Named>,
    forecasts: Vec<Option<Forecast>>,
    options: Options,
}

fn written(id: &str, model: &str, answers: &Answers) -> Answered<Vec<u8>> {
    let Answers { series, forecasts, options } = answers;
    let (mut content, mut read, mut written) = (Vec::with_capacity(series.len()), 0, 0);
    for (number, (one, forecast)) in series.iter().zip(forecasts).enumerate() {
        let unknown = || of_input(number, Failure::unusable("series: no value is known"));
        let forecast = forecast.as_ref().ok_or_else(unknown)?;
        read += one.read;
        written += forecast.values.len();
        content.push(content_of(one, forecast, options)?);
    }
    let output = json!({
        "type": "time_series_forecast", "id": format!("{id}-0"), "status": "completed",
        "content": content, "error": null,
    });
    let answer = json!({
        "id": id, "created_at": jiff::Timestamp::now().as_second(), "status": "completed",
        "error": null, "model": model, "outputs": [output],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
    });
    serde_json::to_vec(&answer).map_err(Failure::internal)
}

/// The forecast of one series.
fn content_of(one: &Named, forecast: &Forecast, options: &Options) -> Answered<Value> {
    let form = |values: &[f64]| match one.kind {
        SeriesType::UnivariateTimeSeries => json!(values),
        SeriesType::MultivariateTimeSeries => {
            json!(values.chunks_exact(forecast.channels.len()).collect::<Vec<&[f64]>>())
        }
    };
    let mut quantiles = BTreeMap::new();
    for &level in options.quantiles.iter().flatten() {
        quantiles.insert(level.to_string(), form(quantile(forecast, level)?));
    }
    Ok(json!({
        "type": one.kind, "name": one.name, "mean_forecast": form(&forecast.values),
        "frequency": one.frequency, "start_timestamp": one.start,
        "quantiles": options.quantiles.as_ref().map(|_| quantiles),
    }))
}

/// The quantile of a forecast that has it.
fn quantile(forecast: &Forecast, quantile: f64) -> Answered<&[f64]> {
    if (quantile - 0.5).abs() < 1e-9 {
        return Ok(&forecast.values);
    }
    let level = (1.0 - 2.0 * quantile).abs();
    let found = forecast.intervals.iter().find(|interval| (interval.level - level).abs() < 1e-9);
    let found = found.map(|found| if quantile < 0.5 { &found.lower } else { &found.upper });
    let text = || format!("quantiles: {quantile} is not one that the model gives");
    found.map(Vec::as_slice).ok_or_else(|| Failure::unusable(text()))
}

/// Names of the models.
#[utoipa::path(get, path = "/v1/timeseries/models", tag = "kserve", responses((status = 200, description = "Names")))]
pub(crate) async fn models(State(service): State<Arc<Service>>, asked: Asked) -> Json<Vec<String>> {
    let entries = asked.entries(&service.registry).into_iter();
    let forecasts = |model: &Arc<Served>| !matches!(model.kind, Kind::Labels(_));
    let serving = entries.filter_map(|entry| entry.serving).filter(forecasts);
    Json(serving.map(|model| model.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_form() {
        let at = |start: &str, name: &str| later(start, &step(name).unwrap(), 3);
        assert_eq!(at("2024-01-31T00:00:00Z", "M").unwrap(), "2024-04-30T00:00:00Z");
        assert_eq!(at("2024-01-31T22:00:00+02:00", "hour").unwrap(), "2024-02-01T01:00:00+02:00");
        assert_eq!(at("2024-01-31", "D").unwrap(), "2024-02-03T00:00:00");
        for start in ["", "yesterday", "2024-13-01T00:00:00Z", "9999-12-31T00:00:00Z"] {
            assert!(at(start, "Y").is_err(), "{start}");
        }
    }
}
