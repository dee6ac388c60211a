//! PatchTSMixer for time series.

mod atomic_file;
mod backend;
mod config;
mod cpu;
pub mod data;
mod error;
pub mod evaluate;
mod forecast;
mod head;
mod model;
mod preprocessor;
mod tensor_file;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod train;
mod weights;

pub use atomic_file::write_atomically;
pub use backend::{Backend, Output, Session, open};
pub use config::{Config, MODEL_TYPE, Norm, Scaler, Task};
pub use cpu::{Cpu, set_threads};
pub use error::{Error, ErrorKind, Result};
pub use forecast::{Forecast, Forecaster, forecast_table};
pub use model::{
    CONFIG_FILE, Dropout, Forward, LinearDims, Mode, Model, NamedTensor, Real, WEIGHTS_FILE,
    instruction_set,
};
pub use preprocessor::{PREPROCESSOR_FILE, Preprocessor};
pub use tensor_file::{WideTensor, read_tensors, write_tensors};
pub use trace::{TraceOptions, batch_from_tensors, run_trace};
pub use weights::{Init, Layout, Parameters, Store, Tensor};
