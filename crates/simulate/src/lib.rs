//! Simulated univariate time series, and windows of them to train a forecaster on.
//!
//! Every series is a function of a seed and its number: no files, no state, the same bits on every
//! machine, in any order and on any number of threads. [`Simulator`] gives series, [`Windows`] gives
//! past and future with missing points as a network sees them; [`Mix`] says how often each [`Family`]
//! is drawn, and how likely each [`Effect`] is.
//!
//! What is simulated, and why: exponential-smoothing states, stable ARMA, fractionally and seasonally
//! integrated walks, broken trends, saturating growth, two seasons, counts. The families were chosen so
//! that a network that saw nothing else forecasts real business, economic and technical series.

mod arma;
mod calendar;
mod effects;
mod frame;
mod mix;
mod paths;
mod random;
mod season;
mod simulator;
mod window;
mod ziggurat;

pub use mix::{Effect, Family, Mix, MixError};
pub use simulator::{SimulatedSeries, Simulator, VERSION};
pub use window::{Window, WindowLengths, Windows};

/// The example of the crate's README is compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
