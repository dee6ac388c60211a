//! Types that all losses have in common: results, weights, options, errors.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::head::OutputGradient;
use crate::real::Real;

/// A loss with its gradient.
#[derive(Debug, Clone)]
pub struct Loss<T> {
    /// The loss.
    pub value: T,
    /// Gradient of the head's output.
    pub gradient: OutputGradient<T>,
}

/// What the losses of a batch are divided by; the weights of its parts add up to that of the whole.
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

/// Options of the losses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossOptions {
    /// One weight per class; `None` = all 1.
    pub class_weights: Option<Vec<f64>>,
    /// The pretraining loss counts unobserved points too, as the reference's does.
    pub as_reference: bool,
    /// What an error of a point forecast costs.
    pub point: PointLoss,
}

/// What an error e of a point forecast costs: `(1 - mae_share) q(e) + mae_share |e|`, q(e) being
/// the square, or beyond `huber_delta` its tangent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PointLoss {
    /// Share of the absolute error, 0 to 1.
    pub mae_share: f64,
    /// Errors beyond this cost `delta (2 |e| - delta)` in place of their square; `None` = never.
    pub huber_delta: Option<f64>,
    /// In place of all of that: the error as a share of the data's own level.
    pub percent: Option<PercentLoss>,
}

/// An error as a share of the distance from the data's zero, which is where
/// [`Batch::origin`](crate::Batch::origin) says (0 without one); f is the forecast and y the truth, as
/// distances from there. Averaged over known points, it is the score of the same name over 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PercentLoss {
    /// `2 |f - y| / (|f| + |y|)`, 0 to 2; 0 where both are 0.
    Smape,
    /// `|f - y| / |y|`; points whose truth is 0 cost nothing.
    Mape,
}

/// `1 / count`, or 0 where nothing counts.
pub(super) fn share<T: Real>(count: f64) -> T {
    if count > 0.0 { T::from_f64(1.0 / count) } else { T::ZERO }
}

pub(super) fn missing(name: &str) -> Error {
    Error::input("is missing: a loss needs the truth").at(name)
}

pub(super) fn wrong_length(name: &str, got: usize, wanted: usize) -> Error {
    Error::input(format!("has {got} numbers, wanted {wanted}")).at(name)
}
