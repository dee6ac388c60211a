//! What a scan found, counted and put together.

use std::collections::BTreeSet;

use serde::Serialize;

use super::detector::Detector;
use super::not_scored::NotScored;
use super::scan::{Detection, FlagBy, ScannedPoint};
use crate::data::SeriesSet;

/// Flagged points of a series in rows that follow one another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// Name of the series; empty for a wide table.
    pub series: String,
    /// Time of the first row, or its number.
    pub from: String,
    /// Time of the last row, or its number.
    pub to: String,
    /// Number of the first row.
    pub first_row: usize,
    /// Number of the last row.
    pub last_row: usize,
    /// Flagged points.
    pub points: usize,
    /// Channels with a flagged point, in their order.
    pub channels: Vec<String>,
    /// Channel of the point with the largest score.
    pub channel: String,
    /// Time of that point, or the number of its row.
    pub at: String,
    /// Its value.
    pub value: f64,
    /// Its forecast.
    pub expected: f64,
    /// Its score.
    pub score: f64,
    /// Its p-value.
    pub p: f64,
    /// Its adjusted p-value.
    pub q: f64,
}

/// A scan in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DetectionReport {
    /// Calibration rows in words.
    pub calibrated_on: String,
    /// Points calibrated on.
    pub calibration_points: usize,
    /// Series and channels of them that had too few of their own, and are compared with those of other series.
    pub pooled: usize,
    /// Series and channels of them with a score.
    pub compared: usize,
    /// In how many of these no point can be flagged: the smallest p-value that one can have is above the level, or
    /// the rate of false discoveries.
    pub blind: usize,
    /// Series of the data without any score: they are too short, or were not calibrated.
    pub without_score: usize,
    /// The smallest p-value that a scanned point can have.
    pub smallest_p: f64,
    /// Steps from the last row that a forecast is made from to the row that it is of.
    pub ahead: usize,
    /// Points with a score.
    pub scanned: usize,
    /// Points without one.
    pub not_scored: NotScored,
    /// By what points are flagged.
    pub flag_by: FlagBy,
    /// Flagged points.
    pub anomalies: usize,
    /// How many points are flagged falsely on average, at most: of all scanned ones, or of the flagged ones.
    pub expected_false_alarms: f64,
    /// With control of false discoveries: how many points must be as unexpected as can be before one is flagged.
    pub least_flagged: Option<usize>,
    /// Flagged points in runs, the strongest first.
    pub events: Vec<Event>,
}

impl Detection {
    /// The flagged points, in their order.
    pub fn anomalies(&self) -> impl Iterator<Item = &ScannedPoint> {
        self.points.iter().filter(|point| point.anomaly)
    }

    /// Flagged points in rows of one series that follow one another are one event; the strongest first, by p-value
    /// and score.
    pub fn events(&self, set: &SeriesSet) -> Vec<Event> {
        let mut runs: Vec<Vec<&ScannedPoint>> = Vec::new();
        for point in self.anomalies() {
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(|last| last.is_followed_by(point)) => {
                    run.push(point);
                }
                _ => runs.push(vec![point]),
            }
        }
        let mut events: Vec<Event> = runs.iter().map(|run| self.event(set, run)).collect();
        // The order of the series and rows stays where both are equal.
        events.sort_by(|a, b| a.p.total_cmp(&b.p).then(b.score.total_cmp(&a.score)));
        events
    }

    fn event(&self, set: &SeriesSet, run: &[&ScannedPoint]) -> Event {
        let (first, last) = (run[0], run[run.len() - 1]);
        let by_score = |a: &&&ScannedPoint, b: &&&ScannedPoint| {
            a.score.total_cmp(&b.score).then((b.row, b.channel).cmp(&(a.row, a.channel)))
        };
        let strongest = run.iter().max_by(by_score).copied().unwrap_or(first);
        let flagged = |&k: &usize| run.iter().any(|point| point.channel == k);
        let channels = (0..self.channels.len()).filter(flagged);
        Event {
            series: set.series[first.series].id.clone(),
            from: first.place(set),
            to: last.place(set),
            first_row: first.row,
            last_row: last.row,
            points: run.len(),
            channels: channels.map(|k| self.channels[k].clone()).collect(),
            channel: self.channels[strongest.channel].clone(),
            at: strongest.place(set),
            value: strongest.value,
            expected: strongest.expected,
            score: strongest.score,
            p: strongest.p,
            q: strongest.q,
        }
    }

    /// The scan in numbers.
    pub fn report(&self, set: &SeriesSet, detector: &Detector) -> DetectionReport {
        let scanned = self.points.len();
        let compared: BTreeSet<(usize, usize)> =
            self.points.iter().map(|point| (point.series, point.channel)).collect();
        let is_blind = |&&(series, channel): &&(usize, usize)| {
            let smallest = detector.smallest_p(&set.series[series].id, channel);
            smallest.is_some_and(|p| p > self.flag_by.limit())
        };
        let series: BTreeSet<usize> = compared.iter().map(|&(series, _)| series).collect();
        let anomalies = self.anomalies().count();
        let (expected_false_alarms, least_flagged) = match self.flag_by {
            FlagBy::Level(level) => (level * scanned as f64, None),
            FlagBy::FalseDiscoveries(rate) => {
                let least = (self.smallest_p * scanned as f64 / rate).ceil().max(1.0);
                (rate * anomalies as f64, Some(least as usize))
            }
        };
        DetectionReport {
            calibrated_on: detector.calibrated_on().to_owned(),
            calibration_points: detector.points(),
            pooled: detector.pooled(),
            compared: compared.len(),
            blind: compared.iter().filter(is_blind).count(),
            without_score: set.series.len() - series.len(),
            smallest_p: self.smallest_p,
            ahead: detector.ahead(),
            scanned,
            not_scored: self.not_scored,
            flag_by: self.flag_by,
            anomalies,
            expected_false_alarms,
            least_flagged,
            events: self.events(set),
        }
    }
}

impl ScannedPoint {
    fn is_followed_by(&self, other: &Self) -> bool {
        self.series == other.series && other.row <= self.row + 1
    }

    /// Its time, or the number of its row.
    fn place(&self, set: &SeriesSet) -> String {
        match self.time(set) {
            Some([time]) => set.time_text(&set.series[self.series], time),
            None => self.row.to_string(),
        }
    }
}
