//! Training, validation and test samples (windows or labelled cases), prepared for one model.

use crate::Model;
use crate::data::{Prepared, PreparedCases};
use crate::preprocessor::Preprocessor;
use crate::train::Samples;
use ptsm_core::Note;

/// Samples prepared for a model.
#[derive(Debug, Clone)]
pub enum LaidSamples {
    /// Windows of the parts of a split.
    Windows(Prepared),
    /// Cases of one length.
    Cases {
        /// Training cases.
        train: PreparedCases,
        /// Validation cases, which pick the best epoch.
        validation: Option<PreparedCases>,
    },
}

/// A model with its initial weights, and samples prepared for it.
pub(super) struct Laid {
    pub(super) model: Model,
    pub(super) preprocessor: Preprocessor,
    pub(super) samples: LaidSamples,
    /// What a user should know of them.
    pub(super) notes: Vec<Note>,
}

impl LaidSamples {
    /// The training samples.
    pub fn train(&self) -> &dyn Samples {
        match self {
            Self::Windows(prepared) => &prepared.train,
            Self::Cases { train, .. } => train,
        }
    }

    /// The validation samples, which pick the best epoch; `None` without any.
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
