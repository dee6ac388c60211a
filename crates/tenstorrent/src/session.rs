//! The backends: they keep a program for each batch size, and do the host's part of the work before
//! and after a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ptsm_core::{
    Backend, Batch, EmbeddingInput, Error, ErrorKind, HeadsSession, Loaded, LoadedHeads, Model,
    Prediction, Result, Session, bytes_of,
};

use crate::emulator::Emulator;
use crate::executor::{Executor, HostSeconds};
use crate::lower::{Reading, Windows, input};
use crate::options::Options;
use crate::plan::{MAX_PROGRAM_BATCH, Plan, check_heads, plan_heads};
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
        Ok(Arc::new(self.loaded(&[model])))
    }

    fn load_heads(&self, models: &[&Model]) -> Result<Arc<dyn LoadedHeads>> {
        check_heads(models, &self.options)?;
        Ok(Arc::new(self.loaded(models)))
    }
}

impl TenstorrentEmulator {
    fn loaded(&self, models: &[&Model]) -> LoadedEmulator {
        let shared = Arc::new(Shared::new(models, &self.options));
        LoadedEmulator { shared, device: EmulatedDevice::default() }
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
        Ok(Arc::new(self.loaded(&[model])?))
    }

    fn load_heads(&self, models: &[&Model]) -> Result<Arc<dyn LoadedHeads>> {
        check_heads(models, &self.options)?;
        Ok(Arc::new(self.loaded(models)?))
    }
}

impl Tenstorrent {
    fn loaded(&self, models: &[&Model]) -> Result<LoadedDevice> {
        let (shared, programs) = self.open(models)?;
        Ok(LoadedDevice { shared, programs: Arc::new(Mutex::new(Some(programs))) })
    }

    fn open(&self, models: &[&Model]) -> Result<(Arc<Shared>, Programs)> {
        let settings = match &self.worker {
            Some(settings) => settings.clone(),
            None => WorkerSettings::from_environment()?,
        };
        let device = Device::open(&settings)?;
        let shared = Arc::new(Shared::new(models, &self.options));
        Ok((shared, Programs::new(Box::new(device))))
    }
}

/// What every session reads: a model, or several heads on one backbone.
struct Shared {
    /// At least one.
    models: Vec<Model>,
    options: Options,
}

impl Shared {
    fn new(models: &[&Model], options: &Options) -> Self {
        let models = models.iter().map(|&model| model.clone()).collect();
        Self { models, options: options.clone() }
    }

    /// The model that prepares the windows of all: the first whose head reads them, as they are kept only for such a head.
    fn preparing(&self) -> &Model {
        let reads = self.models.iter().find(|model| model.head_reads_windows());
        reads.unwrap_or(&self.models[0])
    }

    /// Bytes in the host's memory; those in a device's are not counted.
    fn bytes(&self) -> u64 {
        let parameters = self.models.iter().map(|model| &model.parameters);
        let bytes = parameters.map(|p| bytes_of(&[p.trained.len()]) + bytes_of(&[p.buffers.len()]));
        bytes.sum()
    }
}

/// A model for the emulator; its sessions share the programs.
struct LoadedEmulator {
    shared: Arc<Shared>,
    device: EmulatedDevice,
}

impl LoadedEmulator {
    fn open(&self) -> ProgramSession {
        let programs = Programs::new(Box::new(self.device.clone()));
        let (shared, owner) = (Arc::clone(&self.shared), Owner::default());
        ProgramSession { shared, programs: Some(programs), owner }
    }
}

impl Loaded for LoadedEmulator {
    fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.open()))
    }
}

impl LoadedHeads for LoadedEmulator {
    fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    fn session(&self) -> Result<Box<dyn HeadsSession>> {
        Ok(Box::new(self.open()))
    }
}

/// A model on a chip, which one session at a time has to itself.
struct LoadedDevice {
    shared: Arc<Shared>,
    programs: Owner,
}

