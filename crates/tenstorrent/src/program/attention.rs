//! The sizes of the kernel of self-attention (`worker/kernels/attention.cpp`): the places in its table of
//! constants, its buffers, and the amount of its work.

use serde::{Deserialize, Serialize};

use super::kernel::{KernelWork, NormPlaces};
use super::tensor::TILE;

/// Tiles of the self-attention of a block that one kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionTiles {
    /// Rows of tiles of a unit of work: of the patches of one channel.
    pub rows: usize,
    /// Columns of tiles of the state.
    pub columns: usize,
    /// Heads.
    pub heads: usize,
    /// Layer norm; otherwise batch norm.
    pub layer_norm: bool,
}

/// Places of the first tile of each part in the table of constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttentionPlaces {
    /// A tile that is added to the logits of the last tile of patches: those that pad it are no keys.
    pub(crate) mask: usize,
    /// Of the block.
    pub(crate) norm: NormPlaces,
    /// Of the sum with what the block's layers made; it shares all but weight and bias with the other.
    pub(crate) last_norm: NormPlaces,
    /// Value with output of each head, and their bias.
    pub(crate) value: usize,
    /// Query with key of each head, likewise.
    pub(crate) query: usize,
    pub(crate) end: usize,
}

impl AttentionTiles {
    /// Tiles of one layer of a head, with its bias.
    pub(crate) fn layer(self) -> usize {
        (self.columns + 1) * self.columns
    }

    pub(crate) fn places(self) -> AttentionPlaces {
        let norm = NormPlaces::new(4, self.columns, self.layer_norm, true);
        let last_norm = norm.with_affine_at(norm.end);
        let value = last_norm.end;
        let query = value + self.heads * self.layer();
        let end = query + self.heads * self.layer();
        AttentionPlaces { mask: 3, norm, last_norm, value, query, end }
    }

    /// Shape of the table: one tile below the other.
    pub fn table_shape(self) -> [usize; 4] {
        [1, 1, TILE * self.places().end, TILE]
    }

    /// Tiles of every circular buffer, in the order of the kernel's buffer numbers.
    pub fn buffers(self) -> Vec<usize> {
        let Self { rows, columns, heads, .. } = self;
        let unit = rows * columns;
        let [state, table, mixed] = [2 * unit, self.places().end, 2 * unit];
        let heads_of_row = [unit, unit, heads * unit, columns, rows, 1, rows, 1, heads * rows];
        let end = [columns, columns, 2 * columns];
        [&[state, table, mixed][..], &[columns; 5], &heads_of_row, &end].concat()
    }

    /// What is done for a unit.
    pub(crate) fn work(self) -> KernelWork {
        let Self { rows, columns, heads, .. } = self;
        let at = self.places();
        // Values and queries of all rows.
        let projections = KernelWork::layers(2 * heads * rows, columns, columns);
        // Logits and the mask, and the softmax of a row of them.
        let scores = KernelWork { products: rows * columns + 1, ..KernelWork::default() };
        let weights = (scores + KernelWork::softmax(rows)).times(heads * rows);
        let sums = KernelWork {
            products: rows * columns * (heads * rows + 1),
            // Transposed keys, the residual.
            passes: 2 * rows * columns,
            ..KernelWork::default()
        };
        let norms = KernelWork::norm(rows, at.norm) + KernelWork::norm(rows, at.last_norm);
        norms + projections + weights + sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_long_as_its_parts() {
        let tiles = AttentionTiles { rows: 2, columns: 2, heads: 3, layer_norm: true };
        let at = tiles.places();
        assert_eq!((at.norm.centre, at.norm.slope, at.last_norm.slope), (4, 12, 16));
        assert_eq!((at.value, at.query, at.end), (20, 38, 56));
        assert_eq!(tiles.buffers().len(), 20);
    }
}
