//! The cost model: estimates of the time that a step takes on a chip, and that a request takes on its host.
//!
//! A step takes the time to start it, and then the work of the core that has most: the maths of its tiles, which is
//! counted ([`counted`]), and reading and writing them. What nobody can count without a chip is in
//! [`Assumptions`]: fitted to published latencies of another model on a chip, with the bounds of what else was
//! published. `tests/published.rs` holds the operation lists of those models and compares.

mod assumptions;
mod buffers;
mod counted;
mod host;

use crate::chip::Chip;
use crate::program::{Buffer, EmbedTiles, KernelWork, Op, Program, Step, TILE, TensorSpec};
pub(crate) use assumptions::Assumptions;
pub(crate) use buffers::circular_buffer_bytes;
pub(crate) use host::{HostCost, host_cost};

/// Cycles to copy a number of a window, or a pair of them, to its place in a tile: instructions of the loop, on a
/// core's small processor; a guess.
const COPY_CYCLES: f64 = 10.0;
/// Half a row of a tile, 32 bytes that are read or written by themselves, takes this part of what a whole tile takes; a guess.
const HALF_ROW: f64 = 0.25;
/// Share of their peaks that the network and the DRAM reach.
const REACHED: f64 = 0.5;

/// The estimated cost of one step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepCost {
    /// Cores that take part.
    pub cores: usize,
    /// Products of two tiles, or tiles worked on.
    pub tile_operations: usize,
    /// Bytes between cores' memories.
    pub noc_bytes: usize,
    /// Bytes to and from DRAM.
    pub dram_bytes: usize,
    /// Cycles of maths of the core that has most.
    pub cycles: f64,
    /// Seconds of work.
    pub work: f64,
    /// Seconds to start.
    pub start: f64,
}

/// Tiles of the axis that is summed, if the operation is a product.
fn inner_tiles(op: &Op, inputs: &[&TensorSpec]) -> Option<usize> {
    let [.., rows, columns] = inputs[0].padded();
    match op {
        Op::Linear { transpose_a: true, .. } => Some(rows / TILE),
        Op::Linear { .. } | Op::Matmul { .. } | Op::MatmulAddcmul { .. } => Some(columns / TILE),
        _ => None,
    }
}

/// What the core with most work does.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    cores: usize,
    /// Products and tiles of all cores.
    tile_operations: usize,
    /// Cycles of maths.
    maths: f64,
    /// Cycles of reading and writing.
    moving: f64,
    /// Cycles before the first maths.
    first: f64,
}

impl Work {
    fn cycles(self, assumptions: &Assumptions) -> f64 {
        // Readers and writers run beside the maths, but the published latencies are those of a sum.
        self.first
            + match assumptions.overlapped {
                true => self.maths.max(self.moving),
                false => self.maths + self.moving,
            }
    }
}

/// An operation of `ttnn`.
fn stock(step: &Step, inputs: &[&TensorSpec], output: &TensorSpec, of: Costs<'_>) -> Work {
    let Costs { chip, assumptions } = of;
    let tiles = match step.op {
        // Reductions read all of their input.
        Op::Max => inputs[0].tiles(),
        _ => output.tiles(),
    };
    // A reduction over rows has one core for each column of tiles.
    let parts = if step.op == Op::Max { output.tiles() } else { tiles };
    let cores = chip.grid.cores().min(parts);
    let share = tiles.div_ceil(cores);
    let inner = inner_tiles(&step.op, inputs);
    let read = match (&step.op, inner) {
        // Rows and columns of a block are read once and used for all its tiles.
        (Op::Linear { core_grid: Some(_), .. } | Op::MatmulAddcmul { .. }, Some(inner)) => {
            let columns = (output.padded()[3] / TILE).min(share);
            inner * (share.div_ceil(columns) + columns)
        }
        (_, Some(inner)) => 2 * inner * share,
        _ => share * inputs.len().min(3).min(operands(&step.op)),
    };
    let products = inner.unwrap_or(0) * share;
    let fidelity = step.op.math_fidelity();
    let mut maths = share as f64 * counted::tile(&step.op)
        + products as f64 * fidelity.map_or(0.0, counted::product);
    let mut moving = read as f64 * assumptions.read + share as f64 * assumptions.write;
    if let Op::Linear { core_grid: None, activation, .. } = &step.op {
        // Bias and activation are operations of their own, which read what the one before wrote.
        let after = [(inputs.len() > 2, 2.0, Op::Add), (activation.is_some(), 1.0, Op::Gelu)];
        for (_, reads, op) in after.into_iter().filter(|(there, ..)| *there) {
            maths += share as f64 * counted::tile(&op);
            moving += share as f64 * (reads * assumptions.read + assumptions.write);
        }
    }
    let tile_operations = tiles * inner.unwrap_or(1);
    Work { cores, tile_operations, maths, moving, first: 0.0 }
}

/// Tensors that an operation reads tile by tile; rows of numbers are read once.
fn operands(op: &Op) -> usize {
    match op {
        Op::Add | Op::Multiply => 2,
        Op::Addcmul => 3,
        _ => 1,
    }
}

