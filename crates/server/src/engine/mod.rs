//! The engine: bounded queues in front of workers, each a thread of the system with a pool of one.
//!
//! | file | holds |
//! |---|---|
//! | `job.rs` | what is asked of a worker, and its answer |
//! | `queue.rs` | first in, first out for each model; bounded over all |
//! | `worker.rs` | takes what waits, drops what is late, computes, answers |

mod job;
mod queue;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::failure::{Answered, Code, Failure};
use crate::limits::Limits;
use crate::registry::Registry;

pub(crate) use job::{AnySeriesWork, Computed, Job, Output, Part, Work};
use queue::Queue;

/// Queues and workers.
pub(crate) struct Engine {
    queue: Arc<Queue>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts `workers` threads.
    ///
    /// # Errors
    ///
    /// What the system says where a thread cannot be started.
    pub(crate) fn start(
        registry: &Arc<Registry>,
        limits: &Limits,
        workers: usize,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(limits, Arc::clone(&registry.metrics)));
        // Workers keep nothing of models that serve no longer.
        let told = Arc::downgrade(&queue);
        registry.watch(move || {
            if let Some(queue) = told.upgrade() {
                queue.models_changed();
            }
        });
        let start = |number| {
            let (queue, registry) = (Arc::clone(&queue), Arc::clone(registry));
            let name = format!("worker-{number}");
            std::thread::Builder::new().name(name).spawn(move || worker::run(&queue, &registry))
        };
        let workers = (0..workers.max(1)).map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { queue, workers: Mutex::new(workers) })
    }

    /// Puts a job into its queue, or refuses it where the queue is full.
    pub(crate) fn push(&self, part: Part) -> Answered<oneshot::Receiver<Answered<Computed>>> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Job { part, reply, queued: Instant::now() })?;
        Ok(answer)
    }

    /// Waits for the answer of a job, at most until it is late.
    pub(crate) async fn answer(
        answer: oneshot::Receiver<Answered<Computed>>,
        deadline: Instant,
    ) -> Answered<Computed> {
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Err(_) => Err(Failure::new(Code::Late, "no worker was free in time")),
            Ok(Ok(answer)) => answer,
            // The worker is gone with the job.
            Ok(Err(_)) => Err(Failure::internal("a worker ended with its job")),
        }
    }

    /// Ends the workers after what waits is computed; gives up after `limit`. Whether all ended.
    pub(crate) fn stop(&self, limit: Duration) -> bool {
        self.queue.close();
        let end = Instant::now() + limit;
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        while workers.iter().any(|worker| !worker.is_finished()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        workers.iter().all(JoinHandle::is_finished)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.queue.close();
    }
}
