//! One optimiser step's gradient, and the score of a whole set, with the same bits for any number
//! of threads.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::loss::{LossOptions, LossWeight, loss, loss_weight};
use super::samples::Samples;
use crate::config::{Norm, Task};
use crate::cpu::{TrainArena, TrainPlan};
use crate::data::Batch;
use crate::evaluate::largest;
use crate::model::{Dropout, Forward, Mode, Model, draw_masks, instruction_set};
use crate::{Error, Result};

/// Samples whose gradients are summed one after the other; the sums of such groups are then added
/// in order. A constant, so that the order of the additions never depends on the threads.
const GROUP: usize = 8;

/// Samples that go through the model at once: few, so that they stay in the cache.
const CHUNK: usize = 2;

/// Samples per parallel piece of a scoring run.
const SCORE_CHUNK: usize = 16;

/// Buffers that are kept from step to step, one set for each thread that needed one.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    arenas: Mutex<Vec<TrainArena>>,
}

impl Workspace {
    fn with<R>(&self, work: impl FnOnce(&mut TrainArena) -> R) -> R {
        let lock = || self.arenas.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arena = lock().pop().unwrap_or_default();
        let result = work(&mut arena);
        lock().push(arena);
        result
    }
}

/// How one step's gradient is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepOptions<'a> {
    pub(crate) dropout: Dropout,
    pub(crate) loss: &'a LossOptions,
    /// Only the head learns.
    pub(crate) frozen_backbone: bool,
    pub(crate) workspace: &'a Workspace,
}

/// Loss and gradient of one batch.
pub(crate) struct StepGradient {
    /// The loss, divided by its weight.
    pub(crate) loss: f64,
    /// What it was divided by.
    pub(crate) weight: f64,
    /// One number per weight of the model.
    pub(crate) gradient: Vec<f32>,
}

/// Computes the gradient of the loss over the samples `indices`.
///
/// Moves the running statistics where the model has batch norm, which needs the whole batch at
/// once.
pub(crate) fn gradient(
    model: &mut Model,
    samples: &dyn Samples,
    indices: &[usize],
    options: StepOptions<'_>,
) -> Result<StepGradient> {
    let StepOptions { dropout, frozen_backbone, .. } = options;
    let batch_norm = model.config().norm() == Norm::Batch && !frozen_backbone;
    let (group, chunk) = if batch_norm { (indices.len(), indices.len()) } else { (GROUP, CHUNK) };
    let frozen: &Model = model;
    let pass = Pass::new(frozen, frozen_backbone)?;
    let masks = Masks::draw(frozen, indices.len(), dropout.seed, dropout.step);
    let weights: Vec<Result<LossWeight>> = indices
        .par_chunks(GROUP)
        .enumerate()
        .map(|(i, part)| loss_weight(frozen, &masks.batch(samples, part, i * GROUP), options.loss))
        .collect();
    let weight =
        weights.into_iter().try_fold(LossWeight::default(), |sum, part| Ok(sum + part?))?;
    let groups: Vec<(usize, &[usize])> = indices.chunks(group).enumerate().collect();
    let parts: Vec<Result<Part>> = groups
        .into_par_iter()
        .map(|(number, indices)| {
            let mut part =
                Part { gradient: vec![0.0; frozen.layout().num_trained()], loss: 0.0, last: None };
            options.workspace.with(|arena| {
                for (i, indices) in indices.chunks(chunk).enumerate() {
                    let first = number * group + i * chunk;
                    let first_sample = dropout.first_sample + first as u64;
                    let dropout = Some(Dropout { first_sample, ..dropout });
                    let mode =
                        Mode { train_norm: true, dropout, as_reference: false, frozen_backbone };
                    let batch = masks.batch(samples, indices, first);
                    part.add(&pass, (&batch, mode), arena, (options.loss, weight))?;
                }
                Ok(part)
            })
        })
        .collect();
    let mut parts: Vec<Part> = parts.into_iter().collect::<Result<_>>()?;
    if batch_norm && let Some(forward) = parts[0].last.take() {
        model.update_running(&forward);
    }
    let loss = parts.iter().map(|part| part.loss).sum();
    let gradient = add_up(parts.into_iter().map(|part| part.gradient).collect());
    Ok(StepGradient { loss, weight: weight.main, gradient })
}

