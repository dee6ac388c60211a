//! [`Detector`]: sizes of residuals on rows that training did not see, and the p-values that they give.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::expected::{Ahead, Tell};
use super::rows::SeriesRows;
use crate::data::{SeriesSet, Transform};
use crate::forecast::{ForecastModel, Forecaster};
use crate::{Error, Result};

/// Version of the file of a detector.
pub(super) const VERSION: u32 = 1;

/// Fewer calibration points than these of a series and channel are taken together with those of the channel in all
/// series: 99 is what a p-value of 0.01 needs.
const OWN_POINTS: usize = 99;

/// How rows are forecast that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectorOptions {
    /// How many steps before a row its forecast is made: 1 = from all rows before it. At most the steps of the model.
    pub ahead: usize,
    /// Rows that a series must have before a forecast; `None` =
    /// [`ForecastModel::wanted_rows`](crate::forecast::ForecastModel::wanted_rows), as in a stream.
    pub min_rows: Option<usize>,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { ahead: 1, min_rows: None }
    }
}

/// How unexpected a point is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PValue {
    /// The absolute residual in spreads: medians of those calibrated on, of this series and channel.
    pub score: f64,
    /// The share of points as unexpected or more, among those calibrated on and the point itself.
    pub p: f64,
}

/// Residuals of a model on calibration rows, and the p-values that they give others.
///
/// The residual of a point is its value less its forecast, both after the transform of the model (that of most is
/// none). Its score is the absolute residual divided by the spread of its series and channel: the median absolute
/// residual on the calibration rows. With n calibration scores of the series and channel, its p-value is
/// `(1 + number of them at least as large) / (n + 1)`, so never below `1 / (n + 1)`. A series with fewer than 99 is
/// held against the scores of its channel in all series. Where calibration points and a new one are exchangeable, the
/// p-value is at most u with probability at most u, for every u.
#[derive(Debug, Clone, PartialEq)]
pub struct Detector {
    pub(super) kept: Kept,
    /// Of each channel, the scores of all series, rising.
    pooled: Vec<Vec<f64>>,
}

/// What is written to a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) version: u32,
    /// SHA-256 over the model's weights.
    pub(super) model: String,
    /// Names of the channels that are forecast.
    pub(super) channels: Vec<String>,
    pub(super) ahead: usize,
    pub(super) min_rows: usize,
    pub(super) transform: Transform,
    /// The calibration rows in words.
    pub(super) calibrated_on: String,
    /// By the id of a series, for each channel; `None` without a calibration point.
    pub(super) series: BTreeMap<String, Vec<Option<Scores>>>,
}

/// The calibration points of a series and channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Scores {
    /// What residuals are divided by, above 0.
    pub(super) spread: f64,
    /// Scores, rising.
    pub(super) scores: Vec<f64>,
}

impl Forecaster {
    /// Takes the residuals of rows that training did not see; `calibrated_on` names these rows.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for 0 steps ahead, or more than the model has; `InvalidInput` if no point has both a value and a
    /// forecast, or a forecast is not finite; what `tell` returns, which hears how many windows of all are done.
    pub fn detector(
        &mut self,
        set: &SeriesSet,
        rows: &SeriesRows,
        options: &DetectorOptions,
        calibrated_on: &str,
        tell: Tell<'_>,
    ) -> Result<Detector> {
        let ahead = ahead_of(self.model(), options)?;
        let expected = self.expected(set, rows, ahead, tell)?;
        let channels = self.config().prediction_channels();
        let transform = self.preprocessor().standardiser.transform;
        let of_series = |number: usize| {
            let (series, rows) = (&set.series[number], rows[number].clone());
            let of_channel = |(k, &channel): (usize, &usize)| {
                let pair = |(i, row): (usize, usize)| {
                    let forecast = expected[number][i * channels.len() + k];
                    let value = series.get(row, channel)?;
                    (!forecast.is_nan()).then(|| Pair {
                        residual: residual(transform, value, forecast),
                        size: transform.apply(value).abs(),
                    })
                };
                Scores::of(rows.clone().enumerate().filter_map(pair).collect())
            };
            let found = channels.iter().enumerate().map(of_channel).collect();
            (series.id.clone(), found)
        };
        let kept = Kept {
            version: VERSION,
            model: self.model().fingerprint().to_owned(),
            channels: channel_names(self.model()),
            ahead: ahead.steps,
            min_rows: ahead.min_rows,
            transform,
            calibrated_on: calibrated_on.to_owned(),
            series: (0..set.series.len()).into_par_iter().map(of_series).collect(),
        };
        let detector = Detector::from_kept(kept);
        if detector.points() == 0 {
            let text = format!(
                "{calibrated_on}: no point has a value and a forecast, which needs {} rows before it (calibrate on \
                 more rows)",
                ahead.min_rows.max(1) + ahead.steps - 1
            );
            return Err(Error::input(text));
        }
        Ok(detector)
    }
}

/// A residual, and the size of the value, after the transform.
struct Pair {
    residual: f64,
    size: f64,
}

