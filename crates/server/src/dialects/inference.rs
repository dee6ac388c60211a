//! The Open Inference Protocol over REST, with Triton's binary tensors, repository and statistics.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::tensor_json::{Floats, InferBody, InputBody, OutputAnswer};
use super::tensors::{self, EXTENSIONS, Infer, Tensor, VERSION};
use crate::failure::{Answered, Code, Failure};
use crate::forecast::beside;
use crate::http::answer::Refused;
use crate::http::asked::Asked;
use crate::http::{answer, body};
use crate::registry::{Entry, Served};
use crate::state::Service;

/// Bytes of JSON in front of binary tensors.
const HEADER: &str = "inference-header-content-length";

/// A failure as this protocol says it: what cannot be used is 400.
pub(crate) fn refused(failure: &Failure) -> Response<Body> {
    let mut response = answer::refusal(failure, json!({"error": failure.message}));
    if failure.code == Code::Unusable {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

/// An input of a request.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a form for the description of the routes")]
pub(crate) struct InferInput {
    /// past_values [windows, steps, channels] in data units, or observed_mask of the same shape.
    name: String,
    shape: Vec<i64>,
    /// FP32 or FP64.
    datatype: String,
    /// Numbers, flat or nested; null is missing.
    #[schema(value_type = Vec<Object>)]
    data: Value,
}

/// A request.
#[derive(ToSchema)]
#[allow(dead_code, reason = "a form for the description of the routes")]
pub(crate) struct InferRequest {
    id: Option<String>,
    /// levels, prediction_length, season, timeout (microseconds).
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    inputs: Vec<InferInput>,
}

/// Name, version and extensions of the server.
#[utoipa::path(get, path = "/v2", tag = "open inference", responses((status = 200, description = "Server")))]
pub(crate) async fn server(_: Asked) -> Json<Value> {
    Json(json!({"name": "ptsm", "version": env!("CARGO_PKG_VERSION"), "extensions": EXTENSIONS}))
}

/// Whether the server runs.
#[utoipa::path(get, path = "/v2/health/live", tag = "open inference", responses((status = 200, description = "Live")))]
pub(crate) async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

/// Whether every model is there, and the server not about to end.
#[utoipa::path(
    get, path = "/v2/health/ready", tag = "open inference",
    responses((status = 200, description = "Ready"), (status = 503, description = "Not ready")),
)]
pub(crate) async fn ready(State(service): State<Arc<Service>>) -> Response<Body> {
    let ready = service.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready}))).into_response()
}

/// Name and perhaps version in a path.
type Named = Path<Vec<(String, String)>>;

/// What serves under the name in a path.
fn found(service: &Service, asked: &Asked, path: &[(String, String)]) -> Answered<Arc<Served>> {
    let part = |name: &str| path.iter().find(|(part, _)| part == name).map(|(_, v)| v.as_str());
    if part("version").is_some_and(|version| version != VERSION) {
        return Err(Failure::new(Code::NoModel, "there is version 1 alone"));
    }
    asked.model(&service.registry, part("model").unwrap_or_default())
}

/// Inputs and outputs of a model.
#[utoipa::path(
    get, path = "/v2/models/{model}", tag = "open inference", params(("model" = String, Path, description = "Name")),
    responses((status = 200, description = "Model"), (status = "4XX", description = "error"),
              (status = "5XX", description = "error")),
)]
pub(crate) async fn model(
    State(service): State<Arc<Service>>,
    asked: Asked,
    Path(path): Named,
) -> Result<Json<Value>, Refused> {
    let model = found(&service, &asked, &path)?;
    let (inputs, outputs) = tensors::metadata(&model);
    let all =
        |list: &[tensors::TensorMetadata]| list.iter().map(|t| t.to_json()).collect::<Value>();
    Ok(Json(json!({
        "name": model.name, "versions": [VERSION], "platform": "ptsm", "inputs": all(&inputs),
        "outputs": all(&outputs), "parameters": {"units": "data", "channels": model.channels(), "sha256": model.sha256()},
    })))
}

/// Whether a model serves.
#[utoipa::path(
    get, path = "/v2/models/{model}/ready", tag = "open inference",
    params(("model" = String, Path, description = "Name")),
    responses((status = 200, description = "Ready"), (status = "4XX", description = "error"),
              (status = "5XX", description = "error")),
)]
pub(crate) async fn model_ready(
    State(service): State<Arc<Service>>,
    asked: Asked,
    Path(path): Named,
) -> Result<Json<Value>, Refused> {
    let model = found(&service, &asked, &path)?;
    Ok(Json(json!({"name": model.name, "ready": true})))
}

