//! The worker's process: started, spoken to with time-outs, and always reaped.

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

/// The interpreter of programs, which travels inside this binary.
const WORKER: &str = include_str!("worker.py");
/// Bytes of the worker's talk that an error may quote.
const KEPT_TALK: usize = 16 << 10;
/// Lines of it that an error quotes.
const QUOTED_LINES: usize = 6;
/// Time to end by itself after STOP.
const STOP_TIME: Duration = Duration::from_secs(10);

/// A running worker.
pub(super) struct Process {
    child: Child,
    requests: Option<Sender<Vec<u8>>>,
    answers: Receiver<Result<Option<Frame>>>,
    talk: Arc<Mutex<VecDeque<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts `python` with the worker.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if it cannot be started.
    pub(super) fn start(python: &OsString) -> Result<Self> {
        // The device stack leaves logs in the folder that it is started in. A bare name is looked
        // for on the path; a relative one is meant from here.
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
        let talk = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&talk);
        // Threads of their own, so that a worker that neither reads nor writes blocks nobody.
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
        Ok(Self { child, requests: Some(requests), answers, talk, threads })
    }

    fn spawn(program: &Path) -> std::io::Result<Child> {
        Command::new(program)
            .args(["-u", "-c", WORKER])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Sends a request and waits for its answer's data.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the worker says so, ends, answers with something else, or takes
    /// longer than `patience`. The process is of no use afterwards.
    pub(super) fn ask(
        &mut self,
        kind: Kind,
        header: &Value,
        data: &[&[f32]],
        patience: Duration,
    ) -> Result<Frame> {
        let bytes = protocol::encode(kind, header, data);
        if let Some(requests) = &self.requests {
            // A worker that is gone shows in its answer.
            let _ = requests.send(bytes);
        }
        match self.answers.recv_timeout(patience) {
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
                let ended = match self.child.wait() {
                    Ok(status) => format!("ended without an answer ({status})"),
                    Err(_) => "ended without an answer".into(),
                };
                Err(self.failure(&ended))
            }
            Err(RecvTimeoutError::Timeout) => {
                let text =
                    format!("gave no answer in {:.1} s and was ended", patience.as_secs_f64());
                Err(self.failure(&text))
            }
        }
    }

    fn failure(&mut self, text: &str) -> Error {
        self.end();
        let quoted: Vec<String> = {
            let talk = self.talk();
            let lines = talk.lines().filter(|line| !line.starts_with("@step") && !line.is_empty());
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

    /// Where the worker was when it last left a note.
    fn place(&self) -> String {
        let talk = self.talk();
        let last = talk.lines().rev().find_map(|line| line.strip_prefix("@step "));
        format!("tenstorrent worker, {}", last.unwrap_or("start"))
    }

    fn talk(&self) -> String {
        let mut kept = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(kept.make_contiguous()).into_owned()
    }

    /// Ends the process at once and collects it.
    fn end(&mut self) {
        self.requests = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }

    /// Lets the worker close its device, if it can.
    fn stop(&mut self) {
        if let Some(requests) = self.requests.take() {
            let _ = requests.send(protocol::encode(Kind::Stop, &Value::Null, &[]));
        }
        // The reader ends with the worker's stdout.
        while let Ok(Ok(Some(_))) = self.answers.recv_timeout(STOP_TIME) {}
        self.end();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Keeps the last of what the worker says.
fn listen(mut stderr: ChildStderr, kept: &Mutex<VecDeque<u8>>) {
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut part) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(&part[..count]);
        let beyond = kept.len().saturating_sub(KEPT_TALK);
        kept.drain(..beyond);
    }
}
