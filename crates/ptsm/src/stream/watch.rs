//! Rows of a stream compared with their forecasts, as they come.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::detect::{AdaptiveLevel, Detector, HiddenRows, ValueAndForecast, check_hide};
use crate::{Error, Result};

/// By what the rows of a stream are compared with their forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamDetection {
    /// The calibration.
    pub detector: Arc<Detector>,
    /// The share of points that is flagged while there are no anomalies, in (0, 1): a point with a p-value of at most
    /// this is.
    pub alpha: f64,
    /// Steps by which the level follows the share of flagged points, see [`AdaptiveLevel`]; 0 = it stays at `alpha`.
    pub adapt: f64,
    /// As [`ScanOptions::hide`](crate::detect::ScanOptions::hide): points with a p-value of at most this are missing in
    /// later forecasts.
    pub hide: Option<f64>,
}

/// A point of the newest row.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct WatchedPoint {
    /// Number of its channel among those that are forecast.
    pub channel: usize,
    /// Its value, data units.
    pub value: f64,
    /// Its forecast, data units.
    pub expected: f64,
    /// As [`PValue::score`](crate::detect::PValue::score).
    pub score: f64,
    /// As [`PValue::p`](crate::detect::PValue::p).
    pub p: f64,
    /// The largest p-value at which it would be flagged: the level of its channel before this point.
    pub level: f64,
    /// Whether its p-value is at most that.
    pub anomaly: bool,
    /// Whether it is missing in later forecasts.
    pub hidden: bool,
}

/// Points of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchCounts {
    /// Those with a p-value.
    pub scored: u64,
    /// Those that were flagged.
    pub flagged: u64,
    /// Those that came without one: no forecast of their row was made (too few rows before it, or a gap), or the
    /// calibration does not know their series.
    pub not_scored: u64,
}

impl WatchCounts {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            scored: self.scored.saturating_add(other.scored),
            flagged: self.flagged.saturating_add(other.flagged),
            not_scored: self.not_scored.saturating_add(other.not_scored),
        }
    }
}

/// What is kept between two rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Watched {
    /// Which detector it is of.
    detector: String,
    /// Of each channel.
    levels: Vec<AdaptiveLevel>,
    /// Points with a p-value of at most this are hidden.
    hide: Option<f64>,
    /// Of each channel.
    hidden: Vec<HiddenRows>,
    /// Rows that forecasts wait for, each in the place of its number modulo the steps ahead.
    rows: Vec<Option<u64>>,
    /// Their forecasts, `[ahead, C']`; bits of f64, those of NaN where nothing is expected.
    expected: Vec<u64>,
    counts: WatchCounts,
}

impl Watched {
    pub(super) fn new(detection: &StreamDetection) -> Result<Self> {
        let (ahead, width) = (detection.detector.ahead(), detection.detector.channels().len());
        check_hide(detection.hide)?;
        Ok(Self {
            hide: detection.hide,
            hidden: vec![HiddenRows::default(); width],
            detector: detection.detector.fingerprint().to_owned(),
            levels: vec![AdaptiveLevel::new(detection.alpha, detection.adapt)?; width],
            rows: vec![None; ahead],
            expected: vec![f64::NAN.to_bits(); ahead * width],
            counts: WatchCounts::default(),
        })
    }

    /// Refuses a state of another detector, or of other levels.
    pub(super) fn check(&self, detection: &StreamDetection) -> Result<()> {
        let new = Self::new(detection)?;
        let same = |(own, new): (&AdaptiveLevel, &AdaptiveLevel)| {
            (own.wanted, own.rate) == (new.wanted, new.rate) && own.now.is_finite()
        };
        let fits = self.detector == new.detector
            && self.hide == new.hide
            && self.hidden.len() == new.hidden.len()
            && self.levels.len() == new.levels.len()
            && self.rows.len() == new.rows.len()
            && self.expected.len() == new.expected.len()
            && self.levels.iter().zip(&new.levels).all(same);
        match fits {
            true => Ok(()),
            false => Err(Error::input(
                "was written with another detector, alpha, adapt or hide (give the same, or start without a state)",
            )),
        }
    }

    pub(super) fn counts(&self) -> WatchCounts {
        self.counts
    }

    /// Whether no count or number of a row is beyond `most`, and hidden rows are in their order.
    pub(super) fn is_possible(&self, most: u64) -> bool {
        let WatchCounts { scored, flagged, not_scored } = self.counts;
        let rows = self.rows.iter().flatten().copied();
        rows.chain([scored, flagged, not_scored]).all(|count| count <= most)
            && self.hidden.iter().all(|hidden| hidden.are_possible(most))
    }

    /// Whether the point of a channel (by its number among those that are forecast) in `row` is hidden.
    pub(super) fn hides(&self, row: u64, channel: usize) -> bool {
        self.hidden.get(channel).is_some_and(|hidden| hidden.contains(row))
    }

    /// Keeps what is expected of `row`.
    pub(super) fn expect(&mut self, row: u64, forecasts: impl Iterator<Item = f64>) {
        let place = (row % self.rows.len() as u64) as usize;
        self.rows[place] = Some(row);
        let width = self.levels.len();
        let slots = self.expected[place * width..][..width].iter_mut();
        slots.zip(forecasts).for_each(|(slot, x)| *slot = x.to_bits());
    }

    /// Compares a row with its forecast; `values` are those of the channels that are forecast, NaN = missing.
    pub(super) fn look(
        &mut self,
        row: RowOf<'_>,
        values: impl Iterator<Item = f64>,
        found: &mut Vec<WatchedPoint>,
    ) {
        let place = (row.number % self.rows.len() as u64) as usize;
        let waited = self.rows[place] == Some(row.number);
        let width = self.levels.len();
        for (channel, value) in values.enumerate().filter(|(_, value)| !value.is_nan()) {
            let forecast = f64::from_bits(self.expected[place * width + channel]);
            let pair = ValueAndForecast { value, forecast };
            let known = waited && !forecast.is_nan();
            let p_value = || row.detector.p_value(row.id, channel, pair);
            let Some(p_value) = known.then(p_value).flatten() else {
                self.counts.not_scored += 1;
                continue;
            };
            let unexpected = self.hide.is_some_and(|level| p_value.p <= level);
            let hidden = unexpected && self.hidden[channel].hide(row.number, row.window, row.kept);
            let level = self.levels[channel].now;
            let anomaly = self.levels[channel].flag(p_value.p);
            self.counts.scored += 1;
            self.counts.flagged += u64::from(anomaly);
            let (score, p) = (p_value.score, p_value.p);
            found.push(WatchedPoint {
                channel,
                value,
                expected: forecast,
                score,
                p,
                level,
                anomaly,
                hidden,
            });
        }
    }
}

/// A row of a series, and what its points are compared with.
#[derive(Clone, Copy)]
pub(super) struct RowOf<'a> {
    pub(super) number: u64,
    pub(super) id: &'a str,
    pub(super) detector: &'a Detector,
    /// Rows that a forecast is made from.
    pub(super) window: u64,
    /// Rows that a late row may still fill in.
    pub(super) kept: u64,
}
