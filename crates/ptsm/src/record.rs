//! `training.json`: the settings and history of a training run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::Split;
use crate::train::{History, Training};

/// Record of a run in its model directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Version of this library.
    pub version: String,
    /// Instruction set of the run; results of other sets differ by rounding.
    pub instruction_set: String,
    /// Name of the data.
    pub dataset: String,
    /// Borders of the parts of series; not used for labelled cases.
    pub split: Split,
    /// Number of training windows, or cases.
    pub train_windows: usize,
    /// Number of validation windows, or cases.
    pub validation_windows: usize,
    /// Number of trained weights.
    pub num_parameters: usize,
    /// Whether training started from the backbone of another model.
    #[serde(default)]
    pub init: bool,
    /// What was simulated, where the training windows were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<Simulation>,
    /// Training settings.
    pub training: Training,
    /// Losses and times of the epochs, and why training ended.
    pub history: History,
}

/// The simulated windows of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Simulation {
    /// [`ptsm_simulate::VERSION`].
    pub version: u32,
    /// Seed of the series.
    pub seed: u64,
    /// Windows that were trained on, each once.
    pub windows: u64,
    /// Weights of the families of series.
    pub families: BTreeMap<String, f64>,
    /// Chances of the effects on them.
    pub effects: BTreeMap<String, f64>,
    /// Hours of training, validation included.
    pub hours: f64,
}

impl Record {
    /// Seconds of all epochs.
    pub fn seconds(&self) -> f64 {
        self.history.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// Whether the run finished; an interrupted one can be resumed.
    pub fn is_finished(&self) -> bool {
        self.history.stopped_by != "interrupted"
    }
}
