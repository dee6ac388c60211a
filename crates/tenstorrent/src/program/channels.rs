//! The sizes of the channel mixer's kernel (`worker/kernels/channels.cpp`): the places in its table of
//! constants, its buffers, and the amount of its work.
//!
//! The state is `[B, C, N, D]`, so what is mixed lies one matrix after the other. The kernel gathers, for one patch, the row of
//! every channel into a matrix whose rows are channels, which weights multiply from the left, and scatters the result. Up to
//! 16 features fill half of a tile, so two patches are put side by side.

use serde::{Deserialize, Serialize};

use super::kernel::{KernelWork, NormPlaces};
use super::tensor::TILE;

/// Side of a face, of which a tile has four.
pub(crate) const FACE: usize = 16;

/// Tiles of a channel mixer that one kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelTiles {
    /// Rows of tiles of a unit of work: of the channels.
    pub rows: usize,
    /// Columns of tiles of the state.
    pub columns: usize,
    /// Tiles along the hidden layer.
    pub hidden: usize,
    /// Whether the block has a gate.
    pub gate: bool,
    /// Layer norm; otherwise batch norm.
    pub layer_norm: bool,
    /// Patches of a unit, 1 or 2.
    pub side_by_side: usize,
}

/// Places of the first tile of each part in the table of constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelPlaces {
    pub(crate) norm: NormPlaces,
    pub(crate) gate: usize,
    pub(crate) first: usize,
    pub(crate) second: usize,
    pub(crate) end: usize,
}

impl ChannelTiles {
    /// Patches side by side in a tile, for a state of so many features.
    pub(crate) fn patches_of_unit(features: usize) -> usize {
        if features <= FACE { 2 } else { 1 }
    }

    /// Units of one sample.
    pub(crate) fn units(self, patches: usize) -> usize {
        patches.div_ceil(self.side_by_side)
    }

    pub(crate) fn places(self) -> ChannelPlaces {
        let Self { rows, columns, hidden, .. } = self;
        let norm = NormPlaces::new(3, columns, self.layer_norm, true);
        let gate = norm.end;
        let first = gate + if self.gate { rows * (rows + 1) } else { 0 };
        let second = first + hidden * (rows + 1);
        let end = second + rows * (hidden + 1);
        ChannelPlaces { norm, gate, first, second, end }
    }

    /// Shape of the table: one tile below the other.
    pub fn table_shape(self) -> [usize; 4] {
        [1, 1, TILE * self.places().end, TILE]
    }

    /// Tiles of every circular buffer, in the order of the kernel's buffer numbers.
    pub fn buffers(self) -> Vec<usize> {
        let Self { rows, columns, hidden, .. } = self;
        let unit = rows * columns;
        let [state, table, out] = [2 * unit, self.places().end, 2 * rows];
        let gate = [rows, 1, rows, 1, rows, rows];
        [&[state, table][..], &[columns; 5], &[unit], &gate, &[hidden, out]].concat()
    }

    /// What is done for a unit.
    pub(crate) fn work(self) -> KernelWork {
        let Self { rows, columns, hidden, .. } = self;
        let mut line = KernelWork::layers(1, hidden, rows)
            + KernelWork::layers(1, rows, hidden)
            // The residual is a product with the identity.
            + KernelWork { products: rows, gelus: hidden, ..KernelWork::default() };
        if self.gate {
            let gated = KernelWork { passes: rows, ..KernelWork::default() };
            line = line + KernelWork::layers(1, rows, rows) + KernelWork::softmax(rows) + gated;
        }
        KernelWork::norm(rows, self.places().norm) + line.times(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_long_as_its_parts() {
        // 130 channels of 16 features, expansion 2.
        let tiles = ChannelTiles {
            rows: 5,
            columns: 1,
            hidden: 9,
            gate: true,
            layer_norm: true,
            side_by_side: ChannelTiles::patches_of_unit(16),
        };
        let at = tiles.places();
        assert_eq!((at.gate, at.first, at.second, at.end), (7, 37, 91, 141));
        assert_eq!((tiles.side_by_side, tiles.units(63)), (2, 32));
        assert_eq!(tiles.buffers().len(), 16);
        let plain = ChannelTiles { gate: false, layer_norm: false, ..tiles };
        assert_eq!((plain.places().gate, plain.places().first), (5, 5));
        assert_eq!(ChannelTiles::patches_of_unit(17), 1);
    }
}
