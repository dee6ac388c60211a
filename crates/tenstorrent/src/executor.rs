//! What runs programs: a worker process with its device, or the emulator.

use ptsm_core::Result;

use crate::program::Program;

/// Runs programs; what a device and the emulator have in common.
pub(crate) trait Executor: Send {
    /// Takes a program under a key, to be run later.
    fn load(&mut self, key: usize, program: Program) -> Result<()>;

    /// Runs program `key` on one input after the other; one output for each.
    fn run(&mut self, key: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>>;
}
