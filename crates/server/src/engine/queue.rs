//! The queues: first in, first out for each model, bounded over all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::job::Job;
use crate::failure::{Answered, Code, Failure};
use crate::limits::Limits;
use crate::metrics::Metrics;

/// Jobs that wait.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
    most_windows: usize,
    batch_windows: usize,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Waiting {
    /// By the number of the load of their model.
    by_model: HashMap<u64, VecDeque<Job>>,
    windows: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            waiting: Mutex::default(),
            came: Condvar::new(),
            most_windows: limits.queue_windows,
            batch_windows: limits.batch_windows.max(1),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic inside a lock leaves whole jobs, so that the queue can be used.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, job: Job) -> Answered<()> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Failure::new(Code::Draining, "the server is about to end"));
        }
        let windows = job.part.windows;
        // A job that is larger than the queue is taken where nothing waits.
        if waiting.windows > 0 && waiting.windows + windows > self.most_windows {
            return Err(Failure::new(Code::QueueFull, "too many requests wait (try again)"));
        }
        waiting.windows += windows;
        self.metrics.queue_windows.set(waiting.windows as i64);
        waiting.by_model.entry(job.part.model.number).or_default().push_back(job);
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    /// The oldest job and those behind it of the same model that are computed with it; none is late, or its client
    /// gone. `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        loop {
            let taken = self.take_from(&mut waiting);
            self.metrics.queue_windows.set(waiting.windows as i64);
            if !taken.is_empty() {
                return Some(taken);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take_from(&self, waiting: &mut Waiting) -> Vec<Job> {
        let mut taken: Vec<Job> = Vec::new();
        let mut windows = 0;
        while taken.is_empty() {
            let heads = waiting
                .by_model
                .iter()
                .filter_map(|(&model, jobs)| jobs.front().map(|job| (job.queued, model)));
            let Some((_, model)) = heads.min() else { return taken };
            let Some(jobs) = waiting.by_model.get_mut(&model) else { return taken };
            while let Some(next) = jobs.front() {
                let fits = taken.first().is_none_or(|first| {
                    windows + next.part.windows <= self.batch_windows
                        && first.part.work.goes_with(&next.part.work)
                });
                if !fits {
                    break;
                }
                let Some(job) = jobs.pop_front() else { break };
                waiting.windows -= job.part.windows;
                if job.reply.is_closed() {
                    continue;
                }
                if job.part.deadline <= Instant::now() {
                    let late = Failure::new(Code::Late, "no worker was free in time");
                    // A client that is gone does not read it.
                    let _ = job.reply.send(Err(late));
                    continue;
                }
                windows += job.part.windows;
                taken.push(job);
            }
            if jobs.is_empty() {
                waiting.by_model.remove(&model);
            }
        }
        taken
    }

    /// Refuses further jobs; workers end when none waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
    }
}
