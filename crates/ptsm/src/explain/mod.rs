//! What moved a forecast: stretches of the past of each channel, and covariates.
//!
//! A stretch of a channel is hidden: its points are made missing, and the forecast is made again by the whole path of
//! the data, so that scaler and model treat them as missing. The change of the forecast, with the stretch less
//! without it, is the influence of that stretch (occlusion: Zeiler, Fergus: Visualizing and understanding
//! convolutional networks, 2014, arXiv 1311.2901; here with points that the model knows how to miss, not with zeros).
//! The linear effect of a covariate is what it adds to the forecast, which is exact.
//!
//! Influences of stretches do not add up: two that say the same each seem to matter little.
//!
//! | file | holds |
//! |---|---|
//! | `hidden.rs` | series with a stretch made missing |
//! | `run.rs` | [`Forecaster::explain`] |
//! | `answer.rs` | [`Explanation`]: influences of one series |
//! | `table.rs` | influences as a table |
//!
//! [`Forecaster::explain`]: crate::Forecaster::explain

mod answer;
mod hidden;
mod run;
mod table;
#[cfg(test)]
mod tests;

pub use answer::{Explanation, Influence, Source};
pub use run::ExplainOptions;
pub use table::explanation_table;
