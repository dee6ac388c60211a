//! Inputs, outputs and gradients that all heads have in common.

use crate::layers::scaler::Scaled;
use crate::real::Real;

/// Output of a head.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outputs<T> {
    /// See the table at the top of `head/mod.rs`; the first axis is always the batch.
    pub prediction: Vec<T>,
    /// Forecasts of the segments' sums, `[B, S, C']`, data units; empty without the hierarchical
    /// reconciliation head.
    pub aggregates: Vec<T>,
}

/// Gradient of a loss for everything that it depends on; an empty field means zeros.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputGradient<T> {
    /// As [`Outputs::prediction`].
    pub prediction: Vec<T>,
    /// As [`Outputs::aggregates`].
    pub aggregates: Vec<T>,
    /// For the window's `loc`, `[B, C]`, without the part that flows through the prediction.
    pub loc: Vec<T>,
    /// For the window's `scale`, `[B, C]`, likewise.
    pub scale: Vec<T>,
    /// For the unmasked scaled patches, `[B, C, N, p]`, which are the target of pretraining.
    pub patches: Vec<T>,
}

/// Input of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadInput<'a, T> {
    /// Last hidden state, `[B, C, N, D]`.
    pub(crate) hidden: &'a [T],
    pub(crate) scaled: &'a Scaled<T>,
}

/// The weights of a model, and where their gradients are added, in the same order.
pub(crate) struct Trained<'a, T> {
    pub(crate) weights: &'a [T],
    pub(crate) grads: &'a mut [T],
}

/// Gradients of the input of a head.
#[derive(Debug, Clone)]
pub(crate) struct HeadGradient<T> {
    /// `[B, C, N, D]`.
    pub(crate) hidden: Vec<T>,
    /// `[B, C]`.
    pub(crate) loc: Vec<T>,
    /// `[B, C]`.
    pub(crate) scale: Vec<T>,
    /// For the scaled window, `[B, L, C]`; `None` means zeros.
    pub(crate) values: Option<Vec<T>>,
}

impl<T: Real> HeadGradient<T> {
    /// Starts with the loss's own gradients of the statistics; the rest is empty.
    pub(crate) fn new(input: HeadInput<'_, T>, gradient: &OutputGradient<T>) -> Self {
        let or_zero = |values: &Vec<T>| match values.is_empty() {
            true => vec![T::ZERO; input.scaled.loc.len()],
            false => values.clone(),
        };
        Self {
            hidden: Vec::new(),
            loc: or_zero(&gradient.loc),
            scale: or_zero(&gradient.scale),
            values: None,
        }
    }
}
