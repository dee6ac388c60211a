//! Several heads on one backbone, which runs once for all of them.

use std::sync::Arc;

use ptsm_kernels::Isa;

use super::arena::{Arena, Statistics};
use super::head::{HiddenRows, PackedHead, PredictionHead};
use super::plan::Plan;
use super::session::{Threads, bytes_of, check, define};
use super::skip::ScaledBatch;
use crate::backend::{HeadsSession, LoadedHeads};
use crate::batch::Batch;
use crate::model::Model;
use crate::prediction::Prediction;
use crate::{Error, Result};

/// A packed backbone with its packed heads; nothing in it ever changes.
#[derive(Debug)]
pub(super) struct PackedHeads {
    plan: Plan,
    heads: Vec<(Model, PackedHead)>,
}

/// What [`Cpu::load_heads`](super::Cpu) gives.
pub(super) struct LoadedShared {
    pub(super) packed: Arc<PackedHeads>,
    pub(super) threads: Threads,
}

/// One user of packed heads.
struct SharedSession {
    packed: Arc<PackedHeads>,
    threads: Threads,
    arena: Arena,
}

impl LoadedHeads for LoadedShared {
    fn bytes(&self) -> u64 {
        bytes_of(self.packed.heads.iter().map(|(model, _)| model))
    }

    fn session(&self) -> Result<Box<dyn HeadsSession>> {
        let (packed, threads) = (Arc::clone(&self.packed), self.threads.clone());
        Ok(Box::new(SharedSession { packed, threads, arena: Arena::default() }))
    }
}

impl HeadsSession for SharedSession {
    fn forward(&mut self, batch: &Batch) -> Result<Vec<Prediction>> {
        let Self { packed, threads, arena } = self;
        threads.run(|| packed.forward(batch, arena))
    }
}

impl PackedHeads {
    /// Packs models that have the same backbone.
    pub(super) fn new(models: &[&Model], isa: Isa) -> Result<Self> {
        let Some(first) = models.first() else {
            return Err(Error::config("heads", "there is none, wanted one or more"));
        };
        let plan = Plan::new(first, isa);
        let pack = |model: &&Model| ((*model).clone(), PackedHead::new(model, &plan));
        let heads = models.iter().map(pack).collect();
        Ok(Self { plan, heads })
    }

    fn forward(&self, batch: &Batch, arena: &mut Arena) -> Result<Vec<Prediction>> {
        let Self { plan, heads } = self;
        check(&heads[0].0, plan, batch)?;
        let rows = HiddenRows::new(plan);
        plan.run(batch, &rows, arena)?;
        let mut unpacked: Option<Vec<f32>> = None;
        let outputs = heads.iter().map(|(model, head)| {
            let mut out = Prediction::new(model.output());
            match head {
                PackedHead::Point(head) => point(head, plan, batch, arena, &mut out),
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

/// A plain point forecast from the hidden states of all channels.
fn point(
    head: &PredictionHead,
    plan: &Plan,
    batch: &Batch,
    arena: &mut Arena,
    out: &mut Prediction,
) {
    let mut scaled = head.apply_to_all(plan, &arena.out[..], batch.size());
    let kept = head.kept().len();
    // The head's rows are those of its own channels; the arena has the statistics of all channels.
    let statistics: Vec<Statistics> = (0..batch.size() * kept)
        .map(|row| {
            let channel = head.kept()[row % kept];
            arena.statistics[row / kept * plan.last.num_channels + channel]
        })
        .collect();
    let channel = |row: usize| head.kept()[row % kept];
    let rows = ScaledBatch { batch, statistics: &statistics };
    head.add_skip(plan, rows, channel, &mut arena.windows, &mut scaled);
    let row = |b: usize, place: usize, _: usize| b * kept + place;
    head.finish(batch.size(), &scaled, &statistics, row, &mut out.numbers);
}