/// The difference of a value and its forecast, after the transform.
pub(super) fn residual(transform: Transform, value: f64, forecast: f64) -> f64 {
    transform.apply(value) - transform.apply(forecast)
}

fn ahead_of(model: &ForecastModel, options: &DetectorOptions) -> Result<Ahead> {
    let (steps, own) = (options.ahead, model.config().prediction_length);
    if !(1..=own).contains(&steps) {
        let text = format!("{steps} must be from 1 to {own}, the steps of the model");
        return Err(Error::config("ahead", text));
    }
    Ok(Ahead { steps, min_rows: options.min_rows.unwrap_or_else(|| model.wanted_rows()) })
}

/// Names of the channels that a model forecasts.
pub(super) fn channel_names(model: &ForecastModel) -> Vec<String> {
    let names = &model.preprocessor().channels;
    model.output_spec().channels().iter().map(|&channel| names[channel].clone()).collect()
}

impl Scores {
    fn of(pairs: Vec<Pair>) -> Option<Self> {
        let mut sizes: Vec<f64> = pairs.iter().map(|pair| pair.residual.abs()).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let median = *sizes.get(sizes.len() / 2)?;
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        // Of a constant, what single precision may be off by.
        let largest = pairs.iter().map(|pair| pair.size).fold(0.0, f64::max);
        let rounding = f64::from(f32::EPSILON) * largest;
        let spread = [median, mean].into_iter().find(|&x| x > rounding).unwrap_or(rounding);
        let spread = if spread > 0.0 { spread } else { 1.0 };
        let scores = sizes.into_iter().map(|size| size / spread).collect();
        Some(Self { spread, scores })
    }
}

impl Detector {
    pub(super) fn from_kept(kept: Kept) -> Self {
        let of_channel = |channel: usize| {
            let all = kept.series.values().filter_map(|channels| channels[channel].as_ref());
            let mut all: Vec<f64> = all.flat_map(|one| one.scores.iter().copied()).collect();
            all.sort_unstable_by(f64::total_cmp);
            all
        };
        let pooled = (0..kept.channels.len()).into_par_iter().map(of_channel).collect();
        Self { kept, pooled }
    }

    /// The p-value of a value of series `id` and of a channel (by its number among those that are forecast), beside
    /// its forecast; `None` if the series had no calibration point of this channel.
    pub fn p_value(&self, id: &str, channel: usize, pair: ValueAndForecast) -> Option<PValue> {
        let own = self.own(id, channel)?;
        let residual = residual(self.kept.transform, pair.value, pair.forecast);
        let score = residual.abs() / own.spread;
        let scores = self.compared(own, channel);
        let below = scores.partition_point(|&x| x < score);
        let p = (1 + scores.len() - below) as f64 / (scores.len() + 1) as f64;
        Some(PValue { score, p })
    }

    fn own(&self, id: &str, channel: usize) -> Option<&Scores> {
        self.kept.series.get(id)?[channel].as_ref()
    }

    /// The scores that a point of a series is held against.
    fn compared<'a>(&'a self, own: &'a Scores, channel: usize) -> &'a [f64] {
        match own.scores.len() < OWN_POINTS {
            true => &self.pooled[channel],
            false => &own.scores,
        }
    }

    /// The smallest p-value that a point of this series and channel can have; `None` as for
    /// [`Detector::p_value`].
    pub fn smallest_p(&self, id: &str, channel: usize) -> Option<f64> {
        let scores = self.compared(self.own(id, channel)?, channel);
        Some(1.0 / (scores.len() + 1) as f64)
    }

    /// Points calibrated on.
    pub fn points(&self) -> usize {
        self.pooled.iter().map(Vec::len).sum()
    }

    /// Series and channels of them with calibration points too few for their own p-values, which are held against
    /// those of other series, too.
    pub fn pooled(&self) -> usize {
        let few = |(own, pooled): (&Option<Scores>, &Vec<f64>)| {
            let count = own.as_ref().map_or(0, |own| own.scores.len());
            (1..OWN_POINTS).contains(&count) && count < pooled.len()
        };
        let of_series = |channels: &Vec<Option<Scores>>| {
            channels.iter().zip(&self.pooled).filter(|pair| few(*pair)).count()
        };
        self.kept.series.values().map(of_series).sum()
    }

    /// The calibration rows in words.
    pub fn calibrated_on(&self) -> &str {
        &self.kept.calibrated_on
    }

    /// Steps from the last row that a forecast is made from to the row that it is of.
    pub fn ahead(&self) -> usize {
        self.kept.ahead
    }

    /// Rows that a series must have before a forecast.
    pub fn min_rows(&self) -> usize {
        self.kept.min_rows
    }

    /// Names of the channels that are looked at.
    pub fn channels(&self) -> &[String] {
        &self.kept.channels
    }

    pub(super) fn reach(&self) -> Ahead {
        Ahead { steps: self.kept.ahead, min_rows: self.kept.min_rows }
    }
}

/// A point and its forecast, data units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValueAndForecast {
    /// What came.
    pub value: f64,
    /// What was expected.
    pub forecast: f64,
}
