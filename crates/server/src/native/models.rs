//! `GET /v1/models` and `/v1/models/{model}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::failure::{Code, Failure};
use crate::http::answer::{ErrorBody, Refused};
use crate::http::asked::Asked;
use crate::registry::Entry;
use crate::state::Service;

fn described(entry: &Entry) -> Value {
    match &entry.serving {
        Some(served) => {
            let mut value = served.to_json();
            if let Some(failure) = &entry.failure {
                value["last_load"] = json!(failure);
            }
            value
        }
        None => json!({"name": entry.name, "state": "unavailable", "reason": entry.failure}),
    }
}

/// Every model.
#[utoipa::path(get, path = "/v1/models", tag = "native", responses((status = 200, description = "Models")))]
pub(crate) async fn list(State(service): State<Arc<Service>>, asked: Asked) -> Json<Value> {
    let models: Vec<Value> = asked.entries(&service.registry).iter().map(described).collect();
    Json(json!({"models": models}))
}

/// One model: channels, lengths, levels, schema.
#[utoipa::path(
    get, path = "/v1/models/{model}", tag = "native",
    params(("model" = String, Path, description = "Name of the model")),
    responses((status = 200, description = "The model"), (status = 404, body = ErrorBody, description = "Error")),
)]
pub(crate) async fn one(
    State(service): State<Arc<Service>>,
    asked: Asked,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refused> {
    asked.may_use(&name)?;
    let entries = asked.entries(&service.registry);
    let found = entries.iter().find(|entry| entry.name == name);
    let missing = || Failure::new(Code::NoModel, "there is no model of this name");
    Ok(Json(described(found.ok_or_else(missing)?)))
}
