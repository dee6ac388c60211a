//! The core of `ptsm`: what PatchTSMixer computes, how it is computed fast, and how it learns.
//!
//! It knows no tables, no calendar and no files but model directories and tensors: batches of
//! numbers go in, forecasts come out. Most users want the crate `ptsm`, which adds data, scores and
//! saved preprocessing.
//!
//! | module | holds |
//! |---|---|
//! | [`Config`] | every field of a Hugging Face `config.json`, and our extensions |
//! | [`Architecture`], [`network`] | a model family, and what it computes as data |
//! | [`Layout`], [`Parameters`] | names, shapes and numbers of the weights |
//! | [`Model`] | the definition, forward and backward, in plain loops over f32 or f64 |
//! | [`Batch`], [`Prediction`], [`OutputKind`] | what goes in, what comes out, and what its numbers are |
//! | [`Backend`], [`Loaded`], [`Session`] | the interface to the machines that run a model; [`Cpu`] is one |
//! | [`train`] | loss, optimiser, loop, checkpoints |

mod architecture;
mod atomic_file;
mod backend;
mod batch;
mod checksums;
mod config;
mod cpu;
mod directory_lock;
mod directory_update;
mod distribution;
mod error;
mod head;
mod layers;
mod loss;
mod memory;
mod model;
mod nearest;
pub mod network;
mod not_there;
mod option;
mod output_kind;
mod prediction;
mod real;
mod regular_file;
mod samples;
mod sealed;
mod shorten;
mod tensor_file;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod train;
mod transform;
mod weights;
mod window_scaling;

pub use architecture::Architecture;
pub use atomic_file::write_atomically;
pub use backend::{
    Backend, HeadsSession, Loaded, LoadedHeads, Session, StepGradient, StepOptions, TrainingSession,
};
pub use batch::{Batch, BatchShape};
pub use checksums::{
    CHECKSUM_FILE, Checksums, read_listed, read_listed_text, require_listed_text, sha256,
    write_listed,
};
pub use config::{
    ChannelMode, Config, CrossChannel, Extension, Hierarchy, Level, Location, MODEL_TYPE, Norm,
    Scaler, Task,
};
pub use cpu::{Cpu, set_threads};
pub use directory_lock::{DirectoryLock, LOCK_FILE};
pub use directory_update::{Change, list_all, read_consistently};
pub use distribution::{Distribution, LocScale};
pub use error::{Error, ErrorKind, Result};
pub use head::{OutputGradient, Outputs, largest};
pub use layers::Dropout;
pub use layers::level::LevelWindow;
pub use layers::masking::draw_masks;
pub use memory::{
    MemoryBudget, SMALLER_MODEL, available_memory, bytes_of, check_memory_limit, in_words,
    peak_memory, require_memory, reset_peak_memory,
};
pub use model::{
    Backbone, CONFIG_FILE, ENSEMBLE_FILE, EmbeddingInput, Forward, ForwardOptions, Model,
};
pub use nearest::{did_you_mean, nearest};
pub use option::{Note, option};
pub use output_kind::{OutputKind, OutputSpec};
pub use prediction::{Prediction, SampleOptions, softmax};
pub use real::{AdamWStep, LinearDims, Real, force_instruction_set, instruction_set};
pub use regular_file::read_regular;
pub use sealed::{seal, unseal};
pub use tensor_file::{NamedTensor, WideTensor, read_tensors, tensors_in, write_tensors};
pub use trace::{TraceOptions, batch_from_tensors, run_trace};
pub use transform::Transform;
pub use weights::{
    Init, Layout, Parameters, Precision, TensorLayout, TensorStore, WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
};

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
