//! Parts that several kernels compute alike (`worker/kernels/compute.h`).

use ptsm_kernels::{Isa, LinearDims, MatrixMut, MatrixShape, gelu, linear, transpose};

use super::super::rounding::{activation_bits, bfloat16};
use crate::program::{MathFidelity, NormPlaces, TILE};

/// A matrix of whole tiles.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f32>,
}

impl Matrix {
    pub(super) fn map(&self, f: impl Fn(usize, usize, f32) -> f32) -> Self {
        let values = self.values.iter().enumerate();
        let values = values.map(|(i, &x)| f(i / self.columns, i % self.columns, x)).collect();
        Self { values, ..*self }
    }

    pub(super) fn at(&self, i: usize, j: usize) -> f32 {
        self.values[i * self.columns + j]
    }

    pub(super) fn rounded(self) -> Self {
        self.map(|_, _, x| bfloat16(x))
    }

    /// The next `rows` rows from row `first` on.
    pub(super) fn rows_from(&self, first: usize, rows: usize) -> Self {
        let values = self.values[first * self.columns..][..rows * self.columns].to_vec();
        Self { rows, values, ..*self }
    }

    /// The next `columns` columns from column `first` on.
    pub(super) fn columns_from(&self, first: usize, columns: usize) -> Self {
        let rows = self.values.chunks_exact(self.columns);
        let values = rows.flat_map(|row| &row[first..first + columns]).copied().collect();
        Self { columns, values, ..*self }
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        self.map(|i, j, x| x + other.at(i, j))
    }

    pub(super) fn transposed(&self) -> Self {
        let mut values = vec![0.0; self.values.len()];
        let shape = MatrixShape { rows: self.rows, columns: self.columns };
        let from = ptsm_kernels::Matrix::new(&self.values, self.columns);
        transpose(Isa::best(), shape, from, MatrixMut::new(&mut values, self.rows));
        Self { rows: self.columns, columns: self.rows, values }
    }
}

/// A matrix of a table: `rows` by `columns` tiles, from tile `first` on.
pub(super) fn part(table: &[f32], first: usize, rows: usize, columns: usize) -> Matrix {
    let mut values = vec![0.0; rows * columns * TILE * TILE];
    let tiles = table.chunks_exact(TILE * TILE).skip(first).take(rows * columns);
    for (place, tile) in tiles.enumerate() {
        let (top, left) = (place / columns * TILE, place % columns * TILE);
        for (i, row) in tile.chunks_exact(TILE).enumerate() {
            let start = (top + i) * columns * TILE + left;
            values[start..start + TILE].copy_from_slice(row);
        }
    }
    Matrix { rows: rows * TILE, columns: columns * TILE, values }
}

/// A kernel with its constants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) table: &'a [f32],
    /// Whether weights multiply from the left.
    pub(super) left: bool,
    /// Added to variances, as the kernel gets it.
    pub(super) epsilon: f32,
    pub(super) fidelity: MathFidelity,
    pub(super) isa: Isa,
}

