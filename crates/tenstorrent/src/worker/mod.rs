//! Runs programs on devices, with one worker process for each chip.

mod process;
mod protocol;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::time::Duration;

use ptsm_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::executor::Executor;
use crate::program::{Program, Role};
use process::Process;
use protocol::Kind;

/// Names the Python that has `ttnn`.
pub const PYTHON_VARIABLE: &str = "PTSM_TTNN_PYTHON";
/// Seconds that a run may take; starting and loading may take ten times as long.
pub const TIMEOUT_VARIABLE: &str = "PTSM_TTNN_TIMEOUT";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);
/// Device memory for captured traces: some hundred steps take a few hundred kilobytes.
const TRACE_REGION_BYTES: usize = 32 << 20;

/// The sources of our kernels; the worker passes them to `ttnn`.
const KERNELS: [(&str, &str); 6] = [
    ("embed", include_str!("kernels/embed.cpp")),
    ("embed_read", include_str!("kernels/embed_read.cpp")),
    ("embed_write", include_str!("kernels/embed_write.cpp")),
    ("mixer", include_str!("kernels/mixer.cpp")),
    ("mixer_read", include_str!("kernels/mixer_read.cpp")),
    ("mixer_write", include_str!("kernels/mixer_write.cpp")),
];
/// Headers that several kernels include.
const SIZES: [(&str, &str); 2] = [
    ("#include \"embed_sizes.h\"", include_str!("kernels/embed_sizes.h")),
    ("#include \"mixer_sizes.h\"", include_str!("kernels/mixer_sizes.h")),
];

/// The sources by name, with their headers pasted in: `ttnn` gets a source as text, and text cannot
/// include a file that is not on disk.
fn kernels() -> Value {
    let whole = |text: &str| {
        SIZES.iter().fold(text.to_owned(), |text, (include, sizes)| text.replace(include, sizes))
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
        Ok(Self { python, timeout })
    }
}

/// One chip: a worker that is started when it is needed, and again after a failure.
struct ChipWorker {
    settings: WorkerSettings,
    device_id: usize,
    process: Option<Process>,
    loaded: HashSet<usize>,
}

impl ChipWorker {
    fn process(&mut self) -> Result<&mut Process> {
        if self.process.is_none() {
            self.loaded.clear();
            let mut process = Process::start(&self.settings.python)?;
            let header = json!({
                "device_id": self.device_id, "trace_region_bytes": TRACE_REGION_BYTES,
                "kernels": kernels(),
            });
            process.ask(Kind::Hello, &header, &[], 10 * self.settings.timeout)?;
            self.process = Some(process);
        }
        self.process.as_mut().ok_or_else(|| Error::internal("the worker is gone"))
    }

    fn run(&mut self, key: usize, program: &Program, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let outputs = self.try_run(key, program, inputs);
        if outputs.is_err() {
            // The state of the worker is unknown now, so the next call starts another.
            self.process = None;
        }
        outputs
    }

    fn try_run(
        &mut self,
        key: usize,
        program: &Program,
        inputs: &[&[f32]],
    ) -> Result<Vec<Vec<f32>>> {
        let timeout = self.settings.timeout;
        self.process()?;
        if !self.loaded.contains(&key) {
            let (header, data) = (load_header(key, program)?, constants(program));
            self.process()?.ask(Kind::Load, &header, &data, 10 * timeout)?;
            self.loaded.insert(key);
        }
        let header = json!({"key": key, "count": inputs.len()});
        // One more than there are inputs, because the first run captures the trace too.
        let timeout = timeout * (1 + inputs.len() as u32);
        let frame = self.process()?.ask(Kind::Run, &header, inputs, timeout)?;
        let output = program.with_role(Role::Output).next();
        let volume = output.map_or(0, |id| program.tensors[id].volume());
        if frame.data.len() != 4 * volume * inputs.len() {
            let (got, wanted) = (frame.data.len(), 4 * volume * inputs.len());
            let text = format!("the worker answered with {got} bytes, wanted {wanted}");
            return Err(Error::new(ErrorKind::BackendUnavailable, text));
        }
        let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let outputs = frame.data.chunks_exact(4 * volume);
        Ok(outputs.map(|bytes| bytes.chunks_exact(4).map(number).collect()).collect())
    }
}

fn load_header(key: usize, program: &Program) -> Result<Value> {
    let mut header = serde_json::to_value(program)
        .map_err(|e| Error::internal("the program cannot be written").because(e))?;
    header["key"] = json!(key);
    header["constants"] = program.constants.iter().map(|(id, _)| *id).collect();
    Ok(header)
}

fn constants(program: &Program) -> Vec<&[f32]> {
    program.constants.iter().map(|(_, values)| values.as_slice()).collect()
}

/// The chips of one product.
pub(crate) struct Devices {
    chips: Vec<ChipWorker>,
    programs: HashMap<usize, Program>,
}

impl Devices {
    /// Starts a worker for every chip, so that anything missing is reported at once.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if a worker does not start.
    pub(crate) fn open(settings: &WorkerSettings, chips: usize) -> Result<Self> {
        let chip = |device_id| ChipWorker {
            settings: settings.clone(),
            device_id,
            process: None,
            loaded: HashSet::new(),
        };
        let mut devices = Self { chips: (0..chips).map(chip).collect(), programs: HashMap::new() };
        for chip in &mut devices.chips {
            chip.process()?;
        }
        Ok(devices)
    }
}

impl Executor for Devices {
    fn load(&mut self, key: usize, program: Program) -> Result<()> {
        self.programs.insert(key, program);
        Ok(())
    }

    /// Divides the inputs among the chips; each gets a contiguous part.
    fn run(&mut self, key: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let Self { chips, programs } = self;
        let program = programs
            .get(&key)
            .ok_or_else(|| Error::internal(format!("program {key} was never loaded")))?;
        let share = inputs.len().div_ceil(chips.len()).max(1);
        let outputs: Vec<Result<Vec<Vec<f32>>>> = std::thread::scope(|scope| {
            let work = chips.iter_mut().zip(inputs.chunks(share));
            let started: Vec<_> = work
                .map(|(chip, inputs)| scope.spawn(move || chip.run(key, program, inputs)))
                .collect();
            let lost = || Err(Error::internal("a thread of a chip was lost"));
            started.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        });
        let mut all = Vec::with_capacity(inputs.len());
        for outputs in outputs {
            all.extend(outputs?);
        }
        Ok(all)
    }
}
