//! A worker: one thread with a pool of one, and for every model a session of its own.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ptsm::forecast::{SetPart, ZeroShotOptions};
use ptsm::labeller::Labeller;
use ptsm::zero_shot::ZeroShot;
use ptsm::{Error, Forecaster, Result};
use rayon::ThreadPoolBuilder;
use serde_json::json;

use super::job::{AnySeriesWork, Computed, Job, Output, Work};
use super::queue::Queue;
use crate::failure::{Answered, Code, Failure};
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
#[derive(Default)]
struct Sessions {
    by_model: HashMap<u64, (Weak<Served>, Session)>,
}

impl Sessions {
    fn of(&mut self, model: &Arc<Served>) -> Result<&mut Session> {
        if !self.by_model.contains_key(&model.number) {
            // Models that serve no longer leave with the next one that comes.
            self.by_model.retain(|_, (model, _)| model.strong_count() > 0);
            let session = Session::new(model)?;
            self.by_model.insert(model.number, (Arc::downgrade(model), session));
        }
        let found = self.by_model.get_mut(&model.number);
        found.map(|(_, session)| session).ok_or_else(|| Error::internal("no session"))
    }
}

/// Takes jobs until the queue is closed.
pub(super) fn run(queue: &Queue, registry: &Registry) {
    // The thread is its own pool of one, so that nothing that a job computes leaves it.
    let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
    if let Err(error) = &pool {
        crate::log::log_line(&json!({"level": "error", "error": error.to_string()}));
    }
    let mut sessions = Sessions::default();
    while let Some(jobs) = queue.take() {
        answer(jobs, &mut sessions, registry);
    }
}

fn answer(jobs: Vec<Job>, sessions: &mut Sessions, registry: &Registry) {
    let Some(model) = jobs.first().map(|job| Arc::clone(&job.part.model)) else { return };
    let began = Instant::now();
    let windows: usize = jobs.iter().map(|job| job.part.windows).sum();
    let works: Vec<&Work> = jobs.iter().map(|job| &job.part.work).collect();
    let compute = || compute_all(&works, &model, sessions, registry);
    let outputs = catch_unwind(AssertUnwindSafe(compute)).unwrap_or_else(|_| {
        // The session may be in any state.
        sessions.by_model.remove(&model.number);
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
    sessions: &mut Sessions,
    registry: &Registry,
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
    let mut alone = |work: &&Work| compute(work, model, session, registry).map_err(Failure::from);
    works.iter().map(&mut alone).collect()
}

fn compute(
    work: &Work,
    model: &Served,
    session: &mut Session,
    registry: &Registry,
) -> Result<Output> {
    let mismatch = || Error::internal("work of another kind than its model");
    match (work, session) {
        (Work::Forecast { .. }, Session::Forecasts(forecaster)) => {
            forecast(&[work], forecaster)?.pop().ok_or_else(mismatch)
        }
        (Work::AnySeries(work), Session::AnySeries) => any_series(work, model, registry),
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

fn any_series(work: &AnySeriesWork, model: &Served, registry: &Registry) -> Result<Output> {
    let AnySeriesWork { set, series, rows_before_end, steps, season, levels } = work;
    let Kind::AnySeries(network) = &model.kind else {
        return Err(Error::internal("a network for any series is another model"));
    };
    let zero_shot = ZeroShot::new(network.as_ref().clone(), *season)?;
    let options = ZeroShotOptions { steps: *steps, levels: levels.clone() };
    let mut forecaster = Forecaster::zero_shot(zero_shot, set, &options, registry.backend())?;
    let part = SetPart { set, series: series.clone() };
    let forecasts = forecaster.predict_parts(&[part], *rows_before_end, *steps)?;
    Ok(Output::Forecasts(forecasts.into_iter().flatten().collect()))
}
