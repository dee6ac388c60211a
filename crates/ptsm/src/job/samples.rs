//! Training, validation and test samples (windows or labelled cases), prepared for one model.

use crate::Model;
use crate::data::{Prepared, PreparedCases};
use crate::preprocessor::Preprocessor;
use crate::train::Samples;

/// Samples as they are laid out for a model.
#[derive(Debug, Clone)]
pub enum LaidSamples {
    /// Windows of the parts of a split.
    Windows(Prepared),
    /// Cases of one length.
    Cases {
        /// Those that are learnt from.
        train: PreparedCases,
        /// Those that pick the epoch.
        validation: Option<PreparedCases>,
    },
}

/// A model with its first weights, and samples laid out for it.
pub(super) struct Laid {
    pub(super) model: Model,
    pub(super) preprocessor: Preprocessor,
    pub(super) samples: LaidSamples,
    /// What a user should know of them.
    pub(super) notes: Vec<String>,
}

impl LaidSamples {
    /// The samples that are learnt from.
    pub fn train(&self) -> &dyn Samples {
        match self {
            Self::Windows(prepared) => &prepared.train,
            Self::Cases { train, .. } => train,
        }
    }

    /// The samples that pick the epoch; `None` without any.
    pub(super) fn validation(&self) -> Option<&dyn Samples> {
        match self {
            Self::Windows(prepared) => Some(&prepared.validation),
            Self::Cases { validation, .. } => validation.as_ref().map(|set| set as &dyn Samples),
        }
    }

    /// The windows; `None` for labelled cases.
    pub fn windows(&self) -> Option<&Prepared> {
        match self {
            Self::Windows(prepared) => Some(prepared),
            Self::Cases { .. } => None,
        }
    }
}
