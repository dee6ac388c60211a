//! The CPU backend: the model as a plan over kernels.
//!
//! The same model as the definition in `model/`, laid out for the cache: activations stand as
//! `[D][N]` with the patches contiguous, one (sample, channel) row is a few kilobytes and stays in
//! the first-level cache from the embedding to the head, weights are packed once, and nothing is
//! transposed or allocated on the way.
//!
//! | file | holds |
//! |---|---|
//! | `sizes.rs` | how hidden states lie in memory, and how blocks are cut |
//! | `plan.rs` | the stages of one model with their weights packed, made once |
//! | `pack.rs` | the parts of the plan: norms, blocks, attention |
//! | `arena.rs` | every buffer, kept between calls |
//! | `forward.rs` | the backbone: rows spread over threads, up to the hidden state |
//! | `blocks.rs` | the mixers on one row, or on some |
//! | `head.rs` | what reads the hidden state |
//! | `scoring.rs` | the backbone in front of a loss that is only measured |
//! | `skip.rs` | the linear path beside the mixers |
//! | `training/` | the model forward and backward |
//!
//! A plain point forecast is computed here to the end. The other heads, which are a small part of
//! the work, read the hidden state through their definition. Pretraining, which hides patches and
//! is no serving task, is the definition's alone.

mod arena;
mod blocks;
mod forward;
mod head;
mod pack;
mod plan;
mod scoring;
mod sizes;
mod skip;
#[cfg(test)]
mod tests;
mod training;

use ptsm_kernels::{Isa, all_finite};

use crate::backend::{Backend, Session};
use crate::batch::Batch;
use crate::config::Task;
use crate::model::{Mode, Model};
use crate::prediction::Prediction;
use crate::real::instruction_set;
use crate::{Config, Result, memory};

pub(crate) use scoring::Scorer;
pub(crate) use training::{Given, Member, Together, TrainArena, TrainPlan};

use arena::Arena;
use head::{HiddenRows, PackedHead};
use plan::Plan;

/// Runs models on this machine's cores.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

struct CpuSession {
    model: Model,
    plan: Plan,
    head: PackedHead,
    arena: Arena,
}

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>> {
        // The weights as they are, and packed.
        let bytes = memory::bytes_of(&[2, model.layout().num_trained()]);
        memory::require_memory("preparing a model for forecasts", bytes, memory::SMALLER_MODEL)?;
        Ok(Box::new(CpuSession::new(model, instruction_set()?)))
    }
}

impl CpuSession {
    fn new(model: &Model, isa: Isa) -> Self {
        let plan = Plan::new(model, isa);
        let head = PackedHead::new(model, &plan);
        Self { model: model.clone(), plan, head, arena: Arena::default() }
    }
}

/// Accepts what the definition accepts. Its own check names the culprit, ours is fast.
fn check(model: &Model, plan: &Plan, batch: &Batch) -> Result<()> {
    let config: &Config = model.config();
    let fits = batch.size() > 0
        && batch.context_length() == config.context_length
        && batch.num_channels() == config.num_input_channels
        && batch.patch_mask().is_none()
        && all_finite(plan.isa, batch.past_values())
        && batch.observed_mask().is_none_or(|mask| all_finite(plan.isa, mask));
    if fits { Ok(()) } else { model.check(batch, Mode::default()) }
}

