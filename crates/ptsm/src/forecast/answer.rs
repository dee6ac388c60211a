//! [`Forecast`]: the forecast of one series, with its intervals and quantiles.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForecastQuantile {
    /// Probability, in (0, 1).
    pub level: f64,
    /// `[H, C']`, row-major, data units.
    pub values: Vec<f64>,
}

/// Range that should hold the truth with a given probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

    /// Refuses a forecast that is not finite.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming series, step and channel.
    pub(crate) fn check_finite(&self) -> Result<()> {
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        let intervals = &self.intervals;
        if finite(&self.values)
            && intervals.iter().all(|interval| finite(&interval.lower) && finite(&interval.upper))
            && self.quantiles.iter().all(|quantile| finite(&quantile.values))
        {
            return Ok(());
        }
        Err(self.not_finite())
    }

    /// The error of the first value that is not finite.
    fn not_finite(&self) -> Error {
        let ends = self.intervals.iter().flat_map(|interval| {
            let level = 100.0 * interval.level;
            let named = move |end| format!("the {end} end of the {level:.0} % interval");
            [(named("lower"), &interval.lower), (named("upper"), &interval.upper)]
        });
        let quantiles = self
            .quantiles
            .iter()
            .map(|quantile| (format!("the quantile {}", quantile.level), &quantile.values));
        let points = std::iter::once(("the forecast".to_owned(), &self.values));
        for (what, values) in points.chain(ends).chain(quantiles) {
            let Some(at) = values.iter().position(|value| !value.is_finite()) else { continue };
            let (step, channel) = (at / self.channels.len(), at % self.channels.len());
            let series = match self.id.as_str() {
                "" => String::new(),
                id => format!("series \"{id}\", "),
            };
            let place =
                format!("{series}step {}, channel \"{}\"", step + 1, self.channels[channel]);
            let text = format!(
                "{what} is {}, not a finite number: the model does not suit these values (was its \
                 training loss small? are they of the size of the training data?)",
                values[at]
            );
            return Error::input(text).at(place);
        }
        Error::internal("a forecast that is finite was refused")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forecast_that_is_not_finite_is_named() {
        let mut forecast = Forecast {
            id: "shop".into(),
            channels: vec!["a".into(), "b".into()],
            timestamps: None,
            first_row: 0,
            values: vec![1.0; 4],
            intervals: vec![ForecastInterval {
                level: 0.9,
                lower: vec![0.0; 4],
                upper: vec![1.0, 1.0, f64::INFINITY, 1.0],
            }],
            quantiles: Vec::new(),
        };
        let text = forecast.check_finite().unwrap_err().to_string();
        let wanted =
            "series \"shop\", step 2, channel \"a\": the upper end of the 90 % interval is inf";
        assert!(text.starts_with(wanted), "{text}");
        forecast.values[3] = f64::NAN;
        let text = forecast.check_finite().unwrap_err().to_string();
        assert!(text.contains("step 2, channel \"b\": the forecast is NaN"), "{text}");
    }
}
