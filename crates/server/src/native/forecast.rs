//! `POST /v1/forecast`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use ptsm::forecast::{ForecastJson, IntervalNames, forecast_table_named};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::failure::{Answered, Code, Failure};
use crate::forecast::{Answer, Input, Media, Request, Rows, TableSource, beside, forecast};
use crate::http::answer::{self, ErrorBody, Refused};
use crate::http::asked::Asked;
use crate::http::options::{ForecastOptions, TableSchema, of_json, of_query};
use crate::http::{body, media};
use crate::state::Service;

/// What is forecast, as JSON.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForecastBody<'a> {
    /// Columns {"time": [...], "x": [...]}, rows [{"time": ..., "x": ...}, ...], or
    /// {"columns": [...], "data": [[...], ...]}; null is missing.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    data: &'a RawValue,
    /// Table of the covariates in the steps of the forecast, in one of the forms of `data`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    future: Option<&'a RawValue>,
    /// How the columns are read.
    #[serde(default)]
    schema: TableSchema,
    /// Name of the model.
    #[serde(default)]
    model: Option<String>,
    /// Steps to forecast, where they are not those of the model.
    #[serde(default)]
    prediction_length: Option<usize>,
    /// Rows before the end of the data from which it is forecast.
    #[serde(default)]
    rows_before_end: Option<usize>,
    /// Levels of the intervals, such as 0.8.
    #[serde(default)]
    levels: Option<Vec<f64>>,
    /// Names of the columns of intervals in an answer that is a table: quantile or nixtla.
    #[serde(default)]
    interval_names: Option<String>,
}

/// An answer as JSON.
#[derive(Serialize, ToSchema)]
pub(crate) struct ForecastAnswer {
    /// Name of the model.
    model: String,
    /// One for each series, as `ptsm predict --json` has them.
    #[schema(value_type = Vec<Object>)]
    forecasts: Vec<ForecastJson>,
    /// Series without a value before the forecast.
    skipped: Vec<String>,
}

/// The parts of a request, whatever its form.
pub(crate) struct Parsed {
    pub(crate) options: ForecastOptions,
    pub(crate) schema: TableSchema,
    pub(crate) rows: Rows,
    pub(crate) future: Option<Rows>,
}

/// Forecasts a table.
#[utoipa::path(
    post, path = "/v1/forecast", tag = "native",
    request_body(content = ForecastBody<'_>, description = "JSON; or CSV, a stream of Arrow or Parquet, with the options in \
     the query"),
    responses((status = 200, body = ForecastAnswer, description = "Forecasts"), (status = "4XX", body = ErrorBody, description = "Error"),
              (status = "5XX", body = ErrorBody, description = "Error")),
)]
pub(crate) async fn post(
    State(service): State<Arc<Service>>,
    asked: Asked,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Refused> {
    let request = media::of_request(&headers)?;
    let accept = media::of_answer(&headers, request)?;
    let bytes = body::read(body, &service.limits).await?;
    let parsed = parsed(request, bytes, query.unwrap_or_default()).await?;
    let Parsed { options, schema, rows, future } = parsed;
    let model = service.registry.get_or_only(options.model.as_deref())?;
    asked.may_use(&model)?;
    let names = interval_names(options.interval_names.as_deref())?;
    let answer = forecast(
        &service,
        Request {
            model: Arc::clone(&model),
            input: Input::Table {
                rows: TableSource::Body(rows),
                data: Box::new(schema.spec()),
                future: future.map(TableSource::Body),
            },
            rows_before_end: options.rows_before_end.unwrap_or(0),
            steps: options.prediction_length,
            levels: options.levels,
            deadline: asked.deadline,
        },
    )
    .await?;
    let (name, times) = (model.name.clone(), answer.times);
    let size = 8 * answer.forecasts.iter().map(|f| f.values.len()).sum::<usize>();
    let bytes = beside(size, move || written(accept, &name, &answer, names)).await?;
    Ok(answer::said(answer::body(accept, bytes), &model.name, times))
}

/// Reads the request's options and finds its tables.
pub(crate) async fn parsed(media: Media, bytes: Bytes, query: String) -> Answered<Parsed> {
    if media != Media::Json {
        let (options, schema) = of_query(&query)?;
        let rows = Rows { name: "data", media, bytes };
        return Ok(Parsed { options, schema, rows, future: None });
    }
    if !query.is_empty() {
        let text = "query: options of a request with a body of JSON are its fields";
        return Err(Failure::new(Code::Unreadable, text));
    }
    beside(bytes.len(), move || {
        let read: ForecastBody<'_> = of_json(&bytes)?;
        let table = |name, raw: &RawValue| {
            let bytes = bytes.slice_ref(raw.get().as_bytes());
            Rows { name, media: Media::Json, bytes }
        };
        Ok(Parsed {
            rows: table("data", read.data),
            future: read.future.map(|raw| table("future", raw)),
            schema: read.schema,
            options: ForecastOptions {
                model: read.model,
                prediction_length: read.prediction_length,
                rows_before_end: read.rows_before_end,
                levels: read.levels,
                interval_names: read.interval_names,
            },
        })
    })
    .await
}

fn interval_names(name: Option<&str>) -> Answered<IntervalNames> {
    match name {
        None | Some("quantile") => Ok(IntervalNames::Quantile),
        Some("nixtla") => Ok(IntervalNames::Nixtla),
        Some(_) => Err(Failure::unusable("interval_names: wanted quantile or nixtla")),
    }
}

fn written(accept: Media, model: &str, answer: &Answer, names: IntervalNames) -> Answered<Vec<u8>> {
    if accept == Media::Json {
        let answer = ForecastAnswer {
            model: model.to_owned(),
            forecasts: ForecastJson::all(&answer.set, &answer.forecasts),
            skipped: answer.skipped.clone(),
        };
        return serde_json::to_vec(&answer)
            .map_err(|error| Failure::new(Code::Internal, error.to_string()));
    }
    let table = forecast_table_named(&answer.set, &answer.forecasts, names)?;
    Ok(table.to_bytes(accept.format())?)
}
