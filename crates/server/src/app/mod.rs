//! All routes as one application, and what is done around every request.
//!
//! | file | holds |
//! |---|---|
//! | `around.rs` | key, host, name, log, counters |
//! | `openapi.rs` | the description of the routes |

mod around;
mod openapi;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use crate::failure::{Code, Failure};
use crate::http::answer::Refused;
use crate::state::Service;
use crate::{dialects, grpc, native, page};

/// All routes of a server.
pub fn app(service: Arc<Service>) -> Router {
    let page = service.page;
    let http = native::routes().merge(dialects::routes()).merge(page::routes(page));
    let http = http.route("/openapi.json", get(openapi::get));
    let all = http.with_state(Arc::clone(&service)).merge(grpc::routes(&service));
    all.fallback(no_route)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(service, around::around))
        .merge(page::files(page).method_not_allowed_fallback(other_method))
}

async fn no_route() -> Refused {
    let text = "there is no such route (GET /openapi.json lists them)";
    Refused(Failure::new(Code::NoRoute, text))
}

/// The router adds `Allow`.
async fn other_method() -> Refused {
    let text = "the route is there for other methods (Allow names them)";
    Refused(Failure::new(Code::Method, text))
}