impl LoadedDevice {
    fn open(&self) -> Result<ProgramSession> {
        let Some(programs) = lock(&self.programs).take() else {
            let text = "the chip serves one session at a time (drop the other one first)";
            return Err(Error::new(ErrorKind::BackendUnavailable, text));
        };
        let (shared, owner) = (Arc::clone(&self.shared), Arc::clone(&self.programs));
        Ok(ProgramSession { shared, programs: Some(programs), owner })
    }
}

impl Loaded for LoadedDevice {
    fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(self.open()?))
    }
}

impl LoadedHeads for LoadedDevice {
    fn bytes(&self) -> u64 {
        self.shared.bytes()
    }

    fn session(&self) -> Result<Box<dyn HeadsSession>> {
        Ok(Box::new(self.open()?))
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
    /// Of each head.
    readings: Vec<Reading>,
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
        let models: Vec<&Model> = shared.models.iter().collect();
        let plan = plan_heads(&models, &shared.options, key)?;
        let Plan { program, readings, windows, .. } = plan;
        let loaded = LoadedProgram { size: program.batch, readings, windows };
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

impl HeadsSession for ProgramSession {
    fn forward(&mut self, batch: &Batch) -> Result<Vec<Prediction>> {
        self.outputs(batch).map(|(outputs, _)| outputs)
    }
}

impl ProgramSession {
    /// As [`Session::forward`]; gives the time of what is done before and after the run.
    fn timed(&mut self, batch: &Batch, out: &mut Prediction) -> Result<AroundRun> {
        let (outputs, around) = self.outputs(batch)?;
        let own = outputs.into_iter().next();
        *out = own.ok_or_else(|| Error::internal("a session without a head"))?;
        Ok(around)
    }

    /// The output of each head, and the time of what is done before and after the run.
    fn outputs(&mut self, batch: &Batch) -> Result<(Vec<Prediction>, AroundRun)> {
        let Self { shared, programs, .. } = self;
        let Some(programs) = programs else {
            return Err(Error::internal("a session without programs"));
        };
        // Sizes are rounded up so that few programs serve all of them: each new program has to be
        // compiled and captured before it runs.
        let key = batch.size().next_power_of_two().min(MAX_PROGRAM_BATCH);
        let LoadedProgram { size, readings, windows } = programs.program(shared, key)?;
        let began = Instant::now();
        let prepared = shared.preparing().prepare(batch)?;
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
        let width: usize = readings.iter().flat_map(|reading| &reading.widths).sum();
        let rows = outputs[0].len() / width / size;
        let mut all = outputs.concat();
        all.truncate(batch.size() * rows * width);
        if all.len() != batch.size() * rows * width || all.iter().any(|x| !x.is_finite()) {
            return Err(Error::internal("the device gave no finite numbers of the right count"));
        }
        let projected = split(&readings, &mut all, &prepared);
        let heads = shared.models.iter().zip(&projected);
        let outputs = heads.map(|(model, projected)| model.finish(&prepared, projected)).collect();
        Ok((outputs, AroundRun { prepared: prepared_s, finished: since(began) }))
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
        let (shared, programs) = backend.open(&[model])?;
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

/// Splits the output into the projections of each head, each with its rows one after the other.
fn split(readings: &[Reading], all: &mut [f32], prepared: &EmbeddingInput) -> Vec<Vec<Vec<f32>>> {
    // Only a head by itself has an injection.
    if let [Reading { injection: Some(injection), .. }] = readings {
        injection.add(all, prepared.loc(), prepared.scale());
    }
    let width: usize = readings.iter().flat_map(|reading| &reading.widths).sum();
    let mut start = 0;
    let mut part = |&columns: &usize| {
        let rows = all.chunks_exact(width);
        let part = rows.flat_map(|row| &row[start..start + columns]).copied().collect();
        start += columns;
        part
    };
    readings.iter().map(|reading| reading.widths.iter().map(&mut part).collect()).collect()
}

/// Seconds since `began`.
fn since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64()
}
