//! The parts of a model that stay on the CPU when another machine runs the rest: what comes before
//! the patch embedding, and what follows the head's projections.
//!
//! Both are a small part of the work, and both need f32: a window may have any scale and location,
//! which scaling removes before the embedding and un-scaling restores in the forecast.

use super::{ForwardOptions, Model};
use crate::Result;
use crate::batch::Batch;
use crate::head::pooled::PooledHead;
use crate::head::{HeadInput, Outputs, forecast::ForecastHead};
use crate::layers::scaler::{self, Scaled};
use crate::layers::{masking, patchify};
use crate::prediction::Prediction;
use crate::weights::HeadSlot;

/// Windows that are ready for the patch embedding.
#[derive(Debug, Clone)]
pub struct EmbeddingInput {
    /// Scaled patches `[B, C, N, p]`, in which those that pretraining hides are replaced already.
    pub patches: Vec<f32>,
    /// Samples.
    pub batch: usize,
    scaled: Scaled<f32>,
}

impl EmbeddingInput {
    /// `loc` of every window and channel, `[B, C]`, data units.
    pub fn loc(&self) -> &[f32] {
        &self.scaled.loc
    }

    /// `scale` of every window and channel, `[B, C]`, data units.
    pub fn scale(&self) -> &[f32] {
        &self.scaled.scale
    }
}

impl Model<f32> {
    /// Scales windows, cuts them into patches and hides those that `patch_mask` names.
    ///
    /// # Errors
    ///
    /// `InvalidInput` as [`Model::forward`].
    pub fn prepare(&self, batch: &Batch) -> Result<EmbeddingInput> {
        self.check(batch, ForwardOptions::default())?;
        let shape = self.shape(batch.size());
        let mask = batch.observed_mask();
        let scaler = self.config().scaler();
        let scaled = scaler::forward(scaler, shape, scaler::Window::of(batch, mask), false);
        let mut patches = patchify::forward(shape, self.cut(), &scaled.values);
        if let Some(mask) = batch.patch_mask() {
            let value = self.config().mask_value.as_f64().unwrap_or(0.0) as f32;
            patches = masking::forward(&patches, mask, self.network.embedding.patch_length, value);
        }
        Ok(EmbeddingInput { patches, batch: batch.size(), scaled })
    }

    /// The head's output from those of its projections, which are `[B, C, outputs]` each for a
    /// forecast, `[B, num_targets]` each for a pooled head, and one `[B, C, N, p]` for pretraining.
    ///
    /// # Panics
    ///
    /// If a length is not that of the model: callers check what came back.
    pub fn finish(&self, prepared: &EmbeddingInput, projected: &[Vec<f32>]) -> Prediction {
        let trained = &self.parameters.trained;
        let input = HeadInput { hidden: &[], scaled: &prepared.scaled };
        let outputs = match &self.layout.head {
            HeadSlot::Forecast(slot) => {
                ForecastHead::new(slot, self.config(), &self.output)
                    .read(trained, input, projected)
                    .0
            }
            HeadSlot::Pretraining { .. } => {
                Outputs { prediction: projected[0].clone(), aggregates: Vec::new() }
            }
            HeadSlot::Pooled(slot) => {
                let targets = self.config().num_targets;
                let rows = (0..prepared.batch)
                    .flat_map(|b| projected.iter().map(move |p| &p[b * targets..][..targets]));
                let raw: Vec<f32> = rows.flatten().copied().collect();
                let kind = self.output.kind();
                let prediction = PooledHead { slot, config: self.config(), kind }.finish(&raw);
                Outputs { prediction, aggregates: Vec::new() }
            }
        };
        let mut out = Prediction::new(&self.output);
        (out.numbers, out.aggregates) = (outputs.prediction, outputs.aggregates);
        out.loc.clone_from(&prepared.scaled.loc);
        out.scale.clone_from(&prepared.scaled.scale);
        out
    }
}
