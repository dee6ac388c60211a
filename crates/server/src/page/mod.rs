//! The page: files that a browser is given, and the one route that they need beside the native ones.
//!
//! | file | holds |
//! |---|---|
//! | `files.rs` | the files of `page/`, inside the binary, and their headers |
//! | `rows.rs` | `POST /page/rows`: the rows of a table as they are read |
//!
//! The files need no key and have nothing of the server in them; what they show, they ask for by the routes that every
//! client has, with the key that the user types.

mod files;
mod rows;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;

use crate::state::Service;

/// The files; none where there is no page.
pub(crate) fn files(is_on: bool) -> Router {
    match is_on {
        true => files::routes(),
        false => Router::new(),
    }
}

/// The route of the page; none where there is no page.
pub(crate) fn routes(is_on: bool) -> Router<Arc<Service>> {
    match is_on {
        true => Router::new().route("/page/rows", post(rows::post)),
        false => Router::new(),
    }
}
