//! Forward passes for validation losses: the plan of forecasts computes the backbone, the
//! definition un-scales and maps the parameters of distributions.

use std::sync::{Mutex, PoisonError};

use super::arena::Arena;
use super::head::{HiddenRows, PackedHead, PredictionHead};
use super::plan::Plan;
use crate::Result;
use crate::batch::Batch;
use crate::model::{Forward, ForwardOptions, Model};
use crate::real::instruction_set;

/// Runs one model; a call uses one thread, and many threads may call at the same time.
pub(crate) struct Scorer<'a> {
    model: &'a Model,
    plan: Plan,
    head: PackedHead,
    /// One for each call that runs at the same time.
    arenas: Mutex<Vec<Arena>>,
}

impl<'a> Scorer<'a> {
    /// Packs a model that does not pretrain.
    pub(crate) fn new(model: &'a Model) -> Result<Self> {
        let plan = Plan::new(model, instruction_set()?);
        let head = PackedHead::new(model, &plan);
        Ok(Self { model, plan, head, arenas: Mutex::default() })
    }

    /// As the definition's forward pass in evaluation.
    pub(crate) fn forward(&self, batch: &Batch) -> Result<Forward<f32>> {
        let lock = || self.arenas.lock().unwrap_or_else(PoisonError::into_inner);
        let mut arena = lock().pop().unwrap_or_default();
        let backbone = self.model.cut_patches(batch, ForwardOptions::default())?;
        let forward = match &self.head {
            PackedHead::Point(head) => {
                self.plan.run_on(1, batch, &**head, &mut arena)?;
                let projected = self.projected(head, batch.size(), &arena);
                self.model.forward_projected(backbone, &[projected])
            }
            PackedHead::Defined => {
                let rows = HiddenRows::new(&self.plan);
                self.plan.run_on(1, batch, &rows, &mut arena)?;
                let mixed = rows.unpack(&self.plan, batch.size(), &arena.out);
                self.model.forward_head(backbone.with_mixed(mixed), ForwardOptions::default())
            }
        };
        lock().push(arena);
        Ok(forward)
    }

    /// The outputs of the head's projection, `[B, C, outputs]`; 0 for channels that are not
    /// forecast.
    fn projected(&self, head: &PredictionHead, samples: usize, arena: &Arena) -> Vec<f32> {
        let (channels, steps) = (self.plan.last.num_channels, head.steps());
        let mut all = vec![0.0; samples * channels * steps];
        for (b, sample) in all.chunks_exact_mut(channels * steps).enumerate() {
            for (place, &channel) in head.kept().iter().enumerate() {
                let row = head.row(&self.plan, b, place, channel);
                sample[channel * steps..][..steps].copy_from_slice(head.scaled(&arena.out, row));
            }
        }
        all
    }
}
