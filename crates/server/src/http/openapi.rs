//! The description of the routes, as OpenAPI 3.1.

use axum::Json;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{classify, forecast, health, inspect, models};
use crate::dialects::{granite, inference, kserve};

/// Why a request has no answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorWords,
}

/// The code and a sentence.
#[derive(Serialize, ToSchema)]
struct ErrorWords {
    /// A code of docs/serving.md, such as Q001.
    code: String,
    /// What was wanted, what came, and the way out.
    message: String,
    /// Field, column or row.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "ptsm", description = "Forecasts of time series by PatchTSMixer"),
    paths(
        forecast::post,
        classify::post,
        inspect::post,
        models::list,
        models::one,
        health::metrics,
        inference::server,
        inference::live,
        inference::ready,
        inference::model,
        inference::model_ready,
        inference::infer,
        inference::index,
        inference::load,
        inference::unload,
        inference::stats,
        kserve::forecast,
        kserve::models,
        granite::forecast,
        granite::model_spec,
        granite::health,
        get,
    ),
    components(schemas(ErrorBody))
)]
struct Document;

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "operation", responses((status = 200, description = "OpenAPI")))]
pub(super) async fn get() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
