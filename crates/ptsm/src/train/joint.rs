//! Several heads and their one backbone, trained together, each on samples of its own.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::recipe::Training;
use super::skip::Held;
use super::step::{StepOptions, Workspace, gradient, score};
use super::trainer::{TrainData, clip, shuffled};
use crate::config::Norm;
use crate::model::{Dropout, Model};
use crate::weights::Parameters;
use crate::{Error, Result};

/// One head with its samples.
pub struct JointTask<'a> {
    /// The head on the shared backbone; the first task's backbone is where the run starts.
    pub model: Model,
    /// What it learns from, and what picks the epoch.
    pub data: TrainData<'a>,
    /// What its loss counts, above 0.
    pub weight: f64,
}

/// One finished epoch: a pass over the task with the most batches, in which shorter ones start anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointEpoch {
    /// Number, from 1.
    pub epoch: u32,
    /// Mean training loss of each task, with dropout.
    pub train_losses: Vec<f64>,
    /// Loss of each task over its validation samples; `None` without any.
    pub validation_losses: Vec<Option<f64>>,
}

/// The heads with the weights of the best epoch.
#[derive(Debug)]
pub struct JointOutcome {
    /// In the order of the tasks; their backbones are equal.
    pub models: Vec<Model>,
    /// Every epoch.
    pub epochs: Vec<JointEpoch>,
    /// The epoch that was kept, from 1: the smallest weighted sum of validation losses, or the last
    /// one without validation samples.
    pub best_epoch: u32,
}

/// Trains the heads and their backbone together. In every step each task gives a batch; the
/// gradients of the backbone are added, each times its task's weight.
///
/// `training` gives epochs, batch size, learning rate, seed and so on. Point forecasts learn by
/// `mae_share` and `huber_delta`, and a linear skip learns `skip_rate` times as fast, as for one head.
/// `freeze_backbone` (frozen heads are trained one by one), `ema_decay` and `class_weights` are
/// refused; checkpoints are not written, and weights start where they are. As for one head, the bits
/// do not depend on the number of threads.
///
/// # Errors
///
/// `InvalidConfig` if there is no task, a backbone differs or has batch norm (whose running
/// statistics the tasks would pull apart), or a setting is impossible or refused; `InvalidInput` if a
/// task has no samples, or a loss stops being finite.
pub fn train_jointly(
    tasks: Vec<JointTask<'_>>,
    training: &Training,
    observe: &mut dyn FnMut(&JointEpoch) -> ControlFlow<()>,
) -> Result<JointOutcome> {
    training.validate()?;
    refuse_unused(training)?;
    let mut run = Run::new(tasks, training)?;
    let mut outcome = JointOutcome { models: Vec::new(), epochs: Vec::new(), best_epoch: 0 };
    let mut best: Option<(f64, Vec<Parameters<f32>>)> = None;
    for number in 1..=training.epochs {
        let train_losses = run.epoch()?;
        let validation_losses = run.validate()?;
        let epoch = JointEpoch { epoch: number, train_losses, validation_losses };
        let weighted = run.tasks.iter().zip(&epoch.validation_losses);
        let known: Vec<f64> =
            weighted.filter_map(|(task, loss)| loss.map(|loss| loss * task.weight)).collect();
        let loss = known.iter().sum::<f64>();
        if known.is_empty()
            || best.as_ref().is_none_or(|(best, _)| loss < *best - training.min_delta)
        {
            let weights = run.tasks.iter().map(|task| task.model.parameters.clone()).collect();
            best = Some((loss, weights));
            outcome.best_epoch = number;
        }
        let flow = observe(&epoch);
        outcome.epochs.push(epoch);
        let waited = number - outcome.best_epoch;
        if flow.is_break() || training.patience.is_some_and(|patience| waited >= patience.max(1)) {
            break;
        }
    }
    let weights = best.map(|(_, weights)| weights).unwrap_or_default();
    outcome.models = run.tasks.into_iter().map(|task| task.model).collect();
    for (model, weights) in outcome.models.iter_mut().zip(weights) {
        model.parameters = weights;
    }
    Ok(outcome)
}

