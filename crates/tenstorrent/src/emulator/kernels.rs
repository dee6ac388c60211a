//! What our kernels compute, in the order in which the chip does, with every buffer rounded and
//! padding included.

use ptsm_kernels::{Isa, LinearDims, MatrixMut, MatrixShape, gelu, linear, transpose};

use super::product::{Product, rows_product};
use super::rounding::{activation_bits, bfloat16};
use super::tensor::TileTensor;
use crate::program::{EmbedTiles, MathFidelity, MixerTiles, TILE};

/// A matrix of whole tiles.
#[derive(Debug, Clone)]
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    fn map(&self, f: impl Fn(usize, usize, f32) -> f32) -> Self {
        let values = self.values.iter().enumerate();
        let values = values.map(|(i, &x)| f(i / self.columns, i % self.columns, x)).collect();
        Self { values, ..*self }
    }

    fn at(&self, i: usize, j: usize) -> f32 {
        self.values[i * self.columns + j]
    }

    fn rounded(self) -> Self {
        self.map(|_, _, x| bfloat16(x))
    }

    /// The next `rows` rows from row `first` on.
    fn rows_from(&self, first: usize, rows: usize) -> Self {
        let values = self.values[first * self.columns..][..rows * self.columns].to_vec();
        Self { rows, values, ..*self }
    }
}

/// A matrix of a table: `rows` by `columns` tiles, from tile `first` on.
fn part(table: &[f32], first: usize, rows: usize, columns: usize) -> Matrix {
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

/// The mixer kernel with its constants.
struct Kernel<'a> {
    tiles: MixerTiles,
    table: &'a [f32],
    fidelity: MathFidelity,
    isa: Isa,
}

impl Kernel<'_> {
    fn part(&self, first: usize, rows: usize, columns: usize) -> Matrix {
        part(self.table, first, rows, columns)
    }

    /// A weight of `outputs` by `inputs` tiles, transposed if it multiplies from the right.
    fn weight(&self, first: usize, outputs: usize, inputs: usize) -> Matrix {
        match self.tiles.left {
            true => self.part(first, outputs, inputs),
            false => self.part(first, inputs, outputs),
        }
    }

    /// `a b`, with the bits of `a` that the fidelity multiplies.
    fn product(&self, a: &Matrix, b: &Matrix) -> Matrix {
        let a = a.map(|_, _, x| activation_bits(self.fidelity, x));
        let (isa, mut turned) = (self.isa, vec![0.0; b.values.len()]);
        let shape = MatrixShape { rows: b.rows, columns: b.columns };
        let from = ptsm_kernels::Matrix::new(&b.values, b.columns);
        transpose(isa, shape, from, MatrixMut::new(&mut turned, b.rows));
        let mut values = vec![0.0; a.rows * b.columns];
        let dims = LinearDims { rows: a.rows, inputs: a.columns, outputs: b.columns };
        linear(isa, dims, &a.values, &turned, &vec![0.0; b.columns], &mut values);
        Matrix { rows: a.rows, columns: b.columns, values }
    }

    /// The product of a weight and the state, in the order that the mixer has.
    fn apply_weight(&self, weight: &Matrix, state: &Matrix) -> Matrix {
        match self.tiles.left {
            true => self.product(weight, state),
            false => self.product(state, weight),
        }
    }

    /// A linear layer; its bias is stored in whole tiles, with equal rows or equal columns.
    fn layer(&self, first: usize, outputs: usize, inputs: usize, state: &Matrix) -> Matrix {
        let bias = self.weight(first + outputs * inputs, outputs, 1);
        let bias = |i: usize, j: usize| match self.tiles.left {
            true => bias.at(i, j % TILE),
            false => bias.at(i % TILE, j),
        };
        let product = self.apply_weight(&self.weight(first, outputs, inputs), state);
        product.map(|i, j, x| x + activation_bits(self.fidelity, bias(i, j)))
    }

    /// The elementwise product, with the bits of `b` that the fidelity multiplies.
    fn times(&self, a: &Matrix, b: &Matrix) -> Matrix {
        a.map(|i, j, x| x * activation_bits(self.fidelity, b.at(i, j))).rounded()
    }

    fn norm(&self, state: &Matrix, epsilon: f32) -> Matrix {
        let (at, columns) = (self.tiles.places(), self.tiles.columns);
        let part = |first| self.part(first, columns, columns);
        let centred = self.product(state, &part(at.centre)).rounded();
        let squares = self.times(&centred, &centred);
        let spread = self.product(&squares, &part(at.mean));
        let inverse = spread.map(|_, _, x| 1.0 / (x + epsilon).sqrt()).rounded();
        let normed = self.times(&centred, &inverse);
        if !self.tiles.left {
            return normed;
        }
        let row = |first| self.part(first, 1, columns);
        let (slope, offset) = (row(at.slope), row(at.offset));
        let scaled =
            normed.map(|_, j, x| x * activation_bits(self.fidelity, slope.at(0, j))).rounded();
        scaled.map(|_, j, x| x + offset.at(0, j)).rounded()
    }

    /// The softmax of the gate, over the axis that is mixed.
    fn softmax(&self, logits: &Matrix) -> Matrix {
        let left = self.tiles.left;
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

    /// The block on one matrix.
    fn run(&self, state: &Matrix, epsilon: f32) -> Matrix {
        let MixerTiles { left, hidden, .. } = self.tiles;
        let (at, mixed) = (self.tiles.places(), self.tiles.mixed());
        let z = self.norm(state, epsilon);
        let before = self.layer(at.first, hidden, mixed, &z);
        let mut inner = before.clone();
        gelu(self.isa, &before.values, &mut inner.values);
        let both = self.layer(at.second, 2 * mixed, hidden, &inner.rounded()).rounded();
        let size = mixed * TILE;
        let (z, logits) = match left {
            true => (both.rows_from(0, size), both.rows_from(size, size)),
            false => {
                let half = |first: usize| {
                    let rows = both.values.chunks_exact(2 * size);
                    let values = rows.flat_map(|row| &row[first..first + size]).copied().collect();
                    Matrix { rows: both.rows, columns: size, values }
                };
                (half(0), half(size))
            }
        };
        let gated = self.times(&z, &self.softmax(&logits));
        state.map(|i, j, x| x + gated.at(i, j))
    }
}

