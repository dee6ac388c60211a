//! Errors for unknown fields and values, which list the known ones and name the nearest.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use ptsm_core::nearest;

use crate::{Error, Result};

/// Reads `fields` as a `T` whose fields all have defaults; `place` names them in messages.
///
/// # Errors
///
/// `InvalidConfig`, naming the field, with the known fields or values and the nearest of them.
pub fn from_fields<T: DeserializeOwned>(place: &str, fields: &Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(fields.clone())).map_err(|error| {
        // One field at a time over the defaults: the first that fails alone is the wrong one.
        let culprit = fields.iter().find(|(name, value)| {
            let alone = Map::from_iter([((*name).clone(), (*value).clone())]);
            serde_json::from_value::<T>(Value::Object(alone)).is_err()
        });
        let place = match culprit {
            Some((name, _)) => format!("{place} {name}"),
            None => place.to_owned(),
        };
        Error::config(place, "is not understood").because(with_nearest(&error.to_string()))
    })
}

/// A message of serde about an unknown field or value, with the nearest known one added; any other
/// message as it is.
pub(crate) fn with_nearest(message: &str) -> String {
    let message = message.trim_end();
    let unknown = ["unknown field `", "unknown variant `"].into_iter().find_map(|start| {
        let (_, rest) = message.split_once(start)?;
        rest.split_once('`')
    });
    let Some((name, rest)) = unknown else { return message.to_owned() };
    // What is between back quotes in the list of the known ones.
    let known = rest.split('`').skip(1).step_by(2);
    match nearest(name, known) {
        Some(nearest) => format!("{message} (did you mean `{nearest}`?)"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_anything_else_stay_as_they_are() {
        for text in ["missing field `x`", "invalid type: string \"a\", expected f64"] {
            assert_eq!(with_nearest(text), text);
        }
        let two = "unknown variant `ridg`, expected `ridge` or `zero`";
        assert_eq!(with_nearest(two), format!("{two} (did you mean `ridge`?)"));
    }
}
