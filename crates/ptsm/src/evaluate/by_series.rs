//! Errors of each series of a long table, so that a score can be a mean over series.

use serde::{Deserialize, Serialize};

use super::units::UnitError;

/// Scores of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeriesMetrics {
    /// Name of the series.
    pub id: String,
    /// Windows scored.
    pub windows: usize,
    /// Mean squared error; `None` where no point counts.
    pub mse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Mean over channels of the mean absolute error divided by that of the seasonal naive forecast
    /// on the training rows of this series; `None` without any scale.
    pub mase: Option<f64>,
    /// Points counted.
    pub points: u64,
}

/// Means over series, in which a series with many windows counts no more than one with few.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeriesMean {
    /// Number of series with at least one counted point.
    pub series: usize,
    /// Mean over series of the mean squared error.
    pub mse: f64,
    /// Mean over series of the mean absolute error.
    pub mae: f64,
}

/// Running sums of one series.
#[derive(Debug, Clone)]
pub(super) struct SeriesSums {
    pub(super) id: String,
    pub(super) windows: usize,
    channels: Vec<ChannelSums>,
    /// 1 / MASE scale per channel; 0 where there is none.
    inverse_scale: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct ChannelSums {
    squared: f64,
    absolute: f64,
    points: u64,
}

impl SeriesSums {
    pub(super) fn new(id: &str, inverse_scale: Vec<f64>) -> Self {
        let channels = vec![ChannelSums::default(); inverse_scale.len()];
        Self { id: id.to_owned(), windows: 0, channels, inverse_scale }
    }

    #[inline(always)]
    pub(super) fn add(&mut self, channel: usize, error: f64) {
        let sums = &mut self.channels[channel];
        sums.squared += error * error;
        sums.absolute += error.abs();
        sums.points += 1;
    }

    /// The mean absolute error of a channel in units of its scale.
    pub(super) fn scaled(&self, channel: usize) -> Option<f64> {
        let ChannelSums { absolute, points, .. } = self.channels[channel];
        let inverse = self.inverse_scale[channel];
        (points > 0 && inverse > 0.0).then(|| absolute / points as f64 * inverse)
    }

    /// Its errors as a unit of a comparison.
    pub(super) fn unit(&self) -> UnitError {
        let mase = self.metrics().mase;
        UnitError {
            absolute: self.channels.iter().map(|sums| sums.absolute).sum(),
            points: self.channels.iter().map(|sums| sums.points).sum(),
            scaled: mase.unwrap_or_default(),
            scaled_points: u64::from(mase.is_some()),
            percents: [0.0; 2],
        }
    }

    pub(super) fn metrics(&self) -> SeriesMetrics {
        let points: u64 = self.channels.iter().map(|sums| sums.points).sum();
        let sum = |of: fn(&ChannelSums) -> f64| self.channels.iter().map(of).sum::<f64>();
        let mean = |sum: f64| (points > 0).then(|| sum / points as f64);
        SeriesMetrics {
            id: self.id.clone(),
            windows: self.windows,
            mse: mean(sum(|sums| sums.squared)),
            mae: mean(sum(|sums| sums.absolute)),
            mase: mean_of((0..self.channels.len()).filter_map(|channel| self.scaled(channel))),
            points,
        }
    }
}

/// Means over all series that have a point.
pub(super) fn series_mean(series: &[SeriesMetrics]) -> Option<SeriesMean> {
    Some(SeriesMean {
        series: series.iter().filter(|one| one.points > 0).count(),
        mse: mean_of(series.iter().filter_map(|one| one.mse))?,
        mae: mean_of(series.iter().filter_map(|one| one.mae))?,
    })
}

/// The mean of some numbers, summed in order; `None` without any.
pub(super) fn mean_of(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0_u64), |(sum, count), x| (sum + x, count + 1));
    (count > 0).then(|| sum / count as f64)
}
