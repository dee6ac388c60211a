//! A worker: one thread with a pool of one, and for every model a session of its own.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ptsm::forecast::SetPart;
use ptsm::labeller::Labeller;
use ptsm::{Error, Forecaster, Result};
use rayon::ThreadPoolBuilder;
use serde_json::json;

use super::job::{AnySeriesWork, Computed, Job, Output, Work};
use super::queue::Queue;
use crate::failure::{Answered, Code, Failure};
use crate::metrics::Metrics;
use crate::registry::{Kind, Registry, Served};

/// What a worker keeps of a model while that serves.
enum Session {
    Forecasts(Box<Forecaster>),
    /// A network for any series has a session for each request: its shape is that of the series.
    AnySeries,
    Labels(Box<Labeller>),
}

impl Session {
    fn new(model: &Served) -> Result<Self> {
        Ok(match &model.kind {
            Kind::Forecasts(model) => {
                Self::Forecasts(Box::new(Forecaster::new(Arc::clone(model))?))
            }
            Kind::AnySeries(_) => Self::AnySeries,
            Kind::Labels(labeller) => {
                let labeller = labeller.lock().unwrap_or_else(|e| e.into_inner());
                Self::Labels(Box::new(labeller.another()?))
            }
        })
    }
}

/// The sessions of a worker, by the number of the load of their model.
struct Sessions<'a> {
    by_model: HashMap<u64, Kept>,
    metrics: &'a Metrics,
}

/// A session, and its model.
struct Kept {
    model: Weak<Served>,
    session: Session,
}

impl<'a> Sessions<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        Self { by_model: HashMap::new(), metrics }
    }

    fn of(&mut self, model: &Arc<Served>) -> Result<&mut Session> {
        Ok(match self.by_model.entry(model.number) {
            Entry::Occupied(kept) => &mut kept.into_mut().session,
            Entry::Vacant(place) => {
                let session = Session::new(model)?;
                self.metrics.sessions.inc();
                &mut place.insert(Kept { model: Arc::downgrade(model), session }).session
            }
        })
    }

    fn remove(&mut self, number: u64) {
        if self.by_model.remove(&number).is_some() {
            self.metrics.sessions.dec();
        }
    }

    /// Takes out those of models that serve no longer, whose weights they hold.
    fn leave_out_retired(&mut self) {
        let retired = |kept: &Kept| kept.model.upgrade().is_none_or(|model| model.is_retired());
        let kept = self.by_model.iter();
        let numbers: Vec<u64> =
            kept.filter(|(_, kept)| retired(kept)).map(|(&number, _)| number).collect();
        numbers.into_iter().for_each(|number| self.remove(number));
    }
}

/// Takes jobs until the queue is closed.
pub(super) fn run(queue: &Queue, registry: &Registry) {
    // The thread is its own pool of one, so that nothing that a job computes leaves it.
    let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    if let Err(error) = &pool {
        crate::log::log_line(&json!({"level": "error", "error": error.to_string()}));
    }
    let mut sessions = Sessions::new(&registry.metrics);
    let mut changes = 0;
    while let Some(jobs) = queue.take(&mut changes) {
        answer(jobs, &mut sessions, registry);
        sessions.leave_out_retired();
    }
}

