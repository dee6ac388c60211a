//! What a training run did, epoch by epoch.

use serde::{Deserialize, Serialize};

/// One finished epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Epoch {
    /// Number, from 1.
    pub epoch: u32,
    /// Mean loss over the training samples, with dropout, during the epoch.
    pub train_loss: f64,
    /// Loss over the validation samples after the epoch (for a point forecast the mean squared
    /// error); `None` without such samples.
    pub validation_loss: Option<f64>,
    /// Mean absolute error over the validation samples, for point forecasts and regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_mae: Option<f64>,
    /// Share of validation samples whose class is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Seconds of training and validation, as far as this process did them.
    pub seconds: f64,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct History {
    /// Every finished epoch.
    pub epochs: Vec<Epoch>,
    /// The epoch whose weights were kept, counted from 1; 0 = those that training started from.
    pub best_epoch: u32,
    /// Its validation loss.
    pub best_validation_loss: Option<f64>,
    /// Optimiser steps done.
    pub steps: u64,
    /// `completed`, `early stopping` or `interrupted`.
    pub stopped_by: String,
}
