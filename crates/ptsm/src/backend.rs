//! The seam between the model and the machines that run it: whole batches, never single operations.

use crate::data::Batch;
use crate::model::Model;
use crate::{Error, ErrorKind, Result};

/// A kind of machine that can run a model.
pub trait Backend: Send + Sync {
    /// Name as on the command line, such as `cpu`.
    fn name(&self) -> &str;

    /// Prepares a model: packs its weights, compiles a program, opens a device.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the machine is not there; `InvalidConfig` if it cannot run this model.
    fn load(&self, model: &Model) -> Result<Box<dyn Session>>;
}

/// One model that is ready to run.
pub trait Session: Send {
    /// Runs the model on one batch and fills `out`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    fn forward(&mut self, batch: &Batch, out: &mut Output) -> Result<()>;
}

/// What a model's head produces for one batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Output {
    /// As the head gives it, see [`Outputs`](crate::Outputs); a point forecast is `[B, H, C']`, in
    /// the units of `past_values`.
    pub prediction: Vec<f32>,
    /// Sums of segments, `[B, S, C']`, with the hierarchical head; empty without.
    pub aggregates: Vec<f32>,
    /// Shift of every window and channel, `[B, C]`, which a law is relative to; empty for a plain
    /// point forecast, which is un-scaled already.
    pub loc: Vec<f32>,
    /// Scale of every window and channel, `[B, C]`; as `loc`.
    pub scale: Vec<f32>,
}

impl Output {
    /// Empties every field and keeps its memory.
    pub fn clear(&mut self) {
        let Self { prediction, aggregates, loc, scale } = self;
        [prediction, aggregates, loc, scale].into_iter().for_each(Vec::clear);
    }
}

/// The backend of this name.
///
/// # Errors
///
/// `BackendUnavailable`, naming those that are there.
pub fn open(name: &str) -> Result<Box<dyn Backend>> {
    match name {
        "cpu" => Ok(Box::new(crate::cpu::Cpu)),
        other => Err(Error::new(
            ErrorKind::BackendUnavailable,
            format!("there is no backend \"{other}\", only \"cpu\""),
        )),
    }
}
