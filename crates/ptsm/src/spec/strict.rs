//! Errors for unknown fields and values, which list the known ones and name the nearest.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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

/// The known name that `name` was probably meant to be: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|other| (distance(name, other), other));
    let (distance, other) = near.min_by_key(|(distance, _)| *distance)?;
    let longer = name.chars().count().max(other.chars().count());
    (3 * distance <= longer).then_some(other)
}

/// Letters that must be inserted, removed or replaced, and neighbours that must be swapped (optimal
/// string alignment), whatever their case.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["common_channel", "mix_channel", "hybrid"];
        assert_eq!(nearest("mix_chanel", known), Some("mix_channel"));
        assert_eq!(nearest("Hybrid", known), Some("hybrid"));
        assert_eq!(nearest("attention", known), None);
        assert_eq!(nearest("x", []), None);
        for (a, b, wanted) in
            [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("gird", "grid", 1)]
        {
            assert_eq!(distance(a, b), wanted, "{a} {b}");
        }
    }

    #[test]
    fn messages_about_anything_else_stay_as_they_are() {
        for text in ["missing field `x`", "invalid type: string \"a\", expected f64"] {
            assert_eq!(with_nearest(text), text);
        }
        let two = "unknown variant `ridg`, expected `ridge` or `zero`";
        assert_eq!(with_nearest(two), format!("{two} (did you mean `ridge`?)"));
    }
}
