//! The description of the routes, as OpenAPI 3.1.

use axum::Json;
use utoipa::OpenApi;

use crate::dialects::{granite, inference, kserve};
use crate::http::answer::ErrorBody;
use crate::native::{classify, counters, forecast, inspect, models};

#[derive(OpenApi)]
#[openapi(
    info(title = "ptsm", description = "Forecasts of time series by PatchTSMixer"),
    paths(
        forecast::post,
        classify::post,
        inspect::post,
        models::list,
        models::one,
        counters::metrics,
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
