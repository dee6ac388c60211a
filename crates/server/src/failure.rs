//! [`Failure`]: why a request has no answer, with the code and the status that say so in each protocol.

use std::fmt;

use axum::http::StatusCode;
use ptsm::{Error, ErrorKind};
use serde_json::{Value, json};

/// Why a request has no answer. `docs/serving.md` lists them; a test compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// The body is no JSON, the query no query.
    Unreadable,
    /// A value, a shape or a column is not what the model takes.
    Unusable,
    TooLarge,
    MediaType,
    NotAcceptable,
    Slow,
    NoRoute,
    /// The route is there for other methods.
    Method,
    NoModel,
    NotReady,
    NoKey,
    NotAllowed,
    Host,
    QueueFull,
    Draining,
    Late,
    Memory,
    Internal,
}

impl Code {
    #[cfg(test)]
    pub(crate) const ALL: [Code; 18] = [
        Code::Unreadable,
        Code::Unusable,
        Code::TooLarge,
        Code::MediaType,
        Code::NotAcceptable,
        Code::Slow,
        Code::NoRoute,
        Code::Method,
        Code::NoModel,
        Code::NotReady,
        Code::NoKey,
        Code::NotAllowed,
        Code::Host,
        Code::QueueFull,
        Code::Draining,
        Code::Late,
        Code::Memory,
        Code::Internal,
    ];

    /// The word and the status of HTTP.
    fn row(self) -> (&'static str, StatusCode) {
        match self {
            Self::Unreadable => ("D001", StatusCode::BAD_REQUEST),
            Self::Unusable => ("D002", StatusCode::UNPROCESSABLE_ENTITY),
            Self::TooLarge => ("D003", StatusCode::PAYLOAD_TOO_LARGE),
            Self::MediaType => ("D004", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::NotAcceptable => ("D005", StatusCode::NOT_ACCEPTABLE),
            Self::Slow => ("D006", StatusCode::REQUEST_TIMEOUT),
            Self::NoRoute => ("R001", StatusCode::NOT_FOUND),
            Self::Method => ("R002", StatusCode::METHOD_NOT_ALLOWED),
            Self::NoModel => ("M001", StatusCode::NOT_FOUND),
            Self::NotReady => ("M002", StatusCode::SERVICE_UNAVAILABLE),
            Self::NoKey => ("A001", StatusCode::UNAUTHORIZED),
            Self::NotAllowed => ("A002", StatusCode::FORBIDDEN),
            Self::Host => ("A003", StatusCode::MISDIRECTED_REQUEST),
            Self::QueueFull => ("Q001", StatusCode::TOO_MANY_REQUESTS),
            Self::Draining => ("Q002", StatusCode::SERVICE_UNAVAILABLE),
            Self::Late => ("Q003", StatusCode::GATEWAY_TIMEOUT),
            Self::Memory => ("Q004", StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => ("I001", StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The word, such as `Q001`.
    pub(crate) fn word(self) -> &'static str {
        self.row().0
    }

    /// The status of HTTP.
    pub(crate) fn status(self) -> StatusCode {
        self.row().1
    }

    /// The status of gRPC.
    pub(crate) fn grpc(self) -> tonic::Code {
        match self {
            Self::Unreadable | Self::Unusable | Self::MediaType | Self::NotAcceptable => {
                tonic::Code::InvalidArgument
            }
            Self::TooLarge | Self::QueueFull => tonic::Code::ResourceExhausted,
            Self::NoRoute | Self::Method => tonic::Code::Unimplemented,
            Self::NoModel => tonic::Code::NotFound,
            Self::NotReady | Self::Draining | Self::Memory => tonic::Code::Unavailable,
            Self::NoKey => tonic::Code::Unauthenticated,
            Self::NotAllowed | Self::Host => tonic::Code::PermissionDenied,
            Self::Slow | Self::Late => tonic::Code::DeadlineExceeded,
            Self::Internal => tonic::Code::Internal,
        }
    }

    /// Seconds after which the same request may be answered.
    pub(crate) fn retry_after(self) -> Option<u32> {
        matches!(self, Self::QueueFull | Self::Draining | Self::NotReady | Self::Memory)
            .then_some(1)
    }
}

/// Why a request has no answer, in a sentence.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// The field, column or row that is meant.
    pub(crate) place: Option<String>,
}

/// Result of everything that a request asks for.
pub(crate) type Answered<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place: None }
    }

    /// A value that the model does not take.
    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self::new(Code::Unusable, message)
    }

    /// A failure of the server: the log is told the cause, and the client none of it, since it may name files of the
    /// machine.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        crate::log::log_line(&json!({"level": "error", "error": cause.to_string()}));
        Self::new(Code::Internal, "the server failed; its log says why")
    }

    /// The body of the native routes: `{"error": {"code", "message", "place"?}}`.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({"code": self.code.word(), "message": self.message});
        if let Some(place) = &self.place {
            error["place"] = json!(place);
        }
        json!({"error": error})
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Error> for Failure {
    /// Errors of the library are the request's, unless its kind says otherwise.
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            ErrorKind::InvalidConfig | ErrorKind::InvalidInput => Code::Unusable,
            ErrorKind::OutOfMemory => Code::Memory,
            _ => return Self::internal(error),
        };
        let place = error.place().map(str::to_owned);
        Self { code, message: error.to_string(), place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_server_says_nothing_of_the_machine() {
        let cause = std::io::Error::other("no");
        let error = Error::io(std::path::Path::new("/models/secret"), "cannot be read", cause);
        for failure in [Failure::from(error), Failure::internal("/models/secret")] {
            assert_eq!(failure.code, Code::Internal);
            assert!(!failure.to_json().to_string().contains("secret"), "{failure}");
        }
    }

    #[test]
    fn the_page_lists_every_code_with_its_status() {
        let page = include_str!("../../../docs/serving.md");
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.word(), code.status().as_u16());
            assert!(page.contains(&row), "docs/serving.md lacks the row {row}");
        }
    }
}
