//! The sizes of the mixer kernel (`worker/kernels/mixer.cpp`): the places in its table of
//! constants, its buffers, and the amount of its work.

use serde::{Deserialize, Serialize};

/// Tiles of a mixer block that one kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MixerTiles {
    /// Whether weights multiply the state from the left, which mixes its rows (patches); otherwise
    /// they multiply it from the right, which mixes its columns (features).
    pub left: bool,
    /// Rows of tiles in a unit of work: of a whole matrix if `left`, else one.
    pub rows: usize,
    /// Columns of tiles of the state.
    pub columns: usize,
    /// Tiles along the hidden layer.
    pub hidden: usize,
}

/// Places of the first tile of each part in the table of constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TablePlaces {
    /// `D I - J`, with the identity `I` and the matrix of ones `J`: a row times it is D times the
    /// row minus its mean. Before it are a tile of the identity, a tile of ones, and one with ones
    /// in the first row of each face, which a reduction needs.
    pub(crate) centre: usize,
    /// `J / D`: the mean of a row, in every column.
    pub(crate) mean: usize,
    /// Weight of the norm, in every row; only if `left`, otherwise folded into the first layer.
    pub(crate) slope: usize,
    /// Bias of the norm, likewise.
    pub(crate) offset: usize,
    pub(crate) first: usize,
    pub(crate) first_bias: usize,
    /// The second layer, followed by the gate's layer multiplied with it.
    pub(crate) second: usize,
    pub(crate) second_bias: usize,
    pub(crate) end: usize,
}

impl MixerTiles {
    /// Tiles along the axis that is mixed.
    pub(crate) fn mixed(self) -> usize {
        if self.left { self.rows } else { self.columns }
    }

    pub(crate) fn places(self) -> TablePlaces {
        let Self { left, columns, hidden, .. } = self;
        let (square, row) = (columns * columns, if left { columns } else { 0 });
        let centre = 3;
        let mean = centre + square;
        let slope = mean + square;
        let offset = slope + row;
        let first = offset + row;
        let first_bias = first + self.mixed() * hidden;
        let second = first_bias + hidden;
        let second_bias = second + 2 * self.mixed() * hidden;
        let end = second_bias + 2 * self.mixed();
        TablePlaces { centre, mean, slope, offset, first, first_bias, second, second_bias, end }
    }

    /// Shape of the table: one tile below the other.
    pub fn table_shape(self) -> [usize; 4] {
        [1, 1, super::TILE * self.places().end, super::TILE]
    }

    /// Tiles of every circular buffer, in the order of the kernel's buffer numbers.
    pub fn buffers(self) -> Vec<usize> {
        let (unit, row, mixed) = (self.rows * self.columns, self.columns, self.mixed());
        let norm = [row; 5];
        let softmax = [mixed, mixed, 1, mixed, 1, mixed, mixed];
        // Several tiles are packed at once, and a piece of them must not be torn apart at a buffer's end.
        let [state, table, out] = [2 * unit, self.places().end, 2 * mixed];
        [&[state, table][..], &norm, &[unit, self.hidden], &softmax, &[out]].concat()
    }

    /// Columns of tiles of the state, or its one row, to which the layers are applied one after the other.
    pub(crate) fn lines(self) -> usize {
        if self.left { self.columns } else { 1 }
    }

    /// Products of two tiles for a unit.
    pub(crate) fn products(self) -> usize {
        let norm = 2 * self.rows * self.columns * self.columns;
        let layers = (self.mixed() + 1) * self.hidden + 2 * self.mixed() * (self.hidden + 1);
        norm + self.lines() * (layers + self.mixed())
    }

    /// Other passes over a tile for a unit, without what the functions of a tile take.
    pub(crate) fn passes(self) -> usize {
        // Square and product; weight and bias of the norm.
        let norm = self.rows * self.columns * if self.left { 4 } else { 2 };
        // The largest, the difference from it, gate, gated, sum.
        norm + self.lines() * 5 * self.mixed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_long_as_its_parts() {
        let patch = MixerTiles { left: true, rows: 2, columns: 1, hidden: 4 };
        let at = patch.places();
        assert_eq!((at.centre, at.slope, at.first, at.second), (3, 5, 7, 19));
        assert_eq!(at.end, 39);
        let feature = MixerTiles { left: false, rows: 1, columns: 2, hidden: 4 };
        assert_eq!(feature.places().slope, feature.places().first);
        assert_eq!(feature.places().end, 3 + 8 + 8 + 4 + 16 + 4);
        assert_eq!(feature.buffers().len(), 17);
    }
}
