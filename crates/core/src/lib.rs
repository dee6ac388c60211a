//! The core of `ptsm`: what PatchTSMixer computes, how it is computed fast, and how it learns.
//!
//! No tables, no calendar and no files but model directories: batches of numbers go in, forecasts
//! come out. Most users want the crate `ptsm`, which adds data, scores and saved preprocessing.
//!
//! | module | holds |
//! |---|---|
//! | [`Config`] | every field of a Hugging Face `config.json`, and our extensions |
//! | [`Layout`], [`Parameters`] | names, shapes and numbers of the weights |
//! | [`Model`] | the definition, forward and backward, in plain loops over f32 or f64 |
//! | [`Batch`], [`Prediction`] | what goes in, what comes out |
//! | [`Backend`], [`Loaded`], [`Session`] | the seam to the machines that run a model; [`Cpu`] is one |
//! | [`train`] | loss, optimiser, loop, checkpoints |

mod atomic_file;
mod backend;
mod bands;
mod batch;
mod config;
mod cpu;
mod distribution;
mod error;
mod head;
mod layers;
mod loss;
mod memory;
mod model;
mod prediction;
mod real;
mod samples;
mod tensor_file;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod train;
mod transform;
mod weights;

pub use atomic_file::write_atomically;
pub use backend::{
    Backend, HeadsSession, Loaded, LoadedHeads, Session, StepGradient, StepOptions, TrainingSession,
};
pub use bands::Reader;
pub use batch::Batch;
pub use config::{
    ChannelMode, Config, CrossChannel, Extension, Hierarchy, Location, MODEL_TYPE, Norm, Scaler,
    Task,
};
pub use cpu::{Cpu, set_threads};
pub use distribution::Distribution;
pub use error::{Error, ErrorKind, Result};
pub use head::{OutputGradient, Outputs, largest};
pub use layers::Dropout;
pub use layers::masking::draw_masks;
pub use memory::{
    SMALLER_MODEL, available_memory, bytes_of, in_words, peak_memory, require_memory,
    reset_peak_memory,
};
pub use model::{
    Backbone, CONFIG_FILE, ENSEMBLE_FILE, Forward, Mode, Model, Prepared, WEIGHTS_FILE,
};
pub use prediction::Prediction;
pub use real::{AdamWStep, LinearDims, Real, instruction_set};
pub use tensor_file::{NamedTensor, WideTensor, read_tensors, write_tensors};
pub use trace::{TraceOptions, batch_from_tensors, run_trace};
pub use transform::Transform;
pub use weights::{Init, Layout, Parameters, Store, Tensor};
