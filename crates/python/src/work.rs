//! Work that runs without the interpreter's lock: shortly in place, or long in a thread of its own, while the calling
//! thread answers Ctrl-C and tells the progress.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ptsm::job::{JobEvent, Observer};
use ptsm::train::Event;
use pyo3::prelude::*;

use crate::errors::{exception, panicked};
use crate::pool;

/// How often signals are looked for.
const PULSE: Duration = Duration::from_millis(10);
/// How long an interrupted call waits for its work to end: with the pulse less than a tenth of a second.
const PATIENCE: Duration = Duration::from_millis(70);
/// Shortest time from one call of the observer of progress to the next.
const TOLD: Duration = Duration::from_millis(100);

/// Works in progress, also those whose call was interrupted.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

type Panic = Box<dyn Any + Send>;

/// Runs short work in place.
pub(crate) fn short<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> ptsm::Result<T> + Send,
) -> PyResult<T> {
    let pool = pool::of_process(py)?;
    let done = py.detach(|| catch_unwind(AssertUnwindSafe(|| pool.install(work))));
    ended(py, done)
}

fn ended<T>(py: Python<'_>, done: Result<ptsm::Result<T>, Panic>) -> PyResult<T> {
    match done {
        Ok(result) => result.map_err(|error| exception(py, &error)),
        Err(panic) => Err(panicked(py, panic.as_ref())),
    }
}

/// How far a training is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Progress {
    part: String,
    epoch: u32,
    step: u64,
    steps: u64,
    loss: Option<f64>,
    validation_loss: Option<f64>,
}

/// What a work and its call share.
#[derive(Default)]
pub(crate) struct Shared {
    stop: AtomicBool,
    progress: Mutex<Progress>,
}

impl Shared {
    /// Whether the work is to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// An error if the work is to stop.
    pub(crate) fn go_on(&self) -> ptsm::Result<()> {
        match self.is_stopped() {
            true => Err(ptsm::Error::new(ptsm::ErrorKind::Interrupted, "asked to stop")),
            false => Ok(()),
        }
    }

    fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Tells a call how far its training is, and stops the training when the call was interrupted.
pub(crate) struct Watcher(pub(crate) Arc<Shared>);

impl Observer for Watcher {
    fn observe(&mut self, event: &JobEvent<'_>) -> ControlFlow<()> {
        let mut progress = self.0.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            JobEvent::Part(text) => {
                *progress = Progress { part: (*text).to_owned(), ..Progress::default() };
            }
            JobEvent::Searching(round) => {
                progress.part = format!("search, round {} of {}", round.round, round.rounds);
                (progress.step, progress.steps) = (round.done as u64, round.trainings as u64);
            }
            JobEvent::Ready(ready) => progress.steps = ready.total_steps,
            JobEvent::Training(Event::Resumed { step, total_steps }) => {
                (progress.step, progress.steps) = (*step, *total_steps);
            }
            JobEvent::Training(Event::Step { epoch, step, total_steps, loss }) => {
                (progress.epoch, progress.step) = (*epoch, *step);
                (progress.steps, progress.loss) = (*total_steps, Some(*loss));
            }
            JobEvent::Training(Event::Epoch { epoch, .. }) => {
                progress.epoch = epoch.epoch;
                progress.loss = Some(epoch.train_loss);
                progress.validation_loss = epoch.validation_loss;
            }
            _ => {}
        }
        match self.0.is_stopped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Counts a work until it has ended.
struct Counted;

impl Counted {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs long work in a thread of its own. A signal whose handler raises ends the call within a tenth of a second; the
/// work is told to stop and ends as soon as it looks. `observer` is called with the progress, ten times a second at most.
pub(crate) fn long<T: Send + 'static>(
    py: Python<'_>,
    observer: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(Arc<Shared>) -> ptsm::Result<T> + Send + 'static,
) -> PyResult<T> {
    let pool = pool::of_process(py)?;
    let shared = Arc::new(Shared::default());
    let (tell, mut told) = channel();
    let of_work = Arc::clone(&shared);
    let counted = Counted::new();
    let run = move || {
        let work = || pool.install(|| work(of_work));
        let done = catch_unwind(AssertUnwindSafe(work));
        // Nobody may be waiting any more.
        let _ = tell.send(done);
        drop(counted);
    };
    if let Err(e) = std::thread::Builder::new().name("ptsm".to_owned()).spawn(run) {
        let text = "no thread can be started";
        let error = ptsm::Error::new(ptsm::ErrorKind::OutOfMemory, text).because(e);
        return Err(exception(py, &error));
    }
    let mut teller = Teller { observer, last: Progress::default(), at: Instant::now() };
    loop {
        let (back, done) = waited(py, told, PULSE);
        told = back;
        match done {
            Ok(done) => return ended(py, done),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exception(py, &ptsm::Error::internal("a work has no end")));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let go_on = py.check_signals().and_then(|()| teller.tell(py, &shared));
        if let Err(raised) = go_on {
            shared.stop.store(true, Ordering::Relaxed);
            let _ = waited(py, told, PATIENCE);
            return Err(raised);
        }
    }
}

type Done<T> = Result<ptsm::Result<T>, Panic>;

fn waited<T: Send>(
    py: Python<'_>,
    told: Receiver<Done<T>>,
    time: Duration,
) -> (Receiver<Done<T>>, Result<Done<T>, RecvTimeoutError>) {
    py.detach(move || {
        let done = told.recv_timeout(time);
        (told, done)
    })
}

/// Calls the observer of progress.
struct Teller<'a, 'py> {
    observer: Option<&'a Bound<'py, PyAny>>,
    last: Progress,
    at: Instant,
}

impl Teller<'_, '_> {
    fn tell(&mut self, py: Python<'_>, shared: &Shared) -> PyResult<()> {
        let Some(observer) = self.observer else { return Ok(()) };
        if self.at.elapsed() < TOLD {
            return Ok(());
        }
        let now = shared.progress();
        if now == self.last {
            return Ok(());
        }
        let Progress { part, epoch, step, steps, loss, validation_loss } = now.clone();
        let told = (part, epoch, step, steps, loss, validation_loss).into_pyobject(py)?;
        observer.call1(told)?;
        (self.last, self.at) = (now, Instant::now());
        Ok(())
    }
}

/// Waits at the end of the interpreter for works whose calls were interrupted, so that they write their checkpoints.
#[pyfunction]
pub(crate) fn wait_for_work(py: Python<'_>, seconds: f64) {
    let limit = Duration::from_secs_f64(seconds.clamp(0.0, 60.0));
    py.detach(|| {
        let began = Instant::now();
        while RUNNING.load(Ordering::SeqCst) > 0 && began.elapsed() < limit {
            std::thread::sleep(PULSE);
        }
    });
}

/// In the child of a fork no work is in progress.
#[pyfunction]
pub(crate) fn after_fork() {
    RUNNING.store(0, Ordering::SeqCst);
}
