//! The sizes of the mixer kernel (`worker/kernels/mixer.cpp`): the places in its table of
//! constants, its buffers, and the amount of its work.

use serde::{Deserialize, Serialize};

use super::kernel::{KernelWork, NormPlaces};

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
    /// Whether the block has a gate.
    pub gate: bool,
    /// Layer norm; otherwise batch norm.
    pub layer_norm: bool,
    /// Whether the state is added to what the block makes of it.
    pub residual: bool,
}

/// Places of the first tile of each part in the table of constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TablePlaces {
    /// Its weight and bias are here only if `left`, otherwise they are folded into the first layer.
    pub(crate) norm: NormPlaces,
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

    /// Tiles along the outputs of the second layer, the gate's included.
    pub(crate) fn outputs(self) -> usize {
        self.mixed() * if self.gate { 2 } else { 1 }
    }

    pub(crate) fn places(self) -> TablePlaces {
        let Self { left, columns, hidden, layer_norm, .. } = self;
        let norm = NormPlaces::new(3, columns, layer_norm, left);
        let first = norm.end;
        let first_bias = first + self.mixed() * hidden;
        let second = first_bias + hidden;
        let second_bias = second + self.outputs() * hidden;
        let end = second_bias + self.outputs();
        TablePlaces { norm, first, first_bias, second, second_bias, end }
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
    fn lines(self) -> usize {
        if self.left { self.columns } else { 1 }
    }

    /// What is done for a unit.
    pub(crate) fn work(self) -> KernelWork {
        let (mixed, hidden) = (self.mixed(), self.hidden);
        let functions = KernelWork { gelus: hidden, ..KernelWork::default() };
        let layers = KernelWork::layers(1, hidden, mixed)
            + KernelWork::layers(1, self.outputs(), hidden)
            + functions;
        let end = match self.gate {
            // The gated state, and its sum with the residual.
            true => {
                let passes = mixed * if self.residual { 2 } else { 1 };
                KernelWork::softmax(mixed) + KernelWork { passes, ..KernelWork::default() }
            }
            false => {
                let products = if self.residual { mixed } else { 0 };
                KernelWork { products, ..KernelWork::default() }
            }
        };
        KernelWork::norm(self.rows, self.places().norm) + (layers + end).times(self.lines())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_long_as_its_parts() {
        let patch = MixerTiles {
            left: true,
            rows: 2,
            columns: 1,
            hidden: 4,
            gate: true,
            layer_norm: true,
            residual: true,
        };
        let at = patch.places();
        assert_eq!((at.norm.centre, at.norm.slope, at.first, at.second), (3, 5, 7, 19));
        assert_eq!(at.end, 39);
        let feature = MixerTiles { left: false, rows: 1, columns: 2, ..patch };
        assert_eq!(feature.places().norm.slope, feature.places().first);
        assert_eq!(feature.places().end, 3 + 8 + 8 + 4 + 16 + 4);
        assert_eq!(feature.buffers().len(), 17);
        let plain = MixerTiles { gate: false, layer_norm: false, ..feature };
        assert_eq!(plain.places().end, 3 + 8 + 4 + 8 + 2);
    }
}
