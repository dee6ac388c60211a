//! [`ForecastJson`]: a forecast as `ptsm predict --json` and the server write it.

use serde::{Deserialize, Serialize};

use super::answer::Forecast;
use crate::data::{Series, SeriesSet};

/// A forecast with one row for each step, `[H][C']`, and times as the data write them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForecastJson {
    /// Central intervals, narrow ones first.
    pub intervals: Vec<IntervalJson>,
    /// Quantiles that are neither the median nor the end of an interval.
    pub quantiles: Vec<QuantileJson>,
    /// Name of the series in a long table; empty for a wide table.
    pub id: String,
    /// Names of the channels that are forecast, C'.
    pub channels: Vec<String>,
    /// Time of each step; `null` without times.
    pub timestamps: Option<Vec<String>>,
    /// Number of the first step's row, counted from the start of the series.
    pub first_row: usize,
    /// `[H][C']`, data units.
    pub values: Vec<Vec<f64>>,
}

/// As [`ForecastInterval`](super::ForecastInterval), a row for each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntervalJson {
    /// Probability, in (0, 1).
    pub level: f64,
    /// `[H][C']`, data units.
    pub lower: Vec<Vec<f64>>,
    /// `[H][C']`, data units.
    pub upper: Vec<Vec<f64>>,
}

/// As [`ForecastQuantile`](super::ForecastQuantile), a row for each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantileJson {
    /// Probability, in (0, 1).
    pub level: f64,
    /// `[H][C']`, data units.
    pub values: Vec<Vec<f64>>,
}

impl ForecastJson {
    /// The forecast of a series of `set`.
    pub fn new(set: &SeriesSet, forecast: &Forecast) -> Self {
        let series = set.series.iter().find(|series| series.id == forecast.id);
        Self::of(set, series, forecast)
    }

    /// Forecasts of series of `set`, in their order.
    pub fn all<'a>(
        set: &SeriesSet,
        forecasts: impl IntoIterator<Item = &'a Forecast>,
    ) -> Vec<Self> {
        let series = set.by_id();
        let of = |forecast: &Forecast| {
            Self::of(set, series.get(forecast.id.as_str()).copied(), forecast)
        };
        forecasts.into_iter().map(of).collect()
    }

    fn of(set: &SeriesSet, series: Option<&Series>, forecast: &Forecast) -> Self {
        let times =
            forecast.timestamps.as_ref().zip(series).map(|(times, series)| {
                times.iter().map(|&time| set.time_text(series, time)).collect()
            });
        let by_step = |values: &[f64]| -> Vec<Vec<f64>> {
            values.chunks_exact(forecast.channels.len()).map(<[f64]>::to_vec).collect()
        };
        let interval = |interval: &super::ForecastInterval| IntervalJson {
            level: interval.level,
            lower: by_step(&interval.lower),
            upper: by_step(&interval.upper),
        };
        let quantile = |quantile: &super::ForecastQuantile| QuantileJson {
            level: quantile.level,
            values: by_step(&quantile.values),
        };
        Self {
            intervals: forecast.intervals.iter().map(interval).collect(),
            quantiles: forecast.quantiles.iter().map(quantile).collect(),
            id: forecast.id.clone(),
            channels: forecast.channels.clone(),
            timestamps: times,
            first_row: forecast.first_row,
            values: by_step(&forecast.values),
        }
    }
}
