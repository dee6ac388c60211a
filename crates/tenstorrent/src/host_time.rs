//! Measures the host's part of a request: everything but the steps on the device.

use ptsm_core::{Batch, BatchShape, Model, Prediction, Result};
use serde::Serialize;

use crate::executor::HostSeconds;
use crate::session::{AroundRun, Tenstorrent, TenstorrentSession};

/// Seconds of the host's parts of a request of one run, the fastest of several; of a request of several runs `start_s` is
/// that of the first alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HostTime {
    /// Samples of the request.
    pub batch: usize,
    /// Scaling windows and cutting them.
    pub prepare_s: f64,
    /// Rounding them, and writing them where the worker sees them.
    pub write_s: f64,
    /// The pipe to the worker, one way.
    pub pipe_s: f64,
    /// In the worker: into the tensor that is uploaded, the upload, and the call that starts the steps.
    pub start_s: f64,
    /// Reading the outputs and widening them.
    pub read_s: f64,
    /// Putting forecasts together.
    pub finish_s: f64,
    /// Samples a second from windows in memory to the call that starts the steps.
    pub started_sequences_per_s: f64,
    /// Samples a second of all of these parts.
    pub host_sequences_per_s: f64,
}

/// Runs a request of `batch` windows `repeats` times on a device or its simulator, and gives the fastest time of each part
/// of the host's work.
///
/// # Errors
///
/// `InvalidConfig` if the model has no program; `BackendUnavailable` if there is neither device nor simulator.
pub fn measure_host(
    model: &Model,
    backend: &Tenstorrent,
    batch: usize,
    repeats: usize,
) -> Result<HostTime> {
    let mut session = TenstorrentSession::open(backend, model)?;
    let windows = windows(model, batch)?;
    let mut out = Prediction::default();
    let mut fastest: Option<HostTime> = None;
    // The first run compiles and captures.
    for run in 0..=repeats {
        let around = session.timed(&windows, &mut out)?;
        if run > 0 {
            let taken = HostTime::of(batch, session.host_seconds(), around);
            fastest = Some(fastest.map_or(taken, |least| least.fastest_of(taken)));
        }
    }
    fastest.ok_or_else(|| ptsm_core::Error::config("repeats", "0 must be at least 1"))
}

impl HostTime {
    fn of(batch: usize, host: HostSeconds, around: AroundRun) -> Self {
        let time = Self {
            batch,
            prepare_s: around.prepared,
            write_s: host.written,
            pipe_s: host.pipe / 2.0,
            start_s: host.started,
            read_s: host.read,
            finish_s: around.finished,
            started_sequences_per_s: 0.0,
            host_sequences_per_s: 0.0,
        };
        time.with_rates()
    }

    fn with_rates(mut self) -> Self {
        let started = self.prepare_s + self.write_s + self.pipe_s + self.start_s;
        let all = started + self.pipe_s + self.read_s + self.finish_s;
        self.started_sequences_per_s = self.batch as f64 / started;
        self.host_sequences_per_s = self.batch as f64 / all;
        self
    }

    fn fastest_of(self, other: Self) -> Self {
        let least = Self {
            prepare_s: self.prepare_s.min(other.prepare_s),
            write_s: self.write_s.min(other.write_s),
            pipe_s: self.pipe_s.min(other.pipe_s),
            start_s: self.start_s.min(other.start_s),
            read_s: self.read_s.min(other.read_s),
            finish_s: self.finish_s.min(other.finish_s),
            ..self
        };
        least.with_rates()
    }
}

/// Waves with noise, which any model takes.
fn windows(model: &Model, size: usize) -> Result<Batch> {
    let config = model.config();
    let (context_length, num_channels) = (config.context_length, config.num_input_channels);
    let points = size * context_length * num_channels;
    let wave = |i: usize| (i as f32 * 0.003).sin() + 0.3 * (i as f32 * 12.9898).sin();
    Batch::new(BatchShape { size, context_length, num_channels }, (0..points).map(wave).collect())
}
