//! The parts of a model that stay on the CPU when another machine runs the rest: what comes before
//! the patch embedding, and what follows the head's projections.
//!
//! Both are a small part of the work, and both need f32: a window may have any scale and location,
//! which scaling removes before the embedding and un-scaling restores in the forecast.

use ptsm_kernels::{StridedSlice, gather};

use super::{ForwardOptions, Model};
use crate::Result;
use crate::batch::Batch;
use crate::head::pooled::PooledHead;
use crate::head::{HeadInput, Outputs, forecast::ForecastHead};
use crate::layers::masking;
use crate::layers::scaler::{Scaled, Shape};
use crate::prediction::Prediction;
use crate::weights::HeadSlot;
use crate::window_scaling::WindowScaling;

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
        let (scaled, mut patches) = self.scaled_patches(batch)?;
        if let Some(mask) = batch.patch_mask() {
            let value = self.config().mask_value.as_f64().unwrap_or(0.0) as f32;
            patches = masking::forward(&patches, mask, self.network.embedding.patch_length, value);
        }
        Ok(EmbeddingInput { patches, batch: batch.size(), scaled })
    }

    /// Scaled windows, whose values are filled in only for a head that reads them, and their patches `[B, C, N, p]`.
    fn scaled_patches(&self, batch: &Batch) -> Result<(Scaled<f32>, Vec<f32>)> {
        let Shape { batch: size, length, channels } = self.shape(batch.size());
        let cut = self.cut();
        let scaling =
            WindowScaling { scaler: self.config().scaler(), isa: crate::real::instruction_set()? };
        let mut scaled = Scaled {
            values: vec![0.0; if self.head_reads_windows() { size * length * channels } else { 0 }],
            loc: Vec::with_capacity(size * channels),
            scale: Vec::with_capacity(size * channels),
            observed: batch.observed_mask().map(<[f32]>::to_vec),
        };
        let mut patches = Vec::with_capacity(size * channels * cut.count * cut.length);
        let (mut column, mut seen) = (vec![0.0; length], vec![0.0; length]);
        for place in 0..size * channels {
            let (sample, channel) = (place / channels, place % channels);
            let offset = sample * length * channels + channel;
            let gathered = |values, to: &mut [f32]| {
                gather(StridedSlice { values, offset, stride: channels }, to)
            };
            gathered(batch.past_values(), &mut column);
            let mask = batch.observed_mask().map(|values| {
                gathered(values, &mut seen);
                &seen[..]
            });
            let origin = batch.origin().map_or(0.0, |origin| origin[place]);
            let fitted = scaling.fit(&column, mask, origin);
            scaling.apply(&mut column, fitted);
            scaled.loc.push(fitted.loc);
            scaled.scale.push(fitted.scale);
            if !scaled.values.is_empty() {
                let to = scaled.values[offset..].iter_mut().step_by(channels);
                to.zip(&column).for_each(|(to, &x)| *to = x);
            }
            for n in 0..cut.count {
                patches.extend_from_slice(&column[cut.start + n * cut.stride..][..cut.length]);
            }
        }
        Ok((scaled, patches))
    }

    /// Whether the head computes with the scaled window itself, which [`Model::prepare`] keeps only then.
    pub fn head_reads_windows(&self) -> bool {
        let extension = self.config().extension();
        extension.linear_skip || extension.cross_channel.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchShape;
    use crate::layers::{patchify, scaler};
    use crate::{Config, Init};

    /// Scaled windows and patches by the definition.
    fn defined(model: &Model, batch: &Batch) -> (Scaled<f32>, Vec<f32>) {
        let (shape, scaler) = (model.shape(batch.size()), model.config().scaler());
        let window = scaler::Window::of(batch, batch.observed_mask());
        let scaled = scaler::forward(scaler, shape, window, false);
        let patches = patchify::forward(shape, model.cut(), &scaled.values);
        (scaled, patches)
    }

    fn assert_close(x: &[f32], y: &[f32], what: &str) {
        assert_eq!(x.len(), y.len(), "{what}");
        for (x, y) in x.iter().zip(y) {
            assert!((x - y).abs() <= 2e-5 * (1.0 + y.abs()), "{what}: {x} {y}");
        }
    }

    #[test]
    fn windows_are_scaled_and_cut_as_the_definition_does() {
        let small = Config {
            context_length: 29,
            patch_length: 4,
            patch_stride: 3,
            num_input_channels: 3,
            num_layers: 1,
            ..Config::default()
        };
        let gaps = Config { patch_stride: 6, scaling: "mean".into(), ..small.clone() };
        let unscaled = Config { patch_stride: 4, scaling: false.into(), ..small.clone() };
        let skip = crate::config::Extension { linear_skip: true, ..Default::default() };
        let skipping = Config { ptsm: Some(skip), ..small.clone() };
        let shape = BatchShape { size: 5, context_length: 29, num_channels: 3 };
        let values: Vec<f32> = (0..5 * 29 * 3).map(|i| 40.0 + (i as f32 * 12.9898).sin()).collect();
        let seen: Vec<f32> = (0..5 * 29 * 3).map(|i| f32::from(u8::from(i % 7 != 3))).collect();
        let plain = Batch::new(shape, values).unwrap();
        let masked = plain.clone().with_observed_mask(seen).unwrap();
        for config in [small, gaps, unscaled, skipping] {
            let model = Model::new(config, Init::PyTorch, 1).unwrap();
            for batch in [&plain, &masked] {
                let prepared = model.prepare(batch).unwrap();
                let (scaled, patches) = defined(&model, batch);
                assert_close(&prepared.patches, &patches, "patches");
                assert_close(prepared.loc(), &scaled.loc, "loc");
                assert_close(prepared.scale(), &scaled.scale, "scale");
                match model.head_reads_windows() {
                    true => assert_close(&prepared.scaled.values, &scaled.values, "values"),
                    false => assert!(prepared.scaled.values.is_empty()),
                }
            }
        }
    }
}
