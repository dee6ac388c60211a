//! The training loop: epochs, early stopping with the best weights restored, checkpoints.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::NUMERICS;
use super::adamw::AdamW;
use super::checkpoint::{CHECKPOINT_FILE, CHECKPOINT_FOLDER, Fingerprint, Progress, State};
use super::history::{Epoch, History};
use super::on_cpu::on_cpu;
use super::skip::{SkipStart, SkipStep, has_skip};
use super::training::Training;
use crate::atomic_file::sweep_own;
use crate::backend::{StepOptions, TrainingSession};
use crate::cpu::group_size;
use crate::layers::Dropout;
use crate::model::Model;
use crate::real::instruction_set;
use crate::samples::{Samples, numbers_fingerprint};
use crate::{Error, Result, memory};

/// The samples of a run.
#[derive(Clone, Copy)]
pub struct TrainData<'a> {
    /// Samples that the model learns from.
    pub train: &'a dyn Samples,
    /// Samples whose loss decides which epoch's weights are kept; without any, the last epoch's
    /// are.
    pub validation: &'a dyn Samples,
}

/// One training run.
pub struct Trainer<'a> {
    /// Settings.
    pub training: &'a Training,
    /// Samples to learn from and to choose the epoch by.
    pub data: TrainData<'a>,
    /// The model directory that checkpoints go to; `None` writes none.
    pub dir: Option<PathBuf>,
    /// Whether to resume from the checkpoint in `dir`, if there is one.
    pub resume: bool,
}

/// Result of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The model with the best weights.
    pub model: Model,
    /// The model with the weights after the last step, averaged as those that are scored.
    pub last: Model,
    /// What happened.
    pub history: History,
}

/// What a run reports while it is in progress.
#[derive(Debug)]
pub enum Event<'a> {
    /// A checkpoint was found and the run resumes from it.
    Resumed {
        /// Steps that were done already.
        step: u64,
        /// Steps of the whole run.
        total_steps: u64,
    },
    /// The initial weights were scored, because they forecast already, see
    /// [`skip_start`](Training::skip_start): no epoch is kept that is not better.
    Start {
        /// Loss over the validation samples.
        validation_loss: f64,
        /// Mean absolute error over them, for point forecasts.
        validation_mae: Option<f64>,
    },
    /// A step is done.
    Step {
        /// Epoch in progress, from 1.
        epoch: u32,
        /// Steps done, of the whole run.
        step: u64,
        /// Steps of the whole run, without early stopping.
        total_steps: u64,
        /// Mean training loss of this epoch so far.
        loss: f64,
    },
    /// An epoch is done.
    Epoch {
        /// Its numbers.
        epoch: &'a Epoch,
        /// Whether it is the best so far.
        best: bool,
        /// The weights after it, as they were scored.
        model: &'a Model,
        /// The best weights so far.
        best_model: &'a Model,
    },
}

/// Called after every step and epoch; `Break` stops the run and keeps what was done.
pub type Observer<'o> = dyn FnMut(&Event<'_>) -> ControlFlow<()> + 'o;

