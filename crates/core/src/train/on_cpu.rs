//! The CPU as the default backend of training, and the score of a model on it.

use crate::Result;
use crate::backend::{Backend, Score, TrainingSession};
use crate::cpu::Cpu;
use crate::loss::LossOptions;
use crate::model::Model;
use crate::samples::Samples;

pub(super) fn on_cpu() -> Result<Box<dyn TrainingSession>> {
    Cpu::default().training()
}

/// As [`TrainingSession::score`], on this machine's cores.
///
/// # Errors
///
/// `InvalidInput` if nothing in the set counts, or it does not fit the model.
pub fn score(model: &Model, samples: &dyn Samples, options: &LossOptions) -> Result<Score> {
    on_cpu()?.score(model, samples, options)
}
