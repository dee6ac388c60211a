//! [`Forecast`]: the forecast of one series, with its intervals and quantiles.

/// The forecast of one series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Forecast {
    /// Name of the series in a long table; empty for a wide table.
    pub id: String,
    /// Names of the channels that are forecast, C'.
    pub channels: Vec<String>,
    /// Time of each step, `[H]`, as [`Series::timestamps`](crate::data::Series::timestamps) has them;
    /// `None` without times.
    pub timestamps: Option<Vec<i64>>,
    /// Number of the first step's row, counted from the start of the series.
    pub first_row: usize,
    /// `[H, C']`, row-major, data units.
    pub values: Vec<f64>,
    /// Central intervals, narrow ones first; empty if the model gives none.
    pub intervals: Vec<ForecastInterval>,
    /// Trained quantiles that are neither the median nor the end of an interval, by level.
    pub quantiles: Vec<ForecastQuantile>,
}

/// Values that the truth should stay below with a given probability.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ForecastQuantile {
    /// Probability, in (0, 1).
    pub level: f64,
    /// `[H, C']`, row-major, data units.
    pub values: Vec<f64>,
}

/// Range that should hold the truth with a given probability.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ForecastInterval {
    /// Probability, in (0, 1).
    pub level: f64,
    /// `[H, C']`, row-major, data units.
    pub lower: Vec<f64>,
    /// `[H, C']`, row-major, data units.
    pub upper: Vec<f64>,
}

impl Forecast {
    /// Steps, H.
    pub fn prediction_length(&self) -> usize {
        self.values.len() / self.channels.len()
    }
}
