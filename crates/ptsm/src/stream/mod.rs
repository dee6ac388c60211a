//! Forecasts while the rows come in, one after the other.

mod clock;
mod score;
mod state;
#[cfg(test)]
mod tests;
mod window;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::{Batch, BatchShape, Duplicates, Grid};
use crate::forecast::{Forecast, Forecaster, Scratch};
use crate::{Config, Error, Preprocessor, Result};
use ptsm_core::Backend;

use clock::Step;
pub use score::{Drift, DriftOptions, StreamScore};
use state::State;

/// One row of a stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamRow<'a> {
    /// Seconds since 1970-01-01 00:00 UTC; `None` where rows are only numbered.
    pub time: Option<i64>,
    /// `[C]` in the model's order, data units; NaN = missing.
    pub values: &'a [f64],
}

/// Rules of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StreamOptions {
    /// Rows of the grid from one forecast to the next, at least 1.
    pub every: u64,
    /// Rows that must have come before the first forecast; `None` = the whole context. Rows that
    /// have not come are missing points.
    pub min_rows: Option<u64>,
    /// What a second row of the newest time does; `Mean` is not known to streams.
    pub duplicates: Duplicates,
    /// When the drift alarm is raised.
    pub drift: DriftOptions,
}

impl Default for StreamOptions {
    fn default() -> Self {
        let duplicates = Duplicates::Last;
        Self { every: 1, min_rows: None, duplicates, drift: DriftOptions::default() }
    }
}

/// What happened to the rows of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Rows that came.
    pub rows: u64,
    /// Rows that were missing on the grid and are masked.
    pub gap_rows: u64,
    /// Rows of a time that had come already.
    pub duplicates: u64,
    /// Late rows that filled in missing points.
    pub late_used: u64,
    /// Late rows that changed nothing: older than the context, or nothing was missing.
    pub late_dropped: u64,
    /// Points that were missing in the rows that came.
    pub missing_points: u64,
    /// Forecasts made.
    pub forecasts: u64,
}

/// A forecaster that remembers the last rows and forecasts from them, again and again.
///
/// The forecast after a row is, bit for bit, that of [`Forecaster::predict`] for a series that ends
/// with this row. After the first forecasts a model with point forecasts allocates nothing.
///
/// Times must lie on the grid of the training data. A time that is skipped is a row of missing
/// points; a row of the newest time again is treated by [`StreamOptions::duplicates`]; a row that is
/// older fills in points that are missing in the context, and never changes a point that was seen.
/// Neither of the last two makes a forecast. Where the model was trained without times (or row by
/// row), each row is the next one.
pub struct OnlineForecaster {
    forecaster: Forecaster,
    options: StreamOptions,
    state: State,
    batch: Batch,
    scratch: Scratch,
    forecast: Forecast,
}

impl OnlineForecaster {
    /// Loads a model directory onto a backend and waits for the first row.
    ///
    /// # Errors
    ///
    /// Those of [`Forecaster::from_dir`]; `InvalidConfig` for impossible options.
    pub fn from_dir(dir: &Path, backend: &dyn Backend, options: StreamOptions) -> Result<Self> {
        Self::new(Forecaster::from_dir(dir, backend)?, options)
    }

    /// Waits for the first row.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for impossible options.
    pub fn new(forecaster: Forecaster, options: StreamOptions) -> Result<Self> {
        options.check()?;
        let Config { context_length, num_input_channels: num_channels, .. } = *forecaster.config();
        let shape = BatchShape { size: 1, context_length, num_channels };
        let forecast = forecaster.empty_forecast();
        Ok(Self {
            state: State::new(&forecaster, &options),
            batch: Batch::zeros(shape),
            scratch: Scratch::default(),
            forecaster,
            options,
            forecast,
        })
    }

    /// Takes in a row; gives a forecast if one is due.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the row has another number of values, one that is infinite or beyond the
    /// range of f32, no time or one that is not on the grid, or is a duplicate that is refused; the
    /// row then changes nothing, and the stream can go on.
    pub fn push(&mut self, row: StreamRow<'_>) -> Result<Option<&Forecast>> {
        self.check(row.values)?;
        let step = self.state.clock.place(row.time, &self.forecaster)?;
        match step {
            Step::Next { skipped, time } => self.append(row.values, skipped, time)?,
            Step::Again => self.repeat(row.values)?,
            Step::Late { rows } => self.fill_in(row.values, rows),
        }
        self.state.counters.rows += 1;
        let missing = row.values.iter().filter(|value| value.is_nan()).count();
        self.state.counters.missing_points += missing as u64;
        let wanted = self.options.min_rows.unwrap_or(self.batch.context_length() as u64);
        let due = matches!(step, Step::Next { .. })
            && self.state.since_forecast >= self.options.every
            && self.state.clock.rows() >= wanted;
        if !due {
            return Ok(None);
        }
        self.forecast()?;
        Ok(Some(&self.forecast))
    }

    /// What happened to the rows.
    pub fn counters(&self) -> Counters {
        self.state.counters
    }

    /// Errors of the forecasts whose truth has come.
    pub fn score(&self) -> StreamScore {
        self.state.score
    }

    /// The drift alarm.
    pub fn drift(&self) -> Drift {
        self.state.drift
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        self.forecaster.config()
    }

    /// How rows are read.
    pub fn preprocessor(&self) -> &Preprocessor {
        self.forecaster.preprocessor()
    }

