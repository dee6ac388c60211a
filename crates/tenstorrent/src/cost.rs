//! The cost model: the planner's estimate of the time that a step takes. Nothing here is measured.
//!
//! A step takes the time to start it on all cores, and then the longest of three: its arithmetic,
//! its bytes over the network on the chip, its bytes to and from DRAM. All assumptions:
//!
//! | what | value | from |
//! |---|---|---|
//! | product of two tiles | 32, 64, 114 cycles for LoFi, HiFi2, HiFi4 | 131 and 74 TFLOP/s of the data sheet over 64 cores |
//! | other work on a tile | cycles in [`tile_cycles`] | passes through unpacker, maths and packer, 64 cycles each |
//! | change of operation inside a kernel of ours | 100 cycles | registers of three threads are written anew; a guess |
//! | a number that a kernel of ours copies into a tile | 10 cycles | instructions of the loop, on a core's small processor |
//! | network and DRAM | half of their peaks | interleaved tiles are read one by one |
//! | start of a step | 2.5 us in a trace, 20 us from Python | published times of models of many small steps, with and without a trace |
//! | one transfer to or from the host | 15 us and the bytes | a round trip over PCI Express |

use crate::chip::Chip;
use crate::program::{
    Blocks, Buffer, DataType, EmbedTiles, MathFidelity, MixerTiles, Op, Program, Role, Step, TILE,
    TensorSpec,
};

/// Seconds to start a step that is part of a trace.
const TRACED_START: f64 = 2.5e-6;
/// Seconds to start a step from Python.
const UNTRACED_START: f64 = 20e-6;
/// Seconds of a transfer beyond its bytes.
const TRANSFER_START: f64 = 15e-6;
/// Share of the peak that the network and the DRAM reach.
const REACHED: f64 = 0.5;
/// Cycles of a pass of a tile through unpacker, maths and packer.
const PASS_CYCLES: f64 = 64.0;
/// Cycles to prepare a core for another kind of operation in the middle of a kernel.
const CHANGE_CYCLES: f64 = 100.0;
/// Cycles to copy a number of a window to its place in a tile.
const COPY_CYCLES: f64 = 10.0;
/// Most tiles of a product that a core keeps while it sums.
const MAX_OUTPUT_BLOCK: usize = 128;
/// Tiles of the inner axis in one block.
const INNER_BLOCK: usize = 2;

/// The estimated cost of one step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepCost {
    /// Products of two tiles, or tiles worked on.
    pub tile_operations: usize,
    /// Bytes between cores' memories.
    pub noc_bytes: usize,
    /// Bytes to and from DRAM.
    pub dram_bytes: usize,
    /// Seconds of work.
    pub work: f64,
    /// Seconds to start.
    pub start: f64,
}

/// Cycles that a tile takes in an operation that is no product.
fn tile_cycles(op: &Op) -> f64 {
    let passes = match op {
        Op::LayerNorm { .. } => 6.0,
        Op::Softmax { .. } => 5.0,
        Op::Gelu => 4.0,
        Op::Addcmul => 2.0,
        Op::Max => 2.0,
        // Rows of a tile are copied one by one.
        Op::Permute { .. } | Op::Reshape { .. } => 8.0,
        _ => 1.0,
    };
    PASS_CYCLES * passes
}

fn product_cycles(fidelity: MathFidelity) -> f64 {
    match fidelity {
        MathFidelity::LoFi => 32.0,
        MathFidelity::HiFi2 => 64.0,
        MathFidelity::HiFi4 => 114.0,
    }
}

/// Tiles of the inner axis and the fidelity, if the operation is a product.
fn product(op: &Op, inputs: &[&TensorSpec]) -> Option<(usize, MathFidelity)> {
    let [.., rows, columns] = inputs[0].padded();
    match op {
        Op::Linear { transpose_a: true, math_fidelity, .. } => Some((rows / TILE, *math_fidelity)),
        Op::Linear { math_fidelity, .. }
        | Op::Matmul { math_fidelity }
        | Op::MatmulAddcmul { math_fidelity, .. } => Some((columns / TILE, *math_fidelity)),
        _ => None,
    }
}

/// For a kernel of ours: its units of work, and for one unit the tiles worked on and the cycles.
fn own_kernel(op: &Op, input: &TensorSpec) -> Option<(usize, usize, f64)> {
    let [batch, channels, rows, _] = input.padded();
    match op {
        Op::Mixer { tiles, math_fidelity, .. } => {
            let units = batch * channels * if tiles.left { 1 } else { rows / TILE };
            Some((units, tiles.products() + tiles.passes(), mixer_cycles(*tiles, *math_fidelity)))
        }
        Op::Embed { tiles, math_fidelity, .. } => {
            let products = (tiles.inner() + 1) * tiles.columns;
            let multiplied = products as f64 * product_cycles(*math_fidelity);
            Some((batch * channels * tiles.units(), products, copy_cycles(*tiles).max(multiplied)))
        }
        _ => None,
    }
}

fn mixer_cycles(tiles: MixerTiles, fidelity: MathFidelity) -> f64 {
    tiles.products() as f64 * product_cycles(fidelity)
        + tiles.passes() as f64 * PASS_CYCLES
        + tiles.changes() as f64 * CHANGE_CYCLES
}

