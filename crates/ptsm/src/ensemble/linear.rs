//! A ridge regression, on values or on logarithms, as a member of an ensemble.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::evaluate::{LogRidge, Ridge, select_channels};
use crate::model_dir::{ModelDir, read_json, write_json};
use crate::{Error, Result};
use ptsm_core::{Loaded, OutputSpec, Prediction, Session, list_all};

/// A ridge regression; `ridge.json` in the folder of a member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Linear {
    /// On the values of a window, less their mean or the last one. Comes first, so that it is what a file without a
    /// season is.
    Values(Ridge),
    /// On logarithms.
    Logarithms(LogRidge),
}

impl Linear {
    /// `ridge` or `log_ridge`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Values(_) => "ridge",
            Self::Logarithms(_) => "log_ridge",
        }
    }

    /// Past steps, L.
    pub fn context_length(&self) -> usize {
        match self {
            Self::Values(ridge) => ridge.context_length(),
            Self::Logarithms(ridge) => ridge.context_length(),
        }
    }

    /// Future steps, H.
    pub fn prediction_length(&self) -> usize {
        match self {
            Self::Values(ridge) => ridge.prediction_length(),
            Self::Logarithms(ridge) => ridge.prediction_length(),
        }
    }

    /// The penalty, as a share of the training rows or of their weight.
    pub fn penalty(&self) -> f64 {
        match self {
            Self::Values(ridge) => ridge.penalty(),
            Self::Logarithms(ridge) => ridge.penalty(),
        }
    }

    /// Weights, row-major, and constants `[H]`; see [`Ridge::weights`] and [`LogRidge::weights`].
    pub fn weights(&self) -> (&[f32], &[f32]) {
        match self {
            Self::Values(ridge) => ridge.weights(),
            Self::Logarithms(ridge) => ridge.weights(),
        }
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<f32>> {
        match self {
            Self::Values(ridge) => ridge.predict(batch),
            Self::Logarithms(ridge) => ridge.predict(batch),
        }
    }
}

/// Reads the ridge regression of a member's folder.
pub(super) fn read(dir: &ModelDir) -> Result<Linear> {
    let path = dir.ridge();
    let missing = || Error::config(path.display().to_string(), "is not there");
    read_json(&path)?.ok_or_else(missing)
}

/// Writes a ridge regression into a member's folder that is being filled, with its checksum.
pub(super) fn write(dir: &ModelDir, linear: &Linear) -> Result<()> {
    std::fs::create_dir_all(dir.path()).map_err(|e| Error::io(dir.path(), "cannot be made", e))?;
    write_json(&dir.ridge(), linear)?;
    list_all(dir.path())
}

/// A ridge regression with the shape of its output.
#[derive(Clone)]
pub(super) struct LoadedLinear {
    linear: Arc<Linear>,
    output: Arc<OutputSpec>,
}

impl LoadedLinear {
    pub(super) fn shared(linear: &Arc<Linear>, output: &Arc<OutputSpec>) -> Arc<dyn Loaded> {
        Arc::new(Self { linear: Arc::clone(linear), output: Arc::clone(output) })
    }
}

impl Loaded for LoadedLinear {
    fn bytes(&self) -> u64 {
        let (weights, bias) = self.linear.weights();
        (size_of_val(weights) + size_of_val(bias)) as u64
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }
}

impl Session for LoadedLinear {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        out.reset(&self.output);
        let all = self.linear.predict(batch)?;
        out.numbers = select_channels(&all, batch.num_channels(), self.output.channels());
        Ok(())
    }
}