impl Session for CpuSession {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        let Self { model, plan, head, arena } = self;
        check(model, plan, batch)?;
        out.clear();
        if model.config().task()? == Task::Pretraining {
            let forward = model.forward(batch, Mode::default())?;
            out.prediction = forward.outputs.prediction;
            out.loc.extend_from_slice(forward.backbone.loc());
            out.scale.extend_from_slice(forward.backbone.scale());
            return Ok(());
        }
        match head {
            PackedHead::Point(head) => {
                plan.run(batch, &**head, arena)?;
                let per_sample = plan.rows_per_sample(head.kept());
                let Arena { out: rows, statistics, windows, .. } = &mut *arena;
                let statistics = &statistics[..batch.size() * per_sample];
                let channel = |row: usize| match plan.mixes_channels {
                    true => row % per_sample,
                    false => head.kept()[row % per_sample],
                };
                head.add_skip(plan, (batch, statistics), channel, (windows, rows));
                let row = |b, place, channel| head.row(plan, b, place, channel);
                let rows = (&arena.out[..], &arena.statistics[..]);
                head.finish(batch.size(), rows, row, &mut out.prediction);
            }
            PackedHead::Defined => {
                let rows = HiddenRows::new(plan);
                plan.run(batch, &rows, arena)?;
                define(model, batch, &rows.unpack(plan, batch.size(), &arena.out), out);
            }
        }
        Ok(())
    }
}

/// What the definition of a head gives for a hidden state.
fn define(model: &Model, batch: &Batch, hidden: &[f32], out: &mut Prediction) {
    let (outputs, scaled) = model.outputs_of(batch, hidden);
    *out = Prediction {
        prediction: outputs.prediction,
        aggregates: outputs.aggregates,
        loc: scaled.loc,
        scale: scaled.scale,
    };
}

/// Several heads on one backbone, which runs once.
pub struct SharedSession {
    plan: Plan,
    heads: Vec<(Model, PackedHead)>,
    arena: Arena,
}

impl SharedSession {
    /// Packs models that have the same backbone; there is at least one, and none pretrains.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if `PTSM_ISA` names an instruction set that is not there.
    pub fn new(models: impl IntoIterator<Item = Model>) -> Result<Self> {
        let models: Vec<Model> = models.into_iter().collect();
        let plan = Plan::new(&models[0], instruction_set()?);
        let pack = |model: Model| {
            let head = PackedHead::new(&model, &plan);
            (model, head)
        };
        let heads = models.into_iter().map(pack).collect();
        Ok(Self { plan, heads, arena: Arena::default() })
    }

    /// One output for each head, with the same bits as that head alone.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch does not fit the models.
    pub fn forward(&mut self, batch: &Batch) -> Result<Vec<Prediction>> {
        let Self { plan, heads, arena } = self;
        check(&heads[0].0, plan, batch)?;
        let rows = HiddenRows::new(plan);
        plan.run(batch, &rows, arena)?;
        let mut unpacked: Option<Vec<f32>> = None;
        let outputs = heads.iter().map(|(model, head)| {
            let mut out = Prediction::default();
            match head {
                PackedHead::Point(head) => {
                    let mut scaled = head.apply_to_all(plan, &arena.out[..], batch.size());
                    let kept = head.kept().len();
                    // Its rows are those of its channels; the statistics are those of all.
                    let statistics: Vec<_> = (0..batch.size() * kept)
                        .map(|row| {
                            let channel = head.kept()[row % kept];
                            arena.statistics[row / kept * plan.last.num_channels + channel]
                        })
                        .collect();
                    let channel = |row: usize| head.kept()[row % kept];
                    let windows = &mut arena.windows;
                    head.add_skip(plan, (batch, &statistics), channel, (windows, &mut scaled));
                    let row = |b: usize, place: usize, _: usize| b * kept + place;
                    head.finish(batch.size(), (&scaled, &statistics), row, &mut out.prediction);
                }
                PackedHead::Defined => {
                    let hidden =
                        unpacked.get_or_insert_with(|| rows.unpack(plan, batch.size(), &arena.out));
                    define(model, batch, hidden, &mut out);
                }
            }
            out
        });
        Ok(outputs.collect())
    }
}

/// Sets the number of threads of the whole process; to be called once, before anything else.
///
/// No result depends on it, not in a single bit.
///
/// # Errors
///
/// If threads were started already, or cannot be.
pub fn set_threads(threads: usize) -> std::result::Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()
}