    /// Writes everything that the stream has learnt so far to a file, atomically. A forecaster that
    /// restores it goes on with the same bits.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub fn save_state(&self, path: &Path) -> Result<()> {
        self.state.save(path)
    }

    /// Goes on where [`OnlineForecaster::save_state`] was called.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidInput` if it is damaged or of another model, or was
    /// written with another `every`.
    pub fn restore_state(&mut self, path: &Path) -> Result<()> {
        self.state = State::load(path, &self.forecaster, &self.options)?;
        Ok(())
    }

    fn check(&self, values: &[f64]) -> Result<()> {
        let Preprocessor { standardiser, channels, .. } = self.forecaster.preprocessor();
        if values.len() != channels.len() {
            let (got, wanted) = (values.len(), channels.len());
            return Err(Error::input(format!(
                "the row has {got} values, the model wants {wanted}"
            )));
        }
        for (channel, &value) in values.iter().enumerate() {
            if !value.is_nan() && !standardiser.apply_value(channel, value).is_finite() {
                let text = format!("{value} is infinite or beyond the range of single precision");
                return Err(Error::input(text).at(format!("channel {}", channels[channel])));
            }
        }
        Ok(())
    }

    fn append(&mut self, values: &[f64], skipped: u64, time: Option<i64>) -> Result<()> {
        let state = &mut self.state;
        state.window.advance_by(usize::try_from(skipped).unwrap_or(usize::MAX));
        state.window.advance();
        state.counters.gap_rows += skipped;
        state.since_forecast += skipped + 1;
        state.clock.append(skipped, time);
        self.write(values, 0, true);
        self.compare(values);
        Ok(())
    }

    fn repeat(&mut self, values: &[f64]) -> Result<()> {
        match self.options.duplicates {
            Duplicates::Error => {
                let text =
                    "a second row of the newest time (allow it with `duplicates` first or last)";
                return Err(Error::input(text));
            }
            Duplicates::Last => self.write(values, 0, true),
            Duplicates::First | Duplicates::Mean => self.write(values, 0, false),
        }
        self.state.counters.duplicates += 1;
        Ok(())
    }

    fn fill_in(&mut self, values: &[f64], back: u64) {
        let within = usize::try_from(back).ok().filter(|&back| back < self.batch.context_length());
        let wanted = within.is_some_and(|back| {
            let news = |(c, x): (usize, &f64)| !x.is_nan() && !self.state.window.is_seen(back, c);
            values.iter().enumerate().any(news)
        });
        match within.filter(|_| wanted) {
            Some(back) => {
                self.write(values, back, false);
                self.state.counters.late_used += 1;
            }
            None => self.state.counters.late_dropped += 1,
        }
    }

    /// Writes the points that are there; over those that were seen only if `over`.
    fn write(&mut self, values: &[f64], back: usize, over: bool) {
        let standardiser = &self.forecaster.preprocessor().standardiser;
        let window = &mut self.state.window;
        for (channel, &value) in values.iter().enumerate() {
            if !value.is_nan() && (over || !window.is_seen(back, channel)) {
                window.set((back, channel), standardiser.apply_value(channel, value));
            }
        }
    }

    /// Holds the forecasts of this row against it.
    fn compare(&mut self, values: &[f64]) {
        let Self { state, forecaster, options, .. } = self;
        let standardiser = &forecaster.preprocessor().standardiser;
        let channels = forecaster.output_spec().channels();
        let row = state.clock.rows() - 1;
        // The newest forecast alone says how things go: it looks least far ahead.
        let (mut absolute, mut points, mut newest) = (0.0, 0_u64, 0);
        for (first_row, forecast) in state.pending.of_row(row, channels.len()) {
            if first_row > newest {
                (absolute, points, newest) = (0.0, 0, first_row);
            }
            for (&channel, &bits) in channels.iter().zip(forecast) {
                let value = values[channel];
                if !value.is_nan() {
                    let truth = f64::from(standardiser.apply_value(channel, value));
                    let error = f64::from(f32::from_bits(bits)) - truth;
                    state.score.push(error);
                    if first_row == newest {
                        absolute += error.abs();
                        points += 1;
                    }
                }
            }
        }
        if points > 0 {
            state.drift.push(row, absolute / points as f64, &options.drift);
        }
    }

    fn forecast(&mut self) -> Result<()> {
        let Self { forecaster, state, batch, scratch, forecast, .. } = self;
        state.window.copy_to(batch);
        forecaster.forecast_into(batch, scratch, forecast)?;
        forecast.first_row = state.clock.rows() as usize;
        state.clock.times_after(forecaster, &mut forecast.timestamps);
        state.pending.push(state.clock.rows(), &scratch.points);
        state.counters.forecasts += 1;
        state.since_forecast = 0;
        Ok(())
    }
}

impl StreamOptions {
    fn check(&self) -> Result<()> {
        if self.every == 0 {
            return Err(Error::config("every", "0 must be at least 1"));
        }
        if self.duplicates == Duplicates::Mean {
            let text =
                "is mean, which needs every row of a time at once (use error, first or last)";
            return Err(Error::config("duplicates", text));
        }
        let DriftOptions { baseline, slack, threshold } = self.drift;
        if baseline < 2 {
            return Err(Error::config("drift baseline", format!("{baseline} must be at least 2")));
        }
        if !(slack.is_finite() && slack >= 0.0) {
            return Err(Error::config("drift slack", format!("{slack} must be at least 0")));
        }
        if threshold.is_nan() || threshold <= 0.0 {
            return Err(Error::config("drift threshold", format!("{threshold} must be above 0")));
        }
        Ok(())
    }
}

/// Whether the rows of this model lie on a grid of times.
fn has_grid(preprocessor: &Preprocessor) -> bool {
    preprocessor.grid == Grid::Regular && preprocessor.frequency.is_some()
}
