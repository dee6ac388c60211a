//! The task layers on top of the backbone.
//!
//! | task | file | `prediction` |
//! |---|---|---|
//! | forecasting, point | `forecast.rs` | `[B, H, C']`, data units |
//! | forecasting, distribution | `forecast.rs`, `distribution/` beside this folder | `[B, K, H, C']`, K parameters in the scaled space |
//! | forecasting, quantiles | `forecast.rs`, `quantile.rs` | `[B, H, C', Q]`, data units |
//! | pretraining | `pretraining.rs` | `[B, C, N, p]`, scaled patches |
//! | classification | `pooled.rs` | `[B, num_targets]`, logits |
//! | regression | `pooled.rs` | `[B, num_targets]`, or `[B, K, num_targets]` parameters |
//!
//! `skip.rs` adds a linear path to a point forecast; `cross_channel.rs` and `hierarchy.rs` reconcile
//! it.

pub(crate) mod cross_channel;
pub(crate) mod forecast;
pub(crate) mod hierarchy;
pub(crate) mod inject;
pub(crate) mod pooled;
pub(crate) mod pretraining;
mod quantile;
pub(crate) mod skip;

use crate::config::Config;
use crate::layers::Pass;
use crate::layers::scaler::Scaled;
use crate::output_kind::OutputSpec;
use crate::real::Real;
use crate::weights::HeadSlot;
use forecast::ForecastHead;
use pooled::PooledHead;

/// What a head puts out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outputs<T> {
    /// See the table at the top of `head/mod.rs`; the first axis is always the batch.
    pub prediction: Vec<T>,
    /// Forecasts of the segments' sums, `[B, S, C']`, data units; empty without the hierarchical
    /// reconciliation head.
    pub aggregates: Vec<T>,
}

/// Gradient of a loss for everything that it depends on; an empty field is zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputGradient<T> {
    /// As [`Outputs::prediction`].
    pub prediction: Vec<T>,
    /// As [`Outputs::aggregates`].
    pub aggregates: Vec<T>,
    /// For the window's `loc`, `[B, C]`, beyond what goes through the prediction.
    pub loc: Vec<T>,
    /// For the window's `scale`, `[B, C]`, likewise.
    pub scale: Vec<T>,
    /// For the unmasked scaled patches, `[B, C, N, p]`, which pretraining aims at.
    pub patches: Vec<T>,
}

/// What a head reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadInput<'a, T> {
    /// Last hidden state, `[B, C, N, D]`.
    pub(crate) hidden: &'a [T],
    pub(crate) scaled: &'a Scaled<T>,
}

/// Gradients for what a head reads.
#[derive(Debug, Clone)]
pub(crate) struct HeadGradient<T> {
    /// `[B, C, N, D]`.
    pub(crate) hidden: Vec<T>,
    /// `[B, C]`.
    pub(crate) loc: Vec<T>,
    /// `[B, C]`.
    pub(crate) scale: Vec<T>,
    /// For the scaled window, `[B, L, C]`; `None` is zero.
    pub(crate) values: Option<Vec<T>>,
}

impl<T: Real> HeadGradient<T> {
    /// What the loss itself says of the statistics; nothing else yet.
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

/// What the gradient of a head needs, and what a trace shows of it.
#[derive(Debug, Clone)]
pub(crate) enum Cache<T> {
    Forecast(forecast::Cache<T>),
    Pretraining(pretraining::Cache<T>),
    Pooled(pooled::Cache<T>),
}

impl<T> Cache<T> {
    /// The hidden state after the scale injection, `[B, C, N, D]`, where there is one.
    pub(crate) fn injected(&self) -> Option<&Vec<T>> {
        match self {
            Cache::Pooled(cache) => cache.injected.as_ref().map(|(state, _)| state),
            _ => None,
        }
    }

    /// A forecast in the scaled space, in the shape of the prediction.
    pub(crate) fn scaled(&self) -> Option<&Vec<T>> {
        match self {
            Cache::Forecast(cache) => Some(&cache.scaled),
            _ => None,
        }
    }
}

/// The head of a model, ready to run.
pub(crate) enum Head<'a> {
    Forecast(ForecastHead<'a>),
    Pretraining(pretraining::PretrainingHead<'a>),
    Pooled(PooledHead<'a>),
}

impl<'a> Head<'a> {
    pub(crate) fn new(slot: &'a HeadSlot, config: &'a Config, output: &'a OutputSpec) -> Self {
        match slot {
            HeadSlot::Forecast(slot) => Head::Forecast(ForecastHead::new(slot, config, output)),
            HeadSlot::Pretraining { projection } => {
                let head_dropout = config.head_dropout;
                Head::Pretraining(pretraining::PretrainingHead { projection, head_dropout })
            }
            HeadSlot::Pooled(slot) => {
                Head::Pooled(PooledHead { slot, config, kind: output.kind() })
            }
        }
    }

    /// Runs the head.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        input: HeadInput<'_, T>,
        pass: &Pass,
    ) -> (Outputs<T>, Cache<T>) {
        match self {
            Head::Forecast(head) => {
                let (outputs, cache) = head.forward(trained, input, pass);
                (outputs, Cache::Forecast(cache))
            }
            Head::Pretraining(head) => {
                let (prediction, cache) = head.forward(trained, input.hidden, pass);
                (only(prediction), Cache::Pretraining(cache))
            }
            Head::Pooled(head) => {
                let (prediction, cache) = head.forward(trained, input, pass);
                (only(prediction), Cache::Pooled(cache))
            }
        }
    }

    /// Adds the gradients of the head's weights to `grads` and returns those of its input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        (input, cache): (HeadInput<'_, T>, &Cache<T>),
        gradient: &OutputGradient<T>,
        (grads, pass): (&mut [T], &Pass),
    ) -> HeadGradient<T> {
        let mut result = HeadGradient::new(input, gradient);
        match (self, cache) {
            (Head::Forecast(head), Cache::Forecast(cache)) => {
                head.backward(trained, (input, cache), gradient, (grads, pass), &mut result);
            }
            (Head::Pretraining(head), Cache::Pretraining(cache)) => {
                result.hidden = head.backward(trained, cache, &gradient.prediction, (grads, pass));
            }
            (Head::Pooled(head), Cache::Pooled(cache)) => {
                head.backward(trained, cache, &gradient.prediction, (grads, pass), &mut result);
            }
            _ => unreachable!("a cache is that of its own head"),
        }
        result
    }
}

fn only<T>(prediction: Vec<T>) -> Outputs<T> {
    Outputs { prediction, aggregates: Vec::new() }
}

/// Place of the first largest number of a row of logits, which must not be empty.
pub fn largest(row: &[f32]) -> usize {
    let first = (0, row[0]);
    let best =
        row.iter().enumerate().fold(first, |best, (i, &x)| if x > best.1 { (i, x) } else { best });
    best.0
}
