//! [`TableRequest`]: a table with the options of a request, whatever its form; what the native routes have in common.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::failure::{Answered, Code, Failure};
use crate::forecast::{Media, Rows, beside};
use crate::http::answer::Refused;
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

/// A request with its tables found, which are not read yet.
pub(crate) struct TableRequest {
    /// The form of the answer.
    pub(crate) accept: Media,
    pub(crate) options: ForecastOptions,
    pub(crate) schema: TableSchema,
    pub(crate) rows: Rows,
    pub(crate) future: Option<Rows>,
}

impl FromRequest<Arc<Service>> for TableRequest {
    type Rejection = Refused;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Refused> {
        let media = media::of_request(request.headers())?;
        let accept = media::of_answer(request.headers(), media)?;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let bytes = body::read(request.into_body(), service).await?;
        if media == Media::Json {
            return Ok(of_body(accept, bytes, &query).await?);
        }
        let (options, schema) = of_query(&query)?;
        let rows = Rows { name: "data", media, bytes };
        Ok(Self { accept, options, schema, rows, future: None })
    }
}

async fn of_body(accept: Media, bytes: Bytes, query: &str) -> Answered<TableRequest> {
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
        Ok(TableRequest {
            accept,
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

impl TableRequest {
    /// Refuses what is given and is among `unused`, which `why` explains, and what no form of the rows or the answer uses.
    pub(super) fn refuse_unused(&self, unused: &[&str], why: &str) -> Answered<()> {
        let Self { accept, options, schema, rows, future } = self;
        let mut given = schema.given();
        given.extend(options.given());
        given.extend(future.is_some().then_some("future"));
        if let Some(name) = given.iter().find(|name| unused.contains(name)) {
            return Err(Failure::unusable(format!("{name}: {why}")));
        }
        for (name, is_used, why) in [
            ("delimiter", rows.media == Media::Csv, "is for rows of CSV"),
            ("interval_names", *accept != Media::Json, "is for answers that are tables (Accept)"),
        ] {
            if given.contains(&name) && !is_used {
                return Err(Failure::unusable(format!("{name}: {why}")));
            }
        }
        Ok(())
    }
}
