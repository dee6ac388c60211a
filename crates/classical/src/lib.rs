//! Classical forecasts of one time series: naive methods, the Theta method and exponential smoothing.
//!
//! Each [`Method`] looks at the [`History`] of one series and nothing else, needs no training, and
//! gives the same numbers on every run. Scaling or shifting the history, and its zero with it,
//! scales and shifts the forecast, to rounding.

mod ets;
mod history;
mod naive;
mod nelder_mead;
mod scaled;
mod seasonal;
mod theta;

pub use history::History;
use scaled::Scaled;
pub use scaled::fill;
pub use seasonal::{Kind as SeasonalKind, Seasonal, is_seasonal, seasonal_f_statistic};
use serde::{Deserialize, Serialize};

/// A classical method of forecasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The last observed value at every step.
    RepeatLast,
    /// The value of the same step of the last season; where that is missing, of an earlier season;
    /// where none has it, or there is no season, the last observed value.
    SeasonalNaive,
    /// The line from the first to the last observed point, extended.
    Drift,
    /// The dynamic optimised Theta model (Fiorucci et al. 2016, "Models for optimising the theta
    /// method and their relationship to state space models", International Journal of
    /// Forecasting 32). A significant seasonal component is taken out before, by classical
    /// decomposition, and put back after.
    Theta,
    /// Exponential smoothing: the state space model with error, trend and seasonal component of
    /// least corrected Akaike information criterion, AICc (Hyndman et al. 2002, "A state space
    /// framework for automatic forecasting using exponential smoothing methods", International
    /// Journal of Forecasting 18). The trend is none, additive or damped; multiplicative errors
    /// and seasonal components need [`History::zero`]. A season of more than 24 steps is taken out
    /// by classical decomposition before, and put back after.
    Ets,
}

impl Method {
    /// All methods, the simplest first.
    pub const ALL: [Method; 5] =
        [Self::RepeatLast, Self::SeasonalNaive, Self::Drift, Self::Theta, Self::Ets];

    /// The name in files and messages: `"repeat_last"`, `"seasonal_naive"`, `"drift"`,
    /// `"theta"` or `"ets"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RepeatLast => "repeat_last",
            Self::SeasonalNaive => "seasonal_naive",
            Self::Drift => "drift",
            Self::Theta => "theta",
            Self::Ets => "ets",
        }
    }

    /// The `horizon` values after the history, in its units; always that many, and all finite.
    ///
    /// A history without any value gives its zero, or 0. Theta and ETS repeat the last value
    /// after fewer than seven observed points or equal ones, and all methods do so where their
    /// forecast would not be finite.
    pub fn forecast(self, history: &History<'_>, horizon: usize) -> Vec<f64> {
        let Some(last) = naive::last_value(history) else {
            let zero = history.zero.filter(|zero| zero.is_finite());
            return vec![zero.unwrap_or(0.0); horizon];
        };
        let forecast = match self {
            Self::RepeatLast => Some(vec![last; horizon]),
            Self::SeasonalNaive => Some(naive::seasonal(history, horizon)),
            Self::Drift => Some(naive::drift(history, horizon)),
            Self::Theta => modelled(history, horizon, theta::forecast),
            Self::Ets => modelled(history, horizon, ets::forecast),
        };
        let finite = |forecast: &Vec<f64>| forecast.iter().all(|value| value.is_finite());
        forecast.filter(finite).unwrap_or_else(|| vec![last; horizon])
    }
}

/// The forecast of a model of the scaled series, in the units of the history.
fn modelled(
    history: &History<'_>,
    horizon: usize,
    model: fn(&Scaled, usize) -> Vec<f64>,
) -> Option<Vec<f64>> {
    let scaled = Scaled::new(history)?;
    let forecast = model(&scaled, scaled.unseen + horizon);
    Some(forecast[scaled.unseen..].iter().map(|&value| scaled.restore(value)).collect())
}

/// The example of the crate's README is compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
