//! The CPU backend: the model as a plan over kernels.
//!
//! The same model as the definition in `model/`, laid out for the cache: activations stand as
//! `[D][N]` with the patches contiguous, one (sample, channel) row is a few kilobytes and stays in
//! the first-level cache from the embedding to the head, weights are packed once, and nothing is
//! transposed or allocated on the way. Every configuration runs here.
//!
//! | file | holds |
//! |---|---|
//! | `plan.rs` | sizes and packed weights of one model, made once |
//! | `pack.rs` | the parts of the plan: norms, blocks, attention |
//! | `arena.rs` | every buffer, kept between calls |
//! | `forward.rs` | the backbone: rows spread over threads, up to the hidden state |
//! | `blocks.rs` | the mixers on one row, or on some |
//! | `head.rs` | what reads the hidden state: the forecasting head |

mod arena;
mod blocks;
mod forward;
mod head;
mod pack;
mod plan;
#[cfg(test)]
mod tests;

use ptsm_kernels::{Isa, all_finite};

use crate::backend::{Backend, Output, Session};
use crate::data::Batch;
use crate::model::{Mode, Model, instruction_set};
use crate::{Config, Result};

use arena::Arena;
use head::PredictionHead;
use plan::Plan;

/// Runs models on this machine's cores.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

struct CpuSession {
    config: Config,
    plan: Plan,
    head: PredictionHead,
    arena: Arena,
}

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>> {
        Ok(Box::new(CpuSession::new(model, instruction_set()?)))
    }
}

impl CpuSession {
    fn new(model: &Model, isa: Isa) -> Self {
        let plan = Plan::new(model, isa);
        let head = PredictionHead::new(model, &plan);
        Self { config: model.config().clone(), plan, head, arena: Arena::default() }
    }

    /// Accepts what the definition accepts. Its own check names the culprit, ours is fast.
    fn check(&self, batch: &Batch) -> Result<()> {
        let isa = self.plan.isa;
        let mask = batch.observed_mask.as_deref();
        let points = batch.size * self.config.context_length * self.config.num_input_channels;
        let fits = batch.size > 0
            && batch.context_length == self.config.context_length
            && batch.num_channels == self.config.num_input_channels
            && batch.past_values.len() == points
            && all_finite(isa, &batch.past_values)
            && mask.is_none_or(|mask| mask.len() == points && all_finite(isa, mask));
        if fits { Ok(()) } else { Model::check(&self.config, batch, Mode::default()) }
    }
}

impl Session for CpuSession {
    fn forward(&mut self, batch: &Batch, out: &mut Output) -> Result<()> {
        self.check(batch)?;
        let Self { plan, head, arena, .. } = self;
        plan.run(batch, head, arena);
        head.finish(batch.size, plan, arena, &mut out.prediction);
        Ok(())
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
