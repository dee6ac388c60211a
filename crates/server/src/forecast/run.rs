//! Pieces of a request through the engine, in waves that leave room for others.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use ptsm::Forecast;
use ptsm::data::{LabelledSet, Table};
use ptsm::labeller::Predictions;

use super::prepare::{Prepared, prepare};
use super::request::{Answer, Input, Request, Times};
use crate::engine::{AnySeriesWork, Computed, Engine, Output, Part, Work};
use crate::failure::{Answered, Code, Failure};
use crate::registry::{Kind, Served};
use crate::state::Service;

/// Time after which a full queue is tried again by a request that is partly answered.
const PAUSE: Duration = Duration::from_millis(2);

/// Bytes from which they are read or written beside the threads of the sockets: below, the way there takes longer.
const LARGE: usize = 16 << 10;

/// About how many bytes a row of labels takes.
const BYTES_OF_A_CASE: usize = 64;

/// Runs `work` beside the threads of the sockets where the bytes that it reads or writes are many.
pub(crate) async fn beside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Answered<T> + Send + 'static,
) -> Answered<T> {
    if bytes < LARGE {
        return guarded(work);
    }
    tokio::task::spawn_blocking(|| guarded(work))
        .await
        .unwrap_or_else(|cause| Err(Failure::internal(cause)))
}

/// A panic is a failure of the request alone.
fn guarded<T>(work: impl FnOnce() -> Answered<T>) -> Answered<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Failure::internal("panic")))
}

/// Forecasts what is asked for.
pub(crate) async fn forecast(service: &Arc<Service>, request: Request) -> Answered<Answer> {
    let began = Instant::now();
    let model = Arc::clone(&request.model);
    let answered = forecast_from(service, request, began).await;
    count(&model, answered.is_ok());
    answered
}

fn count(model: &Served, answered: bool) {
    let statistics = &model.statistics;
    let counter = if answered { &statistics.requests } else { &statistics.failures };
    counter.fetch_add(1, Relaxed);
}

async fn forecast_from(
    service: &Arc<Service>,
    request: Request,
    began: Instant,
) -> Answered<Answer> {
    let size = match &request.input {
        Input::Table { rows, .. } => rows.size(),
        Input::Set(set) => set.series.iter().map(|series| 8 * series.values.len()).sum(),
    };
    let (model, deadline) = (Arc::clone(&request.model), request.deadline);
    let limits = service.limits.clone();
    let prepared = beside(size, move || prepare(&request, &limits)).await?;
    let parse = began.elapsed();
    let Prepared { set, skipped, work, windows, levels } = prepared;
    let all = Waves { service, model, deadline, windows };
    let count = set.series.len();
    let (outputs, mut times) = all.run(count, |series| piece(&work, series)).await?;
    times.parse = parse;
    let mut forecasts = Vec::with_capacity(count);
    for output in outputs {
        match output {
            Output::Forecasts(part) => forecasts.extend(part),
            Output::Labels(_) => return Err(Failure::internal("labels for forecasts")),
        }
    }
    if let Some(levels) = levels {
        forecasts.iter_mut().for_each(|forecast| keep_levels(forecast, &levels));
    }
    Ok(Answer { set, forecasts, skipped, times })
}

/// The work for some series.
fn piece(work: &Work, series: Range<usize>) -> Work {
    match work {
        Work::Forecast { set, rows_before_end, steps, .. } => Work::Forecast {
            set: Arc::clone(set),
            series,
            rows_before_end: *rows_before_end,
            steps: *steps,
        },
        Work::AnySeries(work) => Work::AnySeries(AnySeriesWork { series, ..work.clone() }),
        Work::Label(set) => Work::Label(Arc::new(set.subset(&series.collect::<Vec<usize>>()))),
    }
}

fn keep_levels(forecast: &mut Forecast, levels: &[f64]) {
    let asked = |own: f64| levels.iter().any(|level| (level - own).abs() < 1e-9);
    forecast.intervals.retain(|interval| asked(interval.level));
    forecast.quantiles.clear();
}

/// Labels cases; the answer as a table.
pub(crate) async fn label(
    service: &Arc<Service>,
    model: &Arc<Served>,
    set: LabelledSet,
    deadline: Instant,
) -> Answered<(Table, Times)> {
    let set = Arc::new(set);
    let work = Work::Label(Arc::clone(&set));
    let all = Waves { service, model: Arc::clone(model), deadline, windows: 1 };
    let answered = all.run(set.len(), |cases| piece(&work, cases)).await;
    count(model, answered.is_ok());
    let (outputs, times) = answered?;
    let mut predictions: Option<Predictions> = None;
    for output in outputs {
        match (output, &mut predictions) {
            (Output::Labels(first), none @ None) => *none = Some(first),
            (Output::Labels(Predictions::Logits(more)), Some(Predictions::Logits(all))) => {
                all.extend(more);
            }
            (Output::Labels(Predictions::Values(more)), Some(Predictions::Values(all))) => {
                all.extend(more);
            }
            _ => return Err(Failure::internal("outputs of another kind than the model's")),
        }
    }
    let predictions = predictions.ok_or_else(|| Failure::internal("no case was labelled"))?;
    let (size, model) = (BYTES_OF_A_CASE * set.len(), Arc::clone(model));
    let table = beside(size, move || {
        let Kind::Labels(labeller) = &model.kind else {
            return Err(Failure::internal("no labeller"));
        };
        let labeller = labeller.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(labeller.table(&set, &predictions)?)
    });
    Ok((table.await?, times))
}

/// A request that is cut into jobs, some of which wait at once.
struct Waves<'a> {
    service: &'a Arc<Service>,
    model: Arc<Served>,
    deadline: Instant,
    /// Windows that each of its items counts as.
    windows: usize,
}

impl Waves<'_> {
    /// Computes `count` items; the outputs in order. The first wave finds room or fails; later ones wait for it.
    async fn run(
        &self,
        count: usize,
        work: impl Fn(Range<usize>) -> Work,
    ) -> Answered<(Vec<Output>, Times)> {
        let limits = &self.service.limits;
        let each = (limits.batch_windows / self.windows.max(1)).max(1);
        let at_once = (limits.queue_windows / 2 / limits.batch_windows.max(1)).max(1);
        let starts: Vec<usize> = (0..count).step_by(each).collect();
        let (mut outputs, mut times) = (Vec::with_capacity(starts.len()), Times::default());
        for wave in starts.chunks(at_once) {
            let mut waiting = Vec::with_capacity(wave.len());
            for &start in wave {
                let items = start..count.min(start + each);
                waiting.push(self.push(work(items.clone()), items.len(), start > 0).await?);
            }
            for answer in waiting {
                let Computed { output, queue, compute } =
                    Engine::answer(answer, self.deadline).await?;
                times.queue = times.queue.max(queue);
                times.compute += compute;
                outputs.push(output);
            }
        }
        Ok((outputs, times))
    }

    async fn push(
        &self,
        work: Work,
        items: usize,
        patient: bool,
    ) -> Answered<tokio::sync::oneshot::Receiver<Answered<Computed>>> {
        loop {
            let part = Part {
                model: Arc::clone(&self.model),
                work: work.clone(),
                windows: items * self.windows,
                deadline: self.deadline,
            };
            match self.service.engine.push(part) {
                Err(Failure { code: Code::QueueFull, .. })
                    if patient && Instant::now() < self.deadline =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                pushed => return pushed,
            }
        }
    }
}
