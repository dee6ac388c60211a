//! The CPU backend: fixed pieces of a batch, spread over the threads.

use rayon::prelude::*;

use crate::Result;
use crate::backend::{Backend, Output, Session};
use crate::data::Batch;
use crate::model::{Mode, Model};

/// Samples per piece: few, so that one piece's activations stay in the cache.
const PIECE: usize = 2;

/// Runs models on this machine's cores.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu;

struct CpuSession {
    model: Model,
}

impl Backend for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>> {
        Ok(Box::new(CpuSession { model: model.clone() }))
    }
}

impl Session for CpuSession {
    fn forward(&mut self, batch: &Batch, out: &mut Output) -> Result<()> {
        let pieces: Vec<Result<Vec<f32>>> = (0..batch.size.div_ceil(PIECE))
            .into_par_iter()
            .map(|i| {
                let piece = batch.slice(i * PIECE..batch.size.min((i + 1) * PIECE));
                Ok(self.model.forward(&piece, Mode::default())?.outputs.prediction)
            })
            .collect();
        out.prediction.clear();
        for piece in pieces {
            out.prediction.extend(piece?);
        }
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