/// Settings that are for one head alone.
fn refuse_unused(training: &Training) -> Result<()> {
    let alone = [
        ("freeze_backbone", training.freeze_backbone),
        ("ema_decay", training.ema_decay.is_some()),
        ("class_weights", training.class_weights.is_some()),
    ];
    match alone.iter().find(|(_, given)| *given) {
        Some((field, _)) => {
            let text = "is for one head alone, not for several together (leave it out)";
            Err(Error::config(*field, text))
        }
        None => Ok(()),
    }
}

/// Where a task is in its samples.
struct Cursor {
    order: Vec<usize>,
    next: usize,
    /// Passes that were begun.
    passes: u32,
}

struct Run<'a> {
    tasks: Vec<JointTask<'a>>,
    cursors: Vec<Cursor>,
    training: &'a Training,
    /// Over the backbone, then the heads one after the other.
    adamw: AdamW<f32>,
    workspace: Workspace,
    /// Weights of the backbone.
    shared: usize,
    steps_per_epoch: usize,
}

impl<'a> Run<'a> {
    fn new(mut tasks: Vec<JointTask<'a>>, training: &'a Training) -> Result<Self> {
        let Some(first) = tasks.first().map(|task| task.model.clone()) else {
            return Err(Error::config("tasks", "wanted one or more heads"));
        };
        if first.config().norm() == Norm::Batch {
            let text = "\"batch\" has running statistics that the tasks would pull apart";
            return Err(Error::config("norm_mlp", text));
        }
        let shared = first.layout().head_start();
        let mut all = shared;
        for task in &mut tasks {
            super::take_backbone(&mut task.model, &first)?;
            if !(task.weight.is_finite() && task.weight > 0.0) {
                return Err(Error::config("weight", format!("{} must be above 0", task.weight)));
            }
            if task.data.train.is_empty() {
                let text = format!("there are no {} to train on", task.data.train.describe());
                return Err(Error::input(text));
            }
            all += task.model.layout().num_trained() - shared;
        }
        let Training { beta1, beta2, eps, weight_decay, batch_size, .. } = *training;
        let longest = tasks.iter().map(|task| task.data.train.len()).max().unwrap_or(0);
        let cursor = |task: &JointTask<'_>| Cursor {
            order: shuffled(task.data.train.len(), training.seed, 0),
            next: 0,
            passes: 1,
        };
        Ok(Self {
            cursors: tasks.iter().map(cursor).collect(),
            adamw: AdamW::new(all, (beta1, beta2), eps, weight_decay),
            workspace: Workspace::default(),
            steps_per_epoch: longest.div_ceil(batch_size),
            tasks,
            training,
            shared,
        })
    }

    fn epoch(&mut self) -> Result<Vec<f64>> {
        let mut sums = vec![(0.0, 0.0); self.tasks.len()];
        for _ in 0..self.steps_per_epoch {
            self.step(&mut sums)?;
        }
        Ok(sums.iter().map(|(loss, weight)| loss / f64::max(*weight, f64::MIN_POSITIVE)).collect())
    }

    /// One batch of every task, one move of the optimiser.
    fn step(&mut self, sums: &mut [(f64, f64)]) -> Result<()> {
        let step = self.adamw.step;
        let mut whole = vec![0.0; self.shared];
        for (t, task) in self.tasks.iter_mut().enumerate() {
            let indices = self.cursors[t].take(self.training);
            // Draws of its own for every task.
            let seed = self.training.seed.wrapping_add((t as u64) << 32);
            let options = StepOptions {
                dropout: Dropout { seed, step, first_sample: 0 },
                loss: &self.training.loss_options(),
                frozen_backbone: false,
                workspace: &self.workspace,
            };
            let found = gradient(&mut task.model, task.data.train, &indices, options)?;
            if !found.loss.is_finite() {
                let text = format!(
                    "the training loss of head {t} became {} in step {} (lower learning_rate)",
                    found.loss,
                    step + 1
                );
                return Err(Error::input(text));
            }
            sums[t].0 += found.loss * found.weight;
            sums[t].1 += found.weight;
            let share = task.weight as f32;
            for (sum, g) in whole[..self.shared].iter_mut().zip(&found.gradient) {
                *sum += share * g;
            }
            whole.extend(found.gradient[self.shared..].iter().map(|g| share * g));
            self.workspace.keep(found.gradient);
        }
        if let Some(limit) = self.training.gradient_clip {
            clip(&mut whole, limit)?;
        }
        self.update(&whole);
        Ok(())
    }

    fn update(&mut self, gradient: &[f32]) {
        let Training { schedule, warmup_steps, learning_rate, epochs, .. } = *self.training;
        let total = self.steps_per_epoch as u64 * u64::from(epochs);
        let rate = learning_rate * schedule.factor(self.adamw.step, total, warmup_steps);
        let mut weights = self.tasks[0].model.parameters.trained[..self.shared].to_vec();
        for task in &self.tasks {
            weights.extend_from_slice(&task.model.parameters.trained[self.shared..]);
        }
        self.adamw.update(rate, &mut weights, gradient);
        let mut heads = &weights[self.shared..];
        for task in &mut self.tasks {
            let held = Held::new(&task.model, self.training.skip_rate);
            let trained = &mut task.model.parameters.trained;
            let (own, rest) = heads.split_at(trained.len() - self.shared);
            trained[..self.shared].copy_from_slice(&weights[..self.shared]);
            trained[self.shared..].copy_from_slice(own);
            heads = rest;
            if let Some(held) = held {
                held.release(&mut task.model);
            }
        }
    }

    fn validate(&self) -> Result<Vec<Option<f64>>> {
        let one = |task: &JointTask<'_>| match task.data.validation.is_empty() {
            true => Ok(None),
            false => {
                let options = self.training.score_options();
                let found = score(&task.model, task.data.validation, &options)?;
                Ok(Some(found.loss))
            }
        };
        self.tasks.iter().map(one).collect()
    }
}

