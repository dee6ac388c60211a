//! A model packed for this machine's cores, once for all sessions, and a session with its buffers.

use std::sync::Arc;

use ptsm_kernels::{Isa, all_finite};
use rayon::ThreadPool;

use super::arena::Arena;
use super::head::{HiddenRows, PackedHead};
use super::plan::Plan;
use super::skip::ScaledBatch;
use crate::Result;
use crate::backend::{Loaded, Session};
use crate::batch::Batch;
use crate::config::Config;
use crate::memory;
use crate::model::{ForwardOptions, Model};
use crate::output_kind::OutputKind;
use crate::prediction::Prediction;

/// Where sessions run: in a pool of the backend's own, or in the caller's.
#[derive(Debug, Clone, Default)]
pub(super) struct Threads {
    pub(super) pool: Option<Arc<ThreadPool>>,
}

impl Threads {
    pub(super) fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// A model with its packed weights; nothing in it ever changes.
#[derive(Debug)]
pub(super) struct Packed {
    model: Model,
    plan: Plan,
    head: PackedHead,
}

/// What [`Cpu::load`](super::Cpu) gives.
pub(super) struct LoadedModel {
    pub(super) packed: Arc<Packed>,
    pub(super) threads: Threads,
}

/// One user of a packed model.
pub(super) struct CpuSession {
    packed: Arc<Packed>,
    threads: Threads,
    pub(super) arena: Arena,
}

/// Bytes of models whose weights are kept twice, as they are and packed, without the padding of the
/// packed ones.
pub(super) fn bytes_of<'a>(models: impl Iterator<Item = &'a Model>) -> u64 {
    let each = |model: &Model| {
        let buffers = model.parameters.buffers.len();
        memory::bytes_of(&[2, model.layout().num_trained()]) + memory::bytes_of(&[buffers])
    };
    models.map(each).sum()
}

impl Loaded for LoadedModel {
    fn bytes(&self) -> u64 {
        bytes_of(std::iter::once(&self.packed.model))
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let packed = Arc::clone(&self.packed);
        Ok(Box::new(CpuSession { packed, threads: self.threads.clone(), arena: Arena::default() }))
    }
}

impl Packed {
    pub(super) fn new(model: &Model, isa: Isa) -> Self {
        let plan = Plan::new(model, isa);
        let head = PackedHead::new(model, &plan);
        Self { model: model.clone(), plan, head }
    }

    fn forward(&self, batch: &Batch, arena: &mut Arena, out: &mut Prediction) -> Result<()> {
        let Self { model, plan, head } = self;
        check(model, plan, batch)?;
        out.reset(model.output());
        if *model.output().kind() == OutputKind::Patches {
            let forward = model.forward(batch, ForwardOptions::default())?;
            out.numbers = forward.outputs.prediction;
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
                head.add_skip(plan, ScaledBatch { batch, statistics }, channel, windows, rows);
                let row = |b, place, channel| head.row(plan, b, place, channel);
                let Arena { out: rows, statistics, .. } = &*arena;
                head.finish(batch.size(), rows, statistics, row, &mut out.numbers);
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

impl CpuSession {
    /// A session of its own packed model, on the caller's threads.
    #[cfg(test)]
    pub(super) fn new(model: &Model, isa: Isa) -> Self {
        let packed = Arc::new(Packed::new(model, isa));
        Self { packed, threads: Threads::default(), arena: Arena::default() }
    }
}

impl Session for CpuSession {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        let Self { packed, threads, arena } = self;
        threads.run(|| packed.forward(batch, arena, out))
    }
}

/// Accepts the batches that the definition accepts. This check is the faster one; where it fails,
/// the definition's check says what is wrong.
pub(super) fn check(model: &Model, plan: &Plan, batch: &Batch) -> Result<()> {
    let config: &Config = model.config();
    let fits = batch.size() > 0
        && batch.context_length() == config.context_length
        && batch.num_channels() == config.num_input_channels
        && batch.patch_mask().is_none()
        && all_finite(plan.isa, batch.past_values())
        && batch.observed_mask().is_none_or(|mask| all_finite(plan.isa, mask));
    if fits { Ok(()) } else { model.check(batch, ForwardOptions::default()) }
}

/// Computes a head by its definition, from a hidden state.
pub(super) fn define(model: &Model, batch: &Batch, hidden: &[f32], out: &mut Prediction) {
    let (outputs, scaled) = model.outputs_of(batch, hidden);
    (out.numbers, out.aggregates) = (outputs.prediction, outputs.aggregates);
    (out.loc, out.scale) = (scaled.loc, scaled.scale);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Init};

    #[test]
    fn sessions_share_one_packed_copy() {
        let model = Model::new(Config::default(), Init::PyTorch, 1).unwrap();
        let packed = Arc::new(Packed::new(&model, Isa::best()));
        let loaded = LoadedModel { packed: Arc::clone(&packed), threads: Threads::default() };
        let sessions: Vec<_> = (0..64).map(|_| loaded.session().unwrap()).collect();
        // This test's, the loaded model's, and one for each session.
        assert_eq!(Arc::strong_count(&packed), 2 + sessions.len());
    }
}
