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
//! [`Forecaster`] makes forecasts with a saved model; [`Backend`], [`Loaded`] and [`Session`] are the
//! interface of what computes a model; [`run_trace`] gives every intermediate.
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

mod calibration;
mod cases;
mod ensemble;
pub mod evaluate;
mod fit;
mod forecast;
mod heads;
pub mod job;
mod labeller;
pub mod model_dir;
mod preprocessor;
mod record;
pub mod spec;
mod stream;
pub mod train;

/// From files to windows: the only place that sees NaN.
pub mod data {
    pub use ptsm_data::*;
}

pub use calibration::{CalibratedInterval, Calibration};
pub use cases::{Classified, Classifier, Regressor};
pub use ensemble::{join, load_members, save_ensemble, task_of};
pub use fit::{CaseSource, FitOptions, SeriesSource};
pub use forecast::{Forecast, ForecastInterval, ForecastModel, Forecaster, forecast_table};
pub use heads::{
    HeadWindows, MAIN_HEAD, SharedHead, SharedModel, add_head, list_heads, load_heads, remove_head,
    save_heads, score_heads,
};
pub use labeller::{LabelScores, Labeller, Predictions};
pub use preprocessor::Preprocessor;
pub use ptsm_core::network;
#[cfg(feature = "testing")]
pub use ptsm_core::testing;
pub use ptsm_core::{
    AdamWStep, Architecture, Backbone, Backend, CONFIG_FILE, ChannelMode, Config, Cpu,
    CrossChannel, Distribution, Dropout, ENSEMBLE_FILE, Error, ErrorKind, Extension, Forward,
    HeadsSession, Hierarchy, Init, Layout, LinearDims, Loaded, LoadedHeads, LocScale, Location,
    MODEL_TYPE, Mode, Model, NamedTensor, Norm, OutputGradient, OutputKind, OutputSpec, Outputs,
    Parameters, Prediction, Prepared, Real, Result, SampleOptions, Scaler, Session, Store, Task,
    Tensor, TraceOptions, TrainingSession, WEIGHTS_FILE, WideTensor, available_memory,
    batch_from_tensors, draw_masks, in_words, instruction_set, peak_memory, read_tensors,
    reset_peak_memory, run_trace, set_threads, write_atomically, write_tensors,
};
pub use ptsm_data::LabelCoding;
pub use record::Record;
pub use stream::{
    Counters, Drift, DriftOptions, OnlineForecaster, StreamOptions, StreamRow, StreamScore,
    StreamState, StreamWorker,
};

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;
