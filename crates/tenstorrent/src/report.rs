//! The figures of a plan: operations, waste, memory, bytes, and the time that the cost model
//! predicts from them.

use std::fmt;

use serde::Serialize;

use crate::cost::{Assumptions, Costs, HostCost, StepCost, host_cost, step_cost};
use crate::program::{Layout, Program, Role};

/// Sequences per second that the public bring-up of PatchTSMixer reached: one chip of an n300, batch 32, ETTh2, from
/// Python, timed on the device alone (tt-metal, pull request 35692).
pub const PUBLISHED_SEQUENCES_PER_S: f64 = 515.0;
/// The most that was published for a model of this kind: Granite TTM-R1, one channel, batch 64, weights in bfloat8_b,
/// one trace, without upload and read-back (tt-metal, pull request 40538).
pub const PUBLISHED_BEST_SEQUENCES_PER_S: f64 = 11_260.0;
/// Device operations that the description of PatchTSMixer's adds up to, with three layers.
pub const PUBLISHED_DEVICE_OPS: usize = 53;

/// A prediction, with what it would be if every assumption were as bad, or as good, as any that was published.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// With the assumptions that were fitted to published latencies.
    pub fitted: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

/// The figures of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepFigures {
    /// Name of the operation.
    pub op: &'static str,
    /// Name of the tensor that it makes.
    pub makes: String,
    /// Cores that take part.
    pub cores: usize,
    /// Cycles of maths of the core that has most.
    pub cycles: f64,
    /// Predicted work.
    pub work_us: f64,
}

/// The figures of one plan. Times are predictions of the cost model; nothing was measured on a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Samples of a request.
    pub batch: usize,
    /// Samples in one run of the program.
    pub program_batch: usize,
    /// Device programs that a chip launches for one run.
    pub device_ops: usize,
    /// Share of activations' bytes that is tile padding.
    pub tile_waste: f64,
    /// Bytes that the fullest core holds at the fullest step, circular buffers included.
    pub l1_peak_bytes: usize,
    /// Bytes of L1 that a core has.
    pub l1_budget_bytes: usize,
    /// Products of two tiles and other tiles worked on, in one run.
    pub tile_operations: usize,
    /// Bytes between cores' memories, in one run.
    pub noc_bytes: usize,
    /// Bytes to and from DRAM, in one run.
    pub dram_bytes: usize,
    /// Bytes from the host, in one run.
    pub upload_bytes: usize,
    /// Bytes to the host, in one run.
    pub read_back_bytes: usize,
    /// Bytes of weights, uploaded once.
    pub weight_bytes: usize,
    /// Work of the steps, in one run.
    pub work_us: f64,
    /// Starts of the steps, in one run.
    pub start_us: f64,
    /// The host's own work, of a request of one run.
    pub host_us: f64,
    /// Upload, read-back and waiting, in one run.
    pub transfer_us: f64,
    /// From a request's windows to its forecasts, in milliseconds.
    pub predicted_latency_ms: Range,
    /// With one request after the other, each of which waits for its answer: the batch by the latency.
    pub predicted_sequences_per_s: Range,
    /// Of a request of many runs, whose transfers overlap with computing.
    pub predicted_overlapped_sequences_per_s: Range,
    /// On the device alone, without upload and read-back, as published figures were taken.
    pub predicted_device_sequences_per_s: Range,
    /// What the public bring-up reached, see [`PUBLISHED_SEQUENCES_PER_S`].
    pub published_sequences_per_s: f64,
    /// The highest figure of a model of this kind, see [`PUBLISHED_BEST_SEQUENCES_PER_S`].
    pub published_best_sequences_per_s: f64,
    /// Steps that start device programs, in order.
    pub steps: Vec<StepFigures>,
}

/// What one set of assumptions predicts, in seconds.
struct Predicted {
    costs: Vec<StepCost>,
    host: HostCost,
    /// Steps of one run.
    device: f64,
    /// One more run of a long request, the host's work on it included.
    interval: f64,
    latency: f64,
}

impl Predicted {
    fn new(program: &Program, batch: usize, assumptions: &Assumptions) -> Self {
        let chip = program.arch.chip();
        let of = Costs { chip: &chip, assumptions };
        let costs: Vec<StepCost> =
            program.steps.iter().map(|step| step_cost(program, step, of)).collect();
        let host = host_cost(program, assumptions);
        let device: f64 = costs.iter().map(|cost| cost.work + cost.start).sum();
        let transfers = host.upload + host.read_back + assumptions.synchronise;
        let interval = match program.has_two_lanes() {
            true => device.max(transfers),
            false => device + transfers,
        };
        // The host's own work on the numbers comes before the first run and after the last.
        let runs = batch.div_ceil(program.batch) as f64;
        let latency =
            host.request + runs * host.numbers + transfers + device + (runs - 1.0) * interval;
        let interval = interval + host.numbers;
        Self { costs, host, device, interval, latency }
    }
}

