//! One forecaster for any series, trained on windows that are simulated as they are needed.
//!
//! [`PretrainJob`] trains a model of one channel on a stated number of windows, each seen once. Window
//! `i` is a function of the seed and `i`, so a run holds no data, and one that was killed is resumed
//! with the same bits. Validation is on simulated windows whose numbers are never trained on, and on
//! real series that are named ([`RealSeries`]), of which nothing is learnt.

mod job;
mod log;
mod real;
mod samples;

pub use job::{PretrainEvent, PretrainJob, Pretrained, defaults};
pub use log::{RealScore, ValidationRow};
pub use real::RealSeries;
pub use samples::{HELD_BACK, SimulatedSamples};
