//! The native routes, and what is done with every request.
//!
//! | file | holds |
//! |---|---|
//! | `around.rs` | what is done around every request: key, host, name, log, counters |
//! | `body.rs` | bodies, read within their limits |
//! | `answer.rs` | answers and failures |
//! | `media.rs` | media types of requests and answers |
//! | `options.rs` | options of requests, in JSON and in queries |
//! | `forecast.rs`, `classify.rs`, `inspect.rs`, `models.rs`, `health.rs` | the routes |
//! | `log.rs` | one line of JSON for each request |
//! | `openapi.rs` | the description of the routes |

pub(crate) mod answer;
mod around;
pub(crate) mod body;
mod classify;
mod forecast;
mod health;
mod inspect;
mod log;
pub(crate) mod media;
mod models;
pub(crate) mod openapi;
pub(crate) mod options;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::failure::{Code, Failure};
use crate::state::Service;
use crate::{dialects, grpc};

pub(crate) use around::Asked;
pub(crate) use log::log_line;

/// All routes of a server.
pub fn app(service: Arc<Service>) -> Router {
    let native = Router::new()
        .route("/v1/forecast", post(forecast::post))
        .route("/v1/classify", post(classify::post))
        .route("/v1/inspect", post(inspect::post))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{model}", get(models::one))
        .route("/healthcheck", get(dialects::granite::health))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::get));
    let http = native.merge(dialects::routes()).with_state(Arc::clone(&service));
    let all = http.merge(grpc::routes(&service));
    all.fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .layer(from_fn_with_state(service, around::around))
}

async fn no_route() -> answer::Refused {
    let text = "there is no such route (GET /openapi.json lists them)";
    answer::Refused(Failure::new(Code::NoRoute, text))
}
