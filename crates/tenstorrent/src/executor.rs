//! What runs programs: a worker process with its device, or the emulator.

use ptsm_core::Result;

use crate::program::Program;

/// Runs programs; what a device and the emulator have in common.
pub(crate) trait Executor: Send {
    /// Takes a program under a key, to be run later.
    fn load(&mut self, key: usize, program: Program) -> Result<()>;

    /// Runs program `key` on one input after the other; one output for each.
    fn run(&mut self, key: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>>;

    /// The host's part of the last run's time; 0 where there is no device.
    fn host_seconds(&self) -> HostSeconds {
        HostSeconds::default()
    }
}

/// Host time of one request, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct HostSeconds {
    /// Rounding the inputs, and writing them where the worker sees them.
    pub(crate) written: f64,
    /// The pipe to the worker and back.
    pub(crate) pipe: f64,
    /// In the worker: the upload of the first input, and the call that starts its steps.
    pub(crate) started: f64,
    /// Reading the outputs and widening them.
    pub(crate) read: f64,
}
