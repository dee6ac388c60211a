//! What training makes small: one loss for each head.
//!
//! | head | loss | divided by |
//! |---|---|---|
//! | point forecast | squared error, or what [`PointLoss`] says | known points |
//! | distribution | negative log-likelihood, summed over channels | known points / channels |
//! | quantiles | pinball loss | known points x levels |
//! | hierarchy | squared errors of steps, sums, and their difference | each its own count |
//! | pretraining | squared error of hidden (or all) patches | their points |
//! | classification | cross entropy, with class weights | their sum |
//! | regression | squared error, or negative log-likelihood | targets, or samples |
//!
//! A part of a batch divides by the [`LossWeight`] of the whole batch, so that parts add up.

mod forecast;
mod pretraining;
mod target;

use std::ops::Add;

use crate::batch::Batch;
use crate::config::{Extension, Task};
use crate::head::OutputGradient;
use crate::model::{Forward, Model};
use crate::real::Real;
use crate::{Error, Result};

/// A loss with its gradient.
#[derive(Debug, Clone)]
pub struct Loss<T> {
    /// The loss.
    pub value: T,
    /// Gradient for what the head put out.
    pub gradient: OutputGradient<T>,
}

/// How much a batch counts in its loss; the weights of parts add up to that of the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LossWeight {
    /// What the loss is divided by: known points, samples, class weights, ...
    pub main: f64,
    /// Segments with all points known, for the hierarchical head.
    pub known_segments: f64,
    /// All segments.
    pub segments: f64,
}

impl Add for LossWeight {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            main: self.main + other.main,
            known_segments: self.known_segments + other.known_segments,
            segments: self.segments + other.segments,
        }
    }
}

/// Choices that a loss has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossOptions {
    /// One weight per class; `None` = all 1.
    pub class_weights: Option<Vec<f64>>,
    /// The pretraining loss counts unobserved points too, as the reference's does.
    pub as_reference: bool,
    /// What an error of a point forecast costs.
    pub point: PointLoss,
}

/// What an error e of a point forecast costs: `(1 - mae_share) q(e) + mae_share |e|`, q(e) being the
/// square, or beyond `huber_delta` its tangent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PointLoss {
    /// Share of the absolute error, 0 to 1.
    pub mae_share: f64,
    /// Errors beyond this cost `delta (2 |e| - delta)` in place of their square; `None` = never.
    pub huber_delta: Option<f64>,
}

/// The weight of `batch` in the loss of `model`.
///
/// # Errors
///
/// `InvalidInput` if the batch lacks what the loss aims at, or it has the wrong size.
pub fn loss_weight<T: Real>(
    model: &Model<T>,
    batch: &Batch<T>,
    options: &LossOptions,
) -> Result<LossWeight> {
    let config = model.config();
    match config.task()? {
        Task::Forecasting => forecast::weight(config, batch),
        Task::Pretraining => pretraining::weight(config, batch, options),
        Task::Classification | Task::Regression => target::weight(config, batch, options),
    }
}

/// The loss of a forward pass, its parts divided by `weight`.
///
/// # Errors
///
/// `InvalidInput` if the batch lacks what the loss aims at, or it has the wrong size or values.
pub fn loss<T: Real>(
    model: &Model<T>,
    (batch, forward): (&Batch<T>, &Forward<T>),
    weight: LossWeight,
    options: &LossOptions,
) -> Result<Loss<T>> {
    let config = model.config();
    match config.task()? {
        Task::Forecasting => match (config.distribution(), config.extension()) {
            (Some(law), _) => forecast::likelihood(config, law, (batch, forward), weight),
            (None, Extension { quantiles: Some(levels), .. }) => {
                forecast::pinball(config, &levels, (batch, forward), weight)
            }
            (None, Extension { hierarchy: Some(hierarchy), .. }) => {
                forecast::hierarchical(config, &hierarchy, (batch, forward), weight)
            }
            _ => {
                let given = (batch, &forward.outputs.prediction[..]);
                forecast::point(config, given, weight.main, options.point)
            }
        },
        Task::Pretraining => pretraining::loss(config, (batch, forward), weight, options),
        Task::Classification => target::cross_entropy(config, (batch, forward), weight, options),
        Task::Regression => target::regression(config, (batch, forward), weight),
    }
}

/// `1 / count`, or 0 where nothing counts.
fn share<T: Real>(count: f64) -> T {
    if count > 0.0 { T::from_f64(1.0 / count) } else { T::ZERO }
}

fn missing(name: &str) -> Error {
    Error::input("is missing: a loss needs the truth").at(name)
}

fn wrong_length(name: &str, got: usize, wanted: usize) -> Error {
    Error::input(format!("has {got} numbers, wanted {wanted}")).at(name)
}
