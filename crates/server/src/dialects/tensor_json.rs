//! The JSON of the Open Inference Protocol: tensors nested or flat, null for missing.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Levels of nested lists, at most.
const DEPTH: usize = 16;

/// A request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InferBody {
    pub(super) id: Option<String>,
    /// As in the path.
    pub(super) model_name: Option<String>,
    /// As in the path.
    pub(super) model_version: Option<String>,
    #[serde(default)]
    pub(super) parameters: Map<String, Value>,
    pub(super) inputs: Vec<InputBody>,
    #[serde(default)]
    pub(super) outputs: Vec<OutputBody>,
}

/// An input; its numbers are here, or follow the JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputBody {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    pub(super) datatype: String,
    #[serde(default)]
    pub(super) parameters: Map<String, Value>,
    #[serde(default)]
    pub(super) data: Option<Numbers>,
}

/// An output that is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputBody {
    pub(super) name: String,
    #[serde(default)]
    pub(super) parameters: Map<String, Value>,
}

/// The numbers of a tensor, row-major; NaN is missing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Numbers(pub(super) Vec<f64>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        NumbersSeed { numbers: &mut numbers, depth: 0 }.deserialize(deserializer)?;
        Ok(Self(numbers))
    }
}

/// Numbers, or lists of them, onto the end of `numbers`.
struct NumbersSeed<'a> {
    numbers: &'a mut Vec<f64>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NumbersSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NumbersSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, null for missing, or lists of them")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.numbers.push(f64::NAN);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.numbers.push(f64::from(u8::from(value)));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.numbers.push(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.numbers.push(value as f64);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.numbers.push(value as f64);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { numbers, depth } = self;
        if depth == DEPTH {
            return Err(A::Error::custom(format!("lists are nested more than {DEPTH} deep")));
        }
        while seq
            .next_element_seed(NumbersSeed { numbers: &mut *numbers, depth: depth + 1 })?
            .is_some()
        {}
        Ok(())
    }
}

/// An output of an answer.
#[derive(Debug, Serialize)]
pub(super) struct OutputAnswer {
    pub(super) name: String,
    pub(super) datatype: &'static str,
    pub(super) shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameters: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Floats>,
}

/// Numbers with the digits of their width.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Floats {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_flat_numbers_are_the_same() {
        let read = |text: &str| serde_json::from_str::<Numbers>(text).map(|numbers| numbers.0);
        assert_eq!(read("[1, 2.5, -3]").unwrap(), read("[[[1], [2.5]], [[-3]]]").unwrap());
        assert!(read("[1, null]").unwrap()[1].is_nan());
        assert!(read("[\"x\"]").is_err() && read("[{}]").is_err());
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(read(&deep).is_err());
    }
}
