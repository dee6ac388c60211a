//! The worker's process: starting it, exchanging frames with time-outs, and ending it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ptsm_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::protocol::{self, Frame, Kind};

/// The source of the worker.
const WORKER: &str = include_str!("worker.py");
/// Bytes at the end of the worker's stderr that are kept for error messages.
const KEPT_STDERR_BYTES: usize = 16 << 10;
/// Lines of them that an error quotes.
const QUOTED_LINES: usize = 6;
/// Time that the worker has to end by itself after STOP.
const STOP_TIME: Duration = Duration::from_secs(10);

/// A running worker.
pub(super) struct Process {
    child: Child,
    requests: Option<Sender<Vec<u8>>>,
    answers: Receiver<Result<Option<Frame>>>,
    stderr_tail: Arc<Mutex<VecDeque<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `python` with the worker.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if it cannot be started.
    pub(super) fn start(python: &OsString) -> Result<Self> {
        // The device stack writes logs into its working folder, so the worker is started in a
        // temporary one. A relative path is therefore made absolute; a bare name is searched in
        // PATH.
        let named = Path::new(python);
        let program = match named.components().count() {
            1 => Ok(named.to_owned()),
            _ => std::path::absolute(named),
        };
        let mut child = program.and_then(|program| Self::spawn(&program)).map_err(|e| {
            let text = "cannot be started; it names a Python with ttnn (see ptsm doctor)";
            let place = format!("PTSM_TTNN_PYTHON={}", python.display());
            Error::new(ErrorKind::BackendUnavailable, text).at(place).because(e)
        })?;
        let lost = || Error::internal("a pipe of the worker is missing");
        let mut stdin = child.stdin.take().ok_or_else(lost)?;
        let mut stdout = child.stdout.take().ok_or_else(lost)?;
        let stderr = child.stderr.take().ok_or_else(lost)?;
        let (requests, to_write) = channel::<Vec<u8>>();
        let (found, answers) = channel();
        let stderr_tail = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&stderr_tail);
        // Reading and writing have threads of their own, so that a worker that hangs cannot block
        // us.
        let writer = std::thread::spawn(move || {
            for bytes in to_write {
                if protocol::write(&mut stdin, &bytes).is_err() {
                    break;
                }
            }
        });
        let reader = std::thread::spawn(move || {
            loop {
                let frame = protocol::read(&mut stdout);
                let last = !matches!(frame, Ok(Some(_)));
                if found.send(frame).is_err() || last {
                    break;
                }
            }
        });
        let listener = std::thread::spawn(move || listen(stderr, &kept));
        let threads = vec![writer, reader, listener];
        Ok(Self { child, requests: Some(requests), answers, stderr_tail, threads })
    }

    fn spawn(program: &Path) -> std::io::Result<Child> {
        let mut command = Command::new(program);
        command
            .args(["-u", "-c", WORKER])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A Python may be a script that starts another one, as those of version managers do; all of them must end.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn()
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the worker answers with an error or an unknown frame, ends, or takes
    /// longer than `timeout`. The process cannot be used afterwards.
    pub(super) fn ask(
        &mut self,
        kind: Kind,
        header: &Value,
        data: &[&[f32]],
        timeout: Duration,
    ) -> Result<Frame> {
        let bytes = protocol::encode(kind, header, data);
        if let Some(requests) = &self.requests {
            // If the worker has ended, the missing answer shows it below.
            let _ = requests.send(bytes);
        }
        match self.answers.recv_timeout(timeout) {
            Ok(Ok(Some(frame))) if frame.kind == Kind::Ok as u32 => Ok(frame),
            Ok(Ok(Some(frame))) if frame.kind == Kind::Error as u32 => {
                let text = |field: &str| frame.header[field].as_str().unwrap_or("?").to_owned();
                let place = format!("tenstorrent worker, {}", text("step"));
                Err(Error::new(ErrorKind::BackendUnavailable, text("message")).at(place))
            }
            Ok(Ok(Some(frame))) => {
                Err(self.failure(&format!("answered with a frame of kind {}", frame.kind)))
            }
            Ok(Err(error)) => Err(error.at(self.place())),
            Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => {
                let ended = match self.status() {
                    Some(status) => format!("ended without an answer ({status})"),
                    None => "closed its output without an answer".into(),
                };
                Err(self.failure(&ended))
            }
            Err(RecvTimeoutError::Timeout) => {
                let text =
                    format!("gave no answer in {:.1} s and was ended", timeout.as_secs_f64());
                Err(self.failure(&text))
            }
        }
    }

    /// Stops it; whether it had ended by itself, or been ended because it gave no answer.
    pub(super) fn stop_unless_ended(mut self) -> bool {
        self.requests.is_none() || matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// How it ended, if it did so within a moment of closing its output.
    fn status(&mut self) -> Option<std::process::ExitStatus> {
        for _ in 0..100 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    fn failure(&mut self, text: &str) -> Error {
        self.end();
        let quoted: Vec<String> = {
            let tail = self.stderr_tail();
            let lines = tail.lines().filter(|line| !line.starts_with("@step") && !line.is_empty());
            let lines: Vec<&str> = lines.collect();
            lines[lines.len().saturating_sub(QUOTED_LINES)..]
                .iter()
                .map(|l| l.to_string())
                .collect()
        };
        let said = match quoted.is_empty() {
            true => String::new(),
            false => format!("; it said: {}", quoted.join(" / ")),
        };
        let text = format!("the worker {text}{said}");
        Error::new(ErrorKind::BackendUnavailable, text).at(self.place())
    }

    /// The step that the worker last reported on stderr.
    fn place(&self) -> String {
        let tail = self.stderr_tail();
        let last = tail.lines().rev().find_map(|line| line.strip_prefix("@step "));
        format!("tenstorrent worker, {}", last.unwrap_or("start"))
    }

    fn stderr_tail(&self) -> String {
        let mut kept = self.stderr_tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }

    /// Kills the process and waits for it, so that no zombie is left.
    fn end(&mut self) {
        self.requests = None;
        if self.threads.is_empty() {
            // It was ended before; its number may be that of another process by now.
            return;
        }
        kill(&mut self.child);
        let _ = self.child.wait();
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }

    /// Asks the worker to close its device, waits a while, and ends it.
    fn stop(&mut self) {
        if let Some(requests) = self.requests.take() {
            let _ = requests.send(protocol::encode(Kind::Stop, &Value::Null, &[]));
        }
        // The channel closes when the worker has closed its stdout.
        while let Ok(Ok(Some(_))) = self.answers.recv_timeout(STOP_TIME) {}
        self.end();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Kills a process and those that it started.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
}

/// Keeps the end of the worker's stderr.
fn listen(mut stderr: ChildStderr, kept: &Mutex<VecDeque<u8>>) {
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut part) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&part[..count]);
        let beyond = kept.len().saturating_sub(KEPT_STDERR_BYTES);
        kept.drain(..beyond);
    }
}