/// The mixer kernel on the step's inputs.
pub(super) fn mixer(
    state: &TileTensor,
    table: &TileTensor,
    tiles: MixerTiles,
    epsilon: f64,
    product: Product,
) -> TileTensor {
    let Product { fidelity, isa, .. } = product;
    let kernel = Kernel { tiles, table: &table.values, fidelity, isa };
    // The kernel computes D times each centred row, and so D squared times its variance.
    let width = state.shape[3] as f64;
    let epsilon = (epsilon * width * width) as f32;
    let mut out = state.clone();
    let (rows, columns) = (state.height(), state.width());
    for (from, to) in state.matrices().zip(out.values.chunks_exact_mut(rows * columns)) {
        let matrix = Matrix { rows, columns, values: from.to_vec() };
        to.copy_from_slice(&kernel.run(&matrix, epsilon).values);
    }
    out
}

/// The embedding kernel: `windows` `[B, C, 1, L]` are cut into patches and embedded. Rows that pad
/// the patches to whole tiles are zeros.
pub(super) fn embed(
    windows: &TileTensor,
    table: &TileTensor,
    tiles: EmbedTiles,
    product: Product,
) -> TileTensor {
    let Product { shape, fidelity, .. } = product;
    let EmbedTiles { patch_length, patch_stride, patches, columns } = tiles;
    let weight = part(&table.values, 1, tiles.inner(), columns);
    let bias = part(&table.values, 1 + tiles.inner() * columns, 1, columns);
    let mut cut = Vec::new();
    for window in windows.download().chunks_exact(tiles.window()) {
        (0..patches).for_each(|i| cut.extend(&window[i * patch_stride..][..patch_length]));
    }
    let mut laid = TileTensor::filled([shape[0], shape[1], patches, patch_length], 0.0);
    laid.write(&cut);
    let weight = TileTensor { shape: [1, 1, weight.rows, weight.columns], values: weight.values };
    let bias: Vec<f32> =
        bias.values[..bias.columns].iter().map(|&x| activation_bits(fidelity, x)).collect();
    rows_product(&laid, &weight, Some(&bias), product)
}
