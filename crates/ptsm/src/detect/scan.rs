//! [`Forecaster::detect`]: every point of some rows compared with its forecast.

use serde::Serialize;

use super::detector::{Detector, PValue, ValueAndForecast};
use super::discoveries::adjusted;
use super::expected::Tell;
use super::hiding::Hiding;
use super::not_scored::NotScored;
use super::rows::SeriesRows;
use crate::data::SeriesSet;
use crate::forecast::Forecaster;
use crate::{Error, Result};
use ptsm_core::{bytes_of, require_memory};

/// By what points are flagged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagBy {
    /// Those whose adjusted p-value is at most this rate: of the flagged points, at most this share is false on
    /// average.
    FalseDiscoveries(f64),
    /// Those whose p-value is at most this level: of the points without an anomaly, at most this share is flagged
    /// on average.
    Level(f64),
}

impl FlagBy {
    /// Refuses what is no rate or level.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the option.
    pub fn check(self) -> Result<()> {
        let (option, number) = match self {
            Self::FalseDiscoveries(rate) => ("fdr", rate),
            Self::Level(level) => ("alpha", level),
        };
        match number > 0.0 && number < 1.0 {
            true => Ok(()),
            false => Err(Error::config(option, format!("{number} must be above 0 and below 1"))),
        }
    }

    /// The rate or level: a point with a larger p-value is not flagged.
    pub(super) fn limit(self) -> f64 {
        let (Self::FalseDiscoveries(limit) | Self::Level(limit)) = self;
        limit
    }

    fn flags(self, point: &ScannedPoint) -> bool {
        match self {
            Self::FalseDiscoveries(rate) => point.q <= rate,
            Self::Level(level) => point.p <= level,
        }
    }
}

/// How rows are scanned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanOptions {
    /// By what points are flagged.
    pub flag_by: FlagBy,
    /// Points with a p-value of at most this are missing in the forecasts of later rows, so that an anomaly does not
    /// make what follows it unexpected; at most half of the rows that a forecast is made from. `None` = no point is.
    pub hide: Option<f64>,
}

impl From<FlagBy> for ScanOptions {
    fn from(flag_by: FlagBy) -> Self {
        Self { flag_by, hide: None }
    }
}

impl ScanOptions {
    /// Refuses what is no rate or level.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the option.
    pub fn check(self) -> Result<()> {
        self.flag_by.check()?;
        check_hide(self.hide)
    }
}

/// Refuses what is no level.
pub(crate) fn check_hide(hide: Option<f64>) -> Result<()> {
    match hide.filter(|level| !(*level > 0.0 && *level < 1.0)) {
        None => Ok(()),
        Some(level) => Err(Error::config("hide", format!("{level} must be above 0 and below 1"))),
    }
}

/// A point that was compared with its forecast.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScannedPoint {
    /// Number of its series in the set.
    pub series: usize,
    /// Number of its row.
    pub row: usize,
    /// Number of its channel among those that are forecast.
    pub channel: usize,
    /// Its value, data units.
    pub value: f64,
    /// Its forecast, data units.
    pub expected: f64,
    /// As [`PValue::score`](super::PValue::score).
    pub score: f64,
    /// As [`PValue::p`](super::PValue::p).
    pub p: f64,
    /// Adjusted for the number of all points, see [`adjusted`].
    pub q: f64,
    /// Whether it is flagged.
    pub anomaly: bool,
}

/// The points that were scanned.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Detection {
    /// Names of the channels that are forecast.
    pub channels: Vec<String>,
    /// By series, row and channel.
    pub points: Vec<ScannedPoint>,
    /// Points of the rows without a score.
    pub not_scored: NotScored,
    /// By what points are flagged.
    pub flag_by: FlagBy,
    /// The smallest p-value that one of the points could have had.
    pub smallest_p: f64,
}

