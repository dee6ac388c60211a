//! PatchTSMixer models as ONNX files: one graph from rows of data to forecasts or labels, for any runtime.
//!
//! ```no_run
//! use std::path::Path;
//!
//! # fn main() -> ptsm::Result<()> {
//! let exported = ptsm_onnx::export(Path::new("model"), &ptsm_onnx::Options::default())?;
//! for output in &exported.outputs {
//!     println!("{output}");
//! }
//! exported.write(Path::new("model.onnx"))?;
//! # Ok(())
//! # }
//! ```
//!
//! The file has operators of version 17 (representation 8) and nothing else: no runtime is inside this crate. The number
//! of windows (`batch`) is free, everything else is fixed. What a graph cannot compute is refused by name; `docs/onnx.md`
//! lists inputs, outputs, units and limits.
//!
//! | file | holds |
//! |---|---|
//! | `proto.rs` | the messages of an ONNX file |
//! | `fact.rs`, `infer.rs`, `graph.rs`, `ops.rs` | types and shapes, the rules of operators, the builder of a graph |
//! | `source.rs` | what a model directory holds, and what is refused |
//! | `lower/` | each part of a model as steps |
//! | `export.rs`, `outputs.rs`, `metadata.rs`, `exported.rs` | the whole file |
//! | `check.rs` | a file read back |
//! | `forms.rs`, `windows.rs` | random windows, and windows as inputs of a file |
//! | `reference.rs`, `runtime.rs`, `compare.rs`, `difference.rs` | the numbers of this library, those of ONNX Runtime, their difference |

mod check;
mod compare;
mod difference;
#[cfg(test)]
mod evaluate;
mod export;
mod exported;
mod fact;
mod forms;
mod graph;
mod infer;
mod lower;
mod metadata;
mod ops;
mod options;
mod outputs;
mod proto;
mod reference;
mod runtime;
mod source;
mod windows;

use std::path::Path;

use ptsm::{Model, Result};

pub use check::{Checked, check};
pub use compare::{Comparison, Difference, compare_file, compare_random};
pub use exported::{Exported, Tensor};
pub use fact::{Dim, Kind};
pub use options::{Missing, Options, Standardise};
pub use reference::{Numbers, numbers_of};
pub use runtime::{Engine, Given, PYTHON, Ran, Runtime, Values};

/// The file of a model directory, or of a folder that Hugging Face wrote.
///
/// # Errors
///
/// `Io`, `InvalidConfig` or `InvalidWeights` from the directory; `InvalidConfig`, naming it, for what a graph cannot
/// compute, for an option that is not used, and for a file beyond 2 GiB; `OutOfMemory`.
pub fn export(dir: &Path, options: &Options) -> Result<Exported> {
    export::build(&source::Source::read(dir, options)?, options)
}

/// The file of a model in memory, which takes and gives the numbers of the network.
///
/// # Errors
///
/// `InvalidConfig` for a model of pretraining, and for an option that is not used: a model in memory has one head and no
/// members.
pub fn export_model(model: &Model, options: &Options) -> Result<Exported> {
    export::build(&source::Source::of_model(model.clone(), options)?, options)
}

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
