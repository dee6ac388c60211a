//! The losses that training minimises, one for each head.
//!
//! | head | loss | divided by |
//! |---|---|---|
//! | point forecast | squared error, or what [`PointLoss`] says | known points |
//! | distribution | negative log-likelihood, summed over channels | known points / channels |
//! | quantiles | pinball loss | known points x levels |
//! | hierarchy | squared errors of steps, sums, and their difference | each by its own count |
//! | pretraining | squared error of hidden (or all) patches | their points |
//! | classification | cross entropy, with class weights | their sum |
//! | regression | squared error, or negative log-likelihood | targets, or samples |
//!
//! A part of a batch divides by the [`LossWeight`] of the whole batch, so that parts add up.

mod common;
mod forecast;
mod pretraining;
mod target;

use crate::Result;
use crate::batch::Batch;
use crate::model::{Forward, Model};
use crate::output_kind::OutputKind;
use crate::real::Real;

pub use common::{Loss, LossOptions, LossWeight, PercentLoss, PointLoss};

/// The number that the loss of `model` on `batch` is divided by.
///
/// # Errors
///
/// `InvalidInput` if the batch lacks the target of the loss, or it has the wrong size.
pub fn loss_weight<T: Real>(
    model: &Model<T>,
    batch: &Batch<T>,
    options: &LossOptions,
) -> Result<LossWeight> {
    let config = model.config();
    match model.output().kind() {
        OutputKind::Patches => pretraining::weight(model, batch, options),
        kind @ (OutputKind::Logits | OutputKind::Values(_)) => {
            target::weight(config, kind, batch, options)
        }
        kind => forecast::weight(config, kind, batch),
    }
}

/// The loss of a forward pass, its parts divided by `weight`.
///
/// # Errors
///
/// `InvalidInput` if the batch lacks the target of the loss, or it has the wrong size or values.
pub fn loss<T: Real>(
    model: &Model<T>,
    batch: &Batch<T>,
    forward: &Forward<T>,
    weight: LossWeight,
    options: &LossOptions,
) -> Result<Loss<T>> {
    let config = model.config();
    match model.output().kind() {
        OutputKind::Distribution(distribution) => {
            forecast::likelihood(config, *distribution, batch, forward, weight)
        }
        OutputKind::Quantiles(levels) => forecast::pinball(config, levels, batch, forward, weight),
        OutputKind::Points => match &config.extension().hierarchy {
            Some(hierarchy) => forecast::hierarchical(config, hierarchy, batch, forward, weight),
            None => {
                let prediction = &forward.outputs.prediction;
                forecast::point(config, batch, prediction, weight.main, options.point)
            }
        },
        OutputKind::Patches => pretraining::loss(model, batch, forward, weight, options),
        OutputKind::Logits => target::cross_entropy(config, batch, forward, weight, options),
        OutputKind::Values(distribution) => {
            target::regression(config, *distribution, batch, forward, weight)
        }
    }
}
