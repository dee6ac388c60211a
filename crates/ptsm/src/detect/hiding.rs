//! Unexpected points that later forecasts are made without.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::detector::{Detector, ValueAndForecast};
use super::expected::{Place, Tell};
use super::rows::SeriesRows;
use crate::Result;
use crate::data::{Series, SeriesSet};
use crate::forecast::{Forecaster, windows_at_once};
use ptsm_core::{bytes_of, require_memory};

/// The rows in which points of a channel are hidden, rising.
///
/// A forecast that is made from an anomaly is off itself, and the rows after it seem unexpected. A model that knows how
/// to miss points forecasts better without it. But what is hidden for good is never learnt: at most half of the rows
/// that a forecast is made from are hidden, so that a lasting change becomes the expected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct HiddenRows {
    rows: VecDeque<u64>,
}

impl HiddenRows {
    /// Whether the point of `row` is hidden.
    pub(crate) fn contains(&self, row: u64) -> bool {
        self.rows.binary_search(&row).is_ok()
    }

    /// Whether these are rows of a series of at most so many, rising.
    pub(crate) fn are_possible(&self, most: u64) -> bool {
        let pairs = self.rows.iter().zip(self.rows.iter().skip(1));
        pairs.into_iter().all(|(a, b)| a < b) && self.rows.back().is_none_or(|&last| last <= most)
    }

    /// Hides the point of `row`, the newest one; says whether there was room among the last `window` rows. Points of the
    /// last `kept` rows are remembered: as many as may be written once more.
    pub(crate) fn hide(&mut self, row: u64, window: u64, kept: u64) -> bool {
        let within = |first: &u64, rows: u64| first.saturating_add(rows) > row;
        while self.rows.front().is_some_and(|first| !within(first, kept.max(window))) {
            self.rows.pop_front();
        }
        let recent = self.rows.iter().rev().take_while(|first| within(first, window)).count();
        let room = 2 * (recent as u64 + 1) <= window;
        if room {
            self.rows.push_back(row);
        }
        room
    }
}

/// Which points are hidden from later forecasts.
#[derive(Clone, Copy)]
pub(super) struct Hiding<'a> {
    pub(super) detector: &'a Detector,
    /// Those with a p-value of at most this.
    pub(super) level: f64,
}

impl Forecaster {
    /// As [`Forecaster::expected`], where points with a p-value of at most `hide` are missing for later rows.
    pub(super) fn expected_hiding(
        &mut self,
        set: &SeriesSet,
        rows: &SeriesRows,
        by: Hiding<'_>,
        tell: Tell<'_>,
    ) -> Result<Vec<Vec<f64>>> {
        let channels = self.config().prediction_channels();
        let (width, ahead) = (channels.len(), by.detector.reach());
        let points: usize = set.series.iter().map(|series| series.values.len()).sum();
        let count: usize = rows.iter().map(ExactSizeIterator::len).sum();
        let bytes = bytes_of(&[2 * points + count * width, 9]);
        require_memory("the series and the expected values of all points", bytes, "fewer rows")?;
        let mut found: Vec<Vec<f64>> =
            rows.iter().map(|rows| vec![f64::NAN; rows.len() * width]).collect();
        let mut known = Known {
            series: set.series.clone(),
            hidden: vec![vec![HiddenRows::default(); width]; set.series.len()],
            window: self.model().recent_rows() as u64,
        };
        let at_once = windows_at_once(self.config().num_input_channels);
        let mut done = 0;
        for i in 0..rows.iter().map(ExactSizeIterator::len).max().unwrap_or_default() {
            tell(done, count)?;
            let of = |(number, rows): (usize, &Range<usize>)| {
                let row = Some(rows.start + i).filter(|row| rows.contains(row))?;
                ahead.place(set, number, row, &channels)
            };
            let places: Vec<Place> = rows.iter().enumerate().filter_map(of).collect();
            done += rows.iter().filter(|rows| rows.len() > i).count();
            for part in places.chunks(at_once) {
                self.expect(&known.series, part, ahead, |place, k, x| {
                    found[place.series][i * width + k] = x;
                })?;
            }
            for place in &places {
                let forecasts = &found[place.series][i * width..(i + 1) * width];
                for (number, (&channel, &forecast)) in channels.iter().zip(forecasts).enumerate() {
                    known.look(by, place, Channel { channel, number, forecast });
                }
            }
        }
        tell(count, count)?;
        Ok(found)
    }
}

/// The series without the points that were hidden so far.
struct Known {
    series: Vec<Series>,
    /// By series and channel that is forecast.
    hidden: Vec<Vec<HiddenRows>>,
    /// Rows that a forecast is made from.
    window: u64,
}

/// A channel of a row.
struct Channel {
    channel: usize,
    /// Its number among those that are forecast.
    number: usize,
    forecast: f64,
}

impl Known {
    /// Hides a point from now on if it is unexpected.
    fn look(&mut self, by: Hiding<'_>, place: &Place, of: Channel) {
        let series = &mut self.series[place.series];
        let Some(value) = series.get(place.row, of.channel) else { return };
        let pair = ValueAndForecast { value, forecast: of.forecast };
        let p_value = by.detector.p_value(&series.id, of.number, pair);
        if p_value.is_some_and(|found| found.p <= by.level)
            && self.hidden[place.series][of.number].hide(place.row as u64, self.window, self.window)
        {
            hide(series, place.row, of.channel);
        }
    }
}

/// Makes a point missing.
fn hide(series: &mut Series, row: usize, channel: usize) {
    let count = series.values.len();
    let place = row * series.num_channels + channel;
    series.observed.get_or_insert_with(|| vec![true; count])[place] = false;
    series.values[place] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_half_of_the_last_rows_are_hidden() {
        let mut hidden = HiddenRows::default();
        let found: Vec<u64> = (10..30).filter(|&row| hidden.hide(row, 8, 8)).collect();
        assert_eq!(found, [10, 11, 12, 13, 18, 19, 20, 21, 26, 27, 28, 29]);
        for end in 18..=30 {
            let last = found.iter().filter(|row| (end - 8..end).contains(*row)).count();
            assert!(last <= 4, "{end}: {last}");
        }
        assert!(!HiddenRows::default().hide(5, 1, 1));
        // Of more rows than are forecast from, the same are hidden, and remembered for longer.
        let mut longer = HiddenRows::default();
        let same: Vec<u64> = (10..30).filter(|&row| longer.hide(row, 8, 16)).collect();
        assert_eq!(same, found);
        assert!(longer.contains(18) && !longer.contains(13));
        assert!(hidden.contains(26) && !hidden.contains(18));
    }
}
