//! The backends: they keep a program for each batch size, and do the host's part of the work before
//! and after a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ptsm_core::{
    Backend, Batch, EmbeddingInput, Error, ErrorKind, Loaded, Model, Prediction, Result, Session,
    bytes_of,
};

use crate::emulator::Emulator;
use crate::executor::{Executor, HostSeconds};
use crate::lower::{Reading, Windows, input};
use crate::options::Options;
use crate::plan::{MAX_PROGRAM_BATCH, Plan, plan};
use crate::program::Program;
use crate::worker::{Device, WorkerSettings};

/// The emulator as a backend: computes on the CPU what a device would answer.
#[derive(Debug, Clone, Default)]
pub struct TenstorrentEmulator {
    /// What to plan for.
    pub options: Options,
}

impl Backend for TenstorrentEmulator {
    fn name(&self) -> &str {
        "tenstorrent-emulator"
    }

    fn load(&self, model: &Model) -> Result<Arc<dyn Loaded>> {
        let shared = Arc::new(Shared { model: model.clone(), options: self.options.clone() });
        Ok(Arc::new(LoadedEmulator { shared, device: EmulatedDevice::default() }))
    }
}

/// A chip that is run through `ttnn`, in a worker process.
#[derive(Debug, Clone, Default)]
pub struct Tenstorrent {
    /// What to plan for.
    pub options: Options,
    /// How workers are started; `None` asks the environment.
    pub worker: Option<WorkerSettings>,
}

impl Backend for Tenstorrent {
    fn name(&self) -> &str {
        "tenstorrent"
    }

    fn load(&self, model: &Model) -> Result<Arc<dyn Loaded>> {
        let (shared, programs) = self.open(model)?;
        let programs = Arc::new(Mutex::new(Some(programs)));
        Ok(Arc::new(LoadedDevice { shared, programs }))
    }
}

impl Tenstorrent {
    fn open(&self, model: &Model) -> Result<(Arc<Shared>, Programs)> {
        let settings = match &self.worker {
            Some(settings) => settings.clone(),
            None => WorkerSettings::from_environment()?,
        };
        let device = Device::open(&settings)?;
        let shared = Arc::new(Shared { model: model.clone(), options: self.options.clone() });
        Ok((shared, Programs::new(Box::new(device))))
    }
}

/// What every session of a model reads.
struct Shared {
    model: Model,
    options: Options,
}

impl Shared {
    /// Bytes in the host's memory; those in a device's are not counted.
    fn bytes(&self) -> u64 {
        let parameters = &self.model.parameters;
        bytes_of(&[parameters.trained.len()]) + bytes_of(&[parameters.buffers.len()])
    }
}

/// A model for the emulator; its sessions share the programs.
struct LoadedEmulator {
    shared: Arc<Shared>,
    device: EmulatedDevice,
}

impl Loaded for LoadedEmulator {
    fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let programs = Programs::new(Box::new(self.device.clone()));
        let (shared, owner) = (Arc::clone(&self.shared), Owner::default());
        Ok(Box::new(ProgramSession { shared, programs: Some(programs), owner }))
    }
}

/// A model on a chip, which one session at a time has to itself.
struct LoadedDevice {
    shared: Arc<Shared>,
    programs: Owner,
}

impl Loaded for LoadedDevice {
    fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let Some(programs) = lock(&self.programs).take() else {
            let text = "the chip serves one session at a time (drop the other one first)";
            return Err(Error::new(ErrorKind::BackendUnavailable, text));
        };
        let (shared, owner) = (Arc::clone(&self.shared), Arc::clone(&self.programs));
        Ok(Box::new(ProgramSession { shared, programs: Some(programs), owner }))
    }
}

/// The programs of the emulator, by key; clones share them.
#[derive(Clone, Default)]
struct EmulatedDevice {
    programs: Arc<Mutex<HashMap<usize, Arc<Emulator>>>>,
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor for EmulatedDevice {
    fn load(&mut self, key: usize, program: Program) -> Result<()> {
        let emulator = Arc::new(Emulator::new(program)?);
        lock(&self.programs).insert(key, emulator);
        Ok(())
    }

    fn run(&mut self, key: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let emulator = lock(&self.programs)
            .get(&key)
            .map(Arc::clone)
            .ok_or_else(|| Error::internal(format!("program {key} was never loaded")))?;
        let run = |input: &&[f32]| -> Result<Vec<f32>> {
            let mut outputs = emulator.run(&[*input])?;
            outputs.pop().ok_or_else(|| Error::internal("the program has no output"))
        };
        inputs.iter().map(run).collect()
    }
}

/// A program that an executor has.
#[derive(Clone)]
struct LoadedProgram {
    /// Samples of a run.
    size: usize,
    reading: Reading,
    windows: Option<Windows>,
}

/// A model's programs, one for each batch size that was asked for, and what runs them.
struct Programs {
    /// By the size of the request, rounded up to a power of two.
    plans: HashMap<usize, LoadedProgram>,
    executor: Box<dyn Executor>,
}

/// Where a session puts its programs when it ends, for the next one.
type Owner = Arc<Mutex<Option<Programs>>>;

impl Programs {
    fn new(executor: Box<dyn Executor>) -> Self {
        Self { plans: HashMap::new(), executor }
    }

