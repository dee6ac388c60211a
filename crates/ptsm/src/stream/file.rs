//! The file of a stream.

use std::path::Path;

use super::options::StreamOptions;
use super::state::{Counters, Kept, StreamState, VERSION, WATCHED_VERSION, pending_size};
use super::watch::StreamDetection;
use crate::forecast::ForecastModel;
use crate::{Error, Result};
use ptsm_core::{read_regular, seal, unseal, write_atomically};

/// Largest count of a state: what is beyond it is no stream that ran.
const MAX_COUNT: u64 = 1 << 53;

impl StreamState {
    /// What the stream has seen so far, as JSON with a checksum: a stream that [`StreamState::from_json`]
    /// reads from it continues with the same bits.
    ///
    /// # Errors
    ///
    /// `Internal` if it cannot be written.
    pub fn to_json(&self) -> Result<String> {
        Ok(seal(&self.content()?))
    }

    /// What is under the checksum.
    pub(super) fn content(&self) -> Result<String> {
        serde_json::to_string(&self.kept)
            .map_err(|e| Error::internal("the state cannot be written").because(e))
    }

    /// Reads what [`StreamState::to_json`] wrote for a stream of the same model.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible options; `InvalidInput` if the text is damaged, of another
    /// model, or was written with another `every` or with a detector.
    pub fn from_json(text: &str, model: &ForecastModel, options: StreamOptions) -> Result<Self> {
        let content = unseal(text).map_err(without_state)?;
        Self::from_content(content, model, options, None)
    }

    /// As [`StreamState::from_json`], of a stream whose rows are compared with their forecasts, or are from now on.
    ///
    /// # Errors
    ///
    /// As [`StreamState::from_json`] and [`StreamState::with_detection`].
    pub fn from_json_with_detection(
        text: &str,
        model: &ForecastModel,
        options: StreamOptions,
        detection: &StreamDetection,
    ) -> Result<Self> {
        let content = unseal(text).map_err(without_state)?;
        Self::from_content(content, model, options, Some(detection))
    }

    /// As [`StreamState::from_json_with_detection`], of what is under the checksum.
    pub(super) fn from_content(
        text: &str,
        model: &ForecastModel,
        options: StreamOptions,
        detection: Option<&StreamDetection>,
    ) -> Result<Self> {
        options.check()?;
        let kept: Kept = serde_json::from_str(text)
            .map_err(|e| Error::input("is not the state of a stream").because(e))?;
        if kept.version != if kept.watched.is_some() { WATCHED_VERSION } else { VERSION } {
            let text = "is of another version of this program (start without a state)";
            return Err(Error::input(text));
        }
        let state = Self::of(options, kept);
        state.check_model(model)?;
        state.check_numbers(model)?;
        match detection {
            Some(detection) => state.with_detection(detection.clone()),
            None if state.kept.watched.is_some() => {
                let text = "was written with a detector (give it again, or start without a state)";
                Err(Error::input(text))
            }
            None => Ok(state),
        }
    }

    /// Refuses sizes that do not fit, and numbers that are impossible.
    fn check_numbers(&self, model: &ForecastModel) -> Result<()> {
        let (config, kept) = (model.config(), &self.kept);
        let (slots, each) = pending_size(model, self.options());
        if !kept.window.fits(config.context_length, config.num_input_channels)
            || !kept.pending.fits(slots, each)
        {
            let text = "does not fit: forecasts came every other number of rows, or it is damaged";
            return Err(Error::input(text));
        }
        let possible = kept.watched.as_ref().is_none_or(|watched| watched.is_possible(MAX_COUNT));
        match possible && kept.counts().into_iter().all(|count| count <= MAX_COUNT) {
            true => Ok(()),
            false => {
                Err(Error::input("has impossible counts: it is damaged (start without a state)"))
            }
        }
    }

    /// Writes the state to a file, atomically.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = self.to_json()?;
        write_atomically(path, |out| out.write_all(text.as_bytes()))
    }

    /// Reads what [`StreamState::save`] wrote.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; otherwise those of [`StreamState::from_json`].
    pub fn load(path: &Path, model: &ForecastModel, options: StreamOptions) -> Result<Self> {
        let text = read_state(path)?;
        Self::from_json(&text, model, options).map_err(|e| e.at(path.display().to_string()))
    }
}

impl Kept {
    fn counts(&self) -> [u64; 10] {
        let Counters {
            rows,
            gap_rows,
            duplicates,
            late_used,
            late_dropped,
            missing_points,
            forecasts,
        } = self.counters;
        let (seen, points, alarms) = (self.clock.rows(), self.score.points, self.drift.alarms);
        [
            rows,
            gap_rows,
            duplicates,
            late_used,
            late_dropped,
            missing_points,
            forecasts,
            seen,
            points,
            alarms,
        ]
    }
}

/// The text of a file of states.
pub(super) fn read_state(path: &Path) -> Result<String> {
    let bytes = read_regular(path)?;
    String::from_utf8(bytes).map_err(|e| {
        let error = Error::input("is damaged: it is not text in UTF-8").because(e.utf8_error());
        without_state(error).at(path.display().to_string())
    })
}

/// The error of a damaged file of states, with the way out.
pub(super) fn without_state(error: Error) -> Error {
    Error::input("cannot be used (start without a state)").because(error)
}
