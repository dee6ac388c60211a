//! A ridge regression as a member of an ensemble.

use std::sync::Arc;

use crate::data::Batch;
use crate::evaluate::{Ridge, select_channels};
use crate::model_dir::{ModelDir, read_json, write_json};
use crate::{Error, Result};
use ptsm_core::{Loaded, OutputSpec, Prediction, Session, list_all};

/// Reads the ridge regression of a member's folder.
pub(super) fn read(dir: &ModelDir) -> Result<Ridge> {
    let path = dir.ridge();
    let missing = || Error::config(path.display().to_string(), "is not there");
    read_json(&path)?.ok_or_else(missing)
}

/// Writes a ridge regression into a member's folder that is being filled, with its checksum.
pub(super) fn write(dir: &ModelDir, ridge: &Ridge) -> Result<()> {
    std::fs::create_dir_all(dir.path()).map_err(|e| Error::io(dir.path(), "cannot be made", e))?;
    write_json(&dir.ridge(), ridge)?;
    list_all(dir.path())
}

/// A ridge regression with the shape of its output.
#[derive(Clone)]
pub(super) struct LoadedRidge {
    ridge: Arc<Ridge>,
    output: Arc<OutputSpec>,
}

impl LoadedRidge {
    pub(super) fn shared(ridge: &Arc<Ridge>, output: &Arc<OutputSpec>) -> Arc<dyn Loaded> {
        Arc::new(Self { ridge: Arc::clone(ridge), output: Arc::clone(output) })
    }
}

impl Loaded for LoadedRidge {
    fn bytes(&self) -> u64 {
        let (weights, bias) = self.ridge.weights();
        (size_of_val(weights) + size_of_val(bias)) as u64
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }
}

impl Session for LoadedRidge {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        out.reset(&self.output);
        let all = self.ridge.predict(batch)?;
        out.numbers = select_channels(&all, batch.num_channels(), self.output.channels());
        Ok(())
    }
}
