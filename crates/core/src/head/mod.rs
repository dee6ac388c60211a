//! The heads: the task layers on top of the backbone, and what their output means.
//!
//! | task | file | `prediction` |
//! |---|---|---|
//! | forecasting, point | `forecast.rs` | `[B, H, C']`, data units |
//! | forecasting, distribution | `forecast.rs`, and the folder `distribution/` next to this one | `[B, K, H, C']`, K parameters in the scaled space |
//! | forecasting, quantiles | `forecast.rs`, `quantile.rs` | `[B, H, C', Q]`, data units |
//! | pretraining | `pretraining.rs` | `[B, C, N, p]`, scaled patches |
//! | classification | `pooled.rs` | `[B, num_targets]`, logits |
//! | regression | `pooled.rs` | `[B, num_targets]`, or `[B, K, num_targets]` parameters |
//!
//! `skip.rs` adds a linear path to a point forecast; `cross_channel.rs` and `hierarchy.rs`
//! reconcile it.

pub(crate) mod cross_channel;
pub(crate) mod forecast;
pub(crate) mod hierarchy;
pub(crate) mod inject;
mod interface;
pub(crate) mod pooled;
pub(crate) mod pretraining;
mod quantile;
pub(crate) mod skip;

use crate::config::Config;
use crate::layers::Pass;
use crate::output_kind::OutputSpec;
use crate::real::Real;
use crate::weights::HeadSlot;
use forecast::ForecastHead;
pub(crate) use interface::{HeadGradient, HeadInput, Trained};
pub use interface::{OutputGradient, Outputs};
use pooled::PooledHead;

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

    /// Adds the gradients of the head's weights and returns those of its input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        input: HeadInput<'_, T>,
        cache: &Cache<T>,
        gradient: &OutputGradient<T>,
        pass: &Pass,
    ) -> HeadGradient<T> {
        let mut result = HeadGradient::new(input, gradient);
        let d = &gradient.prediction;
        match (self, cache) {
            (Head::Forecast(head), Cache::Forecast(cache)) => {
                let d = head.read_backward(trained, input, cache, gradient, &mut result);
                result.hidden = head.project_backward(trained, cache, &d, pass);
            }
            (Head::Pretraining(head), Cache::Pretraining(cache)) => {
                result.hidden = head.backward(trained, cache, d, pass);
            }
            (Head::Pooled(head), Cache::Pooled(cache)) => {
                head.backward(trained, cache, d, pass, &mut result);
            }
            _ => unreachable!("a cache is that of its own head"),
        }
        result
    }
}

fn only<T>(prediction: Vec<T>) -> Outputs<T> {
    Outputs { prediction, aggregates: Vec::new() }
}

/// Index of the largest number of a row of logits, the first one of equals; the row must not be
/// empty.
pub fn largest(row: &[f32]) -> usize {
    let first = (0, row[0]);
    let best =
        row.iter().enumerate().fold(first, |best, (i, &x)| if x > best.1 { (i, x) } else { best });
    best.0
}
