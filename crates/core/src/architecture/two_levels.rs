//! A toy architecture, as a test that another one can be added: a stack of blocks whose patches are
//! split and merged between its levels, with the embedding and the head of PatchTSMixer.
//!
//! Apart from its variant of [`Architecture`](super::Architecture) no other code names it: layout,
//! definition, both CPU paths and the costs follow its network.

use crate::Result;
use crate::config::Config;
use crate::network::{Axis, Network, Stack};

/// Lengths, channels, loss and head, and into how many each level splits the embedding's patches.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoLevels {
    pub(super) contract: Config,
    pub(super) factors: [usize; 2],
}

impl TwoLevels {
    pub(super) fn network(&self) -> Result<Network> {
        self.contract.validate()?;
        let embedding = self.contract.embedding("toy");
        let mut stack = Stack::new(embedding.state, self.contract.block_options());
        let axes = [(Axis::Features, "width"), (Axis::Channels, "group"), (Axis::Patches, "time")];
        for (level, factor) in self.factors.into_iter().enumerate() {
            let state = embedding.state.split(factor);
            if state != stack.state() {
                stack.reshape(state);
            }
            for ((axis, name), place) in axes.into_iter().zip(1 + 3 * level as u64..) {
                if axis != Axis::Channels || self.contract.mixes_channels() {
                    let trace = format!("{level}.{name}");
                    stack.mix(axis, format!("toy.levels.{trace}"), trace, place);
                }
            }
            stack.end_layer();
        }
        let (stages, state) = stack.finish();
        let head = self.contract.head_layers(state)?;
        Ok(Network { embedding, stages, head, init_std: self.contract.init_std })
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use ptsm_kernels::Isa;

    use super::*;
    use crate::architecture::Architecture;
    use crate::backend::Backend;
    use crate::batch::{Batch, BatchShape};
    use crate::cpu::{Cpu, Member, PlanGradient, TrainArena, TrainPlan};
    use crate::head::OutputGradient;
    use crate::layers::Dropout;
    use crate::model::{ForwardOptions, Model};
    use crate::prediction::Prediction;
    use crate::real::Real;
    use crate::train::{Samples, TrainData, Trainer, Training};
    use crate::weights::{Init, TensorStore};

    const FACTORS: [[usize; 2]; 4] = [[1, 2], [2, 1], [2, 4], [4, 4]];

    /// Waves of two channels; sample `i` starts `i` steps later.
    fn waves<T: Real>(contract: &Config, indices: &[usize]) -> Batch<T> {
        let wave = |t: usize, c: usize| (0.4 * t as f64 + c as f64).sin() + 0.1 * c as f64;
        let cut = |from: usize, len: usize| -> Vec<T> {
            let steps = indices.iter().flat_map(move |i| i + from..i + from + len);
            steps.flat_map(|t| [0, 1].map(|c| T::from_f64(wave(t, c)))).collect()
        };
        let Config { context_length, prediction_length, .. } = *contract;
        let shape = BatchShape { size: indices.len(), context_length, num_channels: 2 };
        let future = cut(context_length, prediction_length);
        Batch::new(shape, cut(0, context_length)).unwrap().with_future_values(future).unwrap()
    }

    struct Waves(Config);

    impl Samples for Waves {
        fn len(&self) -> usize {
            64
        }

        fn batch(&self, indices: &[usize]) -> Batch {
            waves(&self.0, indices)
        }

        fn fingerprint(&self) -> String {
            self.describe()
        }

        fn describe(&self) -> String {
            "waves".into()
        }
    }

    /// With and without what may be in a block: gate, channel mixer, batch norm, self-attention.
    fn contracts() -> impl Iterator<Item = Config> {
        (0..8_u32).map(|bits| {
            let pick = |bit: u32| bits >> bit & 1 == 1;
            Config {
                context_length: 24,
                patch_length: 4,
                patch_stride: 4,
                // Four patches of six features each: a norm of two numbers is a step.
                d_model: 24,
                prediction_length: 5,
                num_input_channels: 2,
                mode: if pick(0) { "mix_channel" } else { "common_channel" }.into(),
                norm_mlp: if pick(1) { "BatchNorm" } else { "LayerNorm" }.into(),
                gated_attn: pick(2),
                self_attn: pick(2),
                self_attn_heads: 2,
                use_positional_encoding: true,
                dropout: 0.1,
                ..Config::default()
            }
        })
    }

    fn model(contract: &Config, factors: [usize; 2]) -> Model {
        let toy = TwoLevels { contract: contract.clone(), factors };
        Model::new(Architecture::TwoLevels(toy), Init::PyTorch, 7).unwrap()
    }

    /// Every contract with every way of levels.
    fn cases() -> impl Iterator<Item = (Config, [usize; 2])> {
        contracts().flat_map(|contract| FACTORS.map(|factors| (contract.clone(), factors)))
    }

    fn largest(values: &[f64]) -> f64 {
        values.iter().fold(1e-30, |max, x| x.abs().max(max))
    }

    fn distance(got: &[f32], wanted: &[f64]) -> f64 {
        assert_eq!(got.len(), wanted.len());
        got.iter().zip(wanted).map(|(&x, y)| (f64::from(x) - y).abs()).fold(0.0, f64::max)
    }

    /// The gradient of the prediction times 0, 1, 2, 0, 1, ...
    fn gradient<T: Real>(len: usize) -> OutputGradient<T> {
        let prediction = (0..len).map(|i| T::from_usize(i % 3)).collect();
        OutputGradient { prediction, ..OutputGradient::default() }
    }

    #[test]
    fn the_gradient_of_the_definition_goes_through_the_levels() {
        for (contract, factors) in cases() {
            let mut model = model(&contract, factors).cast::<f64>();
            let batch = waves(&contract, &[3, 11]);
            let forward = model.forward(&batch, ForwardOptions::default()).unwrap();
            let given = gradient(forward.outputs.prediction.len());
            let mut grads = vec![0.0; model.layout().num_trained()];
            model.backward(&batch, &forward, &given, &mut grads, ForwardOptions::default());
            // One weight of every tensor.
            let tensors =
                model.layout().tensors().iter().filter(|t| t.store == TensorStore::Trained);
            for i in tensors.map(|tensor| tensor.range.start).collect::<Vec<usize>>() {
                let at = |model: &mut Model<f64>, step: f64| {
                    model.parameters.trained[i] += step;
                    let outputs = model.forward(&batch, ForwardOptions::default()).unwrap().outputs;
                    model.parameters.trained[i] -= step;
                    let pairs = outputs.prediction.iter().zip(&given.prediction);
                    pairs.map(|(x, d)| x * d).sum::<f64>()
                };
                let slope = (at(&mut model, 1e-5) - at(&mut model, -1e-5)) / 2e-5;
                let error = (slope - grads[i]).abs();
                assert!(error < 1e-6 * largest(&grads), "{factors:?}, weight {i}: {error:e}");
            }
        }
    }

    #[test]
    fn the_cpu_forecasts_what_the_definition_forecasts() {
        for (contract, factors) in cases() {
            let (model, indices) = (model(&contract, factors), [3, 11, 30]);
            let mut out = Prediction::default();
            Cpu::default()
                .load(&model)
                .unwrap()
                .session()
                .unwrap()
                .forward(&waves(&contract, &indices), &mut out)
                .unwrap();
            let wide =
                model.cast::<f64>().forward(&waves(&contract, &indices), ForwardOptions::default());
            let wanted = wide.unwrap().outputs.prediction;
            let error = distance(&out.numbers, &wanted) / largest(&wanted);
            assert!(error < 1e-5, "{factors:?}: {error:e}");
        }
    }

    #[test]
    fn the_cpu_learns_what_the_definition_learns() {
        let dropout = Some(Dropout { seed: 1, step: 2, first_sample: 3 });
        let mode = ForwardOptions { train_norm: true, dropout, ..ForwardOptions::default() };
        for (contract, factors) in cases() {
            let model = model(&contract, factors);
            let (exact, batch) = (model.cast::<f64>(), waves(&contract, &[3, 11, 30]));
            let forward = exact.forward(&batch, mode).unwrap();
            let given = gradient(forward.outputs.prediction.len());
            let mut wanted = vec![0.0; model.layout().num_trained()];
            exact.backward(&batch, &forward, &given, &mut wanted, mode);
            for isa in Isa::available() {
                let got = fused(&model, &waves(&contract, &[3, 11, 30]), mode, isa);
                for tensor in
                    model.layout().tensors().iter().filter(|t| t.store == TensorStore::Trained)
                {
                    let (got, wide) = (&got[tensor.range.clone()], &wanted[tensor.range.clone()]);
                    // A softmax or a norm cancels some biases, whose gradient is 0 but for
                    // rounding.
                    let nothing = largest(wide) < 1e-12 * largest(&wanted);
                    let error = distance(got, wide) / largest(if nothing { &wanted } else { wide });
                    let place = format!("{factors:?}, {}, {}", isa.name(), tensor.name);
                    assert!(error < 1e-4, "{place} is off by {error:e}");
                }
            }
        }
    }

    /// The gradients of the CPU's plan.
    fn fused(model: &Model, batch: &Batch, mode: ForwardOptions, isa: Isa) -> Vec<f32> {
        let mut plan = TrainPlan::new(model, isa);
        plan.load(model);
        let mut member = [Member { arena: TrainArena::default(), mode, samples: 0 }];
        plan.start(&mut member[0].arena);
        let backbone = model.cut_patches(batch, mode).unwrap();
        // Batch norm goes from norm to norm, with a whole batch.
        let together = match model.network().has_batch_norm() {
            true => Some(plan.forward_together(&[backbone.read_patches()], &mut member)),
            false => {
                plan.forward(backbone.read_patches(), &mut member[0].arena, mode);
                None
            }
        };
        let projected = plan.project(batch.size(), &mut member[0].arena);
        let forward = model.forward_projected(backbone, &projected);
        let given = gradient(forward.outputs.prediction.len());
        let mut grads = vec![0.0; model.layout().num_trained()];
        let d = PlanGradient::Projected(model.backward_projected(&forward, &given, &mut grads));
        match together {
            Some(together) => plan.backward_together(&[d], &mut member, &together),
            None => plan.backward(&d, batch.size(), &mut member[0].arena, mode),
        }
        plan.finish(&mut member[0].arena, &mut grads);
        grads
    }

    #[test]
    fn training_lowers_its_loss() {
        for (contract, factors) in contracts().zip(FACTORS.into_iter().cycle()) {
            let training =
                Training { epochs: 12, batch_size: 8, learning_rate: 5e-3, ..Training::default() };
            let (model, waves) = (model(&contract, factors), Waves(contract));
            let data = TrainData { train: &waves, validation: &waves };
            let trainer = Trainer { training: &training, data, dir: None, resume: false };
            let outcome = trainer.run(model, &mut |_| ControlFlow::Continue(())).unwrap();
            let losses: Vec<f64> =
                outcome.history.epochs.iter().filter_map(|epoch| epoch.validation_loss).collect();
            let best = outcome.history.best_validation_loss.unwrap();
            assert!(best < 0.5 * losses[0], "{factors:?}: {losses:?}");
        }
    }
}
