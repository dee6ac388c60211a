//! PatchTSMixer on Tenstorrent chips, as a program of TTNN operations.
//!
//! This crate decides which operations run and which numbers are folded into the weights
//! (`lower/`), in which memory tensors are kept and how precisely products are computed (`plan.rs`,
//! by the cost model of `cost/`). The result is a [`Program`], which is plain data: it can be
//! printed, checked without a device, run by the [`Emulator`] with the chip's number formats and
//! padding, or sent to the worker, a small interpreter in Python that calls `ttnn` and knows
//! nothing about models.
//!
//! | place | holds |
//! |---|---|
//! | `program/` | tensors, operations, steps; `check` |
//! | `lower/` | turns a model into a program |
//! | `plan.rs`, `options.rs`, `cost/`, `report.rs` | the planner, its options, its cost model, its predictions |
//! | `emulator/` | runs a program on the CPU |
//! | `worker/` | runs a program on a device, in another process; our kernels |
//! | `session.rs`, `host_time.rs` | emulator and devices as a [`ptsm_core::Backend`]; the time of their host |
//!
//! `docs/tenstorrent.md` describes the set-up of a host, the figures, and how to bring up another model.

mod chip;
mod cost;
mod doctor;
mod emulator;
mod executor;
mod host_time;
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
pub use host_time::{HostTime, measure_host};
pub use options::{Optimisation, Options};
pub use plan::{Plan, Variant, compare, plan, plan_heads, report};
pub use program::{
    Activation, AttentionTiles, Blocks, Buffer, ChannelTiles, DataType, EmbedTiles, Execution,
    Layout, MathFidelity, MemoryConfig, MixerTiles, Op, Program, Role, ShardSpec, Spread, Step,
    TILE, TensorId, TensorSpec, padded,
};
pub use report::{
    PUBLISHED_BEST_SEQUENCES_PER_S, PUBLISHED_DEVICE_OPS, PUBLISHED_SEQUENCES_PER_S, Range, Report,
    StepFigures,
};
pub use session::{Tenstorrent, TenstorrentEmulator};
pub use worker::{PYTHON_VARIABLE, TIMEOUT_VARIABLE, WorkerSettings};

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
