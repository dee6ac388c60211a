//! The host's part of a request.

use super::Assumptions;
use crate::program::{Layout, Program, Role};

/// Seconds to scale a number of the windows and cut it into patches. This and what follows was measured by
/// `tt-plan --measure-host` beside the simulator, which leaves nothing in the caches: one core of a virtual machine of 2026,
/// batch 1 to 32. It is the slow end; `Assumptions::host` says what part of it is assumed beside a chip.
const PREPARED: f64 = 2.8e-9;
/// Seconds to round a number, bring it to the worker and into the tensor that is uploaded, or back.
const SENT: f64 = 1e-9;
/// Seconds of a request through the pipe and back, and of the worker's calls.
const REQUEST: f64 = 550e-6;
/// Seconds to put a number of the output into a forecast.
const FINISHED: f64 = 8e-9;

/// Seconds on the host, and between host and device.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct HostCost {
    /// Of a request, of any number of runs.
    pub(crate) request: f64,
    /// Of the numbers of one run: from windows in memory to the upload, and from the output to a forecast.
    pub(crate) numbers: f64,
    /// To the device.
    pub(crate) upload: f64,
    /// From the device.
    pub(crate) read_back: f64,
    pub(crate) upload_bytes: usize,
    pub(crate) read_back_bytes: usize,
}

/// The host's part of requests that are runs of `program`.
pub(crate) fn host_cost(program: &Program, assumptions: &Assumptions) -> HostCost {
    let [(upload, upload_bytes), (read_back, read_back_bytes)] =
        [Role::Input, Role::Output].map(|role| {
            let bytes = program.with_role(role).map(|id| program.tensors[id].bytes()).sum();
            (assumptions.transfer + bytes as f64 / assumptions.host_rate, bytes)
        });
    let numbers = |role: Role| -> f64 {
        let ids = program.with_role(role);
        ids.map(|id| match program.tensors[id].layout {
            // Padding is written too.
            Layout::Tile => program.tensors[id].bytes() / 2,
            Layout::RowMajor => program.tensors[id].volume(),
        } as f64)
            .sum()
    };
    let volume = |role: Role| -> f64 {
        program.with_role(role).map(|id| program.tensors[id].volume() as f64).sum()
    };
    let run = PREPARED * volume(Role::Input)
        + SENT * (numbers(Role::Input) + numbers(Role::Output))
        + FINISHED * volume(Role::Output);
    let (request, numbers) = (assumptions.host * REQUEST, assumptions.host * run);
    HostCost { request, numbers, upload, read_back, upload_bytes, read_back_bytes }
}