impl Cursor {
    /// The next batch; the last one of a pass may be shorter.
    fn take(&mut self, training: &Training) -> Vec<usize> {
        if self.next >= self.order.len() {
            self.order = shuffled(self.order.len(), training.seed, self.passes);
            self.passes += 1;
            self.next = 0;
        }
        let end = (self.next + training.batch_size).min(self.order.len());
        let taken = self.order[self.next..end].to_vec();
        self.next = end;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{PreparedSeries, Segment, WindowSet, WindowShape};
    use crate::{Config, Init};

    fn windows() -> WindowSet {
        let values = (0..160).map(|i| (i as f32 * 0.4).sin()).collect();
        let series =
            PreparedSeries { id: String::new(), num_channels: 1, values, observed_mask: None };
        let shape = WindowShape { context_length: 16, prediction_length: 4, step: 1 };
        let segment = Segment { series: std::sync::Arc::new(series), rows: 0..160 };
        WindowSet::new(vec![segment], shape).unwrap()
    }

    fn model(seed: u64, quantiles: bool) -> Model {
        let mut config = Config {
            context_length: 16,
            prediction_length: 4,
            patch_length: 4,
            patch_stride: 4,
            num_input_channels: 1,
            d_model: 4,
            num_layers: 1,
            ..Config::default()
        };
        if quantiles {
            config.ptsm = Some(crate::Extension {
                quantiles: Some(vec![0.1, 0.5, 0.9]),
                ..crate::Extension::default()
            });
        }
        Model::new(config, Init::PyTorch, seed).unwrap()
    }

    fn run(threads: usize, weight: f64) -> JointOutcome {
        let training =
            Training { epochs: 4, batch_size: 16, learning_rate: 1e-2, ..Training::default() };
        run_with(threads, weight, &training)
    }

    fn run_with(threads: usize, weight: f64, training: &Training) -> JointOutcome {
        let windows = windows();
        let data = TrainData { train: &windows, validation: &windows };
        let task =
            |quantiles| JointTask { model: model(u64::from(quantiles), quantiles), data, weight };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let tasks = vec![task(false), task(true)];
            train_jointly(tasks, training, &mut |_| ControlFlow::Continue(())).unwrap()
        })
    }

    #[test]
    fn both_heads_learn_on_one_backbone_with_the_same_bits_for_any_threads() {
        let found = run(1, 1.0);
        let shared = found.models[0].layout().head_start();
        let weights = |model: &Model| model.parameters.trained.clone();
        assert_eq!(weights(&found.models[0])[..shared], weights(&found.models[1])[..shared]);
        assert_ne!(weights(&found.models[0])[..shared], weights(&model(0, false))[..shared]);
        let (first, last) = (&found.epochs[0], &found.epochs[found.best_epoch as usize - 1]);
        for t in 0..2 {
            assert!(last.validation_losses[t].unwrap() < first.validation_losses[t].unwrap());
        }
        let other = run(2, 1.0);
        assert!(found.models.iter().zip(&other.models).all(|(a, b)| weights(a) == weights(b)));
    }

    #[test]
    fn settings_change_what_is_trained_or_are_refused() {
        let base =
            || Training { epochs: 3, batch_size: 16, learning_rate: 1e-2, ..Training::default() };
        let weights = |training: &Training| -> Vec<Vec<f32>> {
            let models = run_with(1, 1.0, training).models;
            models.iter().map(|model| model.parameters.trained.clone()).collect()
        };
        let plain = weights(&base());
        for training in [
            Training { mae_share: 0.5, ..base() },
            Training { huber_delta: Some(0.1), ..base() },
            Training { gradient_clip: Some(0.01), ..base() },
            Training { weight_decay: 0.5, ..base() },
            // Nothing after the first epoch is good enough.
            Training { min_delta: 1e6, ..base() },
        ] {
            assert_ne!(weights(&training), plain, "{training:?}");
        }
        let windows = windows();
        let data = TrainData { train: &windows, validation: &windows };
        for (training, field) in [
            (Training { ema_decay: Some(0.9), ..base() }, "ema_decay"),
            (Training { freeze_backbone: true, ..base() }, "freeze_backbone"),
            (Training { class_weights: Some(vec![1.0]), ..base() }, "class_weights"),
        ] {
            let task = JointTask { model: model(0, false), data, weight: 1.0 };
            let mut stop = |_: &JointEpoch| ControlFlow::Continue(());
            let error = train_jointly(vec![task], &training, &mut stop).unwrap_err();
            assert_eq!(error.place(), Some(field), "{error}");
        }
    }

    #[test]
    fn a_linear_skip_is_held_back_as_for_one_head() {
        let mut config = model(0, false).config().clone();
        config.ptsm = Some(crate::Extension { linear_skip: true, ..crate::Extension::default() });
        let start = Model::new(config, Init::PyTorch, 0).unwrap();
        let windows = windows();
        let data = TrainData { train: &windows, validation: &windows };
        let skip = |skip_rate: f64| -> Vec<f32> {
            let training = Training {
                epochs: 2,
                batch_size: 16,
                learning_rate: 1e-2,
                skip_rate,
                ..Training::default()
            };
            let task = JointTask { model: start.clone(), data, weight: 1.0 };
            let mut go = |_: &JointEpoch| ControlFlow::Continue(());
            let found = train_jointly(vec![task], &training, &mut go).unwrap();
            skip_of(&found.models[0])
        };
        assert_eq!(skip(0.0), skip_of(&start), "it stays where it starts");
        assert_ne!(skip(0.5), skip_of(&start));
        assert_ne!(skip(0.5), skip(1.0));
    }

    /// The weights of the skip.
    fn skip_of(model: &Model) -> Vec<f32> {
        let is_skip = |name: &str| name.contains("skip");
        let all = model.layout().tensors().iter().filter(|tensor| is_skip(&tensor.name));
        let found: Vec<f32> =
            all.flat_map(|t| model.parameters.trained[t.range.clone()].to_vec()).collect();
        assert!(!found.is_empty());
        found
    }

    #[test]
    fn what_cannot_be_joined_is_refused() {
        let windows = windows();
        let data = TrainData { train: &windows, validation: &windows };
        let mut stop = |_: &JointEpoch| ControlFlow::Continue(());
        let training = Training::default();
        assert!(train_jointly(Vec::new(), &training, &mut stop).is_err());
        let task = JointTask { model: model(0, false), data, weight: 0.0 };
        let text = train_jointly(vec![task], &training, &mut stop).unwrap_err().to_string();
        assert!(text.contains("weight: 0 must be above 0"), "{text}");
        let config = Config { norm_mlp: "BatchNorm".into(), ..model(0, false).config().clone() };
        let model = Model::new(config, Init::PyTorch, 0).unwrap();
        let task = JointTask { model, data, weight: 1.0 };
        let text = train_jointly(vec![task], &training, &mut stop).unwrap_err().to_string();
        assert!(text.contains("norm_mlp"), "{text}");
    }
}
