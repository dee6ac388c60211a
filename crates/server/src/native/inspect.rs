//! `POST /v1/inspect`: what a table holds, and how it would be read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ptsm::data::SeriesSet;
use ptsm::spec::{DataSpec, Source};
use serde_json::{Value, json};

use super::table_request::{ForecastBody, TableRequest};
use crate::failure::Answered;
use crate::forecast::{Rows, beside};
use crate::http::answer::{ErrorBody, Refused};
use crate::http::asked::Asked;
use crate::limits::Limits;
use crate::state::Service;

/// Series that are described one by one, at most.
const DESCRIBED: usize = 100;

/// What says nothing of how a table is read as series.
const UNUSED: [&str; 8] = [
    "future",
    "model",
    "prediction_length",
    "rows_before_end",
    "levels",
    "interval_names",
    "season",
    "label",
];

/// Describes a table: columns, step, gaps, and a `schema` for /v1/forecast.
#[utoipa::path(
    post, path = "/v1/inspect", tag = "native",
    request_body(content = ForecastBody<'_>),
    responses((status = 200, description = "Columns, channels, step, missing shares, series and a schema"),
              (status = "4XX", body = ErrorBody, description = "Error"), (status = "5XX", body = ErrorBody, description = "Error")),
)]
pub(crate) async fn post(
    State(service): State<Arc<Service>>,
    _: Asked,
    request: TableRequest,
) -> Result<Json<Value>, Refused> {
    request.refuse_unused(&UNUSED, "is for forecasts and labels; a table is inspected here")?;
    let TableRequest { schema, rows, .. } = request;
    let limits = service.limits.clone();
    let described =
        beside(rows.bytes.len(), move || described(&rows, &schema.spec(), &limits)).await?;
    Ok(Json(described))
}

fn described(rows: &Rows, data: &DataSpec, limits: &Limits) -> Answered<Value> {
    let source = Source::of_table(rows.read(&data.read_options()?, limits)?);
    let columns = source.table.columns().iter().map(|column| column.name.clone());
    let columns: Vec<String> = columns.collect();
    let set: SeriesSet = data.series(&source)?;
    let series = set.series.iter().take(DESCRIBED).map(|series| {
        let text = |at: Option<i64>| at.map(|time| set.time_text(series, time));
        let times = series.timestamps.as_ref();
        json!({
            "id": series.id, "rows": series.num_rows(),
            "first": text(times.and_then(|times| times.get(0))),
            "last": text(times.and_then(|times| times.get(series.num_rows().saturating_sub(1)))),
        })
    });
    let series: Vec<Value> = series.collect();
    let missing: Vec<Value> = set
        .repairs
        .missing
        .iter()
        .map(|missing| json!({"channel": missing.channel, "share": missing.share}))
        .collect();
    let notes: Vec<String> = set.repairs.time_notes().iter().map(ToString::to_string).collect();
    let step = set.frequency.map(|step| step.to_string());
    Ok(json!({
        "rows": source.table.num_rows(), "columns": columns, "channels": set.channels,
        "frequency": step, "missing": missing, "num_series": set.series.len(), "series": series,
        "notes": notes,
        "schema": {
            "timestamp": set.roles.timestamp, "id": set.roles.id, "targets": set.channels,
            "frequency": step,
        },
    }))
}
