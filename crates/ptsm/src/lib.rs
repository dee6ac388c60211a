//! PatchTSMixer for time series.

pub mod data;
mod error;

pub use error::{Error, ErrorKind, Result};
