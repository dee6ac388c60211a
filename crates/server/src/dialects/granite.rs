//! The contract of granite-tsfm's inference service (`services/inference`), so that its clients find another server.
//!
//! Not as there: one id column at most; quantiles are those of the model's own calibration, so `quantile_calibration_data`
//! is refused; no conditional and static columns.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use ptsm::data::{Frequency, TableFormat};
use ptsm::forecast::forecast_table;
use ptsm::spec::DataSpec;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::tensors::quantile_levels;
use crate::failure::{Answered, Code, Failure};
use crate::forecast::{Input, Media, Request, Rows, TableSource, beside};
use crate::http::answer::Refused;
use crate::http::asked::Asked;
use crate::http::options::of_json;
use crate::http::{answer, body};
use crate::registry::{Kind, Served};
use crate::state::Service;

/// A failure as this contract says it.
pub(crate) fn refused(failure: &Failure) -> Response<Body> {
    let message = &failure.message;
    let (detail, status) = match failure.code {
        Code::Unusable => {
            let text = format!("A specified parameter is invalid.:{message}");
            (json!(text), Some(StatusCode::BAD_REQUEST))
        }
        Code::Unreadable => {
            let detail = json!([{"type": "value_error", "loc": ["body"], "msg": message}]);
            (detail, Some(StatusCode::UNPROCESSABLE_ENTITY))
        }
        _ => (json!(message), None),
    };
    let mut response = answer::refusal(failure, json!({"detail": detail}));
    if let Some(status) = status {
        *response.status_mut() = status;
    }
    response
}

/// A request.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForecastRequest<'a> {
    model_id: String,
    schema: DataSchema,
    #[serde(default)]
    parameters: Parameters,
    /// Columns {"date": [...], "x": [...]}.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    future_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    #[schema(value_type = Option<Object>)]
    quantile_calibration_data: Option<&'a RawValue>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DataSchema {
    timestamp_column: String,
    #[serde(default)]
    id_columns: Option<Vec<String>>,
    #[serde(default)]
    scaling_id_columns: Option<Vec<String>>,
    #[serde(default)]
    freq: Option<String>,
    #[serde(default)]
    target_columns: Option<Vec<String>>,
    #[serde(default)]
    observable_columns: Option<Vec<String>>,
    #[serde(default)]
    control_columns: Option<Vec<String>>,
    #[serde(default)]
    conditional_columns: Option<Vec<String>>,
    #[serde(default)]
    static_categorical_columns: Option<Vec<String>>,
    #[serde(default)]
    categorical_columns: Option<Vec<String>>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    prediction_length: Option<usize>,
    prediction_quantiles: Option<Vec<f64>>,
    /// It changes no forecast: what waits is computed together as workers come free.
    #[allow(dead_code, reason = "a field of the contract that has nothing to change here")]
    inference_batch_size: Option<usize>,
}

/// Forecasts a table.
#[utoipa::path(
    post, path = "/v1/inference/forecasting", tag = "granite", request_body = ForecastRequest<'_>,
    responses((status = 200, description = "Forecasts"), (status = "4XX", description = "error"),
              (status = "5XX", description = "error")),
)]
pub(crate) async fn forecast(
    State(service): State<Arc<Service>>,
    asked: Asked,
    body: Body,
) -> Result<Response<Body>, Refused> {
    let bytes = body::read(body, &service).await?;
    let Parsed { model_id, work } = beside(bytes.len(), move || parsed(&bytes)).await?;
    let model = asked.model(&service.registry, &model_id)?;
    check_columns(&model, &work)?;
    let Work { data, future, spec, prediction_length, quantiles, .. } = work;
    let own = model.config().prediction_length;
    if let (Some(steps), Kind::Forecasts(_)) = (prediction_length, &model.kind)
        && steps > own
    {
        let text = format!("prediction_length {steps} is more than the model's {own}");
        return Err(Failure::unusable(text).into());
    }
    let (timestamp, id) = (spec.timestamp.clone(), spec.id.clone());
    let request = Request {
        model: Arc::clone(&model),
        input: Input::Table { rows: data, data: Box::new(spec), future },
        rows_before_end: 0,
        steps: prediction_length,
        levels: Some(quantile_levels(&quantiles)?),
        deadline: asked.deadline,
    };
    let answer = crate::forecast::forecast(&service, request).await?;
    check_lengths(&model, &answer)?;
    let times = answer.times;
    let output: usize = answer.forecasts.iter().map(|forecast| forecast.values.len()).sum();
    let (name, columns) = (model.name.clone(), Columns { timestamp, id, quantiles });
    let bytes = beside(8 * output, move || {
        let results = columns.of(&answer)?;
        let input: usize = answer.set.series.iter().map(|s| s.num_rows() * s.num_channels).sum();
        let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let value = json!({
            "model_id": name, "created_at": now.to_string(), "results": [results],
            "input_data_points": input, "output_data_points": output,
        });
        serde_json::to_vec(&value).map_err(Failure::internal)
    });
    Ok(answer::said(answer::body(Media::Json, bytes.await?), &model.name, times))
}

