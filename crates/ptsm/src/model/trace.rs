//! Every intermediate under the name that the reference fixtures give it.

use super::{Forward, Model, Real};
use crate::weights::Store;

/// A tensor with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor<T> {
    /// As in the fixtures: `out.loc`, `trace.0.patch_mixer`, `grad.NAME`, ...
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// The numbers.
    pub values: Vec<T>,
}

impl<T: Real> Model<T> {
    /// The results and intermediates of a forward pass: `out.*`, `trace.I.*`, `out.hidden.I`.
    pub fn trace(&self, forward: &Forward<T>) -> Vec<NamedTensor<T>> {
        let config = &self.config;
        let b = forward.pass.batch;
        let (c, n, d) = (config.num_input_channels, config.num_patches(), config.d_model);
        let statistics = vec![b, 1, c];
        let patches = vec![b, c, n, config.patch_length];
        let hidden = vec![b, c, n, d];
        let forecast = vec![b, config.prediction_length, config.prediction_channels().len()];
        let mut tensors = Vec::new();
        let mut push = |name: &str, shape: &Vec<usize>, values: &Vec<T>| {
            let (name, shape, values) = (name.to_owned(), shape.clone(), values.clone());
            tensors.push(NamedTensor { name, shape, values });
        };
        push("out.loc", &statistics, &forward.scaled.loc);
        push("out.scale", &statistics, &forward.scaled.scale);
        push("out.patch_input", &patches, &forward.patches);
        push("out.encoder_input", &patches, &forward.patches);
        push("out.embedding", &hidden, &forward.embedding);
        if let Some(embedding) = &forward.embedding_with_positions {
            push("out.embedding_pos", &hidden, embedding);
        }
        for (i, layer) in forward.layers.iter().enumerate() {
            if let Some(x) = &layer.after_channel {
                push(&format!("trace.{i}.channel_feature_mixer"), &hidden, x);
            }
            push(&format!("trace.{i}.patch_mixer"), &hidden, &layer.after_patch);
            push(&format!("trace.{i}.feature_mixer"), &hidden, &layer.after_feature);
            push(&format!("out.hidden.{i}"), &hidden, &layer.after_feature);
        }
        if let Some(last) = forward.layers.last() {
            push("out.last_hidden_state", &hidden, &last.after_feature);
        }
        push("out.head", &forecast, &forward.head.scaled);
        push("out.prediction", &forecast, &forward.prediction);
        tensors
    }

    /// Numbers that run along `parameters.trained` (weights or gradients), cut into tensors with
    /// `prefix` in front of their names.
    pub fn name_trained(&self, prefix: &str, values: &[T]) -> Vec<NamedTensor<T>> {
        self.named(Store::Trained, prefix, values)
    }

    /// Fixed tables and running statistics, with `prefix` in front of their names.
    pub fn name_buffers(&self, prefix: &str) -> Vec<NamedTensor<T>> {
        self.named(Store::Buffer, prefix, &self.parameters.buffers)
    }

    fn named(&self, store: Store, prefix: &str, values: &[T]) -> Vec<NamedTensor<T>> {
        let tensors = self.layout.tensors().iter().filter(|t| t.store == store);
        tensors
            .map(|t| NamedTensor {
                name: format!("{prefix}{}", t.name),
                shape: t.shape.clone(),
                values: values[t.range.clone()].to_vec(),
            })
            .collect()
    }
}
