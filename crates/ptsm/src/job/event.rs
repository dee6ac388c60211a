//! Events of a job in progress, and the observer that receives them.

use std::ops::ControlFlow;

use super::data::JobData;
use crate::record::Record;
use crate::train::Event;
use crate::{Error, ErrorKind, Model, Result};
use ptsm_core::Note;

/// An event of a running job.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobEvent<'a> {
    /// A job of several trainings begins one of them; the text says which, in a few words.
    Part(&'a str),
    /// A search for settings has made progress.
    Searching(SearchRound),
    /// The samples are prepared and the model has its initial weights; training begins.
    Ready(Ready<'a>),
    /// A step or an epoch is done.
    Training(&'a Event<'a>),
    /// A training is over.
    Trained(&'a Record),
}

/// The progress of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchRound {
    /// The round, from 1 to `rounds`.
    pub round: usize,
    /// Rounds in all.
    pub rounds: usize,
    /// Settings that are compared in it.
    pub settings: usize,
    /// Those of them that an earlier round has compared, too.
    pub again: usize,
    /// Its trainings, each of one network or of those whose mean is scored, that are done.
    pub done: usize,
    /// Its trainings in all.
    pub trainings: usize,
}

/// A job that is ready to train.
#[derive(Debug, Clone, Copy)]
pub struct Ready<'a> {
    /// The data of the job.
    pub data: &'a JobData,
    /// The model with its initial weights.
    pub model: &'a Model,
    /// Number of training samples.
    pub train: usize,
    /// Number of validation samples.
    pub validation: usize,
    /// Optimiser steps of the whole run, without early stopping.
    pub total_steps: u64,
    /// What a user should know of the samples and of what was chosen, a sentence each.
    pub notes: &'a [Note],
}

/// Receives the events of a job. Returning `Break` stops the job; what was finished is kept.
pub trait Observer {
    /// Called for each event.
    fn observe(&mut self, event: &JobEvent<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(&JobEvent<'_>) -> ControlFlow<()>> Observer for F {
    fn observe(&mut self, event: &JobEvent<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// Tells an event; an error if the job is to stop.
///
/// # Errors
///
/// `Interrupted`.
pub(super) fn tell(observer: &mut (impl Observer + ?Sized), event: &JobEvent<'_>) -> Result<()> {
    match observer.observe(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(stopped()),
    }
}

/// The error of a job that its observer stopped.
pub(super) fn stopped() -> Error {
    Error::new(ErrorKind::Interrupted, "the job was asked to stop")
}

/// An observer that ignores every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &JobEvent<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
