//! PatchTSMixer for time series: train it, score it, check it, forecast with it.
//!
//! PatchTSMixer cuts each channel's past into patches, mixes them with small MLPs along time,
//! features and (if asked) channels, and reads the forecast off with one linear head. This crate
//! reads and writes the configuration and weights of the Hugging Face implementation, computes the
//! same numbers to float rounding, masks missing points from the file to the score, and gives the
//! same bits for any batch size and number of threads.
//!
//! # Train and score
//!
//! ```
//! use ptsm::data::{Dataset, Repair, Roles, SeriesSet, Split, Transform, WindowShape, prepare};
//! use ptsm::evaluate::{EvaluateOptions, evaluate};
//! use ptsm::train::{TrainData, Trainer, Training};
//! use ptsm::{Config, Init, Mode, Model};
//!
//! # fn main() -> ptsm::Result<()> {
//! let table = Dataset::embedded_table()?;
//! let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default())?;
//! let shape = WindowShape { context_length: 48, prediction_length: 12, step: 24 };
//! let data = prepare(&set, &Split::default(), shape, Some(Transform::None), None)?;
//! let config = Config {
//!     context_length: 48,
//!     prediction_length: 12,
//!     num_input_channels: set.channels.len(),
//!     num_layers: 1,
//!     ..Config::default()
//! };
//! let model = Model::new(config, Init::PyTorch, 0)?;
//! let training = Training { epochs: 1, ..Training::default() };
//! let windows = TrainData { train: &data.train, validation: &data.validation };
//! let trainer = Trainer { training: &training, data: windows, dir: None, resume: false };
//! let trained = trainer.run(model, &mut |_| std::ops::ControlFlow::Continue(()))?;
//! let mut forecaster = |batch: &ptsm::data::Batch| {
//!     Ok(trained.model.forward(batch, Mode::default())?.outputs.prediction)
//! };
//! let score = evaluate(&mut forecaster, &data.test, &EvaluateOptions::default())?;
//! assert!(score.mse < 1.2);
//! # Ok(())
//! # }
//! ```
//!
//! [`Forecaster`] is the way from a saved model to forecasts; [`Backend`] and [`Session`] are the
//! seam behind which a model is computed; [`run_trace`] shows every intermediate.
//!
//! # The path of the data
//!
//! | step | type |
//! |---|---|
//! | file | [`data::Table`], the only place that sees NaN |
//! | columns with roles, gaps found | [`data::SeriesSet`]: `[T, C]`, mask, times |
//! | split, standardised | [`data::Prepared`] |
//! | windows by number | [`data::WindowSet`] |
//! | numbers for the model | [`data::Batch`]: `[B, L, C]`, `[B, H, C]` |
//! | model | [`Model`], [`Forward`] |
//! | answer | [`Forecast`], [`evaluate::Metrics`] |

mod atomic_file;
mod backend;
mod bands;
mod calibration;
mod cases;
mod config;
mod cpu;
pub mod data;
mod ensemble;
mod error;
pub mod evaluate;
mod fit;
mod forecast;
mod head;
mod heads;
pub mod job;
mod labeller;
mod memory;
mod model;
pub mod model_dir;
mod preprocessor;
mod record;
pub mod spec;
mod stream;
mod tensor_file;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod train;
mod weights;

pub use atomic_file::write_atomically;
pub use backend::{Backend, Output, Session, open};
pub use bands::Reader;
pub use calibration::{CalibratedInterval, Calibration};
pub use cases::{Classified, Classifier, Regressor};
pub use config::{
    ChannelMode, Config, CrossChannel, Extension, Hierarchy, Location, MODEL_TYPE, Norm, Scaler,
    Task,
};
pub use cpu::{Cpu, set_threads};
pub use ensemble::{join, load_members, save_ensemble, task_of};
pub use error::{Error, ErrorKind, Result};
pub use fit::{CaseSource, FitOptions, SeriesSource};
pub use forecast::{Forecast, ForecastInterval, Forecaster, forecast_table};
pub use head::{Distribution, OutputGradient, Outputs};
pub use heads::{MAIN_HEAD, SharedHead, SharedModel, add_head, list_heads, save_heads};
pub use labeller::{LabelCoding, LabelScores, Labeller, Predictions};
pub use memory::{available_memory, in_words, peak_memory, reset_peak_memory};
pub use model::{
    AdamWStep, Backbone, CONFIG_FILE, Dropout, ENSEMBLE_FILE, Forward, LinearDims, Mode, Model,
    NamedTensor, Prepared, Real, WEIGHTS_FILE, draw_masks, instruction_set,
};
pub use preprocessor::Preprocessor;
pub use record::Record;
pub use stream::{
    Counters, Drift, DriftOptions, OnlineForecaster, StreamOptions, StreamRow, StreamScore,
};
pub use tensor_file::{WideTensor, read_tensors, write_tensors};
pub use trace::{TraceOptions, batch_from_tensors, run_trace};
pub use weights::{Init, Layout, Parameters, Store, Tensor};