impl Trainer<'_> {
    /// Trains `model` on this machine's cores and returns it with the best weights.
    ///
    /// The bits of the result depend on the settings, the data, the initial weights and the
    /// instruction set, not on the number of threads, and not on whether the run was killed and
    /// resumed in between.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible settings or a checkpoint of another run; `InvalidInput` if
    /// there are no windows or the loss stops being finite; `Io` if a checkpoint cannot be written.
    pub fn run(&self, model: Model, observe: &mut Observer<'_>) -> Result<Outcome> {
        self.run_on(on_cpu()?.as_ref(), model, observe)
    }

    /// As [`Trainer::run`], on the machine that [`Backend::training`](crate::Backend::training)
    /// gave.
    ///
    /// # Errors
    ///
    /// As [`Trainer::run`].
    pub fn run_on(
        &self,
        on: &dyn TrainingSession,
        mut model: Model,
        observe: &mut Observer<'_>,
    ) -> Result<Outcome> {
        self.check()?;
        let bytes = self.memory(model.layout().num_trained());
        memory::require_memory("training", bytes, "a smaller model, or a smaller batch_size")?;
        let mut state = self.start(&model);
        state.progress.instruction_sets = vec![instruction_set()?.name().to_owned()];
        let total_steps = self.total_steps();
        if let Some(dir) = &self.dir {
            sweep_own(&dir.join(CHECKPOINT_FOLDER));
        }
        if let Some(path) = self.checkpoint_path()
            && self.resume
            && path.is_file()
        {
            state = state.load(&path)?;
            state.check_limits(self.training.epochs, total_steps)?;
            let _ = observe(&Event::Resumed { step: state.adamw.step, total_steps });
        }
        model.parameters = state.weights.clone();
        self.score_start(on, &model, &mut state, observe)?;
        let mut stopped_by = "completed";
        while state.progress.epoch < self.training.epochs {
            if self.patience_is_over(&state.progress) {
                stopped_by = "early stopping";
                break;
            }
            if self.epoch(on, &mut model, &mut state, observe)?.is_break() {
                stopped_by = "interrupted";
                break;
            }
        }
        let last = state.kept(&model);
        model.parameters = state.best.clone();
        let history = History {
            best_epoch: state.progress.best_epoch,
            best_validation_loss: state.progress.best_loss,
            steps: state.adamw.step,
            stopped_by: stopped_by.into(),
            instruction_sets: state.progress.instruction_sets,
            epochs: state.progress.history,
        };
        Ok(Outcome { model, last, history })
    }

    fn check(&self) -> Result<()> {
        self.training.validate()?;
        if self.data.train.is_empty() {
            return Err(Error::input(format!(
                "the training part holds no {} (use shorter lengths or another split)",
                self.data.train.describe()
            )));
        }
        Ok(())
    }

    /// Bytes that a run takes beyond its model: the state of the optimiser and the best weights,
    /// the copy of both in a checkpoint, the packed weights of both directions, and for each group
    /// of samples of a batch its sums and its gradient. The last batch of an epoch may be smaller,
    /// and yet have more groups.
    fn memory(&self, num_trained: usize) -> u64 {
        let state = 4 + usize::from(self.training.ema_decay.is_some());
        let batch = self.training.batch_size.min(self.data.train.len());
        let groups = |batch: usize| batch.div_ceil(group_size(batch, num_trained));
        let most = (1..=batch).rev().take(8).map(groups).max().unwrap_or_default();
        let copies = 2 * state + 2 + 2 * most;
        memory::bytes_of(&[copies, num_trained])
    }

    fn start(&self, model: &Model) -> State {
        let Training { beta1, beta2, eps, weight_decay, .. } = *self.training;
        let len = model.layout().num_trained();
        let fingerprint = Fingerprint {
            numerics: NUMERICS,
            config: model.config().to_json().unwrap_or_default(),
            training: serde_json::to_string(self.training).unwrap_or_default(),
            data: data_fingerprint(self.data),
            start: numbers_fingerprint(&[&model.parameters.trained, &model.parameters.buffers]),
        };
        State {
            weights: model.parameters.clone(),
            best: model.parameters.clone(),
            average: self.training.ema_decay.map(|_| model.parameters.trained.clone()),
            adamw: AdamW::new(len, beta1, beta2, eps, weight_decay),
            progress: Progress { fingerprint, ..Progress::default() },
        }
    }

    fn steps_per_epoch(&self) -> usize {
        self.training.steps_per_epoch(self.data.train.len())
    }

    fn total_steps(&self) -> u64 {
        self.steps_per_epoch() as u64 * u64::from(self.training.epochs)
    }

    fn checkpoint_path(&self) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(CHECKPOINT_FILE))
    }

    fn patience_is_over(&self, progress: &Progress) -> bool {
        let waited = progress.epoch - progress.best_epoch;
        self.training.patience.is_some_and(|patience| waited >= patience.max(1))
    }

    /// The rest of the epoch in progress, its validation and its checkpoint.
    fn epoch(
        &self,
        on: &dyn TrainingSession,
        model: &mut Model,
        state: &mut State,
        observe: &mut Observer<'_>,
    ) -> Result<ControlFlow<()>> {
        let began = Instant::now();
        let order = self.order(state.progress.epoch);
        let batches: Vec<&[usize]> = order.chunks(self.training.batch_size).collect();
        while state.progress.batch < batches.len() {
            self.step(on, model, state, batches[state.progress.batch])?;
            let progress = &state.progress;
            let event = Event::Step {
                epoch: progress.epoch + 1,
                step: state.adamw.step,
                total_steps: self.total_steps(),
                loss: progress.loss_sum / progress.loss_weight.max(f64::MIN_POSITIVE),
            };
            let flow = observe(&event);
            let every = self.training.checkpoint_steps;
            let due = every > 0 && state.adamw.step.is_multiple_of(every);
            if due || flow.is_break() {
                self.save(state)?;
            }
            if flow.is_break() {
                return Ok(flow);
            }
        }
        let (epoch, kept) = self.finish_epoch(on, model, state, began.elapsed().as_secs_f64())?;
        let best = state.progress.best_epoch == epoch.epoch;
        let mut best_model = model.clone();
        best_model.parameters = state.best.clone();
        let event = Event::Epoch { epoch: &epoch, best, model: &kept, best_model: &best_model };
        let flow = observe(&event);
        // After the observer, so that a run killed in between repeats the epoch for it.
        self.save(state)?;
        Ok(flow)
    }

    /// The samples of an epoch, in order: one pass in an order of its own, the next steps of passes
    /// that follow each other, or the next ones by number.
    fn order(&self, epoch: u32) -> Vec<usize> {
        let (len, seed) = (self.data.train.len(), self.training.seed);
        if self.training.epoch_steps.is_none() && !self.data.train.are_drawn() {
            return shuffled(len, seed, epoch);
        }
        let count = self.steps_per_epoch() * self.training.batch_size;
        let first = epoch as usize * count;
        if self.data.train.are_drawn() {
            return (first..first + count).map(|place| place % len).collect();
        }
        let mut order = Vec::with_capacity(count);
        while order.len() < count {
            let place = first + order.len();
            let pass = shuffled(len, seed, u32::try_from(place / len).unwrap_or(u32::MAX));
            let rest = &pass[place % len..];
            order.extend_from_slice(&rest[..rest.len().min(count - order.len())]);
        }
        order
    }

    fn step(
        &self,
        on: &dyn TrainingSession,
        model: &mut Model,
        state: &mut State,
        indices: &[usize],
    ) -> Result<()> {
        let step = state.adamw.step;
        let dropout = Dropout { seed: self.training.seed, step, first_sample: 0 };
        let options = StepOptions {
            dropout,
            loss: &self.training.loss_options(),
            frozen_backbone: self.training.freeze_backbone,
        };
        let mut found = on.gradient(model, self.data.train, indices, options)?;
        if !found.loss.is_finite() {
            return Err(Error::input(format!(
                "the training loss became {} in step {} (lower learning_rate, or set gradient_clip)",
                found.loss,
                step + 1
            )));
        }
        if let Some(limit) = self.training.gradient_clip {
            clip(&mut found.gradient, limit)?;
        }
        let rate = self.learning_rate(step);
        let first = if self.training.freeze_backbone { model.layout().head_start() } else { 0 };
        let skip = SkipStep::new(model, self.training.skip_rate);
        state.adamw.update_from(first, rate, &mut model.parameters.trained, &found.gradient);
        if let Some(skip) = skip {
            skip.shorten(model);
        }
        on.keep(found.gradient);
        state.weights.clone_from(&model.parameters);
        state.update_average(self.training.ema_decay);
        state.progress.batch += 1;
        state.progress.loss_sum += found.loss * found.weight;
        state.progress.loss_weight += found.weight;
        Ok(())
    }

    fn learning_rate(&self, step: u64) -> f64 {
        let Training { schedule, warmup_steps, learning_rate, .. } = *self.training;
        learning_rate * schedule.factor(step, self.total_steps(), warmup_steps)
    }

    /// Scores the initial model where it is a forecaster already, because it starts as a ridge
    /// regression or a seasonal naive forecast.
    fn score_start(
        &self,
        on: &dyn TrainingSession,
        model: &Model,
        state: &mut State,
        observe: &mut Observer<'_>,
    ) -> Result<()> {
        let fresh = state.adamw.step == 0;
        let forecasts = self.training.skip_start != SkipStart::Zero && has_skip(model);
        if fresh && forecasts && !self.data.validation.is_empty() {
            let found = on.score(model, self.data.validation, &self.training.score_options())?;
            state.progress.best_loss = Some(found.loss);
            let (validation_loss, validation_mae) = (found.loss, found.mae);
            let _ = observe(&Event::Start { validation_loss, validation_mae });
        }
        Ok(())
    }

    fn finish_epoch(
        &self,
        on: &dyn TrainingSession,
        model: &Model,
        state: &mut State,
        seconds: f64,
    ) -> Result<(Epoch, Model)> {
        let began = Instant::now();
        let kept = state.kept(model);
        let validation = match self.data.validation.is_empty() {
            true => None,
            false => Some(on.score(&kept, self.data.validation, &self.training.score_options())?),
        };
        let progress = &mut state.progress;
        let epoch = Epoch {
            epoch: progress.epoch + 1,
            train_loss: progress.loss_sum / progress.loss_weight.max(f64::MIN_POSITIVE),
            validation_loss: validation.map(|score| score.loss),
            validation_mae: validation.and_then(|score| score.mae),
            validation_accuracy: validation.and_then(|score| score.accuracy),
            learning_rate: self.learning_rate(state.adamw.step.saturating_sub(1)),
            seconds: seconds + began.elapsed().as_secs_f64(),
        };
        let better = match (epoch.validation_loss, progress.best_loss) {
            (Some(loss), Some(best)) => loss < best - self.training.min_delta,
            // The first epoch, and every epoch without validation samples.
            _ => true,
        };
        if better {
            progress.best_loss = epoch.validation_loss;
            progress.best_epoch = epoch.epoch;
            state.best = kept.parameters.clone();
        }
        progress.history.push(epoch.clone());
        progress.epoch += 1;
        progress.batch = 0;
        progress.loss_sum = 0.0;
        progress.loss_weight = 0.0;
        Ok((epoch, kept))
    }

    fn save(&self, state: &State) -> Result<()> {
        match self.checkpoint_path() {
            Some(path) => state.save(&path),
            None => Ok(()),
        }
    }
}

