//! PatchTSMixer for time series: train it, score it, check it, forecast with it.
//!
//! PatchTSMixer cuts each channel's past into patches, mixes them with small MLPs along time,
//! features and (if asked) channels, and computes the forecast with one linear head. This crate
//! reads and writes the configuration and weights of the Hugging Face implementation, computes the
//! same numbers to float rounding, masks missing points from the file to the score, and gives the
//! same bits for any batch size and number of threads.
//!
//! ```
//! use ptsm::data::Dataset;
//! use ptsm::{FitOptions, Forecaster};
//!
//! # fn main() -> ptsm::Result<()> {
//! let table = Dataset::embedded_table()?; // or Table::read("load.csv".as_ref(), ...)
//! let options = FitOptions::steps(12).context(48).epochs(1);
//! let mut forecaster = Forecaster::fit(&table, &options)?;
//! let evaluation = forecaster.evaluate(&table)?;
//! println!("{}", evaluation.table()); // beside repeat-last, seasonal naive and ridge
//! for forecast in forecaster.forecast(&table)? {
//!     println!("{}: {:?}", forecast.id, forecast.values);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Classifier`] and [`Regressor`] do the same for labelled cases, [`OnlineForecaster`] forecasts
//! while rows arrive, and [`Forecaster::from_dir`] loads what was saved. Below them:
//!
//! | module | holds |
//! |---|---|
//! | [`data`] | tables, roles of columns, calendar, splits, windows: the only place that sees NaN |
//! | [`spec`], [`job`] | typed specifications of data and model, and training jobs |
//! | [`pretrain`], [`simulate`] | a forecaster of any series, trained on simulated ones |
//! | [`zero_shot`] | the one inside the library, and how such a network forecasts ([`Forecaster::zero_shot`]) |
//! | [`train`] | training loop, losses, recipes, searches |
//! | [`evaluate`], [`score`] | metrics, baselines, and a forecaster scored beside them |
//! | [`backtest`] | forecasts from rolling cutoffs, scored in the units of the data, beside other models |
//! | [`forecast`], [`stream`] | the shared immutable model, forecasts as tables, forecasts while rows arrive |
//! | [`detect`] | points that were not expected, with p-values |
//! | [`explain`] | what moved a forecast |
//! | [`covariates`] | what was found of values that are known ahead |
//! | [`calibration`], [`ensemble`], [`heads`] | calibrated intervals, averages of models, several heads on one backbone |
//! | [`cases`], [`labeller`] | classification and regression |
//! | [`import`] | a folder that Hugging Face wrote, made a complete model directory |
//! | [`preprocessor`], [`record`], [`model_dir`] | what is saved beside the weights, and where |
//! | [`core`] | configuration, weights, the definition of the model, backends ([`Backend`], [`Session`]) |
//!
//! # The path of the data
//!
//! | step | type |
//! |---|---|
//! | file | [`data::Table`] |
//! | columns with roles, gaps found | [`data::SeriesSet`]: `[T, C]`, mask, times |
//! | split, standardised | [`data::Prepared`] |
//! | windows by number | [`data::WindowSet`] |
//! | numbers for the model | [`data::Batch`]: `[B, L, C]`, `[B, H, C]` |
//! | model | [`Session`], or the definition: [`Model`] |
//! | output | [`Prediction`], [`Forecast`], [`evaluate::Evaluation`] |

pub mod backtest;
pub mod calibration;
pub mod cases;
mod classical;
pub mod covariates;
pub mod detect;
pub mod ensemble;
pub mod evaluate;
pub mod explain;
mod fit;
pub mod forecast;
pub mod heads;
pub mod import;
pub mod job;
pub mod labeller;
pub mod model_dir;
pub mod model_writer;
pub mod preprocessor;
pub mod pretrain;
pub mod record;
pub mod score;
mod sealed_lines;
pub mod spec;
pub mod stream;
pub mod train;
pub mod verify;
pub mod zero_shot;

pub use cases::{Classifier, Regressor};
pub use fit::{CaseSource, FitOptions, SeriesSource};
pub use forecast::{Forecast, ForecastInterval, Forecaster};
pub use ptsm_core as core;
#[cfg(feature = "testing")]
pub use ptsm_core::testing;
pub use ptsm_core::{
    Backend, Config, Cpu, Error, ErrorKind, Model, Prediction, Result, Session, Task,
};
pub use ptsm_data as data;
pub use ptsm_simulate as simulate;
pub use stream::OnlineForecaster;

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The examples of the project's README are tested, too.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct ProjectReadme;
