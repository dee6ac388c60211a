//! Joint training of several heads on one backbone, each head on samples of its own.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::on_cpu::on_cpu;
use super::skip::SkipStep;
use super::trainer::{TrainData, clip, shuffled};
use super::training::Training;
use crate::backend::{StepOptions, TrainingSession};
use crate::layers::Dropout;
use crate::model::Model;
use crate::weights::Parameters;
use crate::{Error, Result};

/// One head with its samples.
pub struct JointTask<'a> {
    /// The head on the shared backbone; the first task's backbone is where the run starts.
    pub model: Model,
    /// The samples that it learns from, and those that choose the epoch.
    pub data: TrainData<'a>,
    /// Weight of its loss, above 0.
    pub weight: f64,
}

/// One finished epoch: a pass over the task with the most batches, in which shorter ones start
/// anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
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
#[non_exhaustive]
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
/// `mae_share` and `huber_delta`, and a linear skip learns `skip_rate` times as fast, as for one
/// head. `freeze_backbone` (frozen heads are trained one by one), `ema_decay` and `class_weights`
/// are refused; checkpoints are not written, and weights start where they are. As for one head, the
/// bits do not depend on the number of threads.
///
/// # Errors
///
/// `InvalidConfig` if there is no task, a backbone differs or has batch norm (whose running
/// statistics each task would change), or a setting is impossible or refused; `InvalidInput` if
/// a task has no samples, or a loss stops being finite.
pub fn train_jointly(
    tasks: Vec<JointTask<'_>>,
    training: &Training,
    observe: &mut dyn FnMut(&JointEpoch) -> ControlFlow<()>,
) -> Result<JointOutcome> {
    train_jointly_on(on_cpu()?.as_ref(), tasks, training, observe)
}

/// As [`train_jointly`], on the machine that [`Backend::training`](crate::Backend::training) gave.
///
/// # Errors
///
/// As [`train_jointly`].
pub fn train_jointly_on(
    on: &dyn TrainingSession,
    tasks: Vec<JointTask<'_>>,
    training: &Training,
    observe: &mut dyn FnMut(&JointEpoch) -> ControlFlow<()>,
) -> Result<JointOutcome> {
    training.validate()?;
    refuse_unused(training)?;
    let mut run = Run::new(on, tasks, training)?;
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

/// Refuses settings that are for one head alone.
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

/// The position of a task in its samples.
struct Cursor {
    order: Vec<usize>,
    next: usize,
    /// Passes over the samples that were begun.
    passes: u32,
}

struct Run<'a> {
    tasks: Vec<JointTask<'a>>,
    cursors: Vec<Cursor>,
    training: &'a Training,
    /// Over the backbone, then the heads one after the other.
    adamw: AdamW<f32>,
    on: &'a dyn TrainingSession,
    /// Weights of the backbone.
    shared: usize,
    steps_per_epoch: usize,
}

impl<'a> Run<'a> {
    fn new(
        on: &'a dyn TrainingSession,
        mut tasks: Vec<JointTask<'a>>,
        training: &'a Training,
    ) -> Result<Self> {
        let Some(first) = tasks.first().map(|task| task.model.clone()) else {
            return Err(Error::config("tasks", "wanted one or more heads"));
        };
        if first.network().has_batch_norm() {
            let text = "\"batch\" has running statistics, which each task would change";
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
            adamw: AdamW::new(all, beta1, beta2, eps, weight_decay),
            on,
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

    /// One step of the optimiser, on one batch of every task.
    fn step(&mut self, sums: &mut [(f64, f64)]) -> Result<()> {
        let step = self.adamw.step;
        let mut whole = vec![0.0; self.shared];
        for (t, task) in self.tasks.iter_mut().enumerate() {
            let indices = self.cursors[t].take(self.training);
            // Every task has draws of its own.
            let seed = self.training.seed.wrapping_add((t as u64) << 32);
            let options = StepOptions {
                dropout: Dropout { seed, step, first_sample: 0 },
                loss: &self.training.loss_options(),
                frozen_backbone: false,
            };
            let found = self.on.gradient(&mut task.model, task.data.train, &indices, options)?;
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
            self.on.keep(found.gradient);
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
            let skip = SkipStep::new(&task.model, self.training.skip_rate);
            let trained = &mut task.model.parameters.trained;
            let (own, rest) = heads.split_at(trained.len() - self.shared);
            trained[..self.shared].copy_from_slice(&weights[..self.shared]);
            trained[self.shared..].copy_from_slice(own);
            heads = rest;
            if let Some(skip) = skip {
                skip.shorten(&mut task.model);
            }
        }
    }

    fn validate(&self) -> Result<Vec<Option<f64>>> {
        let one = |task: &JointTask<'_>| match task.data.validation.is_empty() {
            true => Ok(None),
            false => {
                let options = self.training.score_options();
                let found = self.on.score(&task.model, task.data.validation, &options)?;
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
