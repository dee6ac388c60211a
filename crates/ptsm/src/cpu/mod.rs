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
        let pieces: Vec<Result<crate::model::Forward<f32>>> = (0..batch.size.div_ceil(PIECE))
            .into_par_iter()
            .map(|i| {
                let piece = batch.slice(i * PIECE..batch.size.min((i + 1) * PIECE));
                self.model.forward(&piece, Mode::default())
            })
            .collect();
        let Output { prediction, aggregates, loc, scale } = out;
        [&mut *prediction, aggregates, loc, scale].into_iter().for_each(Vec::clear);
        for piece in pieces {
            let piece = piece?;
            prediction.extend(&piece.outputs.prediction);
            aggregates.extend(&piece.outputs.aggregates);
            loc.extend(piece.backbone.loc());
            scale.extend(piece.backbone.scale());
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
