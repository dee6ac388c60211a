//! What is done around every request: host, key, name, log, counters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Response, Version};
use axum::middleware::Next;
use serde_json::json;

use crate::failure::{Answered, Code, Failure};
use crate::forecast::Times;
use crate::http::answer::{self, Said};
use crate::http::asked::Asked;
use crate::log::log_line;
use crate::metrics::RequestLabels;
use crate::room::Room;
use crate::state::Service;
use crate::{dialects, grpc};

/// Routes that need no key.
const OPEN: [&str; 6] = [
    "/v2/health/live",
    "/v2/health/ready",
    "/healthcheck",
    "/metrics",
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
];
/// Routes that have a query.
const QUERIED: [&str; 5] =
    ["/v1/forecast", "/v1/classify", "/v1/inspect", "/v1/inference/modelspec", "/page/rows"];
/// The longest name of a request that is taken from its client.
const LONGEST_ID: usize = 128;

/// Whose contract a route is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Native,
    Inference,
    Grpc,
    Kserve,
    Granite,
    Other,
}

impl Dialect {
    fn of(path: &str) -> Self {
        match path {
            path if path.starts_with("/v1/timeseries/") => Self::Kserve,
            path if path.starts_with("/v1/inference/") || path == "/healthcheck" => Self::Granite,
            path if path.starts_with("/v1/") => Self::Native,
            path if path == "/v2" || path.starts_with("/v2/") => Self::Inference,
            path if path.starts_with("/inference.") => Self::Grpc,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Native => "v1",
            Self::Inference => "v2",
            Self::Grpc => "grpc",
            Self::Kserve => "kserve",
            Self::Granite => "granite",
            Self::Other => "other",
        }
    }

    /// The status that is counted: of gRPC its own, which is 0 where the head of an answer names none.
    fn code(self, response: &Response<Body>) -> u16 {
        let status = response.status();
        let named = response.headers().get("grpc-status").map(HeaderValue::as_bytes);
        match named {
            _ if self != Self::Grpc || !status.is_success() => status.as_u16(),
            Some(code) => tonic::Code::from_bytes(code) as u16,
            None => tonic::Code::Ok as u16,
        }
    }

    /// A failure in the form of the contract.
    fn refuse(self, failure: &Failure) -> Response<Body> {
        match self {
            Self::Native | Self::Other => answer::refusal(failure, failure.to_json()),
            Self::Inference => dialects::inference::refused(failure),
            Self::Kserve => dialects::kserve::refused(failure),
            Self::Granite => dialects::granite::refused(failure),
            Self::Grpc => grpc::status(failure).into_http(),
        }
    }
}

pub(super) async fn around(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (dialect, version) = (Dialect::of(&path), request.version());
    let id = given_id(request.headers()).unwrap_or_else(|| service.request_id());
    let mut key = None;
    let mut response = match asked(&service, &request, began) {
        Ok(asked) => {
            key = asked.key().map(str::to_owned);
            let until = asked.deadline;
            request.extensions_mut().insert(asked);
            match dialect {
                // The body of a call is read by its handler, which knows no time.
                Dialect::Grpc => {
                    let (request, _room) = counted(request, &service);
                    match tokio::time::timeout_at(until.into(), next.run(request)).await {
                        Ok(response) => response,
                        Err(_) => {
                            dialect.refuse(&Failure::new(Code::Late, "there was no answer in time"))
                        }
                    }
                }
                _ => next.run(request).await,
            }
        }
        Err(failure) => dialect.refuse(&failure),
    };
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = dialect.refuse(&failure);
    }
    let said = response.extensions_mut().remove::<Said>().unwrap_or_default();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    if let Some(value) = said.times.and_then(server_timing) {
        headers.insert("server-timing", value);
    }
    if service.is_draining() && version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let (code, took) = (dialect.code(&response), began.elapsed());
    service.metrics.request_time.observe(took.as_secs_f64());
    let protocol = dialect.name().to_owned();
    let labels = RequestLabels { model: said.model.clone(), protocol, code };
    service.metrics.requests.get_or_create(&labels).inc();
    if service.log {
        let path: String = path.chars().take(LONGEST_ID).collect();
        log_line(&json!({
            "level": "info", "id": id, "method": method.as_str(), "path": path, "status": code,
            "ms": (took.as_secs_f64() * 1e5).round() / 1e2, "model": said.model, "key": key,
        }));
    }
    response
}

/// A call whose body takes room among those of all requests, until that is dropped.
fn counted(request: Request, service: &Service) -> (Request, Arc<Room>) {
    let room = Arc::new(service.bodies.room());
    let own = Arc::clone(&room);
    (request.map(|body| Body::new(grpc::Counted { body, room: own })), room)
}

