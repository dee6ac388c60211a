//! The scores of a group of points, in the units of the data; `docs/metrics.md` has each formula.

use serde::{Deserialize, Serialize};

/// Scores over some points of a backtest: all of them, or those of a series, a step or a cutoff. `None` is
/// a score that is not defined there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BacktestMetrics {
    /// Windows with a point: one for each series and cutoff.
    pub windows: u64,
    /// Points counted: windows x steps x channels without the missing ones.
    pub points: u64,
    /// Points that do not count, because the truth is missing.
    pub missing: u64,
    /// Mean absolute error, in the units of the data.
    pub mae: Option<f64>,
    /// Mean squared error.
    pub mse: Option<f64>,
    /// Square root of `mse`.
    pub rmse: Option<f64>,
    /// Symmetric mean absolute percentage error, 0 to 200; `None` where a truth is negative.
    pub smape: Option<f64>,
    /// Mean absolute percentage error; `None` where a truth is not above 0.
    pub mape: Option<f64>,
    /// Summed absolute errors in percent of the summed sizes of the truth; `None` where all are 0.
    pub wape: Option<f64>,
    /// Mean over windows and channels of the mean absolute error over that of the seasonal naive forecast
    /// on the rows of the series before the cutoff; those where that makes no error are left out.
    pub mase: Option<f64>,
    /// The same of root mean squared errors.
    pub rmsse: Option<f64>,
    /// Mean pinball loss over the scored levels, in the units of the data.
    pub pinball: Option<f64>,
    /// Weighted quantile loss: twice the summed pinball loss over the summed sizes of the truth, the mean
    /// over the scored levels; `None` where all truths are 0.
    pub wql: Option<f64>,
    /// Continuous ranked probability score, as twice `pinball`; only of the levels 0.1, 0.2, ..., 0.9.
    pub crps: Option<f64>,
    /// Every scored level; empty where the forecasts have neither quantiles nor intervals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<QuantileLoss>,
    /// Every interval; empty where the forecasts have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<IntervalMetrics>,
}

/// The loss of one quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantileLoss {
    /// Level, in (0, 1).
    pub level: f64,
    /// Mean pinball loss, in the units of the data.
    pub pinball: f64,
}

/// Scores of one central interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IntervalMetrics {
    /// Nominal probability.
    pub level: f64,
    /// Share of the points inside, ends included.
    pub coverage: f64,
    /// Mean width, in the units of the data.
    pub width: f64,
    /// Mean interval score, in the units of the data.
    pub score: f64,
    /// Mean scaled interval score: that of each window and channel over the seasonal naive error, as in
    /// `mase`.
    pub msis: Option<f64>,
}

impl BacktestMetrics {
    /// Names and values of the scores of point forecasts, as tables show them.
    #[must_use]
    pub fn points_table(&self) -> [(&'static str, Option<f64>); 7] {
        [
            ("MAE", self.mae),
            ("RMSE", self.rmse),
            ("MASE", self.mase),
            ("RMSSE", self.rmsse),
            ("sMAPE %", self.smape),
            ("MAPE %", self.mape),
            ("WAPE %", self.wape),
        ]
    }
}
