//! The interface between the model and the machines that run it: whole batches, never single
//! operations.
//!
//! A [`Backend`] prepares a model once; the result, a [`Loaded`], never changes and is shared by
//! all threads. Each thread that computes has a [`Session`] of its own, which holds buffers only.

use std::sync::Arc;

use crate::batch::Batch;
use crate::layers::Dropout;
use crate::loss::LossOptions;
use crate::model::Model;
use crate::prediction::Prediction;
use crate::samples::Samples;
use crate::{Error, ErrorKind, Result};

/// A kind of machine that can run a model.
pub trait Backend: Send + Sync {
    /// Name as on the command line, such as `cpu`.
    fn name(&self) -> &str;

    /// Prepares a model: packs its weights, compiles a program, opens a device.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the machine is not there; `InvalidConfig` if it cannot run this
    /// model; `OutOfMemory` if there is no room for it.
    fn load(&self, model: &Model) -> Result<Arc<dyn Loaded>>;

    /// Prepares several models with one backbone, which then runs once for all of them. There is at
    /// least one model, and none pretrains.
    ///
    /// # Errors
    ///
    /// As [`Backend::load`]; `BackendUnavailable` from a backend that runs one head only, as the
    /// default does.
    fn load_heads(&self, _models: &[&Model]) -> Result<Arc<dyn LoadedHeads>> {
        let text = format!("{} cannot run several heads on one backbone (use cpu)", self.name());
        Err(Error::new(ErrorKind::BackendUnavailable, text))
    }

    /// A session that computes the gradients and scores of one run of training.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` from a backend that trains nothing, as the default does.
    fn training(&self) -> Result<Box<dyn TrainingSession>> {
        let text = format!("{} cannot train models (use cpu)", self.name());
        Err(Error::new(ErrorKind::BackendUnavailable, text))
    }
}

/// A model that is ready to run: immutable, with one copy of its weights for all its sessions.
pub trait Loaded: Send + Sync {
    /// About how much memory the weights take, in bytes, whatever the number of sessions.
    fn bytes(&self) -> u64;

    /// A session: buffers of its own, with the weights of this.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the machine serves no further session.
    fn session(&self) -> Result<Box<dyn Session>>;
}

/// One user of a model that is ready to run.
pub trait Session: Send {
    /// Runs the model on one batch and fills `out`, which takes the model's
    /// [`OutputSpec`](crate::OutputSpec) with it ([`Prediction::reset`]).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()>;
}

/// Several heads on one backbone, ready to run: as [`Loaded`].
pub trait LoadedHeads: Send + Sync {
    /// As [`Loaded::bytes`].
    fn bytes(&self) -> u64;

    /// As [`Loaded::session`].
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the machine serves no further session.
    fn session(&self) -> Result<Box<dyn HeadsSession>>;
}

/// One user of several heads on one backbone.
pub trait HeadsSession: Send {
    /// Runs the backbone once and every head on what it gives; one output for each head, in the
    /// order of the models. On the CPU with the same bits as that head alone; a backend that plans by size, as for a
    /// chip, may plan one pass otherwise, and then agrees with the head alone as closely as with the CPU.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the models.
    fn forward(&mut self, batch: &Batch) -> Result<Vec<Prediction>>;
}

/// Gradients and scores of models whose weights change from step to step, for one run of training;
/// keeps its buffers.
pub trait TrainingSession: Send + Sync {
    /// Computes the gradient of the loss over the samples `indices`.
    ///
    /// Where the model has batch norm, all samples pass it together, and its running statistics are
    /// updated.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the samples do not fit the model.
    fn gradient(
        &self,
        model: &mut Model,
        samples: &dyn Samples,
        indices: &[usize],
        options: StepOptions<'_>,
    ) -> Result<StepGradient>;

    /// Takes back a gradient that is no longer needed, to use its memory again.
    fn keep(&self, gradient: Vec<f32>);

    /// Loss (and what else is known at once) of the model over every sample of a set.
    ///
    /// Pretraining hides patches by draws that are the same in every call.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if nothing in the set counts, or it does not fit the model.
    fn score(&self, model: &Model, samples: &dyn Samples, options: &LossOptions) -> Result<Score>;
}

/// How one step's gradient is taken.
#[derive(Debug, Clone, Copy)]
pub struct StepOptions<'a> {
    /// The draws of dropout of this step.
    pub dropout: Dropout,
    /// The loss that is minimised.
    pub loss: &'a LossOptions,
    /// Only the head learns.
    pub frozen_backbone: bool,
}

/// Loss and gradient of one batch.
pub struct StepGradient {
    /// The loss, divided by its weight.
    pub loss: f64,
    /// What it was divided by.
    pub weight: f64,
    /// One number per weight of the model.
    pub gradient: Vec<f32>,
}

/// What a model scores on a set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// The loss that training minimises.
    pub loss: f64,
    /// Mean absolute error of a point forecast or a plain regression.
    pub mae: Option<f64>,
    /// Share of right classes.
    pub accuracy: Option<f64>,
}
