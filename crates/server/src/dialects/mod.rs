//! Contracts of other servers, one file each. They parse into the request of [`crate::forecast`] and write its answer.
//!
//! | file | contract |
//! |---|---|
//! | `tensors.rs` | the Open Inference Protocol as such: tensors in, tensors out, over REST and gRPC alike |
//! | `inference.rs` | its REST side, with Triton's binary tensors |
//! | `tensor_json.rs` | its JSON |
//! | `kserve.rs` | KServe's time-series API |
//! | `granite.rs` | granite-tsfm's inference service |

pub(crate) mod granite;
pub(crate) mod inference;
pub(crate) mod kserve;
mod tensor_json;
pub(crate) mod tensors;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::state::Service;

/// The routes of all contracts.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v2", get(inference::server))
        .route("/v2/health/live", get(inference::live))
        .route("/v2/health/ready", get(inference::ready))
        .route("/v2/models/{model}", get(inference::model))
        .route("/v2/models/{model}/versions/{version}", get(inference::model))
        .route("/v2/models/{model}/ready", get(inference::model_ready))
        .route("/v2/models/{model}/versions/{version}/ready", get(inference::model_ready))
        .route("/v2/models/{model}/infer", post(inference::infer))
        .route("/v2/models/{model}/versions/{version}/infer", post(inference::infer))
        .route("/v2/models/stats", get(inference::stats))
        .route("/v2/models/{model}/stats", get(inference::stats))
        .route("/v2/models/{model}/versions/{version}/stats", get(inference::stats))
        .route("/v2/repository/index", post(inference::index))
        .route("/v2/repository/models/{model}/load", post(inference::load))
        .route("/v2/repository/models/{model}/unload", post(inference::unload))
        .route("/v1/timeseries/forecast", post(kserve::forecast))
        .route("/v1/timeseries/models", get(kserve::models))
        .route("/v1/inference/forecasting", post(granite::forecast))
        .route("/healthcheck", get(granite::health))
        .route("/v1/inference/modelspec", get(granite::model_spec))
}