/// Checks host and key, and finds until when an answer is wanted.
fn asked(service: &Service, request: &Request, began: Instant) -> Answered<Asked> {
    let headers = request.headers();
    check_query(request)?;
    if service.loopback {
        check_host(request)?;
    }
    if service.loopback && service.keys.is_none() {
        check_site(headers)?;
    }
    let timeout = timeout(headers)?;
    let deadline = service.deadline(began, timeout);
    let Some(keys) = &service.keys else { return Ok(Asked::new(deadline, None)) };
    if OPEN.contains(&request.uri().path()) {
        return Ok(Asked::new(deadline, None));
    }
    let caller = key(headers).and_then(|key| keys.caller(key));
    let caller = caller.ok_or_else(|| {
        let text = "wanted a key: Authorization: Bearer KEY, or x-api-key: KEY";
        Failure::new(Code::NoKey, text)
    })?;
    Ok(Asked::new(deadline, Some(caller)))
}

/// Refuses a query where a route has none; health and counters are asked by monitors with queries of their own.
fn check_query(request: &Request) -> Answered<()> {
    let uri = request.uri();
    let routed = request.extensions().get::<MatchedPath>().is_some();
    let used = QUERIED.contains(&uri.path()) || OPEN.contains(&uri.path());
    match uri.query().is_some_and(|query| !query.is_empty()) && routed && !used {
        true => {
            let text = "query: this route has no options (leave it out)";
            Err(Failure::new(Code::Unreadable, text))
        }
        false => Ok(()),
    }
}

fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes))
}

/// A page of another site must not reach a server on the user's own machine by a name that resolves to it.
fn check_host(request: &Request) -> Answered<()> {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let Some(named) = named else { return Ok(()) };
    match is_this_machine(named) {
        true => Ok(()),
        false => {
            let text = "Host: this server answers to localhost alone (start it with --host)";
            Err(Failure::new(Code::Host, text))
        }
    }
}

/// A page of another site must not make the browser ask in its name: it could not read the answer, but a model would be
/// unloaded. Browsers say in `Origin` or `Sec-Fetch-Site` where a request comes from; other clients say nothing.
fn check_site(headers: &HeaderMap) -> Answered<()> {
    let is_own = |origin: &HeaderValue| {
        let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        authority.is_some_and(|(_, authority)| is_this_machine(authority))
    };
    let crosses = |site: &HeaderValue| site.as_bytes().eq_ignore_ascii_case(b"cross-site");
    let foreign = !headers.get_all(ORIGIN).iter().all(is_own);
    match foreign || headers.get_all("sec-fetch-site").iter().any(crosses) {
        true => {
            let text = "Origin: without keys this server answers to no page of another site (start it \
                        with --api-key-file)";
            Err(Failure::new(Code::Host, text))
        }
        false => Ok(()),
    }
}

/// Whether a host, perhaps with a port, is localhost or a loopback address.
fn is_this_machine(named: &str) -> bool {
    let host = named.rsplit_once(':').map_or(named, |(host, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) { host } else { named }
    });
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    address || host.eq_ignore_ascii_case("localhost")
}

/// `Request-Timeout-Ms`, or `grpc-timeout`.
fn timeout(headers: &HeaderMap) -> Answered<Option<Duration>> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(value) = text("request-timeout-ms") {
        let millis: u64 = value.parse().map_err(|_| {
            Failure::new(Code::Unreadable, "Request-Timeout-Ms: wanted a whole number")
        })?;
        return Ok(Some(Duration::from_millis(millis)));
    }
    Ok(text("grpc-timeout").and_then(grpc_timeout))
}

fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The name that the client gave its request, if it is short and plain.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    (!id.is_empty() && id.len() <= LONGEST_ID && id.chars().all(plain)).then(|| id.to_owned())
}

fn server_timing(times: Times) -> Option<HeaderValue> {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let Times { parse, queue, compute } = times;
    let (parse, queue, compute) = (millis(parse), millis(queue), millis(compute));
    let text = format!("parse;dur={parse:.3}, queue;dur={queue:.3}, compute;dur={compute:.3}");
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        let allowed = |host: &str| {
            let request = Request::builder().header(HOST, host).body(Body::empty()).unwrap();
            check_host(&request).is_ok()
        };
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "127.9.9.9"] {
            assert!(allowed(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "10.0.0.1", "localhost.evil.example"] {
            assert!(!allowed(host), "{host}");
        }
    }

    #[test]
    fn times_of_grpc_are_read() {
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for text in ["", "m", "1x", "123456789S", "-1S"] {
            assert_eq!(grpc_timeout(text), None, "{text}");
        }
    }
}
