//! Streams of the series of a long table: a window for each series, one worker for all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::file::{read_state, without_state};
use super::options::StreamOptions;
use super::score::{Drift, StreamScore};
use super::state::{Counters, StreamRow, StreamState, wanted_rows};
use super::watch::{StreamDetection, WatchCounts, WatchedPoint};
use super::worker::StreamWorker;
use crate::forecast::{Forecast, ForecastModel, Forecaster};
use crate::{Error, Result};
use ptsm_core::{seal, unseal, write_atomically};

/// Version of the file.
const VERSION: u32 = 2;

/// Any number of streams of one model, told apart by the id of their rows. Rows of several series may
/// come in any order; those of one series follow the rules of a [`StreamState`].
pub struct StreamPanel {
    worker: StreamWorker,
    options: StreamOptions,
    detection: Option<StreamDetection>,
    states: BTreeMap<String, StreamState>,
    /// Rows of all series that were taken in.
    rows: u64,
}

impl StreamPanel {
    /// Waits for the first row of any series; a model of one series has rows with the id "".
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible options.
    pub fn new(forecaster: Forecaster, options: StreamOptions) -> Result<Self> {
        // Says at once if the options are impossible.
        StreamState::new(forecaster.model(), options)?;
        let (model, session) = forecaster.into_parts();
        let worker = StreamWorker::with_session(model, session);
        Ok(Self { worker, options, detection: None, states: BTreeMap::new(), rows: 0 })
    }

    /// Compares every row with its forecast, see [`StreamState::with_detection`]; call it before the first row, and
    /// before a state is restored.
    ///
    /// # Errors
    ///
    /// As [`StreamState::with_detection`].
    pub fn with_detector(mut self, detection: StreamDetection) -> Result<Self> {
        // Says at once if it is impossible.
        StreamState::new(self.worker.model(), self.options)?.with_detection(detection.clone())?;
        self.detection = Some(detection);
        Ok(self)
    }

    /// By what rows are compared with their forecasts.
    pub fn detection(&self) -> Option<&StreamDetection> {
        self.detection.as_ref()
    }

    fn watching(&self, state: StreamState) -> Result<StreamState> {
        match &self.detection {
            Some(detection) => state.with_detection(detection.clone()),
            None => Ok(state),
        }
    }

    /// The points of the newest row of series `id` that were compared with their forecasts.
    pub fn watched(&self, id: &str) -> &[WatchedPoint] {
        self.states.get(id).map(StreamState::watched).unwrap_or_default()
    }

    /// Number of the newest row of series `id`, counted from its first one; `None` before that.
    pub fn newest_row(&self, id: &str) -> Option<u64> {
        self.states.get(id)?.newest_row()
    }

    /// Points of all series that were compared with their forecasts.
    pub fn watch_counts(&self) -> WatchCounts {
        let all = self.states.values().map(StreamState::watch_counts);
        all.fold(WatchCounts::default(), WatchCounts::plus)
    }

    /// The model that all streams are of.
    pub fn model(&self) -> &Arc<ForecastModel> {
        self.worker.model()
    }

    /// Takes in a row of series `id`; gives a forecast of that series if one is due.
    ///
    /// # Errors
    ///
    /// As [`StreamWorker::push`].
    pub fn push(&mut self, id: &str, row: StreamRow<'_>) -> Result<Option<&Forecast>> {
        if let Some(state) = self.states.get_mut(id) {
            return counted(&mut self.worker, state, row, &mut self.rows);
        }
        let state = StreamState::new(self.worker.model(), self.options)?.with_id(id);
        let mut state = self.watching(state)?;
        let found = counted(&mut self.worker, &mut state, row, &mut self.rows);
        // A series begins with a row that is taken in, even if its forecast is an error.
        if state.counters().rows > 0 {
            self.states.insert(id.to_owned(), state);
        }
        found
    }

    /// Rows that a series must have before its first forecast.
    pub fn wanted_rows(&self) -> u64 {
        wanted_rows(self.worker.model(), &self.options, self.detection.as_ref())
    }

    /// Rows of all series that were taken in.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of series so far.
    pub fn num_series(&self) -> usize {
        self.states.len()
    }

    /// What happened to the rows of all series.
    pub fn counters(&self) -> Counters {
        let all = self.states.values().map(StreamState::counters);
        all.fold(Counters::default(), Counters::plus)
    }

    /// Errors of all series together, in the units of each.
    pub fn score(&self) -> StreamScore {
        let all = self.states.values().map(StreamState::score);
        all.fold(StreamScore::default(), StreamScore::plus)
    }

    /// The drift alarm of series `id`.
    pub fn drift(&self, id: &str) -> Drift {
        self.states.get(id).map(StreamState::drift).unwrap_or_default()
    }

    /// Drift alarms of all series.
    pub fn alarms(&self) -> u64 {
        self.states.values().map(|state| state.drift().alarms).sum()
    }

    /// Writes what the streams have seen to a file, atomically. A panel that restores it resumes with
    /// the same bits.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save_state(&self, path: &Path) -> Result<()> {
        let states: Vec<String> =
            self.states.values().map(StreamState::content).collect::<Result<_>>()?;
        let content = format!("{{\"version\":{VERSION},\"streams\":[{}]}}", states.join(","));
        write_atomically(path, |out| out.write_all(seal(&content).as_bytes()))
    }

    /// Reads what [`StreamPanel::save_state`] wrote for the same model.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidInput` if it is damaged, of another version or of
    /// another model.
    pub fn restore_state(&mut self, path: &Path) -> Result<()> {
        let text = read_state(path)?;
        let read = || -> Result<BTreeMap<String, StreamState>> {
            let bad = "is not the state of a stream";
            let content = unseal(&text).map_err(without_state)?;
            let value: Value =
                serde_json::from_str(content).map_err(|e| Error::input(bad).because(e))?;
            if value["version"] != json!(VERSION) {
                let text = "is of another version of this program (start without a state)";
                return Err(Error::input(text));
            }
            let Some(streams) = value["streams"].as_array() else {
                return Err(Error::input(bad));
            };
            let state = |value: &Value| {
                let state = StreamState::from_content(
                    &value.to_string(),
                    self.worker.model(),
                    self.options,
                    self.detection.as_ref(),
                )?;
                Ok((state.id().to_owned(), state))
            };
            streams.iter().map(state).collect()
        };
        self.states = read().map_err(|e| e.at(path.display().to_string()))?;
        self.rows = self.counters().rows;
        Ok(())
    }
}

/// As [`StreamWorker::push`], and adds the row to `rows` if it was taken in.
fn counted<'a>(
    worker: &'a mut StreamWorker,
    state: &mut StreamState,
    row: StreamRow<'_>,
    rows: &mut u64,
) -> Result<Option<&'a Forecast>> {
    let before = state.counters().rows;
    let found = worker.push(state, row);
    *rows += state.counters().rows - before;
    found
}

impl Counters {
    fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            gap_rows: self.gap_rows.saturating_add(other.gap_rows),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            late_used: self.late_used.saturating_add(other.late_used),
            late_dropped: self.late_dropped.saturating_add(other.late_dropped),
            missing_points: self.missing_points.saturating_add(other.missing_points),
            forecasts: self.forecasts.saturating_add(other.forecasts),
        }
    }
}

impl StreamScore {
    fn plus(self, other: Self) -> Self {
        Self {
            points: self.points.saturating_add(other.points),
            squared: self.squared + other.squared,
            absolute: self.absolute + other.absolute,
        }
    }
}
