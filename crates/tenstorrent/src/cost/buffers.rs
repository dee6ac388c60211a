//! What a step's circular buffers take of a core's memory: an estimate of what `ttnn` chooses.

use super::inner_tiles;
use crate::chip::Chip;
use crate::program::{Blocks, DataType, Op, Step, TILE, TensorSpec};

/// Most tiles of a product that a core keeps while it sums.
const MAX_OUTPUT_BLOCK: usize = 128;
/// Tiles of the inner axis in one block.
const INNER_BLOCK: usize = 2;

/// Bytes of circular buffers on one core.
pub(crate) fn circular_buffer_bytes(
    step: &Step,
    inputs: &[&TensorSpec],
    output: &TensorSpec,
    chip: &Chip,
) -> usize {
    let tile = DataType::Bfloat16.tile_bytes();
    let width = inputs[0].padded()[3] / TILE;
    if let Some(buffers) = step.op.buffers() {
        return buffers.iter().sum::<usize>() * tile;
    }
    if let Op::MatmulAddcmul { config: Blocks { rows, inner, columns, .. }, .. } = step.op {
        // Operands, residual and gate twice, sums in f32, the output.
        return (2 * inner * (rows + columns) + 7 * rows * columns) * tile;
    }
    match inner_tiles(&step.op, inputs) {
        Some(inner) => {
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
