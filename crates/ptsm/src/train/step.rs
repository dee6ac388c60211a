//! One optimiser step's gradient, and the score of a whole set, with the same bits for any number
//! of threads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::loss::{LossOptions, LossWeight, loss, loss_weight};
use super::samples::Samples;
use crate::config::{Norm, Task};
use crate::cpu::{Given, Scorer, TrainArena, TrainPlan};
use crate::data::Batch;
use crate::evaluate::largest;
use crate::model::{Dropout, Forward, Mode, Model, draw_masks, instruction_set};
use crate::{Error, Result};

/// Samples whose gradients are summed one after the other; the sums of such groups are then added
/// in order. A constant, so that the order of the additions never depends on the threads.
pub(super) const GROUP: usize = 8;

/// Samples that go through the model at once: few, so that they stay in the cache. Divides a group.
const CHUNK: usize = 1;

/// Samples per parallel piece of a scoring run.
const SCORE_CHUNK: usize = 16;

/// Buffers that are kept from step to step.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// One for each thread that needed one.
    arenas: Mutex<Vec<TrainArena>>,
    /// One for each model that took a step.
    plans: Mutex<Vec<TrainPlan>>,
    /// Numbers for gradients.
    gradients: Mutex<Vec<Vec<f32>>>,
}

fn lock<T>(values: &Mutex<T>) -> MutexGuard<'_, T> {
    values.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workspace {
    fn with<R>(&self, work: impl FnOnce(&mut TrainArena) -> R) -> R {
        let mut arena = lock(&self.arenas).pop().unwrap_or_default();
        let result = work(&mut arena);
        lock(&self.arenas).push(arena);
        result
    }

    /// A plan with the weights of `model` as they are now, where it can have one.
    fn plan(&self, model: &Model) -> Result<Option<TrainPlan>> {
        let found = {
            let mut plans = lock(&self.plans);
            let place = plans.iter().position(|plan| plan.fits(model));
            place.map(|i| plans.swap_remove(i))
        };
        let mut plan = match found {
            Some(plan) => Some(plan),
            None => TrainPlan::new(model, instruction_set()?),
        };
        if let Some(plan) = &mut plan {
            plan.load(model);
        }
        Ok(plan)
    }

    /// `len` zeros.
    fn zeros(&self, len: usize) -> Vec<f32> {
        let mut gradient = lock(&self.gradients).pop().unwrap_or_default();
        gradient.clear();
        gradient.resize(len, 0.0);
        gradient
    }

    /// Takes a gradient back whose numbers nobody needs any more.
    pub(crate) fn keep(&self, gradient: Vec<f32>) {
        lock(&self.gradients).push(gradient);
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
    let StepOptions { dropout, frozen_backbone, workspace, .. } = options;
    let batch_norm = model.config().norm() == Norm::Batch && !frozen_backbone;
    let (group, chunk) = if batch_norm { (indices.len(), indices.len()) } else { (GROUP, CHUNK) };
    let frozen: &Model = model;
    let pass = Pass::new(frozen, (!frozen_backbone).then_some(workspace))?;
    let masks = Masks::draw(frozen, indices.len(), dropout.seed, dropout.step);
    let chunks: Vec<Result<(Batch, LossWeight)>> = indices
        .par_chunks(chunk)
        .enumerate()
        .map(|(i, part)| {
            let batch = masks.batch(samples, part, i * chunk);
            let weight = loss_weight(frozen, &batch, options.loss)?;
            Ok((batch, weight))
        })
        .collect();
    let chunks: Vec<(Batch, LossWeight)> = chunks.into_iter().collect::<Result<_>>()?;
    let weight = chunks.iter().fold(LossWeight::default(), |sum, (_, part)| sum + *part);
    let parts: Vec<Result<Part>> = chunks
        .par_chunks(group / chunk)
        .enumerate()
        .map(|(number, batches)| {
            let zeros = workspace.zeros(frozen.layout().num_trained());
            let mut part = Part { gradient: zeros, loss: 0.0, last: None };
            workspace.with(|arena| {
                pass.start(arena);
                for (i, (batch, _)) in batches.iter().enumerate() {
                    let first = (number * group + i * chunk) as u64;
                    let first_sample = dropout.first_sample + first;
                    let dropout = Some(Dropout { first_sample, ..dropout });
                    let mode =
                        Mode { train_norm: true, dropout, as_reference: false, frozen_backbone };
                    part.add(&pass, (batch, mode), arena, (options.loss, weight))?;
                }
                pass.finish(arena, &mut part.gradient);
                Ok(part)
            })
        })
        .collect();
    let mut parts: Vec<Part> = parts.into_iter().collect::<Result<_>>()?;
    if let Some(plan) = pass.plan {
        lock(&workspace.plans).push(plan);
    }
    if batch_norm && let Some(forward) = parts[0].last.take() {
        model.update_running(&forward);
    }
    let loss = parts.iter().map(|part| part.loss).sum();
    let gradient = add_up(parts.into_iter().map(|part| part.gradient).collect(), workspace)?;
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
            Some(plan) if plan.projects() => {
                let d = model.backward_projected(&forward, &found.gradient, grads);
                plan.backward(Given::Projected(&d), batch.size, arena, mode.dropout);
            }
            Some(plan) => {
                let d = model.backward_head(&forward, &found.gradient, (grads, mode)).hidden;
                plan.backward(Given::Hidden(&d), batch.size, arena, mode.dropout);
            }
            None => {
                model.backward(batch, &forward, &found.gradient, (grads, mode));
            }
        }
        self.last = Some(forward);
        Ok(())
    }
}

