//! Everything that a stream remembers, and its file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::score::{Drift, Pending, StreamScore};
use super::window::Window;
use super::{Counters, StreamOptions};
use crate::forecast::Forecaster;
use crate::{Error, Result, write_atomically};

/// Version of the file.
const VERSION: u32 = 1;

/// What is kept between two rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// SHA-256 over the model's weights.
    model: String,
    pub(super) clock: Clock,
    pub(super) counters: Counters,
    pub(super) score: StreamScore,
    pub(super) drift: Drift,
    /// Rows of the grid since the last forecast.
    pub(super) since_forecast: u64,
    pub(super) window: Window,
    pub(super) pending: Pending,
}

impl State {
    pub(super) fn new(forecaster: &Forecaster, options: &StreamOptions) -> Self {
        let config = forecaster.config();
        let (slots, each) = pending_size(forecaster, options);
        Self {
            version: VERSION,
            model: forecaster.fingerprint().to_owned(),
            clock: Clock::default(),
            counters: Counters::default(),
            score: StreamScore::default(),
            drift: Drift::default(),
            // The first forecast waits for rows, not for the distance between forecasts.
            since_forecast: options.every - 1,
            window: Window::new(config.context_length, config.num_input_channels),
            pending: Pending::new(slots, each),
        }
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|e| Error::internal("the state cannot be written").because(e))?;
        write_atomically(path, |out| out.write_all(text.as_bytes()))
    }

    pub(super) fn load(
        path: &Path,
        forecaster: &Forecaster,
        options: &StreamOptions,
    ) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
        let bad = |text: &str| Error::input(text).at(path.display().to_string());
        let state: Self = serde_json::from_str(&text)
            .map_err(|e| bad("is not the state of a stream").because(e))?;
        if state.version != VERSION {
            return Err(bad("is of another version of this program (start without a state)"));
        }
        if state.model != forecaster.fingerprint() {
            return Err(bad("is of another model (start without a state)"));
        }
        let config = forecaster.config();
        let (slots, each) = pending_size(forecaster, options);
        if !state.window.fits(config.context_length, config.num_input_channels)
            || !state.pending.fits(slots, each)
        {
            return Err(bad(
                "does not fit: forecasts came every other number of rows, or it is damaged",
            ));
        }
        Ok(state)
    }
}

/// Forecasts that can wait at a time, and points of each.
fn pending_size(forecaster: &Forecaster, options: &StreamOptions) -> (usize, usize) {
    let steps = forecaster.config().prediction_length;
    let every = usize::try_from(options.every).unwrap_or(usize::MAX);
    (steps.div_ceil(every), steps * forecaster.output_spec().channels().len())
}
