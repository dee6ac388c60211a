//! A classical method as a member of an ensemble.

use std::sync::Arc;

use crate::classical::Classical;
use crate::data::Batch;
use crate::{Error, Result};
use ptsm_core::{Loaded, OutputSpec, Prediction, Session};

/// A classical method with the shape of its output.
#[derive(Clone)]
pub(super) struct LoadedClassical {
    classical: Classical,
    output: Arc<OutputSpec>,
}

impl LoadedClassical {
    pub(super) fn shared(classical: Classical, output: &Arc<OutputSpec>) -> Arc<dyn Loaded> {
        Arc::new(Self { classical, output: Arc::clone(output) })
    }
}

impl Loaded for LoadedClassical {
    fn bytes(&self) -> u64 {
        0
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.clone()))
    }
}

impl Session for LoadedClassical {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        let (got, wanted) = (batch.num_channels(), self.output.num_input_channels());
        if got != wanted {
            let text = format!("the batch has {got} channels, wanted {wanted}");
            return Err(Error::input(text));
        }
        out.reset(&self.output);
        let steps = self.output.prediction_length();
        out.numbers = self.classical.forecast(batch, steps, self.output.channels());
        Ok(())
    }
}