impl Parts<'_> {
    pub(super) fn part(&self, first: usize, rows: usize, columns: usize) -> Matrix {
        part(self.table, first, rows, columns)
    }

    /// A weight of `outputs` by `inputs` tiles, transposed if it multiplies from the right.
    fn weight(&self, first: usize, outputs: usize, inputs: usize) -> Matrix {
        match self.left {
            true => self.part(first, outputs, inputs),
            false => self.part(first, inputs, outputs),
        }
    }

    /// `x` with the bits that a left operand is multiplied with.
    pub(super) fn bits(&self, x: f32) -> f32 {
        activation_bits(self.fidelity, x)
    }

    /// `a b`, with the bits of `a` that the fidelity multiplies.
    pub(super) fn product(&self, a: &Matrix, b: &Matrix) -> Matrix {
        let (a, turned) = (a.map(|_, _, x| self.bits(x)), b.transposed());
        let mut values = vec![0.0; a.rows * b.columns];
        let dims = LinearDims { rows: a.rows, inputs: a.columns, outputs: b.columns };
        let zeros = vec![0.0; b.columns];
        linear(self.isa, dims, &a.values, &turned.values, &zeros, &mut values);
        Matrix { rows: a.rows, columns: b.columns, values }
    }

    /// `state` as its product with the identity, the first tile of every table: what is no number in a tile spreads along its columns.
    pub(super) fn through_identity(&self, state: &Matrix) -> Matrix {
        let identity = self.part(0, 1, 1);
        let rows = state.values.chunks_exact(TILE * state.columns);
        let values = rows.flat_map(|rows| {
            let rows = Matrix { rows: TILE, columns: state.columns, values: rows.to_vec() };
            self.product(&identity, &rows).values
        });
        Matrix { values: values.collect(), ..*state }
    }

    /// The product of a weight and the state, in the order that the mixer has.
    fn apply_weight(&self, weight: &Matrix, state: &Matrix) -> Matrix {
        match self.left {
            true => self.product(weight, state),
            false => self.product(state, weight),
        }
    }

    /// A linear layer; its bias is stored in whole tiles, with equal rows or equal columns.
    pub(super) fn layer(
        &self,
        first: usize,
        outputs: usize,
        inputs: usize,
        state: &Matrix,
    ) -> Matrix {
        let bias = self.weight(first + outputs * inputs, outputs, 1);
        let bias = |i: usize, j: usize| match self.left {
            true => bias.at(i, j % TILE),
            false => bias.at(i % TILE, j),
        };
        let product = self.apply_weight(&self.weight(first, outputs, inputs), state);
        product.map(|i, j, x| x + self.bits(bias(i, j)))
    }

    /// A linear layer with GELU.
    pub(super) fn hidden(
        &self,
        first: usize,
        outputs: usize,
        inputs: usize,
        state: &Matrix,
    ) -> Matrix {
        let before = self.layer(first, outputs, inputs, state);
        let mut after = before.clone();
        gelu(self.isa, &before.values, &mut after.values);
        after.rounded()
    }

    /// The elementwise product, with the bits of `b` that the fidelity multiplies.
    pub(super) fn times(&self, a: &Matrix, b: &Matrix) -> Matrix {
        a.map(|i, j, x| x * self.bits(b.at(i, j))).rounded()
    }

    pub(super) fn norm(&self, state: &Matrix, at: NormPlaces) -> Matrix {
        let affine = (at.end > at.slope).then_some([at.slope, at.offset]);
        let columns = at.columns;
        let Some([slope, offset]) = affine.map(|at| at.map(|first| self.part(first, 1, columns)))
        else {
            return if at.layer_norm {
                self.standardised(state, at)
            } else {
                state.map(|_, _, x| self.bits(x))
            };
        };
        match at.layer_norm {
            true => {
                let normed = self.standardised(state, at);
                let scaled = normed.map(|_, j, x| x * self.bits(slope.at(0, j))).rounded();
                scaled.map(|_, j, x| x + offset.at(0, j)).rounded()
            }
            // Weights are the diagonals of tiles.
            false => state
                .map(|_, j, x| self.bits(x) * slope.at(j % TILE, j) + self.bits(offset.at(0, j)))
                .rounded(),
        }
    }

    /// Rows less their mean and divided by their spread.
    fn standardised(&self, state: &Matrix, at: NormPlaces) -> Matrix {
        let part = |first| self.part(first, at.columns, at.columns);
        let centred = self.product(state, &part(at.centre)).rounded();
        let squares = self.times(&centred, &centred);
        let spread = self.product(&squares, &part(at.mean));
        let inverse = spread.map(|_, _, x| 1.0 / (x + self.epsilon).sqrt()).rounded();
        self.times(&centred, &inverse)
    }

    /// The softmax along columns, if weights multiply from the left, or rows.
    pub(super) fn softmax(&self, logits: &Matrix) -> Matrix {
        let left = self.left;
        let mut largest = vec![f32::NEG_INFINITY; if left { logits.columns } else { logits.rows }];
        for (place, &x) in logits.values.iter().enumerate() {
            let (i, j) = (place / logits.columns, place % logits.columns);
            let line = &mut largest[if left { j } else { i }];
            *line = line.max(x);
        }
        let powers = logits.map(|i, j, x| (x - largest[if left { j } else { i }]).exp()).rounded();
        let side = if left { powers.rows } else { powers.columns };
        let ones = Matrix { rows: side, columns: side, values: vec![1.0; side * side] };
        let sum = self.apply_weight(&ones, &powers).map(|_, _, x| 1.0 / x).rounded();
        self.times(&powers, &sum)
    }
}