/// Forecasts windows.
#[utoipa::path(
    post, path = "/v2/models/{model}/infer", tag = "open inference",
    params(("model" = String, Path, description = "Name")), request_body(content = InferRequest),
    responses((status = 200, description = "Outputs"), (status = "4XX", description = "error"),
              (status = "5XX", description = "error")),
)]
pub(crate) async fn infer(
    State(service): State<Arc<Service>>,
    asked: Asked,
    Path(path): Named,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Refused> {
    let model = found(&service, &asked, &path)?;
    let bytes = body::read(body, &service).await?;
    let header = header_length(&headers, bytes.len())?;
    let Parsed { id, infer, binary } = {
        let name = model.name.clone();
        beside(bytes.len(), move || parsed(&bytes, header, &name)).await?
    };
    let (outputs, times) = tensors::infer(&service, &model, infer, asked.deadline).await?;
    let size = outputs.iter().map(|tensor| 8 * tensor.values.len()).sum();
    let name = model.name.clone();
    let response = beside(size, move || written(&name, id, outputs, &binary)).await?;
    Ok(answer::said(response, &model.name, times))
}

fn header_length(headers: &HeaderMap, most: usize) -> Answered<Option<usize>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let length: Option<usize> = length.filter(|&length| length <= most);
    let text = "Inference-Header-Content-Length: wanted no more bytes than the body has";
    length.map(Some).ok_or_else(|| Failure::new(Code::Unreadable, text))
}

/// Which outputs are wanted as bytes.
#[derive(Default)]
struct Binary {
    all: bool,
    named: Vec<(String, bool)>,
}

impl Binary {
    fn wants(&self, name: &str) -> bool {
        self.named.iter().find(|(own, _)| own == name).map_or(self.all, |(_, binary)| *binary)
    }
}

struct Parsed {
    id: Option<String>,
    infer: Infer,
    binary: Binary,
}

fn parsed(bytes: &Bytes, header: Option<usize>, model: &str) -> Answered<Parsed> {
    let (json, mut rest) = bytes.split_at(header.unwrap_or(bytes.len()));
    let read: InferBody = serde_json::from_slice(json).map_err(|error| {
        Failure::new(Code::Unreadable, format!("the body: {error} (a missing value is null)"))
    })?;
    let named =
        [(&read.model_name, "model_name", model), (&read.model_version, "model_version", VERSION)];
    for (given, field, own) in named {
        if given.as_ref().is_some_and(|given| !given.is_empty() && given != own) {
            return Err(Failure::unusable(format!("{field}: the path says {own}")));
        }
    }
    let (mut infer, mut binary) = (Infer::default(), Binary::default());
    for (name, value) in &read.parameters {
        match name.as_str() {
            "binary_data_output" => binary.all = flag(name, value)?,
            _ => infer.parameters.take(name, value)?,
        }
    }
    for input in read.inputs {
        infer.inputs.push(tensor(input, &mut rest)?);
    }
    if !rest.is_empty() {
        let text = format!("{} bytes follow the inputs", rest.len());
        return Err(Failure::unusable(text));
    }
    for output in read.outputs {
        let mut wanted = binary.all;
        for (name, value) in &output.parameters {
            match name.as_str() {
                "binary_data" => wanted = flag(name, value)?,
                _ => return Err(tensors::unknown_parameter(&output.name, name, "binary_data")),
            }
        }
        binary.named.push((output.name.clone(), wanted));
        infer.outputs.push(output.name);
    }
    Ok(Parsed { id: read.id, infer, binary })
}

fn flag(name: &str, value: &Value) -> Answered<bool> {
    let text = || Failure::unusable(format!("parameter {name}: wanted true or false"));
    value.as_bool().ok_or_else(text)
}

/// An input with its numbers, which are taken off `rest` where they follow the JSON.
fn tensor(input: InputBody, rest: &mut &[u8]) -> Answered<Tensor> {
    let InputBody { name, shape, datatype, parameters, data } = input;
    if let Some(other) = parameters.keys().find(|key| *key != "binary_data_size") {
        return Err(tensors::unknown_parameter(&name, other, "binary_data_size"));
    }
    // A mask may be of truth values.
    let flags = datatype == "BOOL" && name == tensors::MASK;
    let single = if flags { true } else { tensors::is_single(&name, &datatype)? };
    let values = match (parameters.get("binary_data_size"), data) {
        (Some(size), None) => {
            let size = size.as_u64().and_then(|size| usize::try_from(size).ok());
            let split = size.and_then(|size| rest.split_at_checked(size));
            let Some((own, after)) = split else {
                let text = format!("{name}: binary_data_size is more than follows the JSON");
                return Err(Failure::unusable(text));
            };
            *rest = after;
            match flags {
                true => own.iter().map(|&byte| f64::from(byte)).collect(),
                false => tensors::of_bytes(&name, single, own)?,
            }
        }
        (None, Some(numbers)) => numbers.0,
        _ => {
            let text = format!("{name}: wanted data, or binary_data_size and bytes after the JSON");
            return Err(Failure::unusable(text));
        }
    };
    let shape = tensors::shape_of(&name, &shape, values.len())?;
    Ok(Tensor { name, single, shape, values })
}

