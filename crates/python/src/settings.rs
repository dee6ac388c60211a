//! What calls are asked for: JSON that the package writes, read strictly.

use ptsm::core::did_you_mean;
use ptsm::data::{Part, Series, Split};
use ptsm::spec::ModelSpec;
use ptsm::train::Training;
use ptsm::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads settings.
pub(crate) fn from_text<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| {
        // The place in a text that nobody wrote helps nobody.
        let text = e.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        Error::new(ErrorKind::InvalidConfig, text)
    })
}

/// Which rows are scored, or calibrated on: a part of the split of the training, or the test part of another split.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Rows {
    pub(crate) part: Part,
    /// In place of the split of the training.
    pub(crate) borders: Option<Split>,
}

impl TryFrom<String> for Rows {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        if let Ok(part) = text.parse() {
            return Ok(Self { part, borders: None });
        }
        let parts = Part::ALL.map(Part::name).join(", ");
        match text.parse() {
            Ok(borders) => Ok(Self { part: Part::Test, borders: Some(borders) }),
            Err(error) => {
                Err(format!("split: \"{text}\" is not one of {parts}, and no split: {error}"))
            }
        }
    }
}

/// `lower` with the fields that are given.
pub(crate) fn training(lower: &Training, given: &Map<String, Value>) -> Result<Training> {
    let bad = |e: serde_json::Error| Error::new(ErrorKind::InvalidConfig, e.to_string());
    let mut value = serde_json::to_value(lower).map_err(bad)?;
    if let Value::Object(fields) = &mut value {
        fields.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    serde_json::from_value(value).map_err(bad)
}

/// Splits options of a network into those of the model and those of its training.
///
/// # Errors
///
/// `InvalidConfig`, naming the option, if it is not known or has an impossible value.
pub(crate) fn split(options: Map<String, Value>) -> Result<(ModelSpec, Map<String, Value>)> {
    let (mut model, mut rest) = (ModelSpec::default(), Map::new());
    for (name, value) in options.into_iter().filter(|(_, value)| !value.is_null()) {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if ModelSpec::FIELDS.contains(&name.as_str()) {
            let bad = |e: serde_json::Error| Error::config(&name, e.to_string());
            model.overlay(&serde_json::from_value(Value::Object(alone)).map_err(bad)?);
        } else {
            training(&Training::default(), &alone).map_err(|e| refused(&name, &e))?;
            rest.insert(name, value);
        }
    }
    model.settle();
    Ok((model, rest))
}

/// The error of an option of the training, or of one that nobody knows.
fn refused(name: &str, error: &Error) -> Error {
    let text = error.to_string();
    if !text.starts_with("unknown field") {
        return Error::config(name, text);
    }
    // What serde expects of the training, and the fields of the model.
    let known = text.split('`').skip(3).step_by(2).chain(ModelSpec::FIELDS.iter().copied());
    let known: Vec<&str> = known.collect();
    let near = did_you_mean(name, known);
    Error::config(name, format!("is no option of a network or its training{near}"))
}

/// A sentence about series that are not forecast.
pub(crate) fn left_out(left: &[Series]) -> Vec<String> {
    const NAMED: usize = 3;
    if left.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = left.iter().take(NAMED).map(|series| series.id.as_str()).collect();
    let more = match left.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    vec![format!("skipped, as no value is known before the forecast: {}{more}", names.join(", "))]
}
