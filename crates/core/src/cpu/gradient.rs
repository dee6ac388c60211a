//! The gradient of one optimiser step, and the score of a whole set, on this machine's cores; the
//! bits are the same for any number of threads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use super::scoring::Scorer;
use super::session::Threads;
use super::training::{Member, NormStatistics, PlanGradient, TrainArena, TrainPlan};
use crate::backend::{Score, StepGradient, StepOptions, TrainingSession};
use crate::batch::Batch;
use crate::head::largest;
use crate::layers::Dropout;
use crate::layers::masking::draw_masks;
use crate::loss::{LossOptions, LossWeight, loss, loss_weight};
use crate::model::{Backbone, Forward, ForwardOptions, Model};
use crate::network::State;
use crate::output_kind::OutputKind;
use crate::real::instruction_set;
use crate::samples::Samples;
use crate::{Error, Result};

/// Samples in a group: one thread sums up the gradients of a group in order, and the sums of the
/// groups are then added in order. The size depends on the batch and the model alone, so the order
/// of the additions does not depend on the number of threads. A group has at most eight samples. A
/// batch below 32 is up to four groups, so that four threads have work; fewer where the sums of
/// four groups would take more than 1 GiB.
pub(crate) fn group_size(batch: usize, num_trained: usize) -> usize {
    const GROUPS: usize = 4;
    const MOST: usize = 8;
    const NUMBERS: usize = 1 << 28;
    let groups = GROUPS.min(NUMBERS / num_trained.max(1)).max(1);
    batch.div_ceil(groups).clamp(1, MOST)
}

/// Samples that pass the model together: few, so that they stay in the processor's cache.
const CHUNK: usize = 1;

/// Samples that one thread scores at a time.
const SCORE_CHUNK: usize = 16;

/// Buffers that one step leaves for the next.
#[derive(Debug, Default)]
struct Workspace {
    /// One for each thread that needed one.
    arenas: Mutex<Vec<TrainArena>>,
    /// One for each architecture that took a step.
    plans: Mutex<Vec<TrainPlan>>,
    /// Vectors for gradients, to be used again.
    gradients: Mutex<Vec<Vec<f32>>>,
}

fn lock<T>(values: &Mutex<T>) -> MutexGuard<'_, T> {
    values.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Workspace {
    fn with<R>(&self, work: impl FnOnce(&mut TrainArena) -> R) -> R {
        let mut arena = self.arena();
        let result = work(&mut arena);
        lock(&self.arenas).push(arena);
        result
    }

    fn arena(&self) -> TrainArena {
        lock(&self.arenas).pop().unwrap_or_default()
    }

    /// A plan with the weights of `model` as they are now.
    fn plan(&self, model: &Model) -> Result<TrainPlan> {
        let found = {
            let mut plans = lock(&self.plans);
            let place = plans.iter().position(|plan| plan.fits(model));
            place.map(|i| plans.swap_remove(i))
        };
        let mut plan = match found {
            Some(plan) => plan,
            None => TrainPlan::new(model, instruction_set()?),
        };
        plan.load(model);
        Ok(plan)
    }

    /// `len` zeros.
    fn zeros(&self, len: usize) -> Vec<f32> {
        let mut gradient = lock(&self.gradients).pop().unwrap_or_default();
        gradient.clear();
        gradient.resize(len, 0.0);
        gradient
    }

    /// Takes back a gradient that is no longer needed, to use its memory again.
    fn keep(&self, gradient: Vec<f32>) {
        lock(&self.gradients).push(gradient);
    }
}

/// One run of training on this machine's cores.
#[derive(Debug, Default)]
pub(super) struct CpuTraining {
    threads: Threads,
    workspace: Workspace,
}

impl CpuTraining {
    pub(super) fn new(threads: Threads) -> Self {
        Self { threads, workspace: Workspace::default() }
    }
}

impl TrainingSession for CpuTraining {
    fn gradient(
        &self,
        model: &mut Model,
        samples: &dyn Samples,
        indices: &[usize],
        options: StepOptions<'_>,
    ) -> Result<StepGradient> {
        let Self { threads, workspace } = self;
        threads.run(|| gradient(model, Chosen { samples, indices }, options, workspace))
    }

