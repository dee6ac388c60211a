//! Events of a job in progress, and the observer that receives them.

use std::ops::ControlFlow;

use super::data::JobData;
use crate::Model;
use crate::train::Event;

/// What a job tells while it runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobEvent<'a> {
    /// The data are laid out and the model has its first weights; training begins.
    Ready(Ready<'a>),
    /// A step or an epoch is done.
    Training(&'a Event<'a>),
}

/// A job that begins to train.
#[derive(Debug, Clone, Copy)]
pub struct Ready<'a> {
    /// What is learnt from.
    pub data: &'a JobData,
    /// The model with its first weights.
    pub model: &'a Model,
    /// Samples that are trained on.
    pub train: usize,
    /// Samples that pick the epoch.
    pub validation: usize,
    /// Steps of the whole run, without early stopping.
    pub total_steps: u64,
    /// What a user should know of the samples and of what was chosen, a sentence each.
    pub notes: &'a [String],
}

/// Hears what a job tells. `Break` stops it; what was done is kept.
pub trait Observer {
    /// Hears one event.
    fn observe(&mut self, event: &JobEvent<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(&JobEvent<'_>) -> ControlFlow<()>> Observer for F {
    fn observe(&mut self, event: &JobEvent<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &JobEvent<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
