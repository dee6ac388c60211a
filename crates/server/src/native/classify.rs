//! `POST /v1/classify`: labels of cases, classes or values.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use ptsm::Task;
use ptsm::data::{LabelledSet, Table};
use ptsm::spec::DataSpec;
use serde_json::json;

use super::table_request::{ForecastBody, TableRequest};
use crate::failure::{Answered, Failure};
use crate::forecast::{Media, Rows, beside, label};
use crate::http::answer::{self, ErrorBody, Refused};
use crate::http::asked::Asked;
use crate::limits::Limits;
use crate::registry::{Kind, Served};
use crate::state::Service;

/// What is given for forecasts alone: cases have no grid of times and no season.
const UNUSED: [&str; 12] = [
    "future",
    "prediction_length",
    "rows_before_end",
    "levels",
    "interval_names",
    "frequency",
    "sort",
    "duplicates",
    "grid",
    "round",
    "resample",
    "season",
];

/// Labels the cases of a long table.
#[utoipa::path(
    post, path = "/v1/classify", tag = "native",
    request_body(content = ForecastBody<'_>, description = "As of /v1/forecast; the column `id` \
     distinguishes the cases"),
    responses((status = 200, description = "Case, label and probabilities, or case and values"),
              (status = "4XX", body = ErrorBody, description = "Error"), (status = "5XX", body = ErrorBody, description = "Error")),
)]
pub(crate) async fn post(
    State(service): State<Arc<Service>>,
    asked: Asked,
    request: TableRequest,
) -> Result<Response<Body>, Refused> {
    request.refuse_unused(&UNUSED, "is for models that forecast; this one labels cases")?;
    let TableRequest { accept, options, schema, rows, .. } = request;
    let model = asked.model_or_only(&service.registry, options.model.as_deref())?;
    let (limits, held) = (service.limits.clone(), Arc::clone(&model));
    let set =
        beside(rows.bytes.len(), move || cases(&held, &rows, &schema.spec(), &limits)).await?;
    let (table, times) = label(&service, &model, set, asked.deadline).await?;
    let (name, size) = (model.name.clone(), 64 * table.num_rows());
    let bytes = beside(size, move || written(accept, &name, &table)).await?;
    Ok(answer::said(answer::body(accept, bytes), &model.name, times))
}

fn cases(model: &Served, rows: &Rows, data: &DataSpec, limits: &Limits) -> Answered<LabelledSet> {
    if !matches!(model.kind, Kind::Labels(_)) {
        let text = "model: it forecasts (POST /v1/forecast), and labels no cases";
        return Err(Failure::unusable(text));
    }
    let task: Task = model.config().task()?;
    let options = data.label_options(task);
    let read = LabelledSet::reading(&data.read_options()?, &options);
    let table = rows.read(&read, limits)?;
    Ok(LabelledSet::unlabelled_of_table(&table, &options)?)
}

fn written(accept: Media, model: &str, table: &Table) -> Answered<Vec<u8>> {
    let bytes = table.to_bytes(accept.format())?;
    if accept != Media::Json {
        return Ok(bytes);
    }
    let cases: serde_json::Value = serde_json::from_slice(&bytes).map_err(Failure::internal)?;
    serde_json::to_vec(&json!({"model": model, "cases": cases})).map_err(Failure::internal)
}