    fn keep(&self, gradient: Vec<f32>) {
        self.workspace.keep(gradient);
    }

    fn score(&self, model: &Model, samples: &dyn Samples, options: &LossOptions) -> Result<Score> {
        self.threads.run(|| score(model, samples, options))
    }
}

/// Samples of a set by their numbers.
struct Chosen<'a> {
    samples: &'a dyn Samples,
    indices: &'a [usize],
}

fn gradient(
    model: &mut Model,
    Chosen { samples, indices }: Chosen<'_>,
    options: StepOptions<'_>,
    workspace: &Workspace,
) -> Result<StepGradient> {
    let StepOptions { dropout, frozen_backbone, .. } = options;
    let together = model.network().has_batch_norm() && !frozen_backbone;
    let group = group_size(indices.len(), model.layout().num_trained());
    let chunk = if together { group } else { CHUNK };
    let masks = Masks::draw(model, indices.len(), dropout.seed, dropout.step);
    let chunks: Vec<Result<(Chunk, LossWeight)>> = indices
        .par_chunks(chunk)
        .enumerate()
        .map(|(i, part)| {
            let batch = masks.batch(samples, part, i * chunk)?;
            let weight = loss_weight(model, &batch, options.loss)?;
            let first_sample = dropout.first_sample + (i * chunk) as u64;
            let dropout = Some(Dropout { first_sample, ..dropout });
            let mode =
                ForwardOptions { train_norm: true, dropout, as_reference: false, frozen_backbone };
            Ok((Chunk { batch, mode }, weight))
        })
        .collect();
    let chunks: Vec<(Chunk, LossWeight)> = chunks.into_iter().collect::<Result<_>>()?;
    let weight = chunks.iter().fold(LossWeight::default(), |sum, (_, part)| sum + *part);
    let chunks: Vec<Chunk> = chunks.into_iter().map(|(chunk, _)| chunk).collect();
    let plan = workspace.plan(model)?;
    let pass = Pass { model, plan: &plan, loss_options: options.loss, weight, workspace };
    let parts = match together {
        true => {
            let (parts, statistics) = pass.together(&chunks)?;
            model.move_running(statistics.batches());
            parts
        }
        false => pass.by_groups(&chunks, group.div_ceil(CHUNK))?,
    };
    lock(&workspace.plans).push(plan);
    let loss = parts.iter().map(|part| part.loss).sum();
    let gradient = add_up(parts.into_iter().map(|part| part.gradient).collect(), workspace)?;
    Ok(StepGradient { loss, weight: weight.main, gradient })
}

/// Which patches pretraining hides in one batch.
struct Masks {
    /// Missing for other tasks.
    masks: Option<Vec<f32>>,
    /// Numbers of one sample's mask.
    each: usize,
}

impl Masks {
    fn draw(model: &Model, samples: usize, seed: u64, step: u64) -> Self {
        let config = model.config();
        let pretrains = *model.output().kind() == OutputKind::Patches;
        let masks = pretrains.then(|| draw_masks(config, samples, seed, step));
        let State { channels, patches, .. } = model.network().embedding.state;
        Self { masks, each: channels * patches }
    }

    /// The samples `indices`, which are those from number `first` on in the batch, with their
    /// masks.
    fn batch(&self, samples: &dyn Samples, indices: &[usize], first: usize) -> Result<Batch> {
        let batch = samples.batch(indices);
        let Some(masks) = &self.masks else { return Ok(batch) };
        let range = first * self.each..(first + indices.len()) * self.each;
        batch.with_patch_mask(masks[range].to_vec())
    }
}

/// Samples that pass the model together.
struct Chunk {
    batch: Batch,
    mode: ForwardOptions,
}

/// Sums over one group of samples.
struct Part {
    gradient: Vec<f32>,
    loss: f64,
}

/// A model with its plan and its loss.
struct Pass<'a> {
    model: &'a Model,
    plan: &'a TrainPlan,
    loss_options: &'a LossOptions,
    /// What the loss of the whole batch is divided by.
    weight: LossWeight,
    workspace: &'a Workspace,
}

