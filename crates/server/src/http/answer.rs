//! Answers and failures of the native routes.

use axum::Json;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::failure::{Code, Failure};
use crate::forecast::{Media, Times};

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

/// What the middleware is told of an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// The model that was meant.
    pub(crate) model: String,
    pub(crate) times: Option<Times>,
}

/// A failure as an answer: in the native form, and as a failure beside it, so that what is around every request can give
/// it the form of the route's contract.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Failure);

impl<E: Into<Failure>> From<E> for Refused {
    fn from(failure: E) -> Self {
        Self(failure.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let mut response = refusal(&self.0, self.0.to_json());
        response.extensions_mut().insert(self.0);
        response
    }
}

/// An answer with this body, and the status and headers of the failure.
pub(crate) fn refusal(failure: &Failure, body: Value) -> Response<Body> {
    let mut response = (failure.code.status(), Json(body)).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = failure.code.retry_after() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if failure.code == Code::NoKey {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A body of this form.
pub(crate) fn body(media: Media, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media.name()));
    response
}

/// Notes on an answer which model gave it, and in what time.
pub(crate) fn said(mut response: Response<Body>, model: &str, times: Times) -> Response<Body> {
    let said = Said { model: model.to_owned(), times: Some(times) };
    response.extensions_mut().insert(said);
    response
}
