//! Runs programs on a chip, in a worker process.

mod exchange;
mod process;
mod protocol;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::time::{Duration, Instant};

use ptsm_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::executor::{Executor, HostSeconds};
use crate::program::{Program, Role, TensorSpec};
use exchange::Exchange;
use process::Process;
use protocol::Kind;

/// Names the Python that has `ttnn`.
pub const PYTHON_VARIABLE: &str = "PTSM_TTNN_PYTHON";
/// Seconds that a run may take; starting and loading may take ten times as long.
pub const TIMEOUT_VARIABLE: &str = "PTSM_TTNN_TIMEOUT";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// A worker that dies (a bus error, a driver that resets the chip), or gives no answer in time, is replaced once a request.
const RETRIES: u32 = 1;
/// Most bytes of inputs and outputs that are shared with a worker at once: containers give little of such memory.
const SHARED_BYTES: usize = 32 << 20;
/// Device memory for captured traces: some hundred steps take a few hundred kilobytes.
const TRACE_REGION_BYTES: usize = 32 << 20;

/// The sources of our kernels; the worker passes them to `ttnn`.
const KERNELS: [(&str, &str); 12] = [
    ("attention", include_str!("kernels/attention.cpp")),
    ("attention_read", include_str!("kernels/attention_read.cpp")),
    ("attention_write", include_str!("kernels/attention_write.cpp")),
    ("channels", include_str!("kernels/channels.cpp")),
    ("channels_read", include_str!("kernels/channels_read.cpp")),
    ("channels_write", include_str!("kernels/channels_write.cpp")),
    ("embed", include_str!("kernels/embed.cpp")),
    ("embed_read", include_str!("kernels/embed_read.cpp")),
    ("embed_write", include_str!("kernels/embed_write.cpp")),
    ("mixer", include_str!("kernels/mixer.cpp")),
    ("mixer_read", include_str!("kernels/mixer_read.cpp")),
    ("mixer_write", include_str!("kernels/mixer_write.cpp")),
];
/// Headers that several kernels include.
const HEADERS: [(&str, &str); 6] = [
    ("#include \"attention_sizes.h\"", include_str!("kernels/attention_sizes.h")),
    ("#include \"bring.h\"", include_str!("kernels/bring.h")),
    ("#include \"channels_sizes.h\"", include_str!("kernels/channels_sizes.h")),
    ("#include \"compute.h\"", include_str!("kernels/compute.h")),
    ("#include \"embed_sizes.h\"", include_str!("kernels/embed_sizes.h")),
    ("#include \"mixer_sizes.h\"", include_str!("kernels/mixer_sizes.h")),
];

/// The sources by name, with their headers pasted in: `ttnn` gets a source as text, and text cannot
/// include a file that is not on disk.
fn kernels() -> Value {
    let whole = |text: &str| {
        HEADERS.iter().fold(text.to_owned(), |text, (include, sizes)| text.replace(include, sizes))
    };
    KERNELS.iter().map(|(name, text)| (*name, whole(text))).collect()
}

/// How workers are started.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// A Python with `ttnn`.
    pub python: OsString,
    /// Longest wait for the answer to a run.
    pub timeout: Duration,
    /// How often a request is repeated with a new worker if the worker dies of it, or gives no answer in time.
    pub retries: u32,
}

impl WorkerSettings {
    /// The settings of the environment variables.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if no Python is named; `InvalidConfig` if the time-out is no number.
    pub fn from_environment() -> Result<Self> {
        let python = std::env::var_os(PYTHON_VARIABLE).ok_or_else(|| {
            let text = "is not set; it names a Python 3.10 or 3.12 with ttnn (pip install ttnn), \
                        and `ptsm doctor` looks for the rest";
            Error::new(ErrorKind::BackendUnavailable, text).at(PYTHON_VARIABLE)
        })?;
        let timeout = match std::env::var(TIMEOUT_VARIABLE) {
            Err(_) => DEFAULT_TIMEOUT,
            Ok(text) => match text.parse::<f64>() {
                Ok(seconds) if seconds > 0.0 && seconds < 1e6 => Duration::from_secs_f64(seconds),
                _ => {
                    let text = format!("\"{text}\" is no number of seconds");
                    return Err(Error::config(TIMEOUT_VARIABLE, text));
                }
            },
        };
        Ok(Self { python, timeout, retries: RETRIES })
    }
}

/// A worker, and what it has.
struct Running {
    process: Process,
    exchange: Exchange,
    loaded: HashSet<usize>,
}

/// One chip: a worker that is started when it is needed, and again after a failure.
struct ChipWorker {
    settings: WorkerSettings,
    running: Option<Running>,
    /// Bytes of the inputs of a request.
    packed: Vec<u8>,
    last: HostSeconds,
}

impl ChipWorker {
    fn running(&mut self) -> Result<&mut Running> {
        if self.running.is_none() {
            let (mut process, mut exchange) =
                (Process::start(&self.settings.python)?, Exchange::new()?);
            let header = json!({
                "device_id": 0, "trace_region_bytes": TRACE_REGION_BYTES,
                "kernels": kernels(), "exchange": exchange.path(),
            });
            process.ask(Kind::Hello, &header, &[], 10 * self.settings.timeout)?;
            exchange.unlink();
            self.running = Some(Running { process, exchange, loaded: HashSet::new() });
        }
        self.running.as_mut().ok_or_else(|| Error::internal("the worker is gone"))
    }