/// The patches that pretraining hides in one batch; nothing for other tasks.
struct Masks {
    masks: Option<Vec<f32>>,
    each: usize,
}

impl Masks {
    fn draw(model: &Model, samples: usize, seed: u64, step: u64) -> Self {
        let config = model.config();
        let pretrains = matches!(config.task(), Ok(Task::Pretraining));
        let masks = pretrains.then(|| draw_masks(config, samples, seed, step));
        Self { masks, each: config.num_input_channels * config.num_patches() }
    }

    /// The samples `indices`, which start at place `first` of the batch that was drawn for.
    fn batch(&self, samples: &dyn Samples, indices: &[usize], first: usize) -> Batch {
        let mut batch = samples.batch(indices);
        if let Some(masks) = &self.masks {
            let range = first * self.each..(first + indices.len()) * self.each;
            batch.patch_mask = Some(masks[range].to_vec());
        }
        batch
    }
}

/// Sum over one group of samples.
struct Part {
    gradient: Vec<f32>,
    loss: f64,
    last: Option<crate::model::Forward<f32>>,
}

impl Part {
    fn add(
        &mut self,
        pass: &Pass<'_>,
        (batch, mode): (&Batch, Mode),
        arena: &mut TrainArena,
        (options, weight): (&LossOptions, LossWeight),
    ) -> Result<()> {
        let model = pass.model;
        let forward = pass.forward(batch, mode, arena)?;
        let found = loss(model, (batch, &forward), weight, options)?;
        self.loss += f64::from(found.value);
        let grads = &mut self.gradient;
        match &pass.plan {
            Some(plan) => {
                let mut d = model.backward_head(&forward, &found.gradient, (grads, mode)).hidden;
                plan.backward(&mut d, arena, (grads, mode.dropout));
                model.backward_embedding(&forward.backbone, &d, grads);
            }
            None => {
                model.backward(batch, &forward, &found.gradient, (grads, mode));
            }
        }
        self.last = Some(forward);
        Ok(())
    }
}

/// A model with the plan of its mixer layers, where they have one; the definition otherwise.
struct Pass<'a> {
    model: &'a Model,
    plan: Option<TrainPlan>,
}

impl<'a> Pass<'a> {
    fn new(model: &'a Model, frozen_backbone: bool) -> Result<Self> {
        let plan = match frozen_backbone {
            true => None,
            false => TrainPlan::new(model, instruction_set()?),
        };
        Ok(Self { model, plan })
    }

    fn forward(&self, batch: &Batch, mode: Mode, arena: &mut TrainArena) -> Result<Forward<f32>> {
        let Some(plan) = &self.plan else { return self.model.forward(batch, mode) };
        let backbone = self.model.embed(batch, mode)?;
        let mut mixed = backbone.embedded().to_vec();
        plan.forward(&mut mixed, arena, mode.dropout);
        Ok(self.model.forward_head(backbone.with_mixed(mixed), mode))
    }
}

/// Adds the parts pairwise, neighbours first, in an order that depends on their number alone.
fn add_up(mut parts: Vec<Vec<f32>>) -> Vec<f32> {
    while parts.len() > 1 {
        parts = parts
            .chunks_mut(2)
            .map(|pair| {
                let mut sum = std::mem::take(&mut pair[0]);
                if let Some(other) = pair.get(1) {
                    sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
                }
                sum
            })
            .collect();
    }
    parts.pop().unwrap_or_default()
}

/// What a model scores on a set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Score {
    /// The loss that training makes small.
    pub loss: f64,
    /// Mean absolute error of a point forecast or a plain regression.
    pub mae: Option<f64>,
    /// Share of right classes.
    pub accuracy: Option<f64>,
}