/// Shortens the gradient to the norm `limit`, if it is longer; the norm is summed in f64, in an
/// order that depends on the length alone.
pub(super) fn clip(gradient: &mut [f32], limit: f64) -> Result<()> {
    let norm = ptsm_kernels::sum_of_squares(instruction_set()?, gradient).sqrt();
    if norm > limit {
        let share = (limit / norm) as f32;
        gradient.iter_mut().for_each(|g| *g *= share);
    }
    Ok(())
}

/// The numbers below `len` in the order of one epoch (Fisher-Yates).
pub(super) fn shuffled(len: usize, seed: u64, epoch: u32) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Stream 0 draws the initial weights of the same seed.
    random.set_stream(u64::from(epoch) + 1);
    let mut order: Vec<usize> = (0..len).collect();
    for i in (1..len).rev() {
        order.swap(i, random.random_range(0..=i));
    }
    order
}

fn data_fingerprint(data: TrainData<'_>) -> String {
    let text = data.train.fingerprint() + &data.validation.fingerprint();
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::shuffled;

    #[test]
    fn an_order_is_a_permutation_of_its_own_for_every_epoch() {
        let (one, two) = (shuffled(100, 1, 0), shuffled(100, 1, 1));
        assert_ne!(one, two);
        let mut sorted = one;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
