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

/// Known names that are listed beside the nearest of them, at most.
const MOST_LISTED: usize = 8;

/// A message of serde in plain words: about an unknown field or value it says the nearest known one, and the others
/// where they are few or none is near; and a value of another type is said with what is wanted.
pub(crate) fn with_nearest(message: &str) -> String {
    let message = message.trim_end();
    let message = &in_plain_words(message);
    let unknown = ["unknown field `", "unknown variant `"].into_iter().find_map(|start| {
        let (_, rest) = message.split_once(start)?;
        rest.split_once('`')
    });
    let Some((name, rest)) = unknown else { return message.to_owned() };
    // What is between back quotes in the list of the known ones, on the same line.
    let list = rest.lines().next().unwrap_or_default();
    let known = list.split('`').skip(1).step_by(2);
    match nearest(name, known) {
        Some(nearest) => {
            let hint = format!(" (did you mean `{nearest}`?)");
            let Some(place) = list.find(", expected") else { return format!("{message}{hint}") };
            let (before, names) = list.split_at(place);
            let names = if list.matches('`').count() > 2 * MOST_LISTED { "" } else { names };
            message.replacen(list, &format!("{before}{hint}{names}"), 1)
        }
        None => message.to_owned(),
    }
}

/// Types as serde names them, and what is wanted there.
const TYPES: [(&str, &str); 8] = [
    ("expected usize", "wanted a whole number such as 16"),
    ("expected u64", "wanted a whole number such as 16"),
    ("expected u32", "wanted a whole number such as 16"),
    ("expected f64", "wanted a number such as 0.5"),
    ("expected f32", "wanted a number such as 0.5"),
    ("expected a boolean", "wanted true or false"),
    ("expected a sequence", "wanted a list in square brackets"),
    ("expected a string", "wanted a text in quotes"),
];

/// A message about a value of a wrong type, with what is wanted in place of the name of a type.
fn in_plain_words(message: &str) -> String {
    let Some(place) = message.find("invalid type: ") else { return message.to_owned() };
    let (before, rest) = message.split_at(place);
    let found = TYPES.iter().find(|(theirs, _)| rest.contains(theirs));
    match found {
        Some((theirs, ours)) => {
            let rest = rest.replacen("invalid type: ", "", 1).replacen(theirs, ours, 1);
            format!("{before}{rest}")
        }
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_about_anything_else_stay_as_they_are() {
        for text in ["missing field `x`", "invalid type: string \"a\", expected struct X"] {
            assert_eq!(with_nearest(text), text);
        }
    }

    #[test]
    fn the_nearest_name_is_said_first_and_a_long_list_is_not() {
        let two = "unknown variant `ridg`, expected `ridge` or `zero`";
        let said = "unknown variant `ridg` (did you mean `ridge`?), expected `ridge` or `zero`";
        assert_eq!(with_nearest(two), said);
        let far = "unknown field `qqqqqq`, expected `ridge` or `zero`";
        assert_eq!(with_nearest(far), far);
        let many: Vec<String> = ('a'..'k').map(|name| format!("`{name}`")).collect();
        let many = format!(
            "line 2\nunknown field `ridg`, expected one of {}, `ridge`\nmore",
            many.join(", ")
        );
        let said = "line 2\nunknown field `ridg` (did you mean `ridge`?)\nmore";
        assert_eq!(with_nearest(&many), said);
    }

    #[test]
    fn a_value_of_another_type_says_what_is_wanted() {
        let text = "invalid type: string \"big\", expected usize";
        assert_eq!(with_nearest(text), "string \"big\", wanted a whole number such as 16");
    }
}