/// A request with its tables found.
struct Parsed {
    model_id: String,
    work: Work,
}

struct Work {
    data: TableSource,
    future: Option<TableSource>,
    spec: DataSpec,
    /// Columns that are known ahead.
    known: Vec<String>,
    prediction_length: Option<usize>,
    quantiles: Vec<f64>,
}

fn parsed(bytes: &Bytes) -> Answered<Parsed> {
    let read: ForecastRequest<'_> = of_json(bytes).map_err(|failure| Failure {
        // What has another form is 422 here.
        code: Code::Unreadable,
        ..failure
    })?;
    let given = |columns: &Option<Vec<String>>| columns.clone().unwrap_or_default();
    let schema = &read.schema;
    for (name, columns) in [
        ("conditional_columns", &schema.conditional_columns),
        ("static_categorical_columns", &schema.static_categorical_columns),
        ("categorical_columns", &schema.categorical_columns),
    ] {
        if !given(columns).is_empty() {
            return Err(Failure::unusable(format!("{name} are not supported (leave them out)")));
        }
    }
    let ids = given(&schema.id_columns);
    let id = match ids.as_slice() {
        [] => None,
        [id] => Some(id.clone()),
        _ => return Err(Failure::unusable("id_columns: one column at most is supported")),
    };
    let scaled = given(&schema.scaling_id_columns);
    if !scaled.is_empty() && scaled != ids {
        let text = "scaling_id_columns: series are scaled as in training (leave it out)";
        return Err(Failure::unusable(text));
    }
    let table = |name, raw: &RawValue| {
        let bytes = bytes.slice_ref(raw.get().as_bytes());
        TableSource::Body(Rows { name, media: Media::Json, bytes })
    };
    // `{}` is as good as nothing.
    let held = |raw: Option<&'_ RawValue>| raw.is_some_and(|raw| !is_empty(raw.get()));
    if held(read.quantile_calibration_data) {
        let text = "quantile_calibration_data: quantiles are those that the model was calibrated to (leave it out)";
        return Err(Failure::unusable(text));
    }
    let future = read.future_data.filter(|raw| !is_empty(raw.get()));
    let targets = Some(given(&schema.target_columns)).filter(|targets| !targets.is_empty());
    let frequency = schema.freq.as_deref().map(frequency).transpose()?;
    let timestamp = Some(schema.timestamp_column.clone());
    let spec = DataSpec { timestamp, id, targets, frequency, ..DataSpec::default() };
    let mut known = given(&schema.observable_columns);
    known.extend(given(&schema.control_columns));
    let work = Work {
        data: table("data", read.data),
        future: future.map(|raw| table("future_data", raw)),
        spec,
        known,
        prediction_length: read.parameters.prediction_length,
        quantiles: read.parameters.prediction_quantiles.unwrap_or_default(),
    };
    Ok(Parsed { model_id: read.model_id, work })
}

fn is_empty(json: &str) -> bool {
    let inner = json.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    json.trim() == "null" || inner.is_some_and(|inner| inner.trim().is_empty())
}

/// A step as pandas writes it, such as `1h`, `3600.0s`, `D`.
fn frequency(text: &str) -> Answered<Frequency> {
    let bad = || {
        let text: String = text.chars().take(16).collect();
        Failure::unusable(format!("freq: {text} is no step that is known"))
    };
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let (count, unit) = text.split_at(at);
    let count: f64 = if count.is_empty() { 1.0 } else { count.parse().map_err(|_| bad())? };
    let (factor, unit) = match unit {
        "B" => (1.0, "b"),
        "D" | "d" => (1.0, "d"),
        "W" => (7.0, "d"),
        "M" => (1.0, "mo"),
        "Q" => (3.0, "mo"),
        "Y" => (12.0, "mo"),
        "h" => (1.0, "h"),
        "min" => (1.0, "min"),
        "s" => (1.0, "s"),
        "ms" => (1.0, "ms"),
        "us" => (1.0, "us"),
        "ns" => (1.0, "ns"),
        _ => return Err(bad()),
    };
    let count = count * factor;
    if count < 1.0 || count.fract() != 0.0 {
        return Err(bad());
    }
    format!("{count}{unit}").parse().map_err(|_| bad())
}

