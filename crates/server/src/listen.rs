//! The accept loop, and the end of the process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ptsm::{Error, ErrorKind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use crate::app::app;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::log::log_line;
use crate::registry::Registry;
use crate::state::{Service, ServiceOptions};

/// Pause after a connection could not be accepted, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// A server that listens, in threads of its own.
pub struct Server {
    service: Arc<Service>,
    address: SocketAddr,
    runtime: Runtime,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<bool>,
    drain_delay: Duration,
    exit_timeout: Duration,
}

impl Server {
    /// Binds the port and starts the threads.
    ///
    /// # Errors
    ///
    /// `Io` if the port cannot be bound; `OutOfMemory` if a thread cannot be started.
    pub fn start(registry: Arc<Registry>, options: Options) -> Result<Self> {
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
        let (stop, stopped) = watch::channel(false);
        let accept =
            Accept { app: app(Arc::clone(&service)), service: Arc::clone(&service), limits };
        let accepting = runtime.spawn(accept.run(listener, stopped, options.exit_timeout));
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
        // Nobody listens where the loop has ended already.
        let _ = self.stop.send(true);
        let answered = self.runtime.block_on(self.accepting).unwrap_or(false);
        let ended = self.service.stop(self.exit_timeout);
        self.runtime.shutdown_timeout(Duration::from_millis(100));
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

/// What the accept loop needs.
struct Accept {
    app: Router,
    service: Arc<Service>,
    limits: Limits,
}

impl Accept {
    /// Accepts until it is told to stop, then waits for the answers; whether all were given in time.
    async fn run(
        self,
        listener: TcpListener,
        mut stopped: watch::Receiver<bool>,
        limit: Duration,
    ) -> bool {
        let (graceful, room) =
            (GracefulShutdown::new(), Arc::new(Semaphore::new(self.limits.connections)));
        loop {
            let accept = async {
                // The next connection waits in the system until there is room.
                let permit = Arc::clone(&room).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let accepted = tokio::select! {
                _ = stopped.wait_for(|&stopped| stopped) => break,
                accepted = accept => accepted,
            };
            let (Ok(permit), Ok((stream, _))) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            self.connection(stream, permit, &graceful);
        }
        drop(listener);
        tokio::time::timeout(limit, graceful.shutdown()).await.is_ok()
    }

    fn connection(
        &self,
        stream: TcpStream,
        permit: tokio::sync::OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
    ) {
        // Answers are small; waiting for more to send costs latency.
        let _ = stream.set_nodelay(true);
        let mut builder = Builder::new(TokioExecutor::new());
        let Limits { header_time, header_bytes, http2_streams, .. } = self.limits;
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_time)
            .max_buf_size(header_bytes.max(8 << 10));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(http2_streams)
            .max_header_list_size(header_bytes as u32)
            .keep_alive_interval(header_time)
            .keep_alive_timeout(header_time);
        let service = TowerToHyperService::new(self.app.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        let metrics = Arc::clone(&self.service.metrics);
        metrics.connections.inc();
        tokio::spawn(async move {
            // A connection that breaks concerns its client alone.
            let _ = connection.await;
            metrics.connections.dec();
            drop(permit);
        });
    }
}
