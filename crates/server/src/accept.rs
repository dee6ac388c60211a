//! The accept loop, and connections of HTTP/1 and HTTP/2.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, join};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::util::MapRequest;

use crate::limits::Limits;
use crate::state::Service;

/// Pause after a connection could not be accepted, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Until when the server ends, once it is told to.
pub(crate) type Stopped = watch::Receiver<Option<Instant>>;

/// What the accept loop needs.
pub(crate) struct Accept {
    pub(crate) app: Router,
    pub(crate) service: Arc<Service>,
    pub(crate) limits: Limits,
}

impl Accept {
    /// Accepts until it is told to stop, then waits for the answers; whether all were given in time.
    pub(crate) async fn run(self, listener: TcpListener, mut stopped: Stopped) -> bool {
        let (graceful, room) =
            (GracefulShutdown::new(), Arc::new(Semaphore::new(self.limits.connections)));
        loop {
            let accept = async {
                // The next connection waits in the system until there is room.
                let permit = Arc::clone(&room).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let accepted = tokio::select! {
                _ = stopped.wait_for(Option::is_some) => break,
                accepted = accept => accepted,
            };
            let (Ok(permit), Ok((stream, _))) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let connection = self.connection(stream, graceful.watcher(), stopped.clone());
            let metrics = Arc::clone(&self.service.metrics);
            tokio::spawn(held(connection, metrics, permit));
        }
        drop(listener);
        let until = stopped.borrow().unwrap_or_else(Instant::now);
        tokio::time::timeout_at(until.into(), graceful.shutdown()).await.is_ok()
    }

    /// Serves a connection to its end.
    fn connection(
        &self,
        stream: TcpStream,
        watcher: Watcher,
        mut stopped: Stopped,
    ) -> impl Future<Output = ()> + Send + use<> {
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
        let app = self.app.clone();
        async move {
            // One deadline for the first bytes and the head that they begin.
            let until = tokio::time::Instant::now() + header_time;
            let (mut read, write) = stream.into_split();
            let first = tokio::select! {
                // What has begun before the end is answered.
                biased;
                first = tokio::time::timeout_at(until, first_bytes(&mut read)) => first,
                _ = stopped.wait_for(Option::is_some) => return,
            };
            // A connection that breaks, or says nothing in time, concerns its client alone.
            let Ok(Ok(first)) = first else { return };
            let is_http2 = first == PREFACE;
            let builder = match is_http2 {
                true => builder.http2_only(),
                false => builder.http1_only(),
            };
            // A connection of HTTP/2 that has no request yet is asked by pings whether it lives.
            let heard = Arc::new(AtomicBool::new(is_http2));
            let note = Arc::clone(&heard);
            let app = MapRequest::new(app, move |request: hyper::Request<Incoming>| {
                note.store(true, Ordering::Relaxed);
                request
            });
            let service = TowerToHyperService::new(app);
            let stream = TokioIo::new(join(io::Cursor::new(first).chain(read), write));
            let connection = builder.serve_connection(stream, service).into_owned();
            let mut connection = std::pin::pin!(watcher.watch(connection));
            tokio::select! {
                _ = &mut connection => return,
                () = tokio::time::sleep_until(until) => {}
            }
            if heard.load(Ordering::Relaxed) {
                let _ = connection.await;
            }
        }
    }
}

/// Counts a connection while it is there.
async fn held(
    connection: impl Future<Output = ()>,
    metrics: Arc<crate::metrics::Metrics>,
    permit: OwnedSemaphorePermit,
) {
    metrics.connections.inc();
    connection.await;
    metrics.connections.dec();
    drop(permit);
}

/// The first bytes of a connection, as many as say whether it speaks HTTP/2: all of its preface then, and none where it
/// was closed.
async fn first_bytes(read: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PREFACE.len());
    while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
        let mut more = [0; PREFACE.len()];
        let room = PREFACE.len() - bytes.len();
        match read.read(&mut more[..room]).await? {
            0 => break,
            count => bytes.extend_from_slice(&more[..count]),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_bytes_are_read_as_tell_the_versions_apart() {
        for (sent, wanted) in [
            (&b"GET / HTTP/1.1\r\n"[..], &b"GET / HTTP/1.1\r\n"[..]),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore", PREFACE),
            (b"PRIX", b"PRIX"),
            (b"PRI", b"PRI"),
            (b"", b""),
        ] {
            assert_eq!(first_bytes(&mut &sent[..]).await.unwrap(), wanted);
            // The same where they come one by one.
            let (mut client, mut server) = tokio::io::duplex(1);
            let send = async move {
                for byte in sent {
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut client, &[*byte]).await;
                }
            };
            tokio::spawn(send);
            let got = first_bytes(&mut server).await.unwrap();
            let least = sent.iter().zip(PREFACE).take_while(|(a, b)| a == b).count() + 1;
            assert_eq!(got, wanted[..wanted.len().min(least)]);
        }
    }
}
