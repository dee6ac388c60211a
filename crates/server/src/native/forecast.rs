//! `POST /v1/forecast`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use ptsm::forecast::{ForecastJson, IntervalNames, forecast_table_named};
use serde::Serialize;
use utoipa::ToSchema;

use super::table_request::{ForecastBody, TableRequest};
use crate::failure::{Answered, Failure};
use crate::forecast::{Answer, Input, Media, Request, TableSource, beside, forecast};
use crate::http::answer::{self, ErrorBody, Refused};
use crate::http::asked::Asked;
use crate::state::Service;

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
    request: TableRequest,
) -> Result<Response<Body>, Refused> {
    request.refuse_unused(&["label"], "is for models that label cases")?;
    let TableRequest { accept, options, schema, rows, future } = request;
    let model = asked.model_or_only(&service.registry, options.model.as_deref())?;
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
        return serde_json::to_vec(&answer).map_err(Failure::internal);
    }
    let table = forecast_table_named(&answer.set, &answer.forecasts, names)?;
    Ok(table.to_bytes(accept.format())?)
}
