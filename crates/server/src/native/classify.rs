//! `POST /v1/classify`: labels of cases, classes or values.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use ptsm::Task;
use ptsm::data::{LabelledSet, Table};
use ptsm::spec::DataSpec;
use serde_json::json;

use super::forecast::{Parsed, parsed};
use crate::failure::{Answered, Code, Failure};
use crate::forecast::{Media, Rows, beside, label};
use crate::http::answer::{self, ErrorBody, Refused};
use crate::http::asked::Asked;
use crate::http::{body, media};
use crate::limits::Limits;
use crate::registry::{Kind, Served};
use crate::state::Service;

/// Labels the cases of a long table.
#[utoipa::path(
    post, path = "/v1/classify", tag = "native",
    request_body(content = super::forecast::ForecastBody<'_>, description = "As of /v1/forecast; the column `id` \
     distinguishes the cases"),
    responses((status = 200, description = "Case, label and probabilities, or case and values"),
              (status = "4XX", body = ErrorBody, description = "Error"), (status = "5XX", body = ErrorBody, description = "Error")),
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
    let Parsed { options, schema, rows, future } =
        parsed(request, bytes, query.unwrap_or_default()).await?;
    let unused = [
        ("future", future.is_some()),
        ("prediction_length", options.prediction_length.is_some()),
        ("rows_before_end", options.rows_before_end.is_some()),
        ("levels", options.levels.is_some()),
        ("interval_names", options.interval_names.is_some()),
    ];
    if let Some((name, _)) = unused.iter().find(|(_, given)| *given) {
        let text = format!("{name}: is for models that forecast; this one labels cases");
        return Err(Failure::unusable(text).into());
    }
    let model = service.registry.get_or_only(options.model.as_deref())?;
    asked.may_use(&model)?;
    let (limits, held) = (service.limits.clone(), Arc::clone(&model));
    let set =
        beside(rows.bytes.len(), move || cases(&held, &rows, &schema.spec(), &limits)).await?;
    let (table, times) = label(&service, &model, set, asked.deadline).await?;
    let bytes = written(accept, &model.name, &table)?;
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
    let failed = |error: serde_json::Error| Failure::new(Code::Internal, error.to_string());
    let cases: serde_json::Value = serde_json::from_slice(&bytes).map_err(failed)?;
    serde_json::to_vec(&json!({"model": model, "cases": cases})).map_err(failed)
}
