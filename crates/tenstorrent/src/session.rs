//! The backends: programs by batch size, the host's share of the work on either side of a run.

use std::collections::HashMap;

use ptsm_core::Batch;
use ptsm_core::{Backend, Error, Model, Prediction, Prepared, Result, Session};

use crate::emulator::Emulator;
use crate::lower::{Reading, Windows, input};
use crate::options::Options;
use crate::plan::{MAX_PROGRAM_BATCH, Plan, plan};
use crate::program::Program;
use crate::worker::{Devices, WorkerSettings};

/// Runs programs; what a device and the emulator have in common.
pub(crate) trait Executor: Send {
    /// Takes a program under a number, to be run later.
    fn load(&mut self, key: usize, program: Program) -> Result<()>;

    /// Runs program `key` on one input after the other; one output for each.
    fn run(&mut self, key: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>>;
}

/// The emulator as a backend: what a device would answer, computed here.
#[derive(Debug, Clone, Default)]
pub struct TenstorrentEmulator {
    /// What to plan for.
    pub options: Options,
}

impl Backend for TenstorrentEmulator {
    fn name(&self) -> &str {
        "tenstorrent-emulator"
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>> {
        let executor = Box::new(EmulatedDevice::default());
        Ok(Box::new(ProgramSession::new(model, &self.options, executor)))
    }
}

/// Chips that are run through `ttnn`, one worker process each.
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

    fn load(&self, model: &Model) -> Result<Box<dyn Session>> {
        let settings = match &self.worker {
            Some(settings) => settings.clone(),
            None => WorkerSettings::from_environment()?,
        };
        let devices = Devices::open(&settings, self.options.arch.chips())?;
        Ok(Box::new(ProgramSession::new(model, &self.options, Box::new(devices))))
    }
}

#[derive(Default)]
struct EmulatedDevice {
    programs: HashMap<usize, Emulator>,
}

impl Executor for EmulatedDevice {
    fn load(&mut self, key: usize, program: Program) -> Result<()> {
        self.programs.insert(key, Emulator::new(program)?);
        Ok(())
    }

    fn run(&mut self, key: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
        let emulator = self
            .programs
            .get(&key)
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
struct Loaded {
    /// Samples of a run.
    size: usize,
    reading: Reading,
    windows: Option<Windows>,
}

/// A model's programs, one for each batch size that was asked for.
pub(crate) struct ProgramSession {
    model: Model,
    options: Options,
    /// By the size of the request, rounded up to a power of two.
    plans: HashMap<usize, Loaded>,
    executor: Box<dyn Executor>,
}

impl ProgramSession {
    pub(crate) fn new(model: &Model, options: &Options, executor: Box<dyn Executor>) -> Self {
        Self { model: model.clone(), options: options.clone(), plans: HashMap::new(), executor }
    }

    /// The program `key`, for requests of so many samples, loaded.
    fn program(&mut self, key: usize) -> Result<Loaded> {
        if let Some(plan) = self.plans.get(&key) {
            return Ok(plan.clone());
        }
        let Plan { program, reading, windows, .. } = plan(&self.model, &self.options, key)?;
        let loaded = Loaded { size: program.batch, reading, windows };
        self.executor.load(key, program)?;
        self.plans.insert(key, loaded.clone());
        Ok(loaded)
    }
}

impl Session for ProgramSession {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        let prepared = self.model.prepare(batch)?;
        // Few programs serve all sizes: a new one is compiled and captured before it runs.
        let key = batch.size().next_power_of_two().min(MAX_PROGRAM_BATCH);
        let Loaded { size, reading, windows } = self.program(key)?;
        let mut given = input(windows, &prepared.patches).into_owned();
        let sample = given.len() / batch.size();
        // A last run that is not full is filled up with zeros.
        given.resize(batch.size().next_multiple_of(size) * sample, 0.0);
        let inputs: Vec<&[f32]> = given.chunks_exact(size * sample).collect();
        let outputs = self.executor.run(key, &inputs)?;
        let width: usize = reading.widths.iter().sum();
        let rows = outputs[0].len() / width / size;
        let mut all = outputs.concat();
        all.truncate(batch.size() * rows * width);
        if all.len() != batch.size() * rows * width || all.iter().any(|x| !x.is_finite()) {
            return Err(Error::internal("the device gave no finite numbers of the right count"));
        }
        let projected = split(&reading, &mut all, &prepared);
        *out = self.model.finish(&prepared, &projected);
        Ok(())
    }
}

/// The projections apart, each with its rows one behind the other.
fn split(reading: &Reading, all: &mut [f32], prepared: &Prepared) -> Vec<Vec<f32>> {
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
