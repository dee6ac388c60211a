//! `training.json`: what a training run was told and what it did.

use serde::{Deserialize, Serialize};

use crate::data::Split;
use crate::train::{History, Training};

/// Record of a run in its model directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Version of this library.
    pub version: String,
    /// Instruction set of the run; others give other bits.
    pub instruction_set: String,
    /// Name of the data.
    pub dataset: String,
    /// Borders of the parts of series; not used for labelled cases.
    pub split: Split,
    /// Windows, or cases, that were trained on.
    pub train_windows: usize,
    /// Windows, or cases, that picked the epoch.
    pub validation_windows: usize,
    /// Trained weights of the model.
    pub num_parameters: usize,
    /// Whether the backbone was that of another model.
    #[serde(default)]
    pub init: bool,
    /// What training was told.
    pub training: Training,
    /// What it did.
    pub history: History,
}

impl Record {
    /// Seconds of all epochs.
    pub fn seconds(&self) -> f64 {
        self.history.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// Whether the run came to its end; an interrupted one can be resumed.
    pub fn is_finished(&self) -> bool {
        self.history.stopped_by != "interrupted"
    }
}
