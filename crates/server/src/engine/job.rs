//! What is asked of a worker, and its answer.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ptsm::Forecast;
use ptsm::data::{LabelledSet, SeriesSet};
use ptsm::forecast::ForecastModel;
use ptsm::labeller::Predictions;
use tokio::sync::oneshot;

use crate::failure::Answered;
use crate::registry::Served;

/// Work of one kind.
#[derive(Clone)]
pub(crate) enum Work {
    /// Series of a set, by the model that was trained on such.
    Forecast { set: Arc<SeriesSet>, series: Range<usize>, rows_before_end: usize, steps: usize },
    /// Series of a set, by a model that was made for them of a network for any series.
    AnySeries(AnySeriesWork),
    /// Cases to be labelled.
    Label(Arc<LabelledSet>),
}

/// See [`Work::AnySeries`].
#[derive(Clone)]
pub(crate) struct AnySeriesWork {
    pub(crate) made: Arc<ForecastModel>,
    pub(crate) set: Arc<SeriesSet>,
    pub(crate) series: Range<usize>,
    pub(crate) rows_before_end: usize,
    pub(crate) steps: usize,
}

impl Work {
    /// Whether two pieces of work of one model can be computed together.
    pub(super) fn goes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Forecast { rows_before_end: a, steps: s, .. },
                Self::Forecast { rows_before_end: b, steps: t, .. },
            ) => (a, s) == (b, t),
            _ => false,
        }
    }
}

/// A piece of work, and how long it may wait.
pub(crate) struct Part {
    pub(crate) model: Arc<Served>,
    pub(crate) work: Work,
    /// Windows that it counts as.
    pub(crate) windows: usize,
    pub(crate) deadline: Instant,
}

/// A piece of work that waits.
pub(crate) struct Job {
    pub(crate) part: Part,
    pub(crate) reply: oneshot::Sender<Answered<Computed>>,
    pub(crate) queued: Instant,
}

/// What a worker computed.
pub(crate) enum Output {
    Forecasts(Vec<Forecast>),
    Labels(Predictions),
}

/// The answer to a job.
pub(crate) struct Computed {
    pub(crate) output: Output,
    /// From the queue to a worker.
    pub(crate) queue: Duration,
    /// In the worker, together with what was computed at once.
    pub(crate) compute: Duration,
}