/// Loss (and what else is known at once) of the model over every sample of a set.
///
/// Pretraining hides patches by draws that are the same in every call.
///
/// # Errors
///
/// `InvalidInput` if nothing in the set counts, or it does not fit the model.
pub fn score(model: &Model, samples: &dyn Samples, options: &LossOptions) -> Result<Score> {
    let indices: Vec<usize> = (0..samples.len()).collect();
    let (pass, workspace) = (Pass::new(model, false)?, Workspace::default());
    let parts: Vec<Result<Sums>> = indices
        .par_chunks(SCORE_CHUNK)
        .enumerate()
        .map(|(number, indices)| {
            let masks = Masks::draw(model, indices.len(), 0, number as u64);
            let batch = masks.batch(samples, indices, 0);
            let forward = workspace.with(|arena| pass.forward(&batch, Mode::default(), arena))?;
            let mut sums = Sums { weight: loss_weight(model, &batch, options)?, ..Sums::default() };
            if sums.weight.main > 0.0 {
                let found = loss(model, (&batch, &forward), sums.weight, options)?;
                sums.loss = f64::from(found.value) * sums.weight.main;
            }
            sums.count(model, &batch, &forward.outputs.prediction)?;
            Ok(sums)
        })
        .collect();
    let mut total = Sums::default();
    for part in parts {
        total = total + part?;
    }
    if total.weight.main == 0.0 {
        return Err(Error::input("there is no known point to score"));
    }
    let ratio = |sum: f64, count: usize| (count > 0).then(|| sum / count as f64);
    Ok(Score {
        loss: total.loss / total.weight.main,
        mae: ratio(total.absolute, total.points),
        accuracy: ratio(total.right as f64, total.cases),
    })
}

/// Sums over some samples.
#[derive(Default)]
struct Sums {
    loss: f64,
    weight: LossWeight,
    absolute: f64,
    points: usize,
    right: usize,
    cases: usize,
}

impl std::ops::Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            loss: self.loss + other.loss,
            weight: self.weight + other.weight,
            absolute: self.absolute + other.absolute,
            points: self.points + other.points,
            right: self.right + other.right,
            cases: self.cases + other.cases,
        }
    }
}

impl Sums {
    fn count(&mut self, model: &Model, batch: &Batch, prediction: &[f32]) -> Result<()> {
        let config = model.config();
        let plain = config.distribution().is_none() && config.extension().quantiles.is_none();
        match config.task()? {
            Task::Forecasting if plain => self.forecast(model, batch, prediction),
            Task::Regression if plain => {
                let targets = batch.target_values.as_deref().unwrap_or_default();
                for (x, y) in prediction.iter().zip(targets) {
                    self.absolute += (f64::from(*x) - f64::from(*y)).abs();
                }
                self.points += targets.len();
            }
            Task::Classification => {
                let targets = batch.target_values.as_deref().unwrap_or_default();
                for (row, &class) in prediction.chunks_exact(config.num_targets).zip(targets) {
                    self.right += usize::from(largest(row) == class as usize);
                }
                self.cases += targets.len();
            }
            _ => {}
        }
        Ok(())
    }

    fn forecast(&mut self, model: &Model, batch: &Batch, prediction: &[f32]) {
        let channels = model.config().prediction_channels();
        let truth = batch.future_values.as_deref().unwrap_or_default();
        let mask = batch.future_observed_mask.as_deref();
        for (row, prediction) in prediction.chunks_exact(channels.len()).enumerate() {
            for (&c, &prediction) in channels.iter().zip(prediction) {
                let i = row * batch.num_channels + c;
                if mask.is_none_or(|mask| mask[i] != 0.0) {
                    self.absolute += (f64::from(prediction) - f64::from(truth[i])).abs();
                    self.points += 1;
                }
            }
        }
    }
}
