//! PatchTSMixer on Tenstorrent chips, as a program of TTNN operations.
//!
//! Rust decides everything: which operations, with which numbers folded into the weights
//! (`lower/`), where tensors live and how exact products are (`plan.rs`), by a stated cost model
//! (`cost.rs`). The outcome is a [`Program`], which is data: it can be printed, checked without a
//! device, run by the [`Emulator`] with the chip's numbers and padding, and sent to the worker, a
//! small interpreter in Python that knows `ttnn` and no model.
//!
//! | place | holds |
//! |---|---|
//! | `program/` | tensors, operations, steps; `check` |
//! | `lower/` | a model as a program |
//! | `plan.rs`, `options.rs`, `cost.rs`, `report.rs` | the planner, what it may do, what it believes, what it promises |
//! | `emulator/` | runs a program on the CPU |
//! | `worker/` | runs a program on a device, in another process; our kernels |
//! | `session.rs` | both as a [`ptsm_core::Backend`] |
//!
//! `docs/tenstorrent.md` has the set-up of a host, the figures, and how to bring up another model.

mod chip;
mod cost;
mod doctor;
mod emulator;
mod executor;
mod lower;
mod options;
mod plan;
mod program;
mod report;
mod session;
mod worker;

pub use chip::{Arch, Chip, CoreGrid};
pub use cost::StepCost;
pub use doctor::{Finding, doctor};
pub use emulator::{Emulator, GARBAGE, Watch};
pub use options::{Optimisation, Options};
pub use plan::{Plan, Variant, compare, plan, report};
pub use program::{
    Activation, Blocks, Buffer, DataType, EmbedTiles, Execution, Layout, MathFidelity,
    MemoryConfig, MixerTiles, Op, Program, Role, ShardSpec, Spread, Step, TILE, TensorId,
    TensorSpec, padded,
};
pub use report::{PUBLISHED_DEVICE_OPS, PUBLISHED_SEQUENCES_PER_S, Report};
pub use session::{Tenstorrent, TenstorrentEmulator};
pub use worker::{PYTHON_VARIABLE, TIMEOUT_VARIABLE, WorkerSettings};

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
