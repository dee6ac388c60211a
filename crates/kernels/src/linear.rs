//! Linear layers with plain row-major weights: forward, gradient of the input, gradient of the weight.
//!
//! One register-tiled loop serves all three: `C[m, n] (+)= sum_k A[m, k] B[k, n]`, with B packed in
//! every call into zero-padded panels two registers wide, and A read in place by strides. Every element
//! of C is summed over k in the same order, whichever register tile computes it: its bits depend neither
//! on the number of rows in the call nor on the position of its row. Layers that are applied often keep
//! their weights packed instead: [`RowLinear`](crate::RowLinear), [`ColumnLinear`](crate::ColumnLinear).

use std::cell::RefCell;
use std::ops::Range;

use crate::gradients::AffineGradients;
use crate::isa::{Isa, Op};
use crate::matrix::{ProductShape, Strided};
use crate::vector::Vector;

/// Rows of a full register tile.
const TILE_ROWS: usize = 6;
/// Width of a register tile, in registers.
const TILE_REGISTERS: usize = 2;
/// Steps of k in one cache block: a panel of so many steps stays in the first-level cache, and adding
/// the sums of blocks keeps the rounding error of long products small.
const BLOCK: usize = 128;

thread_local! {
    /// The packed panels of B: a buffer of each thread, reused between calls.
    static PACKED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Rows and widths of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearDims {
    /// Rows of the input and of the output.
    pub rows: usize,
    /// Elements of an input row.
    pub inputs: usize,
    /// Elements of an output row.
    pub outputs: usize,
}

impl LinearDims {
    fn check(self, x: &[f32], weight: &[f32], out: &[f32]) {
        assert_eq!(x.len(), self.rows * self.inputs, "linear: input");
        assert_eq!(weight.len(), self.outputs * self.inputs, "linear: weight");
        assert_eq!(out.len(), self.rows * self.outputs, "linear: output");
    }
}

/// `out = x W^T + b`.
///
/// Shapes: `x` `[rows, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]`, `out`
/// `[rows, outputs]`, overwritten; row-major.
///
/// # Panics
///
/// If a length does not fit.
pub fn linear(
    isa: Isa,
    dims: LinearDims,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    out: &mut [f32],
) {
    dims.check(x, weight, out);
    assert_eq!(bias.len(), dims.outputs, "linear: bias");
    for row in out.chunks_exact_mut(dims.outputs) {
        row.copy_from_slice(bias);
    }
    let LinearDims { rows, inputs, outputs } = dims;
    isa.run(Product {
        shape: ProductShape { rows, columns: outputs, inner: inputs },
        a: Strided { values: x, row: inputs, step: 1 },
        b: Strided { values: weight, row: 1, step: inputs },
        c: out,
    });
}

/// `d_x = d_out W`, overwritten.
///
/// Shapes as in [`linear`].
///
/// # Panics
///
/// If a length does not fit.
pub fn linear_d_input(isa: Isa, dims: LinearDims, d_out: &[f32], weight: &[f32], d_x: &mut [f32]) {
    dims.check(d_x, weight, d_out);
    d_x.fill(0.0);
    let LinearDims { rows, inputs, outputs } = dims;
    isa.run(Product {
        shape: ProductShape { rows, columns: inputs, inner: outputs },
        a: Strided { values: d_out, row: outputs, step: 1 },
        b: Strided { values: weight, row: inputs, step: 1 },
        c: d_x,
    });
}

/// `d_weight += d_out^T x` and `d_bias +=` the column sums of `d_out`.
///
/// Shapes as in [`linear`].
///
/// # Panics
///
/// If a length does not fit.
pub fn linear_d_weight(
    isa: Isa,
    dims: LinearDims,
    d_out: &[f32],
    x: &[f32],
    gradients: AffineGradients<'_>,
) {
    let AffineGradients { weight: d_weight, bias: d_bias } = gradients;
    dims.check(x, d_weight, d_out);
    assert_eq!(d_bias.len(), dims.outputs, "linear: gradient of the bias");
    let LinearDims { rows, inputs, outputs } = dims;
    for row in d_out.chunks_exact(outputs) {
        d_bias.iter_mut().zip(row).for_each(|(sum, d)| *sum += d);
    }
    isa.run(Product {
        shape: ProductShape { rows: outputs, columns: inputs, inner: rows },
        a: Strided { values: d_out, row: 1, step: outputs },
        b: Strided { values: x, row: inputs, step: 1 },
        c: d_weight,
    });
}

/// `C += A B`, C row-major.
struct Product<'a> {
    shape: ProductShape,
    a: Strided<'a>,
    b: Strided<'a>,
    c: &'a mut [f32],
}

