//! The results and intermediate tensors of a forward pass, under the names of the reference
//! fixtures.

use super::{Forward, Model};
use crate::head::Outputs;
use crate::network::{Embedding, Stage, State};
use crate::real::Real;
use crate::tensor_file::NamedTensor;
use crate::weights::TensorStore;

impl<T: Real> Model<T> {
    /// The results and intermediates of a forward pass: `out.*`, `trace.I.*`, `out.hidden.I`.
    pub fn trace(&self, forward: &Forward<T>) -> Vec<NamedTensor<T>> {
        let backbone = &forward.backbone;
        let b = backbone.pass.batch;
        let shape = |state: State| vec![b, state.channels, state.patches, state.features];
        let Embedding { state, patch_length, .. } = &self.network.embedding;
        let statistics = vec![b, 1, state.channels];
        let patches = vec![b, state.channels, state.patches, *patch_length];
        let hidden = shape(*state);
        let mut tensors = Vec::new();
        let mut push = |name: &str, shape: &Vec<usize>, values: &Vec<T>| {
            let (name, shape, values) = (name.to_owned(), shape.clone(), values.clone());
            tensors.push(NamedTensor { name, shape, values });
        };
        push("out.loc", &statistics, &backbone.scaled.loc);
        push("out.scale", &statistics, &backbone.scaled.scale);
        push("out.patch_input", &patches, &backbone.patches);
        let read = backbone.masked_patches.as_ref().unwrap_or(&backbone.patches);
        push("out.encoder_input", &patches, read);
        push("out.embedding", &hidden, &backbone.embedding);
        if let Some(embedding) = &backbone.embedding_with_positions {
            push("out.embedding_pos", &hidden, embedding);
        }
        let mut layers = 0;
        for (stage, output) in self.network.stages.iter().zip(&backbone.stages) {
            let Stage::Mixer(block) = stage else { continue };
            push(&format!("trace.{}", block.trace), &shape(block.state), &output.hidden);
            if block.ends_layer {
                push(&format!("out.hidden.{layers}"), &shape(block.state), &output.hidden);
                layers += 1;
            }
        }
        if let Some(last) = backbone.stages.last() {
            let hidden = shape(self.network.last_state());
            // With a scale injection, the reference's last hidden state is the one after the
            // injection.
            match forward.head.injected() {
                Some(injected) => {
                    push("out.backbone_last", &hidden, &last.hidden);
                    push("out.last_hidden_state", &hidden, injected);
                }
                None => push("out.last_hidden_state", &hidden, &last.hidden),
            }
        }
        tensors.extend(self.trace_outputs(forward));
        tensors
    }

    /// The head's output: `out.head` before and `out.prediction` after un-scaling, with a tensor
    /// for each parameter of a distribution.
    fn trace_outputs(&self, forward: &Forward<T>) -> Vec<NamedTensor<T>> {
        let batch = forward.backbone.pass.batch;
        let Outputs { prediction, aggregates } = &forward.outputs;
        let head = forward.head.scaled().unwrap_or(prediction);
        let heads = self.output.named("out.head", batch, head);
        let predictions = self.output.named("out.prediction", batch, prediction);
        let mut tensors: Vec<NamedTensor<T>> =
            heads.into_iter().zip(predictions).flat_map(|(head, after)| [head, after]).collect();
        if let Some(shape) = self.output.aggregates_shape(batch) {
            let values = aggregates.clone();
            tensors.push(NamedTensor { name: "out.aggregates".into(), shape, values });
        }
        tensors
    }

    /// Splits numbers in the order of `parameters.trained` (weights or gradients) into tensors,
    /// with `prefix` before their names.
    pub fn name_trained(&self, prefix: &str, values: &[T]) -> Vec<NamedTensor<T>> {
        self.named(TensorStore::Trained, prefix, values)
    }

    /// Fixed tables and running statistics, with `prefix` before their names.
    pub fn name_buffers(&self, prefix: &str) -> Vec<NamedTensor<T>> {
        self.named(TensorStore::Buffer, prefix, &self.parameters.buffers)
    }

    fn named(&self, store: TensorStore, prefix: &str, values: &[T]) -> Vec<NamedTensor<T>> {
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