impl Pass<'_> {
    fn part(&self) -> Part {
        Part { gradient: self.workspace.zeros(self.model.layout().num_trained()), loss: 0.0 }
    }

    /// Forward and backward pass chunk by chunk; the gradients of each `group` of chunks are summed
    /// up.
    fn by_groups(&self, chunks: &[Chunk], group: usize) -> Result<Vec<Part>> {
        let parts: Vec<Result<Part>> = chunks
            .par_chunks(group)
            .map(|chunks| self.workspace.with(|arena| self.group(chunks, arena)))
            .collect();
        parts.into_iter().collect()
    }

    fn group(&self, chunks: &[Chunk], arena: &mut TrainArena) -> Result<Part> {
        let mut part = self.part();
        self.plan.start(arena);
        for chunk in chunks {
            let Chunk { batch, mode } = chunk;
            let backbone = self.model.cut_patches(batch, *mode)?;
            self.plan.forward(backbone.read_patches(), arena, *mode);
            let gradient = self.loss(chunk, backbone, arena, &mut part)?;
            self.plan.backward(&gradient, batch.size(), arena, *mode);
        }
        self.plan.finish(arena, &mut part.gradient);
        Ok(part)
    }

    /// Forward and backward pass of all chunks together, from norm to norm; each chunk is a group.
    fn together(&self, chunks: &[Chunk]) -> Result<(Vec<Part>, NormStatistics)> {
        let cut = |chunk: &Chunk| self.model.cut_patches(&chunk.batch, chunk.mode);
        let backbones: Vec<Result<Backbone<f32>>> = chunks.par_iter().map(cut).collect();
        let backbones: Vec<Backbone<f32>> = backbones.into_iter().collect::<Result<_>>()?;
        let member = |chunk: &Chunk| {
            let mut arena = self.workspace.arena();
            self.plan.start(&mut arena);
            Member { arena, mode: chunk.mode, samples: chunk.batch.size() }
        };
        let mut members: Vec<Member> = chunks.iter().map(member).collect();
        let patches: Vec<&[f32]> = backbones.iter().map(Backbone::read_patches).collect();
        let statistics = self.plan.forward_together(&patches, &mut members);
        let work = |((chunk, backbone), member): ((&Chunk, Backbone<f32>), &mut Member)| {
            let mut part = self.part();
            let gradient = self.loss(chunk, backbone, &mut member.arena, &mut part)?;
            Ok((gradient, part))
        };
        let pairs = chunks.par_iter().zip(backbones).zip(&mut members);
        let found: Vec<Result<(PlanGradient, Part)>> = pairs.map(work).collect();
        let (gradients, mut parts): (Vec<PlanGradient>, Vec<Part>) =
            found.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
        self.plan.backward_together(&gradients, &mut members, &statistics);
        members.par_iter_mut().zip(&mut parts).for_each(|(member, part)| {
            self.plan.finish(&mut member.arena, &mut part.gradient);
        });
        lock(&self.workspace.arenas).extend(members.into_iter().map(|member| member.arena));
        Ok((parts, statistics))
    }

    /// Adds the loss of the chunk that passed the plan to `part`, and returns the gradient with
    /// which the plan's backward pass starts.
    fn loss(
        &self,
        Chunk { batch, mode }: &Chunk,
        backbone: Backbone<f32>,
        arena: &mut TrainArena,
        part: &mut Part,
    ) -> Result<PlanGradient> {
        let forward = forward_head(self.model, self.plan, backbone, *mode, arena);
        let found = loss(self.model, batch, &forward, self.weight, self.loss_options)?;
        part.loss += f64::from(found.value);
        let grads = &mut part.gradient;
        if self.plan.projects() {
            let d = self.model.backward_projected(&forward, &found.gradient, grads);
            return Ok(PlanGradient::Projected(d));
        }
        let d = self.model.backward_head(&forward, &found.gradient, grads, *mode);
        Ok(PlanGradient::Hidden(d.hidden))
    }
}

