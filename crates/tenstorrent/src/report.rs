//! The figures of a plan: operations, waste, memory, bytes, and the time that the cost model
//! predicts from them.

use std::fmt;

use serde::Serialize;

use crate::cost;
use crate::program::{Layout, Program, Role};

/// Sequences per second that the public bring-up reached: n300, batch 32, ETTh2, timed on the
/// device alone (tt-metal, pull request 35692).
pub const PUBLISHED_SEQUENCES_PER_S: f64 = 515.0;
/// Device operations that its description adds up to, with three layers.
pub const PUBLISHED_DEVICE_OPS: usize = 53;

/// The figures of one plan.
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
    /// Predicted work of the steps, in one run.
    pub work_us: f64,
    /// Predicted starts of the steps, in one run.
    pub start_us: f64,
    /// Predicted latency of the whole request.
    pub predicted_latency_ms: f64,
    /// Predicted throughput of all chips with requests one after the other. A prediction of the
    /// cost model; nothing was measured on a device.
    pub predicted_sequences_per_s: f64,
    /// The same without upload and read-back, as the published figure was taken.
    pub predicted_device_sequences_per_s: f64,
    /// What the public bring-up reached, see [`PUBLISHED_SEQUENCES_PER_S`].
    pub published_sequences_per_s: f64,
}

impl Report {
    /// The figures of `program` for requests of `batch` samples.
    pub fn new(program: &Program, batch: usize) -> Self {
        let chip = program.arch.chip();
        let costs: Vec<cost::StepCost> =
            program.steps.iter().map(|step| cost::step_cost(program, step, &chip)).collect();
        let sum = |part: fn(&cost::StepCost) -> usize| costs.iter().map(part).sum::<usize>();
        let work: f64 = costs.iter().map(|cost| cost.work).sum();
        let start: f64 = costs.iter().map(|cost| cost.start).sum();
        let [(upload, upload_bytes), (read_back, read_back_bytes)] =
            cost::transfers(program, &chip);
        let device = work + start;
        let run_interval = if program.execution.two_queues {
            device.max(upload + read_back)
        } else {
            device + upload + read_back
        };
        let runs = batch.div_ceil(program.batch);
        let rounds = runs.div_ceil(program.arch.chips());
        let latency = upload + device + read_back + run_interval * (rounds - 1) as f64;
        let chips = program.arch.chips() as f64;
        // The last run may not be full; only the samples of the request count.
        let samples = batch as f64 / runs as f64;
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
            upload_bytes,
            read_back_bytes,
            weight_bytes: constants.map(|tensor| tensor.bytes()).sum(),
            work_us: 1e6 * work,
            start_us: 1e6 * start,
            predicted_latency_ms: 1e3 * latency,
            predicted_sequences_per_s: chips * samples / run_interval,
            predicted_device_sequences_per_s: chips * samples / device,
            published_sequences_per_s: PUBLISHED_SEQUENCES_PER_S,
        }
    }
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
        writeln!(
            f,
            "predicted          {:.0} us work, {:.0} us starts a run; {:.3} ms a request",
            self.work_us, self.start_us, self.predicted_latency_ms
        )?;
        writeln!(
            f,
            "predicted          {:.0} sequences/s, {:.0} on the device alone (published: {:.0})",
            self.predicted_sequences_per_s,
            self.predicted_device_sequences_per_s,
            self.published_sequences_per_s
        )?;
        writeln!(
            f,
            "                   a prediction of the cost model; nothing here was measured on a device"
        )
    }
}
