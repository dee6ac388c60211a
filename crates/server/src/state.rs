//! [`Service`]: what every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ptsm::{Error, ErrorKind, Result};

use crate::engine::Engine;
use crate::failure::{Answered, Code, Failure};
use crate::keys::Keys;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::room::Bodies;

/// Models, engine, limits and keys of a server.
pub struct Service {
    pub(crate) registry: Arc<Registry>,
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    pub(crate) bodies: Arc<Bodies>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keys: Option<Keys>,
    /// Whether requests may load and unload models.
    pub(crate) admin: bool,
    /// Whether the `Host` of a request must name this machine.
    pub(crate) loopback: bool,
    /// Whether a line is logged for each request.
    pub(crate) log: bool,
    /// Whether browsers are given a page.
    pub(crate) page: bool,
    draining: AtomicBool,
    started: u64,
    requests: AtomicU64,
}

/// What a [`Service`] is made with, beside its models.
#[derive(Debug, Clone, Default)]
pub struct ServiceOptions {
    /// Limits of requests and queues.
    pub limits: Limits,
    /// Workers; 0 = one for each core.
    pub workers: usize,
    /// Keys that requests must bring; `None` = none.
    pub keys: Option<Keys>,
    /// Whether requests may load and unload models.
    pub admin: bool,
    /// Whether the `Host` of a request must name this machine.
    pub loopback: bool,
    /// Whether a line is logged for each request, on the standard error.
    pub log: bool,
    /// Whether browsers are given a page.
    pub page: bool,
}

impl Service {
    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// As [`Limits::check`]; `OutOfMemory` if the system starts no thread.
    pub fn start(registry: Arc<Registry>, options: ServiceOptions) -> Result<Arc<Self>> {
        options.limits.check()?;
        let ServiceOptions { limits, workers, keys, admin, loopback, log, page } = options;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = if workers == 0 { cores() } else { workers };
        let engine = Engine::start(&registry, &limits, workers).map_err(|cause| {
            let text = format!("{workers} workers could not be started (use fewer)");
            Error::new(ErrorKind::OutOfMemory, text).because(cause)
        })?;
        let metrics = Arc::clone(&registry.metrics);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let started = now.unwrap_or_default().as_micros() as u64;
        let bodies = Bodies::new(limits.bodies_bytes);
        let (draining, requests) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok(Arc::new(Self {
            registry,
            engine,
            limits,
            bodies,
            metrics,
            keys,
            admin,
            loopback,
            log,
            page,
            draining,
            started,
            requests,
        }))
    }

    /// From now on the server says that it is not ready, and closes connections after each answer.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether [`Service::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends the workers after what waits is computed, within `limit`; whether they ended.
    pub fn stop(&self, limit: Duration) -> bool {
        self.engine.stop(limit)
    }

    /// Whether requests can be answered.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_draining() && self.registry.is_ready()
    }

    /// A name for a request that brings none.
    pub(crate) fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{:x}-{number:x}", self.started)
    }

    /// When a request that came at `began` is late.
    pub(crate) fn deadline(&self, began: Instant, timeout: Option<Duration>) -> Instant {
        let timeout = timeout.unwrap_or(self.limits.default_timeout);
        began + timeout.min(self.limits.longest_timeout)
    }

    /// Refuses changes of the models where requests may make none.
    pub(crate) fn require_admin(&self) -> Answered<()> {
        match self.admin {
            true => Ok(()),
            false => {
                let text = "models are loaded and unloaded only by a server with --allow-reload";
                Err(Failure::new(Code::NotAllowed, text))
            }
        }
    }
}