fn answer(jobs: Vec<Job>, sessions: &mut Sessions<'_>, registry: &Registry) {
    let Some(model) = jobs.first().map(|job| Arc::clone(&job.part.model)) else { return };
    let began = Instant::now();
    let windows: usize = jobs.iter().map(|job| job.part.windows).sum();
    let works: Vec<&Work> = jobs.iter().map(|job| &job.part.work).collect();
    let compute = || compute_all(&works, &model, sessions);
    let outputs = catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(|_| {
        // The session may be in any state.
        sessions.remove(model.number);
        registry.metrics.worker_panics.inc();
        let failure = Failure::internal(format!("panic of a worker in model {}", model.name));
        works.iter().map(|_| Err(failure.clone())).collect()
    });
    drop(works);
    let compute = began.elapsed();
    let metrics = &registry.metrics;
    metrics.batch_windows.observe(windows as f64);
    metrics.compute_time.observe(compute.as_secs_f64());
    count(&model, windows, compute);
    for (job, output) in jobs.into_iter().zip(outputs) {
        let queue = began - job.queued;
        metrics.queue_time.observe(queue.as_secs_f64());
        model.statistics.queue_nanos.fetch_add(queue.as_nanos() as u64, Relaxed);
        let late = job.part.deadline <= Instant::now();
        let answer = match output {
            Ok(_) if late => Err(Failure::new(Code::Late, "the forecast was not ready in time")),
            Ok(output) => Ok(Computed { output, queue, compute }),
            Err(failure) => Err(failure),
        };
        // A client that is gone does not read it.
        let _ = job.reply.send(answer);
    }
}

fn count(model: &Served, windows: usize, compute: Duration) {
    let statistics = &model.statistics;
    statistics.windows.fetch_add(windows as u64, Relaxed);
    statistics.runs.fetch_add(1, Relaxed);
    statistics.compute_nanos.fetch_add(compute.as_nanos() as u64, Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    statistics.last.store(now.as_millis() as u64, Relaxed);
}

/// One output for each work, in order. Where one of several cannot be computed, each is computed alone.
fn compute_all(
    works: &[&Work],
    model: &Arc<Served>,
    sessions: &mut Sessions<'_>,
) -> Vec<Answered<Output>> {
    let mut session = match sessions.of(model) {
        Ok(session) => session,
        Err(error) => {
            let failure = Failure::from(error);
            return works.iter().map(|_| Err(failure.clone())).collect();
        }
    };
    if works.len() > 1
        && let Session::Forecasts(forecaster) = &mut session
        && let Ok(outputs) = forecast(works, forecaster)
    {
        return outputs.into_iter().map(Ok).collect();
    }
    let mut alone = |work: &&Work| compute(work, session).map_err(Failure::from);
    works.iter().map(&mut alone).collect()
}

fn compute(work: &Work, session: &mut Session) -> Result<Output> {
    let mismatch = || Error::internal("work of another kind than its model");
    match (work, session) {
        (Work::Forecast { .. }, Session::Forecasts(forecaster)) => {
            forecast(&[work], forecaster)?.pop().ok_or_else(mismatch)
        }
        (Work::AnySeries(work), Session::AnySeries) => any_series(work),
        (Work::Label(set), Session::Labels(labeller)) => Ok(Output::Labels(labeller.predict(set)?)),
        _ => Err(mismatch()),
    }
}

/// Forecasts of several works that go with each other.
fn forecast(works: &[&Work], forecaster: &mut Forecaster) -> Result<Vec<Output>> {
    let mut parts = Vec::with_capacity(works.len());
    let mut asked = None;
    for work in works {
        let Work::Forecast { set, series, rows_before_end, steps } = work else {
            return Err(Error::internal("work of another kind than its model"));
        };
        parts.push(SetPart { set: set.as_ref(), series: series.clone() });
        asked = Some((*rows_before_end, *steps));
    }
    let Some((rows_before_end, steps)) = asked else { return Ok(Vec::new()) };
    let forecasts = forecaster.predict_parts(&parts, rows_before_end, steps)?;
    Ok(forecasts.into_iter().map(Output::Forecasts).collect())
}

fn any_series(work: &AnySeriesWork) -> Result<Output> {
    let AnySeriesWork { made, set, series, rows_before_end, steps } = work;
    let mut forecaster = Forecaster::new(Arc::clone(made))?;
    let part = SetPart { set, series: series.clone() };
    let forecasts = forecaster.predict_parts(&[part], *rows_before_end, *steps)?;
    Ok(Output::Forecasts(forecasts.into_iter().flatten().collect()))
}
