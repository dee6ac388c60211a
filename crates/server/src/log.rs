//! One line of JSON for each request and each failure, on the standard error.
//!
//! Lines are written by a thread of their own: a terminal or a pipe that takes nothing must not hold the threads of the
//! sockets. Those that do not fit into the queue in front of it, or cannot be written, are lost, and are counted.

use std::io::Write;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde_json::{Value, json};

/// Lines that wait to be written, at most.
const WAITING: usize = 4096;
/// Time in which what waits is written at the end of a server.
const FLUSH: Duration = Duration::from_secs(1);

/// What is written.
enum Entry {
    Line(String),
    /// Who wants to know that all before it is written.
    Flushed(SyncSender<()>),
}

/// Lines on their way to a writer.
struct Log {
    entries: SyncSender<Entry>,
    lost: Counter<u64, AtomicU64>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| Log::new(std::io::stderr(), WAITING));

impl Log {
    fn new(writer: impl Write + Send + 'static, waiting: usize) -> Self {
        let (entries, receiver) = sync_channel(waiting);
        let lost = Counter::default();
        let counted = lost.clone();
        let write = move || write_all(writer, &receiver, &counted);
        // Without a thread every line is lost, which is counted.
        let _ = std::thread::Builder::new().name("log".into()).spawn(write);
        Self { entries, lost }
    }

    fn line(&self, line: String) {
        if self.entries.try_send(Entry::Line(line)).is_err() {
            self.lost.inc();
        }
    }

    /// Waits until what waits is written, for `limit` at most.
    fn flush(&self, limit: Duration) {
        let (sender, flushed) = sync_channel(1);
        let end = std::time::Instant::now() + limit;
        let mut entry = Entry::Flushed(sender);
        while let Err(TrySendError::Full(again)) = self.entries.try_send(entry) {
            if std::time::Instant::now() >= end {
                return;
            }
            entry = again;
            std::thread::sleep(Duration::from_millis(2));
        }
        // A writer that takes nothing must not keep the process.
        let _ = flushed.recv_timeout(end.saturating_duration_since(std::time::Instant::now()));
    }
}

fn write_all(mut writer: impl Write, entries: &Receiver<Entry>, lost: &Counter<u64, AtomicU64>) {
    let mut told = 0;
    while let Ok(entry) = entries.recv() {
        match entry {
            // A log that cannot be written must not end the server.
            Entry::Line(line) => {
                if writer.write_all(line.as_bytes()).is_err() {
                    lost.inc();
                }
            }
            Entry::Flushed(sender) => drop(sender.send(())),
        }
        let now = lost.get();
        if now > told {
            let fields = json!({"level": "warn", "event": "lines lost", "count": now - told});
            if writer.write_all(timed(&fields).as_bytes()).is_ok() {
                told = now;
            }
        }
    }
}

/// A line with the time in front.
fn timed(fields: &Value) -> String {
    let mut line = json!({"time": jiff::Timestamp::now().to_string()});
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    format!("{line}\n")
}

/// Writes a line with the time in front, after those that wait.
pub(crate) fn log_line(fields: &Value) {
    LOG.line(timed(fields));
}

/// Waits until what waits is written, for a second at most.
pub(crate) fn flush_log() {
    LOG.flush(FLUSH);
}

/// Lines of the process that were lost.
pub(crate) fn lost_lines() -> Counter<u64, AtomicU64> {
    LOG.lost.clone()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Writes where it may.
    #[derive(Clone, Default)]
    struct Gate {
        shut: Arc<Mutex<()>>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _open = self.shut.lock().unwrap();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Writes nothing.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let log = Log::new(Broken, 16);
        (0..5).for_each(|number| log.line(format!("line {number}\n")));
        log.flush(Duration::from_secs(60));
        assert_eq!(log.lost.get(), 5);
    }

    #[test]
    fn a_writer_that_takes_nothing_costs_lines_and_nobody_waits() {
        let gate = Gate::default();
        let log = Log::new(gate.clone(), 4);
        let shut = gate.shut.lock().unwrap();
        // This returns at all only where nobody waits for the writer.
        (0..100).for_each(|number| log.line(format!("line {number}\n")));
        log.flush(Duration::from_millis(20));
        let lost = log.lost.get();
        assert!((95..=96).contains(&lost), "{lost}");
        drop(shut);
        log.flush(Duration::from_secs(60));
        let text = String::from_utf8(gate.written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("line 0\n"), "{text}");
        assert_eq!(text.matches("line ").count() as u64, 100 - lost, "{text}");
        let counts: Vec<u64> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|line| line["count"].as_u64())
            .collect();
        assert_eq!(counts.iter().sum::<u64>(), lost, "{text}");
    }
}
