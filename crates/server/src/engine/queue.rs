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
    /// How often workers were told that models have changed.
    changes: u64,
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
        // There is room or not, whatever the size of the job: a large one would never come in between small ones.
        if waiting.windows >= self.most_windows {
            let (now, most) = (waiting.windows, self.most_windows);
            let text =
                format!("{now} windows wait, and no more are taken from {most} on (try again)");
            return Err(Failure::new(Code::QueueFull, text));
        }
        waiting.windows += windows;
        self.metrics.queue_windows.set(waiting.windows as i64);
        waiting.by_model.entry(job.part.model.number).or_default().push_back(job);
        drop(waiting);
        self.came.notify_one();
        Ok(())
    }

    /// The oldest job and those after it of the same model that are computed with it; none is late, or its client
    /// gone. No job where models have changed since `changes`, which is then set. `None` when the queue is closed and
    /// empty.
    pub(super) fn take(&self, changes: &mut u64) -> Option<Vec<Job>> {
        let mut waiting = self.lock();
        loop {
            let taken = self.take_from(&mut waiting);
            self.metrics.queue_windows.set(waiting.windows as i64);
            if !taken.is_empty() || waiting.changes != *changes {
                *changes = waiting.changes;
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

    /// Tells every worker that models have changed.
    pub(super) fn models_changed(&self) {
        self.lock().changes += 1;
        self.came.notify_all();
    }

    /// Refuses further jobs; workers end when none waits.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ptsm::data::{LabelledSet, Labels, Series};
    use tokio::sync::oneshot;

    use super::*;
    use crate::engine::job::{Part, Work};
    use crate::registry::{Registry, Served};

    fn queue(most: usize) -> (Queue, Arc<Served>) {
        let registry = Registry::open(&[], "cpu").unwrap();
        let limits = Limits { queue_windows: most, ..Limits::default() };
        let model = registry.get("builtin", &|_| true).unwrap();
        (Queue::new(&limits, Arc::clone(&registry.metrics)), model)
    }

    /// A job of so many windows, which waits as long as the receiver is there.
    fn job(
        model: &Arc<Served>,
        windows: usize,
    ) -> (Job, oneshot::Receiver<Answered<crate::engine::Computed>>) {
        let (reply, answer) = oneshot::channel();
        let case = Series::new("a", 1, vec![1.0]).unwrap();
        let set = LabelledSet::new(vec!["x".into()], vec![case], Labels::Unknown(1)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(600);
        let work = Work::Label(Arc::new(set));
        let part = Part { model: Arc::clone(model), work, windows, deadline };
        (Job { part, reply, queued: Instant::now() }, answer)
    }

    #[test]
    fn a_job_larger_than_the_queue_comes_in_wherever_a_small_one_does() {
        let (queue, model) = queue(4);
        let push = |windows| {
            let (job, answer) = job(&model, windows);
            queue.push(job).map(|()| answer)
        };
        let _small = push(3).unwrap();
        let _large = push(10).unwrap();
        for windows in [1, 10] {
            let failure = push(windows).err().unwrap();
            assert_eq!(failure.code, Code::QueueFull);
            assert!(failure.message.starts_with("13 windows wait"), "{failure}");
        }
        let mut changes = 0;
        assert_eq!(queue.take(&mut changes).unwrap()[0].part.windows, 3);
        assert!(push(1).is_err());
        assert_eq!(queue.take(&mut changes).unwrap()[0].part.windows, 10);
        let _again = push(1).unwrap();
    }

    #[test]
    fn a_worker_that_waits_is_told_of_changed_models() {
        let (queue, _) = queue(4);
        let mut changes = 0;
        queue.models_changed();
        assert!(queue.take(&mut changes).unwrap().is_empty() && changes == 1);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| queue.take(&mut changes).map(|jobs| jobs.len()));
            std::thread::sleep(Duration::from_millis(50));
            assert!(!worker.is_finished());
            queue.models_changed();
            assert_eq!(worker.join().unwrap(), Some(0));
        });
        queue.close();
        assert!(queue.take(&mut 2).is_none());
    }
}
