//! The CPU backend: the model as a plan over kernels.
//!
//! It computes what the definition in `model/` computes, laid out for the processor's cache:
//! activations are laid out as `[D][N]` with the patches contiguous, so that one (sample, channel)
//! row is a few kilobytes and stays in the first-level cache from the embedding to the head;
//! weights are packed once; and nothing is transposed or allocated on the way.
//!
//! | file | holds |
//! |---|---|
//! | `sizes.rs` | how hidden states lie in memory, and how blocks are cut |
//! | `plan.rs` | the stages of one model with their weights packed, made once |
//! | `pack.rs` | the parts of the plan: norms, blocks, attention |
//! | `arena.rs` | every buffer, kept between calls |
//! | `forward.rs` | the backbone: rows spread over threads, up to the hidden state |
//! | `blocks.rs` | the mixer blocks, on one row or on some |
//! | `head.rs` | the heads, which read the hidden state |
//! | `session.rs` | a packed model that sessions share, and a session |
//! | `shared.rs` | several heads on one backbone |
//! | `scoring.rs` | forward passes for validation losses |
//! | `skip.rs` | the linear path in parallel with the mixers |
//! | `training/` | the model forward and backward |
//! | `gradient.rs` | the gradient of a step and the score of a set, spread over the threads |
//!
//! A plain point forecast is computed here to the end. The other heads, which are a small part of
//! the work, are computed by their definition from the hidden state. Outputs of a pretraining model
//! are computed by the definition alone, because it hides patches and is not served.

mod arena;
mod blocks;
mod forward;
mod gradient;
mod head;
mod pack;
mod plan;
mod scoring;
mod session;
mod shared;
mod sizes;
mod skip;
#[cfg(test)]
mod tests;
mod training;

use std::sync::Arc;

use rayon::ThreadPool;

use crate::backend::{Backend, Loaded, LoadedHeads, TrainingSession};
use crate::model::Model;
use crate::real::instruction_set;
use crate::{Error, ErrorKind, Result, memory};

pub(crate) use gradient::group_size;

use gradient::CpuTraining;
use session::{LoadedModel, Packed, Threads};
use shared::{LoadedShared, PackedHeads};

#[cfg(test)]
pub(crate) use training::{Member, PlanGradient, TrainArena, TrainPlan};

/// Runs models on this machine's cores.
///
/// No result depends on the number of threads, not in a single bit.
#[derive(Debug, Clone, Default)]
pub struct Cpu {
    /// Sessions run in it; `None` = the pool of the process.
    pool: Option<Arc<ThreadPool>>,
}

impl Cpu {
    /// A backend with so many threads of its own (0 = one for each core), which end with the last
    /// model and session that use them. [`Cpu::default`] shares the threads of the process.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the threads cannot be started.
    pub fn with_threads(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
            let text = format!("{threads} threads cannot be started");
            Error::new(ErrorKind::BackendUnavailable, text).because(e)
        })?;
        Ok(Self { pool: Some(Arc::new(pool)) })
    }

    fn threads(&self) -> Threads {
        Threads { pool: self.pool.clone() }
    }
}

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn load(&self, model: &Model) -> Result<Arc<dyn Loaded>> {
        // The weights as they are, and packed.
        let bytes = memory::bytes_of(&[2, model.layout().num_trained()]);
        memory::require_memory("preparing a model for forecasts", bytes, memory::SMALLER_MODEL)?;
        let packed = Arc::new(Packed::new(model, instruction_set()?));
        Ok(Arc::new(LoadedModel { packed, threads: self.threads() }))
    }

    fn load_heads(&self, models: &[&Model]) -> Result<Arc<dyn LoadedHeads>> {
        let numbers = models.iter().map(|model| model.layout().num_trained()).sum();
        let bytes = memory::bytes_of(&[2, numbers]);
        memory::require_memory("preparing heads for forecasts", bytes, memory::SMALLER_MODEL)?;
        let packed = Arc::new(PackedHeads::new(models, instruction_set()?)?);
        Ok(Arc::new(LoadedShared { packed, threads: self.threads() }))
    }

    fn training(&self) -> Result<Box<dyn TrainingSession>> {
        Ok(Box::new(CpuTraining::new(self.threads())))
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