impl Op for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let ProductShape { rows: m, columns: n, inner: k } = self.shape;
        let width = TILE_REGISTERS * V::LANES;
        // Taken out rather than borrowed in a closure: a closure, and the loop in it, would be compiled
        // without the instructions of this set.
        let mut packed = PACKED.take();
        for from in (0..k).step_by(BLOCK) {
            let steps = BLOCK.min(k - from);
            packed.resize(n.div_ceil(width) * width * steps, 0.0);
            pack(self.b, from..from + steps, n, width, &mut packed);
            for (i, panel) in packed.chunks_exact(width * steps).enumerate() {
                let (column, columns) = (i * width, width.min(n - i * width));
                let mut row = 0;
                while row < m {
                    let tile = Tile { row, from, steps, column, columns, n };
                    row += tile.dispatch(v, m - row, self.a, panel, self.c);
                }
            }
        }
        PACKED.set(packed);
    }
}

/// Packs some steps of the `n` columns of B into panels `[n / width][steps][width]`.
#[inline(always)]
fn pack(b: Strided<'_>, steps: Range<usize>, n: usize, width: usize, packed: &mut [f32]) {
    for (i, panel) in packed.chunks_exact_mut(width * steps.len()).enumerate() {
        let first = i * width;
        let columns = width.min(n - first);
        for (k, out) in panel.chunks_exact_mut(width).enumerate() {
            let start = (steps.start + k) * b.row + first * b.step;
            if b.step == 1 {
                out[..columns].copy_from_slice(&b.values[start..start + columns]);
            } else {
                for (j, out) in out[..columns].iter_mut().enumerate() {
                    *out = b.values[start + j * b.step];
                }
            }
            out[columns..].fill(0.0);
        }
    }
}

/// One register tile of C.
#[derive(Clone, Copy)]
struct Tile {
    /// First row.
    row: usize,
    /// First step of k.
    from: usize,
    /// Number of steps of k.
    steps: usize,
    /// First column.
    column: usize,
    /// Number of columns.
    columns: usize,
    /// Columns of C.
    n: usize,
}

