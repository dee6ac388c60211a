//! PatchTSMixer for time series.

mod atomic_file;
pub mod data;
mod error;

pub use atomic_file::write_atomically;
pub use error::{Error, ErrorKind, Result};
