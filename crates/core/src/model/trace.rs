//! Every intermediate under the name that the reference fixtures give it.

use super::{Forward, Model};
use crate::config::Task;
use crate::head::Outputs;
use crate::network::{Embedding, Stage, State};
use crate::real::Real;
use crate::tensor_file::NamedTensor;
use crate::weights::Store;

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
            // The reference returns the state behind the injection, where there is one.
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

    /// What the head gave: `out.head` before and `out.prediction` after un-scaling, each parameter
    /// of a law by itself.
    fn trace_outputs(&self, forward: &Forward<T>) -> Vec<NamedTensor<T>> {
        let config = self.config();
        let b = forward.backbone.pass.batch;
        let embedding = &self.network.embedding;
        let (c, targets) = (embedding.state.channels, config.num_targets);
        let mut shape = match config.task() {
            Ok(Task::Pretraining) => vec![b, c, embedding.state.patches, embedding.patch_length],
            Ok(Task::Classification | Task::Regression) => vec![b, targets],
            _ => vec![b, config.prediction_length, config.prediction_channels().len()],
        };
        let law = match config.task() {
            Ok(Task::Forecasting | Task::Regression) => config.distribution(),
            _ => None,
        };
        let Outputs { prediction, aggregates } = &forward.outputs;
        let head = forward.head.scaled().unwrap_or(prediction);
        let mut tensors = Vec::new();
        let mut push = |name: String, shape: &[usize], values: Vec<T>| {
            tensors.push(NamedTensor { name, shape: shape.to_vec(), values });
        };
        let Some(law) = law else {
            shape.extend(config.extension().quantiles.map(|levels| levels.len()));
            push("out.head".into(), &shape, head.clone());
            push("out.prediction".into(), &shape, prediction.clone());
            if let Some(hierarchy) = config.extension().hierarchy {
                shape[1] /= hierarchy.segment_length;
                push("out.aggregates".into(), &shape, aggregates.clone());
            }
            return tensors;
        };
        let each: usize = shape[1..].iter().product();
        for (k, name) in law.parameter_names().iter().enumerate() {
            for (place, values) in [("head", head), ("prediction", prediction)] {
                let rows = values.chunks_exact(each).skip(k).step_by(law.num_parameters());
                push(format!("out.{place}.{name}"), &shape, rows.flatten().copied().collect());
            }
        }
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