/// What a kernel of ours does for each of its units.
struct Units {
    count: usize,
    maths: f64,
    /// Cycles to read and write.
    moving: f64,
    /// Products and other passes over a tile.
    operations: usize,
}

/// A kernel of ours, if the step is one: a core reads its table once, and then one unit after the other.
fn own(step: &Step, inputs: &[&TensorSpec], of: Costs<'_>) -> Option<Work> {
    let Costs { chip, assumptions } = of;
    let group = |tiles: usize| assumptions.latency + tiles as f64 * assumptions.own_read;
    let units = units(step, inputs, assumptions)?;
    let cores = chip.grid.cores().min(units.count);
    let share = units.count.div_ceil(cores) as f64;
    Some(Work {
        cores,
        tile_operations: units.count * units.operations,
        maths: share * units.maths,
        moving: share * units.moving,
        first: group(inputs[1].tiles()),
    })
}

fn units(step: &Step, inputs: &[&TensorSpec], assumptions: &Assumptions) -> Option<Units> {
    let [batch, channels, rows, _] = inputs[0].padded();
    let matrices = batch * channels;
    let fidelity = step.op.math_fidelity()?;
    let unit = |count, read: usize, written: usize, work: KernelWork| Units {
        count,
        maths: counted::unit(work, fidelity),
        moving: assumptions.latency
            + read as f64 * assumptions.own_read
            + written as f64 * assumptions.write,
        operations: work.operations(),
    };
    Some(match &step.op {
        Op::Mixer { tiles, .. } => {
            let count = matrices * if tiles.left { 1 } else { rows / TILE };
            let state = tiles.rows * tiles.columns;
            unit(count, state, state, tiles.work())
        }
        Op::Attention { tiles, .. } => {
            let state = tiles.rows * tiles.columns;
            unit(matrices, 2 * state, state, tiles.work())
        }
        Op::Channels { tiles, .. } => {
            let count = batch * tiles.units(inputs[0].shape[2]);
            // Rows come and go in halves. All rows of a sample's tiles are written, those that pad the patches too, while every unit
            // is read once.
            let halves = 2 * channels * tiles.columns;
            let read = assumptions.own_read * halves as f64 * HALF_ROW;
            let rows_of_unit = rows as f64 / tiles.units(inputs[0].shape[2]) as f64;
            let written = assumptions.write * halves as f64 * rows_of_unit * HALF_ROW;
            Units {
                moving: assumptions.latency + read + written,
                ..unit(count, 0, 0, tiles.work())
            }
        }
        Op::Embed { tiles, .. } => {
            let products = (tiles.inner() + 1) * tiles.columns;
            let work = KernelWork { products, ..KernelWork::default() };
            let maths = products as f64 * counted::product(fidelity);
            let maths = maths.max(copy_cycles(*tiles));
            Units { maths, ..unit(matrices * tiles.units(), 1, tiles.columns, work) }
        }
        _ => return None,
    })
}

fn copy_cycles(tiles: EmbedTiles) -> f64 {
    let EmbedTiles { patch_length, patch_stride, .. } = tiles;
    let pairs = patch_length.is_multiple_of(2) && patch_stride.is_multiple_of(2);
    let copies = TILE * patch_length / if pairs { 2 } else { 1 };
    copies as f64 * COPY_CYCLES
}

/// What costs are computed for, and from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs<'a> {
    pub(crate) chip: &'a Chip,
    pub(crate) assumptions: &'a Assumptions,
}

/// Bytes of a step's tensors that are in `wanted`; every core of a kernel of ours reads
/// its whole table.
fn moved(wanted: Buffer, step: &Step, program: &Program, cores: usize) -> usize {
    let copies = |id| if step.op.is_ours() && step.inputs[1] == id { cores } else { 1 };
    let all = step.inputs.iter().copied().chain([step.output]);
    let here = all.filter(|&id| program.tensors[id].memory.buffer == wanted);
    here.map(|id| copies(id) * program.tensors[id].bytes()).sum()
}

/// The cost of a step of `program`.
pub(crate) fn step_cost(program: &Program, step: &Step, of: Costs<'_>) -> StepCost {
    let Costs { chip, assumptions } = of;
    let inputs = program.inputs(step);
    let output = &program.tensors[step.output];
    let dispatches = step.op.dispatches(&inputs);
    if dispatches == 0 {
        return StepCost::default();
    }
    let work = own(step, &inputs, of).unwrap_or_else(|| stock(step, &inputs, output, of));
    let [noc_bytes, dram_bytes] =
        [Buffer::L1, Buffer::Dram].map(|buffer| moved(buffer, step, program, work.cores));
    let noc_rate = REACHED * chip.noc_bytes_per_cycle * work.cores as f64 * chip.clock_hz;
    let network = (noc_bytes + dram_bytes) as f64 / noc_rate;
    let dram = dram_bytes as f64 / (REACHED * chip.dram_bytes_per_s);
    let start = if program.execution.trace { assumptions.traced } else { assumptions.untraced };
    StepCost {
        cores: work.cores,
        tile_operations: work.tile_operations,
        noc_bytes,
        dram_bytes,
        cycles: work.maths,
        work: (work.cycles(assumptions) / chip.clock_hz).max(network).max(dram),
        start: dispatches as f64 * start,
    }
}