impl Tile {
    /// Computes the tallest tile that fits into `left` rows, and returns its height.
    #[inline(always)]
    fn dispatch<V: Vector>(
        self,
        v: V,
        left: usize,
        a: Strided<'_>,
        panel: &[f32],
        c: &mut [f32],
    ) -> usize {
        match left {
            1 => self.run::<V, 1>(v, a, panel, c),
            2 => self.run::<V, 2>(v, a, panel, c),
            3 => self.run::<V, 3>(v, a, panel, c),
            4 => self.run::<V, 4>(v, a, panel, c),
            5 => self.run::<V, 5>(v, a, panel, c),
            _ => self.run::<V, TILE_ROWS>(v, a, panel, c),
        }
    }

    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(
        self,
        v: V,
        a: Strided<'_>,
        panel: &[f32],
        c: &mut [f32],
    ) -> usize {
        let lanes = V::LANES;
        let mut sums = [[v.splat(0.0); TILE_REGISTERS]; ROWS];
        let start = self.row * a.row + self.from * a.step;
        let last = start + (ROWS - 1) * a.row + (self.steps - 1) * a.step;
        assert!(last < a.values.len() && panel.len() >= self.steps * TILE_REGISTERS * lanes);
        for k in 0..self.steps {
            let mut b = [v.splat(0.0); TILE_REGISTERS];
            for (j, b) in b.iter_mut().enumerate() {
                let at = (k * TILE_REGISTERS + j) * lanes;
                // SAFETY: `k < steps`, and the panel holds `steps` rows of a tile's width (asserted).
                *b = v.load(unsafe { panel.get_unchecked(at..at + lanes) });
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the index is at most `last`, which is in bounds (asserted).
                let a = v.splat(unsafe { *a.values.get_unchecked(start + i * a.row + k * a.step) });
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = v.mul_add(a, b, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let c = &mut c[(self.row + i) * self.n + self.column..][..self.columns];
            for (j, &sum) in sums.iter().enumerate() {
                let c = c.get_mut(j * lanes..).unwrap_or_default();
                let total = v.add(v.load_part(c, 0.0), sum);
                v.store_part(total, c);
            }
        }
        ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    /// Odd shapes, remainders of every kind, and the shapes of real models.
    const SHAPES: [[usize; 3]; 14] = [
        [1, 1, 1],
        [1, 5, 3],
        [2, 7, 15],
        [3, 16, 16],
        [4, 17, 31],
        [5, 8, 33],
        [6, 64, 128],
        [7, 300, 9],
        [11, 13, 47],
        [13, 3, 65],
        [17, 257, 2],
        [29, 31, 67],
        [112, 64, 128],
        [100, 512, 40],
    ];

    /// `C[m, n] = start[m, n] + sum_k f(m, k) g(k, n)` in f64.
    fn reference(
        shape: [usize; 3],
        start: impl Fn(usize, usize) -> f32,
        f: impl Fn(usize, usize) -> f32,
        g: impl Fn(usize, usize) -> f32,
    ) -> Vec<f64> {
        let [m, n, k] = shape;
        let mut c = Vec::new();
        for i in 0..m {
            for j in 0..n {
                let product = |l| f64::from(f(i, l)) * f64::from(g(l, j));
                c.push(f64::from(start(i, j)) + (0..k).map(product).sum::<f64>());
            }
        }
        c
    }

    #[test]
    fn every_product_matches_the_reference_on_every_set_and_shape() {
        for isa in Isa::available() {
            for shape in SHAPES {
                let [rows, inputs, outputs] = shape;
                let d = LinearDims { rows, inputs, outputs };
                let (x, w) = (numbers(1, rows * inputs), numbers(2, outputs * inputs));
                let (bias, d_out) = (numbers(3, outputs), numbers(4, rows * outputs));
                let name = format!("{} {shape:?}", isa.name());

                let mut out = vec![f32::NAN; rows * outputs];
                linear(isa, d, &x, &w, &bias, &mut out);
                let wanted = reference(
                    [rows, outputs, inputs],
                    |_, o| bias[o],
                    |r, i| x[r * inputs + i],
                    |i, o| w[o * inputs + i],
                );
                assert_close(&out, &wanted, 3e-6, &name);

                let mut d_x = vec![f32::NAN; rows * inputs];
                linear_d_input(isa, d, &d_out, &w, &mut d_x);
                let wanted = reference(
                    [rows, inputs, outputs],
                    |_, _| 0.0,
                    |r, o| d_out[r * outputs + o],
                    |o, i| w[o * inputs + i],
                );
                assert_close(&d_x, &wanted, 3e-6, &name);

                let (mut d_w, mut d_b) = (w.clone(), bias.clone());
                let gradients = AffineGradients { weight: &mut d_w, bias: &mut d_b };
                linear_d_weight(isa, d, &d_out, &x, gradients);
                let wanted = reference(
                    [outputs, inputs, rows],
                    |o, i| w[o * inputs + i],
                    |o, r| d_out[r * outputs + o],
                    |r, i| x[r * inputs + i],
                );
                assert_close(&d_w, &wanted, 3e-6, &name);
                let wanted = reference(
                    [outputs, 1, rows],
                    |o, _| bias[o],
                    |o, r| d_out[r * outputs + o],
                    |_, _| 1.0,
                );
                assert_close(&d_b, &wanted, 3e-6, &name);
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_as_in_a_batch() {
        for isa in Isa::available() {
            let d = LinearDims { rows: 23, inputs: 37, outputs: 41 };
            let (x, w, bias) = (numbers(1, 23 * 37), numbers(2, 41 * 37), numbers(3, 41));
            let mut whole = vec![0.0; 23 * 41];
            linear(isa, d, &x, &w, &bias, &mut whole);
            for row in 0..23 {
                let mut alone = vec![0.0; 41];
                let one = LinearDims { rows: 1, ..d };
                linear(isa, one, &x[row * 37..][..37], &w, &bias, &mut alone);
                assert_eq!(alone, whole[row * 41..][..41], "{} row {row}", isa.name());
            }
        }
    }
}
