//! Options of a server, its start and its end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ptsm::{Error, ErrorKind, Result};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::accept::Accept;
use crate::app::app;
use crate::keys::Keys;
use crate::limits::{Limits, check_time};
use crate::log::{flush_log, log_line};
use crate::registry::Registry;
use crate::state::{Service, ServiceOptions};

/// Workers at most: each is a thread, and more than there are cores gain nothing.
const MOST_WORKERS: usize = 1024;

/// How a server listens and ends.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port; 0 = one that is free.
    pub port: u16,
    /// Limits of requests and queues.
    pub limits: Limits,
    /// Workers; 0 = one for each core.
    pub workers: usize,
    /// Keys that requests must bring.
    pub keys: Option<Keys>,
    /// Whether requests may load and unload models.
    pub allow_reload: bool,
    /// Time in which connections are still accepted after SIGTERM, while the server says that it is not ready.
    pub drain_delay: Duration,
    /// Time in which what waits is computed after that.
    pub exit_timeout: Duration,
    /// Whether a line is logged for each request.
    pub log: bool,
    /// Whether browsers are given a page at `/`.
    pub page: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: Ipv4Addr::LOCALHOST.into(),
            port: 8080,
            limits: Limits::default(),
            workers: 0,
            keys: None,
            allow_reload: false,
            drain_delay: Duration::from_secs(5),
            exit_timeout: Duration::from_secs(30),
            log: true,
            page: true,
        }
    }
}

impl Options {
    /// Checks every number, so that nothing is loaded for a server that cannot start.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field.
    pub fn check(&self) -> Result<()> {
        self.limits.check()?;
        if self.workers > MOST_WORKERS {
            let text = format!("{} must be from 0 to {MOST_WORKERS}", self.workers);
            return Err(Error::config("workers", text));
        }
        for (name, time) in [("drain_delay", self.drain_delay), ("exit_timeout", self.exit_timeout)]
        {
            check_time(name, time)?;
        }
        Ok(())
    }
}

/// A server that listens, in threads of its own.
pub struct Server {
    service: Arc<Service>,
    address: SocketAddr,
    runtime: Runtime,
    stop: watch::Sender<Option<Instant>>,
    accepting: tokio::task::JoinHandle<bool>,
    drain_delay: Duration,
    exit_timeout: Duration,
}

impl Server {
    /// Binds the port and starts the threads.
    ///
    /// # Errors
    ///
    /// As [`Options::check`]; `Io` if the port cannot be bound; `OutOfMemory` if a thread cannot be started.
    pub fn start(registry: Arc<Registry>, options: Options) -> Result<Self> {
        options.check()?;
        let Options { host, port, limits, workers, keys, allow_reload, log, page, .. } = options;
        let service = Service::start(
            registry,
            ServiceOptions {
                limits: limits.clone(),
                workers,
                keys,
                admin: allow_reload,
                loopback: host.is_loopback(),
                log,
                page,
            },
        )?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads((cores / 4).max(1))
            .max_blocking_threads(cores.max(4))
            .thread_name("sockets")
            .enable_all()
            .build()
            .map_err(|cause| {
                let text = "the threads of the sockets could not be started";
                Error::new(ErrorKind::OutOfMemory, text).because(cause)
            })?;
        let wanted = SocketAddr::new(host, port);
        let listener = runtime.block_on(TcpListener::bind(wanted)).map_err(|cause| {
            Error::new(ErrorKind::Io, "cannot be listened on").at(wanted.to_string()).because(cause)
        })?;
        let address = listener.local_addr().map_err(|cause| {
            Error::new(ErrorKind::Io, "has no address").at(wanted.to_string()).because(cause)
        })?;
        let (stop, stopped) = watch::channel(None);
        let accept =
            Accept { app: app(Arc::clone(&service)), service: Arc::clone(&service), limits };
        let accepting = runtime.spawn(accept.run(listener, stopped));
        let (drain_delay, exit_timeout) = (options.drain_delay, options.exit_timeout);
        Ok(Self { service, address, runtime, stop, accepting, drain_delay, exit_timeout })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Models, engine and limits.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Waits for SIGTERM or Ctrl-C, then ends as [`Server::stop`]; a second signal ends the process at once.
    ///
    /// # Errors
    ///
    /// `Io` if the system gives no signals; as [`Server::stop`].
    pub fn wait(self) -> Result<()> {
        let delay = self.runtime.block_on(first_signal(self.drain_delay))?;
        self.runtime.spawn(async {
            if first_signal(Duration::ZERO).await.is_ok() {
                flush_log();
                std::process::exit(130);
            }
        });
        log_line(&serde_json::json!({"level": "info", "event": "draining"}));
        self.stop(delay)
    }

    /// Says that it is not ready, accepts on for `delay`, answers what is there, and ends.
    ///
    /// # Errors
    ///
    /// `Interrupted` if answers were left when the time was over.
    pub fn stop(self, delay: Duration) -> Result<()> {
        self.service.drain();
        std::thread::sleep(delay);
        // One time for both, for the answers and for the workers.
        let until = Instant::now() + self.exit_timeout;
        // Nobody listens where the loop has ended already.
        let _ = self.stop.send(Some(until));
        let answered = self.runtime.block_on(self.accepting).unwrap_or(false);
        let ended = self.service.stop(until.saturating_duration_since(Instant::now()));
        self.runtime.shutdown_timeout(Duration::from_millis(100));
        flush_log();
        match answered && ended {
            true => Ok(()),
            false => {
                let text = "requests were left when the time to end was over";
                Err(Error::new(ErrorKind::Interrupted, text))
            }
        }
    }
}

/// Serves models until SIGTERM or Ctrl-C.
///
/// # Errors
///
/// As [`Server::start`] and [`Server::wait`].
pub fn serve(registry: Arc<Registry>, options: Options) -> Result<()> {
    Server::start(registry, options)?.wait()
}

/// Waits for a signal; the time in which connections are still accepted.
async fn first_signal(drain_delay: Duration) -> Result<Duration> {
    let failed =
        |cause| Error::new(ErrorKind::Io, "cannot be waited for").at("signals").because(cause);
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        Ok(tokio::select! {
            _ = terminate.recv() => drain_delay,
            _ = interrupt.recv() => Duration::ZERO,
        })
    }
    #[cfg(not(unix))]
    {
        let _ = drain_delay;
        tokio::signal::ctrl_c().await.map_err(failed)?;
        Ok(Duration::ZERO)
    }
}
