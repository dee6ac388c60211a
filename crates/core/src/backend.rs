//! The seam between the model and the machines that run it: whole batches, never single operations.

use crate::Result;
use crate::batch::Batch;
use crate::model::Model;
use crate::prediction::Prediction;

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
    /// Runs the model on one batch and fills `out`, which takes the model's
    /// [`OutputSpec`](crate::OutputSpec) with it ([`Prediction::reset`]).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()>;
}
