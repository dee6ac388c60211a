//! [`Explanation`]: influences on the forecast of one series.

use std::ops::Range;

use crate::forecast::Forecast;

/// What a forecast comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A stretch of the past of a channel.
    Past {
        /// Number of the channel among those that the model reads.
        channel: usize,
        /// Its rows, counted from the start of the series.
        rows: Range<usize>,
    },
    /// What is known of a covariate in the steps of the forecast.
    Covariate {
        /// Its number among the covariates of the series.
        number: usize,
    },
}

/// What one source adds to a forecast.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Influence {
    /// Where it comes from.
    pub source: Source,
    /// The forecast less that without the source, `[H, C']`, data units.
    pub change: Vec<f64>,
}

/// What moved the forecast of one series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The forecast.
    pub forecast: Forecast,
    /// The rows that it was made from.
    pub context: Range<usize>,
    /// Rows of a stretch; the earliest may be shorter.
    pub stretch: usize,
    /// By channel and from the earliest rows on; then the covariates. Stretches without a seen point are left out.
    pub influences: Vec<Influence>,
}

impl Influence {
    /// The mean absolute change of the `k`-th channel that is forecast, over all steps, data units.
    pub fn size(&self, k: usize, channels: usize) -> f64 {
        let steps = self.change.len() / channels;
        self.of_channel(k, channels).map(f64::abs).sum::<f64>() / steps as f64
    }

    /// The mean change of the `k`-th channel that is forecast, over all steps, data units.
    pub fn mean(&self, k: usize, channels: usize) -> f64 {
        let steps = self.change.len() / channels;
        self.of_channel(k, channels).sum::<f64>() / steps as f64
    }

    /// The change of the `k`-th of C' channels that are forecast, by step.
    pub fn of_channel(&self, k: usize, channels: usize) -> impl Iterator<Item = f64> + '_ {
        self.change.iter().skip(k).step_by(channels).copied()
    }
}