fn copy_cycles(tiles: EmbedTiles) -> f64 {
    (TILE * tiles.patch_length) as f64 * COPY_CYCLES
}

/// Tiles worked on, and seconds of arithmetic.
fn arithmetic(
    step: &Step,
    inputs: &[&TensorSpec],
    output: &TensorSpec,
    cores: usize,
    chip: &Chip,
) -> (usize, f64) {
    if let Some((units, tiles, cycles)) = own_kernel(&step.op, inputs[0]) {
        return (units * tiles, units.div_ceil(cores) as f64 * cycles / chip.clock_hz);
    }
    let (operations, cycles) = match product(&step.op, inputs) {
        Some((inner, fidelity)) => (output.tiles() * inner, product_cycles(fidelity)),
        None => (output.tiles().max(inputs[0].tiles()), tile_cycles(&step.op)),
    };
    (operations, operations.div_ceil(cores) as f64 * cycles / chip.clock_hz)
}

/// Cores that take part in a step.
fn cores(step: &Step, inputs: &[&TensorSpec], output: &TensorSpec, chip: &Chip) -> usize {
    let parts = match own_kernel(&step.op, inputs[0]) {
        Some((units, ..)) => units,
        None => output.tiles().max(inputs[0].tiles()),
    };
    chip.grid.cores().min(parts)
}

/// Bytes of a step's tensors that are in `wanted`; every core of a kernel of ours reads
/// its whole table.
fn moved(wanted: Buffer, step: &Step, program: &Program, cores: usize) -> usize {
    let copies = |id| match step.op {
        Op::Embed { .. } | Op::Mixer { .. } if step.inputs[1] == id => cores,
        _ => 1,
    };
    let all = step.inputs.iter().copied().chain([step.output]);
    let here = all.filter(|&id| program.tensors[id].memory.buffer == wanted);
    here.map(|id| copies(id) * program.tensors[id].bytes()).sum()
}

/// The cost of a step of `program` on `chip`.
pub(crate) fn step_cost(program: &Program, step: &Step, chip: &Chip) -> StepCost {
    let inputs = program.inputs(step);
    let output = &program.tensors[step.output];
    let dispatches = step.op.dispatches(&inputs);
    let start = if program.execution.trace { TRACED_START } else { UNTRACED_START };
    if dispatches == 0 {
        return StepCost::default();
    }
    let cores = cores(step, &inputs, output, chip);
    let (operations, compute) = arithmetic(step, &inputs, output, cores, chip);
    let [noc_bytes, dram_bytes] =
        [Buffer::L1, Buffer::Dram].map(|buffer| moved(buffer, step, program, cores));
    let noc_rate = REACHED * chip.noc_bytes_per_cycle * cores as f64 * chip.clock_hz;
    let network = (noc_bytes + dram_bytes) as f64 / noc_rate;
    let dram = dram_bytes as f64 / (REACHED * chip.dram_bytes_per_s);
    StepCost {
        tile_operations: operations,
        noc_bytes,
        dram_bytes,
        work: compute.max(network).max(dram),
        start: dispatches as f64 * start,
    }
}

/// Seconds and bytes to bring the inputs to the chip, and the outputs back.
pub(crate) fn transfers(program: &Program, chip: &Chip) -> [(f64, usize); 2] {
    [Role::Input, Role::Output].map(|role| {
        let ids: Vec<usize> = program.with_role(role).collect();
        let bytes: usize = ids.iter().map(|&id| program.tensors[id].bytes()).sum();
        (ids.len() as f64 * TRANSFER_START + bytes as f64 / chip.host_bytes_per_s, bytes)
    })
}

/// Bytes of circular buffers on one core: an estimate of what `ttnn` chooses.
pub(crate) fn circular_buffer_bytes(
    step: &Step,
    inputs: &[&TensorSpec],
    output: &TensorSpec,
    chip: &Chip,
) -> usize {
    let tile = DataType::Bfloat16.tile_bytes();
    let width = inputs[0].padded()[3] / TILE;
    if let Op::Embed { buffers, .. } | Op::Mixer { buffers, .. } = &step.op {
        return buffers.iter().sum::<usize>() * tile;
    }
    if let Op::MatmulAddcmul { config: Blocks { rows, inner, columns, .. }, .. } = step.op {
        // Operands, residual and gate twice, sums in f32, the output.
        return (2 * inner * (rows + columns) + 7 * rows * columns) * tile;
    }
    match product(&step.op, inputs) {
        Some((inner, _)) => {
            let inner = inner.min(INNER_BLOCK);
            let columns = output.padded()[3] / TILE;
            let rows = (output.tiles() / columns).div_ceil(chip.grid.cores());
            let block = (rows * columns).min(MAX_OUTPUT_BLOCK);
            // Both operands twice, so that one is read while the other is used; sums in f32.
            2 * inner * (rows.min(8) + columns.min(16)) * tile + 3 * block * tile
        }
        None => match step.op {
            // A row of tiles several times over, or a bounded piece of it where it is long.
            Op::LayerNorm { .. } => 8 * width.min(32) * tile,
            Op::Softmax { .. } => 6 * width.min(32) * tile,
            _ => 8 * tile,
        },
    }
}