impl Report {
    /// The figures of `program` for requests of `batch` samples.
    pub fn new(program: &Program, batch: usize) -> Self {
        let chip = program.arch.chip();
        let all = [Assumptions::FITTED, Assumptions::FAST, Assumptions::SLOW]
            .map(|assumptions| Predicted::new(program, batch, &assumptions));
        let range = |value: &dyn Fn(&Predicted) -> f64| {
            let [fitted, fast, slow] = all.each_ref().map(value);
            Range { fitted, least: fast.min(slow), most: fast.max(slow) }
        };
        let Predicted { costs, host, .. } = &all[0];
        let sum = |part: fn(&StepCost) -> usize| costs.iter().map(part).sum::<usize>();
        let work: f64 = costs.iter().map(|cost| cost.work).sum();
        let start: f64 = costs.iter().map(|cost| cost.start).sum();
        // The last run may not be full; only the samples of the request count.
        let samples = batch as f64 / batch.div_ceil(program.batch) as f64;
        let waiting = Assumptions::FITTED.synchronise;
        let constants = program.tensors.iter().filter(|tensor| tensor.role == Role::Constant);
        Self {
            batch,
            program_batch: program.batch,
            device_ops: program.device_ops(),
            tile_waste: tile_waste(program),
            l1_peak_bytes: program.l1_bytes_per_core(&chip).into_iter().max().unwrap_or(0),
            l1_budget_bytes: chip.l1_bytes,
            tile_operations: sum(|cost| cost.tile_operations),
            noc_bytes: sum(|cost| cost.noc_bytes),
            dram_bytes: sum(|cost| cost.dram_bytes),
            upload_bytes: host.upload_bytes,
            read_back_bytes: host.read_back_bytes,
            weight_bytes: constants.map(|tensor| tensor.bytes()).sum(),
            work_us: 1e6 * work,
            start_us: 1e6 * start,
            host_us: 1e6 * (host.request + host.numbers),
            transfer_us: 1e6 * (host.upload + host.read_back + waiting),
            predicted_latency_ms: range(&|predicted| 1e3 * predicted.latency),
            predicted_sequences_per_s: range(&|predicted| batch as f64 / predicted.latency),
            predicted_overlapped_sequences_per_s: range(&|predicted| samples / predicted.interval),
            predicted_device_sequences_per_s: range(&|predicted| samples / predicted.device),
            published_sequences_per_s: PUBLISHED_SEQUENCES_PER_S,
            published_best_sequences_per_s: PUBLISHED_BEST_SEQUENCES_PER_S,
            steps: steps(program, costs),
        }
    }
}

fn steps(program: &Program, costs: &[StepCost]) -> Vec<StepFigures> {
    let both = program.steps.iter().zip(costs).filter(|(_, cost)| cost.cores > 0);
    let figures = both.map(|(step, cost)| StepFigures {
        op: step.op.name(),
        makes: program.tensors[step.output].name.clone(),
        cores: cost.cores,
        cycles: cost.cycles,
        work_us: 1e6 * cost.work,
    });
    figures.collect()
}

/// Share of the activations' numbers that is padding.
fn tile_waste(program: &Program) -> f64 {
    let (mut padded, mut used) = (0, 0);
    for tensor in &program.tensors {
        if tensor.role != Role::Constant && tensor.layout == Layout::Tile {
            padded += tensor.padded().iter().product::<usize>();
            used += tensor.volume();
        }
    }
    1.0 - used as f64 / padded as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: usize| format!("{:.1} KiB", bytes as f64 / 1024.0);
        writeln!(f, "batch              {} in programs of {}", self.batch, self.program_batch)?;
        writeln!(f, "device ops         {} a run", self.device_ops)?;
        writeln!(f, "tile waste         {:.1} % of activations", 100.0 * self.tile_waste)?;
        let (peak, budget) = (kib(self.l1_peak_bytes), kib(self.l1_budget_bytes));
        writeln!(f, "L1 peak            {peak} a core of {budget}")?;
        let (noc, dram) = (kib(self.noc_bytes), kib(self.dram_bytes));
        writeln!(f, "bytes moved        {noc} on chip, {dram} DRAM a run")?;
        let (up, back) = (kib(self.upload_bytes), kib(self.read_back_bytes));
        writeln!(
            f,
            "host               {up} up, {back} back a run; weights {}",
            kib(self.weight_bytes)
        )?;
        writeln!(f, "tile operations    {} a run", self.tile_operations)?;
        self.write_predictions(f)?;
        self.write_steps(f)
    }
}

impl Report {
    fn write_predictions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "predicted a run    {:.0} us work, {:.0} us starts, {:.0} us host, {:.0} us transfers and waiting",
            self.work_us, self.start_us, self.host_us, self.transfer_us
        )?;
        let line = |name: &str, unit: &str, range: Range| {
            let digits = if range.most < 100.0 { 2 } else { 0 };
            let Range { fitted, least, most } = range;
            format!("{name:<18} {fitted:.digits$} {unit} ({least:.digits$} to {most:.digits$})")
        };
        let rates = [
            ("one by one", self.predicted_sequences_per_s),
            ("overlapped", self.predicted_overlapped_sequences_per_s),
            ("device alone", self.predicted_device_sequences_per_s),
        ];
        writeln!(f, "{}", line("latency", "ms a request", self.predicted_latency_ms))?;
        for (name, range) in rates {
            writeln!(f, "{}", line(name, "sequences/s", range))?;
        }
        writeln!(
            f,
            "published          {:.0} sequences/s of PatchTSMixer, {:.0} of TTM-R1, both on the device alone",
            self.published_sequences_per_s, self.published_best_sequences_per_s
        )?;
        writeln!(
            f,
            "                   all of this but the published is predicted: assumptions are fitted to TTM-R1's published \
             latencies, the range takes the best and worst of what was published; nothing was measured on a device"
        )
    }

    fn write_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "step                                                     cores   cycles  us work"
        )?;
        for StepFigures { op, makes, cores, cycles, work_us } in &self.steps {
            writeln!(f, "{op:<12} {makes:<43} {cores:>5} {cycles:>8.0} {work_us:>8.1}")?;
        }
        Ok(())
    }
}