impl Forecaster {
    /// Compares every point of these rows with its forecast, and flags what is unexpected. The result has the same
    /// bits for any number of threads, and a point the same p-value whatever else is scanned (the adjusted one
    /// depends on all points, and with [`ScanOptions::hide`] the rows scanned before it matter).
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for an impossible rate or level; `InvalidInput` if no point can be scored, or a forecast is
    /// not finite; what `tell` returns, which hears how many windows of all are done.
    pub fn detect(
        &mut self,
        set: &SeriesSet,
        rows: &SeriesRows,
        detector: &Detector,
        options: impl Into<ScanOptions>,
        tell: Tell<'_>,
    ) -> Result<Detection> {
        let options: ScanOptions = options.into();
        options.check()?;
        let flag_by = options.flag_by;
        let expected = match options.hide {
            None => self.expected(set, rows, detector.reach(), tell)?,
            Some(level) => self.expected_hiding(set, rows, Hiding { detector, level }, tell)?,
        };
        let rows = Rows { set, rows, expected: &expected };
        let Found { mut points, not_scored, smallest_p } =
            rows.scored(&self.config().prediction_channels(), detector)?;
        if points.is_empty() {
            return Err(Error::input(not_scored.none_scored(detector)));
        }
        let p_values: Vec<f64> = points.iter().map(|point| point.p).collect();
        for (point, q) in points.iter_mut().zip(adjusted(&p_values)) {
            point.q = q;
            point.anomaly = flag_by.flags(point);
        }
        Ok(Detection {
            channels: detector.channels().to_vec(),
            points,
            not_scored,
            flag_by,
            smallest_p,
        })
    }
}

/// Rows and their forecasts.
struct Rows<'a> {
    set: &'a SeriesSet,
    rows: &'a SeriesRows,
    /// `[rows, C']` of each series.
    expected: &'a [Vec<f64>],
}

/// Scores of points, not yet adjusted.
#[derive(Default)]
struct Found {
    points: Vec<ScannedPoint>,
    not_scored: NotScored,
    smallest_p: f64,
}

impl Rows<'_> {
    fn scored(&self, channels: &[usize], detector: &Detector) -> Result<Found> {
        let count: usize = self.rows.iter().map(ExactSizeIterator::len).sum();
        let bytes = bytes_of(&[count, channels.len(), size_of::<ScannedPoint>() + 24]);
        require_memory("the scanned points", bytes, "fewer rows")?;
        let mut found = Found { smallest_p: 1.0, ..Found::default() };
        for number in 0..self.set.series.len() {
            self.score_series(number, channels, detector, &mut found);
        }
        Ok(found)
    }

    fn score_series(
        &self,
        series: usize,
        channels: &[usize],
        detector: &Detector,
        found: &mut Found,
    ) {
        let own = &self.set.series[series];
        let mut scored = vec![false; channels.len()];
        for (i, row) in self.rows[series].clone().enumerate() {
            for (k, &channel) in channels.iter().enumerate() {
                let expected = self.expected[series][i * channels.len() + k];
                let Some(value) = own.get(row, channel) else {
                    found.not_scored.missing += 1;
                    continue;
                };
                if expected.is_nan() {
                    found.not_scored.without_context += 1;
                    continue;
                }
                let pair = ValueAndForecast { value, forecast: expected };
                let Some(PValue { score, p }) = detector.p_value(&own.id, k, pair) else {
                    found.not_scored.not_calibrated += 1;
                    continue;
                };
                scored[k] = true;
                let (q, anomaly) = (1.0, false);
                let point =
                    ScannedPoint { series, row, channel: k, value, expected, score, p, q, anomaly };
                found.points.push(point);
            }
        }
        let scored = scored.iter().enumerate().filter(|(_, scored)| **scored);
        let least = scored.filter_map(|(k, _)| detector.smallest_p(&own.id, k));
        found.smallest_p = least.fold(found.smallest_p, f64::min);
    }
}
