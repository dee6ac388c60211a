//! Heads that run together: one pass of the backbone, then every head on its output.

use std::path::Path;

use super::files::{SharedHead, check_joined, load_heads};
use crate::Result;
use crate::data::Batch;
use ptsm_core::{Backend, HeadsSession, Model, Prediction};

/// A backbone with some of its heads, ready to run. The heads may have several horizons and tasks.
pub struct SharedModel {
    heads: Vec<SharedHead>,
    session: Box<dyn HeadsSession>,
}

impl SharedModel {
    /// Loads a model directory with the heads `names` (`main` is the directory's own) onto a backend.
    ///
    /// # Errors
    ///
    /// Those of [`load_heads`]; `InvalidConfig` if a head cannot share the backbone;
    /// `BackendUnavailable` from a backend that runs one head only.
    pub fn from_dir(dir: &Path, names: &[String], backend: &dyn Backend) -> Result<Self> {
        let heads = load_heads(dir, names)?;
        for head in &heads {
            check_joined(&head.name, &head.model, &heads[0].model)?;
        }
        let models: Vec<&Model> = heads.iter().map(|head| &head.model).collect();
        let session = backend.load_heads(&models)?.session()?;
        Ok(Self { heads, session })
    }

    /// The heads, in the order in which they were asked for.
    pub fn heads(&self) -> &[SharedHead] {
        &self.heads
    }

    /// Runs the backbone once and every head on its output; one result for each head, with the same
    /// bits as that head alone.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the model.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<Prediction>> {
        self.session.forward(batch)
    }
}