    /// Runs a request, in parts that fit into the memory that is shared.
    fn run(&mut self, key: usize, program: &Program, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let exchanged = Exchanged::of(program)?;
        let bytes = exchanged.input.host_bytes() + exchanged.output.host_bytes();
        let mut outputs = Vec::with_capacity(inputs.len());
        for part in inputs.chunks((SHARED_BYTES / bytes).max(1)) {
            outputs.extend(self.run_part(key, program, part)?);
        }
        Ok(outputs)
    }

    /// Runs a part of a request; if the worker dies of it, once more with a new one.
    fn run_part(
        &mut self,
        key: usize,
        program: &Program,
        inputs: &[&[f32]],
    ) -> Result<Vec<Vec<f32>>> {
        let mut tries = 1 + self.settings.retries;
        loop {
            let outputs = self.try_run(key, program, inputs);
            let Err(error) = outputs else { return outputs };
            // The state of the worker is unknown now, so the next call starts another.
            let died =
                self.running.take().is_some_and(|running| running.process.stop_unless_ended());
            tries -= 1;
            if tries == 0 || !died {
                return Err(error);
            }
        }
    }

    fn load_if_new(&mut self, key: usize, program: &Program) -> Result<()> {
        let timeout = 10 * self.settings.timeout;
        let Running { process, loaded, .. } = self.running()?;
        if !loaded.contains(&key) {
            let (header, data) = (load_header(key, program)?, constants(program));
            process.ask(Kind::Load, &header, &data, timeout)?;
            loaded.insert(key);
        }
        Ok(())
    }

    fn try_run(
        &mut self,
        key: usize,
        program: &Program,
        inputs: &[&[f32]],
    ) -> Result<Vec<Vec<f32>>> {
        self.load_if_new(key, program)?;
        let Exchanged { input: given, output: made } = Exchanged::of(program)?;
        let began = Instant::now();
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        inputs.iter().for_each(|input| given.pack(input, &mut packed));
        // One more than there are inputs, because the first run captures the trace too.
        let timeout = self.settings.timeout * (1 + inputs.len() as u32);
        let Running { process, exchange, .. } = self.running()?;
        let bytes = exchange.write(&packed, inputs.len() * made.host_bytes())?;
        let written = began.elapsed().as_secs_f64();
        let header = json!({"key": key, "count": inputs.len(), "bytes": bytes});
        let began = Instant::now();
        let frame = process.ask(Kind::Run, &header, &[], timeout)?;
        let asked = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let start = packed.len();
        packed.resize(inputs.len() * made.host_bytes(), 0);
        exchange.read(start, &mut packed)?;
        let outputs = packed.chunks_exact(made.host_bytes()).map(|bytes| made.unpack(bytes));
        let outputs = outputs.collect();
        let seconds = |field: &str| frame.header[field].as_f64().unwrap_or_default();
        self.last = HostSeconds {
            written,
            pipe: asked - seconds("run_s"),
            started: seconds("start_s"),
            read: began.elapsed().as_secs_f64(),
        };
        self.packed = packed;
        Ok(outputs)
    }
}

/// The tensors of a program whose bytes are exchanged with the worker.
struct Exchanged<'p> {
    input: &'p TensorSpec,
    output: &'p TensorSpec,
}

impl<'p> Exchanged<'p> {
    fn of(program: &'p Program) -> Result<Self> {
        let tensor = |role| {
            let found = program.with_role(role).next().map(|id| &program.tensors[id]);
            found.filter(|spec| spec.is_exchanged_as_bytes()).ok_or_else(|| {
                Error::internal("has no input or output in bfloat16").at(&program.name)
            })
        };
        Ok(Self { input: tensor(Role::Input)?, output: tensor(Role::Output)? })
    }
}

fn load_header(key: usize, program: &Program) -> Result<Value> {
    let mut header = serde_json::to_value(program)
        .map_err(|e| Error::internal("the program cannot be written").because(e))?;
    header["key"] = json!(key);
    header["lanes"] = json!(if program.has_two_lanes() { 2 } else { 1 });
    header["constants"] = program.constants.iter().map(|(id, _)| *id).collect();
    Ok(header)
}

fn constants(program: &Program) -> Vec<&[f32]> {
    program.constants.iter().map(|(_, values)| values.as_slice()).collect()
}

/// The chip that runs programs.
pub(crate) struct Device {
    chip: ChipWorker,
    programs: HashMap<usize, Program>,
}

impl Device {
    /// Starts its worker, so that anything missing is reported at once.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the worker does not start.
    pub(crate) fn open(settings: &WorkerSettings) -> Result<Self> {
        let mut chip = ChipWorker {
            settings: settings.clone(),
            running: None,
            packed: Vec::new(),
            last: HostSeconds::default(),
        };
        chip.running()?;
        Ok(Self { chip, programs: HashMap::new() })
    }
}

impl Executor for Device {
    fn load(&mut self, key: usize, program: Program) -> Result<()> {
        self.programs.insert(key, program);
        Ok(())
    }

    fn run(&mut self, key: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let program = self
            .programs
            .get(&key)
            .ok_or_else(|| Error::internal(format!("program {key} was never loaded")))?;
        self.chip.run(key, program, inputs)
    }

    fn host_seconds(&self) -> HostSeconds {
        self.chip.last
    }
}