/// A model with its plan, where it has one; the definition otherwise.
struct Pass<'a> {
    model: &'a Model,
    plan: Option<TrainPlan>,
}

impl<'a> Pass<'a> {
    /// A plan out of `workspace`, or the definition without one.
    fn new(model: &'a Model, workspace: Option<&Workspace>) -> Result<Self> {
        let plan = match workspace {
            Some(workspace) => workspace.plan(model)?,
            None => None,
        };
        Ok(Self { model, plan })
    }

    fn start(&self, arena: &mut TrainArena) {
        if let Some(plan) = &self.plan {
            plan.start(arena);
        }
    }

    fn forward(&self, batch: &Batch, mode: Mode, arena: &mut TrainArena) -> Result<Forward<f32>> {
        let Some(plan) = &self.plan else { return self.model.forward(batch, mode) };
        let backbone = self.model.cut_patches(batch, mode)?;
        plan.forward(backbone.read_patches(), arena, mode.dropout);
        if plan.projects() {
            let projected = plan.project(batch.size, arena);
            return Ok(self.model.forward_projected(backbone, &projected));
        }
        let mixed = plan.hidden(batch.size, arena);
        Ok(self.model.forward_head(backbone.with_mixed(mixed), mode))
    }

    fn finish(&self, arena: &mut TrainArena, grads: &mut [f32]) {
        if let Some(plan) = &self.plan {
            plan.finish(arena, grads);
        }
    }
}

/// Adds the parts pairwise, neighbours first, in an order that depends on their number alone.
fn add_up(mut parts: Vec<Vec<f32>>, workspace: &Workspace) -> Result<Vec<f32>> {
    let isa = instruction_set()?;
    while parts.len() > 1 {
        let mut sums = Vec::with_capacity(parts.len().div_ceil(2));
        let mut rest = parts.into_iter();
        while let Some(mut sum) = rest.next() {
            if let Some(other) = rest.next() {
                ptsm_kernels::add(isa, &mut sum, &other);
                workspace.keep(other);
            }
            sums.push(sum);
        }
        parts = sums;
    }
    Ok(parts.pop().unwrap_or_default())
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
    let scorer = match model.config().task()? {
        // Hides patches, which forecasts do not.
        Task::Pretraining => None,
        _ => Some(Scorer::new(model)?),
    };
    let workspace = Workspace::default();
    let pass = Pass::new(model, scorer.is_none().then_some(&workspace))?;
    let parts: Vec<Result<Sums>> = indices
        .par_chunks(SCORE_CHUNK)
        .enumerate()
        .map(|(number, indices)| {
            let masks = Masks::draw(model, indices.len(), 0, number as u64);
            let batch = masks.batch(samples, indices, 0);
            let forward = match &scorer {
                Some(scorer) => scorer.forward(&batch)?,
                None => workspace.with(|arena| pass.forward(&batch, Mode::default(), arena))?,
            };
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
