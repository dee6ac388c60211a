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
    /// Instruction sets that computed the run, in their order; more than one only where that was asked
    /// for, and then no other run has the same bits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instruction_sets: Vec<String>,
}

/// A loss that no forecast of standardised values has by chance.
const NO_FORECAST: f64 = 1e6;
/// How many times the best loss an epoch has whose training got lost.
const LOST: f64 = 1e3;

impl History {
    /// Says in what the run diverged, if it did: the best validation loss is beyond any that
    /// standardised values give, or an epoch's is a thousand times the best one and 1.
    pub fn divergence(&self) -> Option<String> {
        let best = self.best_validation_loss?;
        if !best.is_finite() || best > NO_FORECAST {
            return Some(format!(
                "the best validation loss is {best:.4}, and losses of standardised values are near 1"
            ));
        }
        let limit = LOST * best.max(1.0);
        let lost = self.epochs.iter().find_map(|epoch| {
            let loss = epoch.validation_loss.filter(|loss| !loss.is_finite() || *loss > limit)?;
            Some((epoch.epoch, loss))
        });
        lost.map(|(epoch, loss)| {
            format!("the validation loss was {loss:.4} in epoch {epoch}, and {best:.4} at best")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64]) -> History {
        let epochs = losses.iter().zip(1..).map(|(&loss, epoch)| Epoch {
            epoch,
            train_loss: 1.0,
            validation_loss: Some(loss),
            validation_mae: None,
            validation_accuracy: None,
            learning_rate: 1e-3,
            seconds: 0.0,
        });
        History {
            epochs: epochs.collect(),
            best_epoch: 1,
            best_validation_loss: losses.iter().copied().reduce(f64::min),
            steps: 1,
            instruction_sets: Vec::new(),
            stopped_by: "completed".into(),
        }
    }

    #[test]
    fn a_run_whose_loss_explodes_diverged() {
        for (losses, wanted) in [
            (&[0.5, 0.4, 0.6][..], None),
            (&[-2.0, 900.0], None),
            (&[1e5, 1e4], None),
            (&[2e10, 1.7e10], Some("best validation loss is 17000000000.0000")),
            (&[0.5, 5e3], Some("was 5000.0000 in epoch 2, and 0.5000 at best")),
            (&[0.5, f64::INFINITY], Some("was inf in epoch 2")),
        ] {
            let found = history(losses).divergence();
            match wanted {
                None => assert_eq!(found, None, "{losses:?}"),
                Some(wanted) => assert!(found.unwrap().contains(wanted), "{losses:?}"),
            }
        }
        assert_eq!(history(&[]).divergence(), None);
    }
}