fn written(
    model: &str,
    id: Option<String>,
    outputs: Vec<Tensor>,
    binary: &Binary,
) -> Answered<Response<Body>> {
    let mut blobs = Vec::new();
    let mut answers = Vec::with_capacity(outputs.len());
    for tensor in outputs {
        let datatype = tensor.datatype();
        let (mut data, mut parameters) = (None, None);
        if binary.wants(&tensor.name) {
            let bytes = tensor.bytes();
            parameters = Some(json!({"binary_data_size": bytes.len()}));
            blobs.extend(bytes);
        } else {
            data = Some(match tensor.single {
                true => Floats::Single(tensor.values.iter().map(|&x| x as f32).collect()),
                false => Floats::Double(tensor.values),
            });
        }
        let (name, shape) = (tensor.name, tensor.shape);
        answers.push(OutputAnswer { name, datatype, shape, parameters, data });
    }
    #[derive(serde::Serialize)]
    struct Answer<'a> {
        model_name: &'a str,
        model_version: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        outputs: Vec<OutputAnswer>,
    }
    let answer = Answer { model_name: model, model_version: VERSION, id, outputs: answers };
    let mut bytes = serde_json::to_vec(&answer).map_err(Failure::internal)?;
    let header = (!blobs.is_empty()).then_some(bytes.len());
    bytes.extend(blobs);
    let mut response = Response::new(Body::from(bytes));
    let media = match header {
        Some(_) => "application/octet-stream",
        None => "application/json",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if let Some(length) = header {
        response.headers_mut().insert(HEADER, length.into());
    }
    Ok(response)
}

/// Models by name, with their state.
#[utoipa::path(post, path = "/v2/repository/index", tag = "open inference", responses((status = 200, description = "Models")))]
pub(crate) async fn index(State(service): State<Arc<Service>>, asked: Asked) -> Json<Value> {
    let one = |entry: Entry| {
        let (state, reason) = state(&entry);
        json!({"name": entry.name, "version": VERSION, "state": state, "reason": reason})
    };
    Json(asked.entries(&service.registry).into_iter().map(one).collect())
}

/// The state of a model, and why it is not ready.
pub(crate) fn state(entry: &Entry) -> (&'static str, String) {
    let state = if entry.serving.is_some() { "READY" } else { "UNAVAILABLE" };
    (state, entry.failure.clone().unwrap_or_default())
}

/// Loads a model again.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/load", tag = "open inference",
    params(("model" = String, Path, description = "Name")),
    responses((status = 200, description = "Loaded"), (status = "4XX", description = "error"),
              (status = "5XX", description = "error")),
)]
pub(crate) async fn load(
    State(service): State<Arc<Service>>,
    asked: Asked,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refused> {
    service.require_admin()?;
    asked.load(&service.registry, &name).await?;
    Ok(Json(json!({})))
}

/// Takes a model out of service.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/unload", tag = "open inference",
    params(("model" = String, Path, description = "Name")),
    responses((status = 200, description = "Unloaded"), (status = "4XX", description = "error")),
)]
pub(crate) async fn unload(
    State(service): State<Arc<Service>>,
    asked: Asked,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refused> {
    service.require_admin()?;
    asked.unload(&service.registry, &name).await?;
    Ok(Json(json!({})))
}

/// What models have served.
#[utoipa::path(
    get, path = "/v2/models/{model}/stats", tag = "open inference",
    params(("model" = String, Path, description = "Name")),
    responses((status = 200, description = "Statistics"), (status = "4XX", description = "error"),
              (status = "5XX", description = "error")),
)]
pub(crate) async fn stats(
    State(service): State<Arc<Service>>,
    asked: Asked,
    Path(path): Named,
) -> Result<Json<Value>, Refused> {
    let models: Vec<Arc<Served>> = match path.is_empty() {
        true => {
            let entries = asked.entries(&service.registry).into_iter();
            entries.filter_map(|entry| entry.serving).collect()
        }
        false => vec![found(&service, &asked, &path)?],
    };
    let one = |model: &Arc<Served>| {
        let of = &model.statistics;
        let time = |count: u64, ns: u64| json!({"count": count, "ns": ns});
        let (requests, failures) = (of.requests.load(Relaxed), of.failures.load(Relaxed));
        let (runs, queue, compute) =
            (of.runs.load(Relaxed), of.queue_nanos.load(Relaxed), of.compute_nanos.load(Relaxed));
        json!({
            "name": model.name, "version": VERSION, "last_inference": of.last.load(Relaxed),
            "inference_count": of.windows.load(Relaxed), "execution_count": runs,
            "inference_stats": {
                "success": time(requests, queue + compute), "fail": time(failures, 0),
                "queue": time(requests, queue), "compute_input": time(0, 0),
                "compute_infer": time(runs, compute), "compute_output": time(0, 0),
            },
        })
    };
    Ok(Json(json!({"model_stats": models.iter().map(one).collect::<Value>()})))
}