/// The forward pass of the head, for the chunk that passed the plan last.
fn forward_head(
    model: &Model,
    plan: &TrainPlan,
    backbone: Backbone<f32>,
    mode: ForwardOptions,
    arena: &mut TrainArena,
) -> Forward<f32> {
    let samples = backbone.samples();
    if plan.projects() {
        return model.forward_projected(backbone, &plan.project(samples, arena));
    }
    let mixed = plan.hidden(samples, arena);
    model.forward_head(backbone.with_mixed(mixed), mode)
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

fn score(model: &Model, samples: &dyn Samples, options: &LossOptions) -> Result<Score> {
    let indices: Vec<usize> = (0..samples.len()).collect();
    let predictor = Predictor::new(model)?;
    let parts: Vec<Result<Sums>> = indices
        .par_chunks(SCORE_CHUNK)
        .enumerate()
        .map(|(number, indices)| {
            let masks = Masks::draw(model, indices.len(), 0, number as u64);
            let batch = masks.batch(samples, indices, 0)?;
            let forward = predictor.forward(model, &batch)?;
            let mut sums = Sums { weight: loss_weight(model, &batch, options)?, ..Sums::default() };
            if sums.weight.main > 0.0 {
                let found = loss(model, &batch, &forward, sums.weight, options)?;
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

/// What computes the outputs that are scored.
enum Predictor<'a> {
    Forecasts(Box<Scorer<'a>>),
    /// Pretraining hides patches, for which the plan of forecasts has no code.
    Patches(Box<TrainPlan>, Workspace),
}

impl<'a> Predictor<'a> {
    fn new(model: &'a Model) -> Result<Self> {
        if *model.output().kind() != OutputKind::Patches {
            return Ok(Self::Forecasts(Box::new(Scorer::new(model)?)));
        }
        let workspace = Workspace::default();
        Ok(Self::Patches(Box::new(workspace.plan(model)?), workspace))
    }

    fn forward(&self, model: &Model, batch: &Batch) -> Result<Forward<f32>> {
        let (plan, workspace) = match self {
            Self::Forecasts(scorer) => return scorer.forward(batch),
            Self::Patches(plan, workspace) => (plan, workspace),
        };
        let mode = ForwardOptions::default();
        let backbone = model.cut_patches(batch, mode)?;
        Ok(workspace.with(|arena| {
            plan.forward(backbone.read_patches(), arena, mode);
            forward_head(model, plan, backbone, mode, arena)
        }))
    }
}

/// Sums of losses, errors and right classes over some samples.
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
        match model.output().kind() {
            OutputKind::Points => self.forecast(model, batch, prediction),
            OutputKind::Values(None) => {
                let targets = batch.target_values().unwrap_or_default();
                for (x, y) in prediction.iter().zip(targets) {
                    self.absolute += (f64::from(*x) - f64::from(*y)).abs();
                }
                self.points += targets.len();
            }
            OutputKind::Logits => {
                let targets = batch.target_values().unwrap_or_default();
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
        let channels = model.output().channels();
        let truth = batch.future_values().unwrap_or_default();
        let mask = batch.future_observed_mask();
        for (row, prediction) in prediction.chunks_exact(channels.len()).enumerate() {
            for (&c, &prediction) in channels.iter().zip(prediction) {
                let i = row * batch.num_channels() + c;
                if mask.is_none_or(|mask| mask[i] != 0.0) {
                    self.absolute += (f64::from(prediction) - f64::from(truth[i])).abs();
                    self.points += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::group_size;

    #[test]
    fn a_small_batch_is_four_groups_and_a_large_one_has_groups_of_eight() {
        let sizes = [1, 3, 4, 8, 16, 27, 32, 64, 500].map(|batch| group_size(batch, 200_000));
        assert_eq!(sizes, [1, 1, 1, 2, 4, 7, 8, 8, 8]);
    }

    #[test]
    fn the_sums_of_huge_models_stay_few() {
        let sizes = [60_000_000, 120_000_000, 1_300_000_000].map(|n| group_size(8, n));
        assert_eq!(sizes, [2, 4, 8]);
    }
}
