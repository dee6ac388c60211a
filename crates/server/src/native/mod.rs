//! The native routes.
//!
//! | file | route |
//! |---|---|
//! | `forecast.rs` | `POST /v1/forecast` |
//! | `classify.rs` | `POST /v1/classify` |
//! | `inspect.rs` | `POST /v1/inspect` |
//! | `models.rs` | `GET /v1/models`, `/v1/models/{model}` |
//! | `counters.rs` | `GET /metrics` |
//! | `table_request.rs` | what the first three read: a table and options |

pub(crate) mod classify;
pub(crate) mod counters;
pub(crate) mod forecast;
pub(crate) mod inspect;
pub(crate) mod models;
mod table_request;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::state::Service;

/// The native routes.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/forecast", post(forecast::post))
        .route("/v1/classify", post(classify::post))
        .route("/v1/inspect", post(inspect::post))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::one))
        .route("/metrics", get(counters::metrics))
}