/// Refuses other columns that are known ahead than the model's.
fn check_columns(model: &Served, work: &Work) -> Answered<()> {
    let own = model.forecast_model().map(|model| &model.preprocessor().roles.future_covariates);
    let own = own.cloned().unwrap_or_default();
    let alike = work.known.iter().all(|name| own.contains(name));
    match alike && (work.known.is_empty() || work.known.len() == own.len()) {
        true => Ok(()),
        false => {
            let text = match own.is_empty() {
                true => "control_columns and observable_columns: the model takes none".to_owned(),
                false => format!("control_columns: the model's are {}", own.join(", ")),
            };
            Err(Failure::unusable(text))
        }
    }
}

/// Refuses series that are shorter than the context of a model that needs it all.
fn check_lengths(model: &Served, answer: &crate::forecast::Answer) -> Answered<()> {
    let Some(wanted) = model.forecast_model().map(|model| model.config().context_length) else {
        return Ok(());
    };
    match answer.set.series.iter().find(|series| series.num_rows() < wanted) {
        Some(series) => {
            let text = format!(
                "Received {} time points for id {}, but model requires {wanted}",
                series.num_rows(),
                series.id
            );
            Err(Failure::unusable(text))
        }
        None => Ok(()),
    }
}

/// Which columns the answer has, in which order.
struct Columns {
    timestamp: Option<String>,
    id: Option<String>,
    quantiles: Vec<f64>,
}

impl Columns {
    /// Times, ids, targets, and then their quantiles.
    fn of(&self, answer: &crate::forecast::Answer) -> Answered<Map<String, Value>> {
        let table = forecast_table(&answer.set, &answer.forecasts)?;
        let rows: Vec<Map<String, Value>> =
            serde_json::from_slice(&table.to_bytes(TableFormat::Json)?)
                .map_err(Failure::internal)?;
        let targets = answer.forecasts.first().map_or(&[][..], |forecast| &forecast.channels);
        let median = |target: &String| format!("{target}_q0.5");
        let leading = self.timestamp.iter().chain(&self.id).chain(targets);
        let mut names: Vec<String> = leading.cloned().collect();
        for quantile in &self.quantiles {
            names.extend(targets.iter().map(|target| format!("{target}_q{quantile}")));
        }
        let mut columns = Map::new();
        for name in names {
            let of_median = targets.iter().find(|target| median(target) == name);
            let source = of_median.unwrap_or(&name);
            let cells = rows.iter().map(|row| row.get(source).cloned());
            let cells: Option<Vec<Value>> = cells.collect();
            let text = format!("prediction_quantiles: the model does not give {name}");
            columns.insert(name, Value::Array(cells.ok_or_else(|| Failure::unusable(text))?));
        }
        Ok(columns)
    }
}

/// Which model is meant.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpecQuery {
    /// Name of the model.
    model_id: String,
}

/// What a model takes.
#[utoipa::path(
    get, path = "/v1/inference/modelspec", tag = "granite", params(SpecQuery),
    responses((status = 200, description = "Lengths"), (status = "4XX", description = "error")),
)]
pub(crate) async fn model_spec(
    State(service): State<Arc<Service>>,
    asked: Asked,
    query: Result<Query<SpecQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Refused> {
    let Query(query) =
        query.map_err(|_| Failure::new(Code::Unreadable, "query: wanted model_id alone"))?;
    let model = asked.model(&service.registry, &query.model_id)?;
    let (least, most, steps) = match &model.kind {
        Kind::AnySeries(_) => (1, service.limits.rows, service.limits.steps),
        _ => {
            let config = model.config();
            (config.context_length, service.limits.rows, config.prediction_length)
        }
    };
    Ok(Json(json!({
        "multivariate_support": true, "missing_value_support": true,
        "minimum_context_length": least, "maximum_context_length": most,
        "maximum_prediction_length": steps,
    })))
}

/// Whether the server runs.
#[utoipa::path(get, path = "/healthcheck", tag = "granite", responses((status = 200, description = "Runs")))]
pub(crate) async fn health() -> Json<Value> {
    Json(json!({"message": "Server is healthy!"}))
}
