//! How outputs become labels: names of classes, or of targets with their scale.

use serde::{Deserialize, Serialize};

use crate::standard::Standardiser;

/// How a model's outputs become labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LabelCoding {
    /// Names of the classes, in the order of the logits.
    Classes {
        /// The names.
        names: Vec<String>,
    },
    /// Names of the targets with their shift and scale.
    Values {
        /// The names.
        names: Vec<String>,
        /// Fitted on the training cases.
        standardiser: Standardiser,
    },
}