    /// The program `key`, for requests of this many samples, loaded.
    fn program(&mut self, shared: &Shared, key: usize) -> Result<LoadedProgram> {
        if let Some(plan) = self.plans.get(&key) {
            return Ok(plan.clone());
        }
        let Plan { program, reading, windows, .. } = plan(&shared.model, &shared.options, key)?;
        let loaded = LoadedProgram { size: program.batch, reading, windows };
        self.executor.load(key, program)?;
        self.plans.insert(key, loaded.clone());
        Ok(loaded)
    }
}

/// One user of a model's programs.
struct ProgramSession {
    shared: Arc<Shared>,
    /// `None` only while the session is dropped.
    programs: Option<Programs>,
    owner: Owner,
}

impl Drop for ProgramSession {
    fn drop(&mut self) {
        *lock(&self.owner) = self.programs.take();
    }
}

impl Session for ProgramSession {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        self.timed(batch, out).map(drop)
    }
}

impl ProgramSession {
    /// As [`Session::forward`]; gives the time of what is done before and after the run.
    fn timed(&mut self, batch: &Batch, out: &mut Prediction) -> Result<AroundRun> {
        let Self { shared, programs, .. } = self;
        let Some(programs) = programs else {
            return Err(Error::internal("a session without programs"));
        };
        // Sizes are rounded up so that few programs serve all of them: each new program has to be
        // compiled and captured before it runs.
        let key = batch.size().next_power_of_two().min(MAX_PROGRAM_BATCH);
        let LoadedProgram { size, reading, windows } = programs.program(shared, key)?;
        let began = Instant::now();
        let prepared = shared.model.prepare(batch)?;
        let given = input(windows, &prepared.patches);
        let sample = given.len() / batch.size();
        // The last run is filled up with zeros.
        let whole = given.len() / (size * sample) * size * sample;
        let mut last = given[whole..].to_vec();
        let mut inputs: Vec<&[f32]> = given[..whole].chunks_exact(size * sample).collect();
        if !last.is_empty() {
            last.resize(size * sample, 0.0);
            inputs.push(&last);
        }
        let prepared_s = since(began);
        let outputs = programs.executor.run(key, &inputs)?;
        let began = Instant::now();
        let width: usize = reading.widths.iter().sum();
        let rows = outputs[0].len() / width / size;
        let mut all = outputs.concat();
        all.truncate(batch.size() * rows * width);
        if all.len() != batch.size() * rows * width || all.iter().any(|x| !x.is_finite()) {
            return Err(Error::internal("the device gave no finite numbers of the right count"));
        }
        let projected = split(&reading, &mut all, &prepared);
        *out = shared.model.finish(&prepared, &projected);
        Ok(AroundRun { prepared: prepared_s, finished: since(began) })
    }
}

/// Times of the host's own parts around a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AroundRun {
    pub(crate) prepared: f64,
    pub(crate) finished: f64,
}

/// A session on a chip whose host times are of interest.
pub(crate) struct TenstorrentSession(ProgramSession);

impl TenstorrentSession {
    pub(crate) fn open(backend: &Tenstorrent, model: &Model) -> Result<Self> {
        let (shared, programs) = backend.open(model)?;
        Ok(Self(ProgramSession { shared, programs: Some(programs), owner: Owner::default() }))
    }

    pub(crate) fn timed(&mut self, batch: &Batch, out: &mut Prediction) -> Result<AroundRun> {
        self.0.timed(batch, out)
    }

    /// The worker's part of the last run.
    pub(crate) fn host_seconds(&self) -> HostSeconds {
        self.0.programs.as_ref().map_or_else(HostSeconds::default, |p| p.executor.host_seconds())
    }
}

/// Splits the output into the projections, each with its rows one after the other.
fn split(reading: &Reading, all: &mut [f32], prepared: &EmbeddingInput) -> Vec<Vec<f32>> {
    if let Some(injection) = &reading.injection {
        injection.add(all, prepared.loc(), prepared.scale());
    }
    let width: usize = reading.widths.iter().sum();
    let mut start = 0;
    let part = |&columns: &usize| {
        let rows = all.chunks_exact(width);
        let part = rows.flat_map(|row| &row[start..start + columns]).copied().collect();
        start += columns;
        part
    };
    reading.widths.iter().map(part).collect()
}

/// Seconds since `began`.
fn since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64()
}
