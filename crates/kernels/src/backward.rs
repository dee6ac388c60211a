//! Gradients of what works down columns, and the sums that gradients of biases are.

use crate::columns::Columns;
use crate::isa::{Isa, Op};
use crate::vector::Vector;

/// Gradient of [`normalise_columns`](crate::normalise_columns): `x` is its input, `d` the gradient
/// of its output. Adds the gradient of the input to `d_x`, and those of weight and bias, `[rows]`
/// each, to `d_weight` and `d_bias`. All matrices have the same pitch.
///
/// # Panics
///
/// If a length does not fit.
pub fn normalise_columns_backward(
    isa: Isa,
    (shape, pitch): (Columns, usize),
    (x, d): (&[f32], &[f32]),
    (weight, eps): (&[f32], f32),
    (d_x, d_weight, d_bias): (&mut [f32], &mut [f32], &mut [f32]),
) {
    shape.check(isa.lanes(), &[(x.len(), pitch), (d.len(), pitch), (d_x.len(), pitch)]);
    assert!(weight.len() == shape.rows, "normalise_columns_backward: weight");
    assert!(d_weight.len() == shape.rows && d_bias.len() == shape.rows, "d_weight, d_bias");
    isa.run(NormaliseBackward { shape, pitch, x, d, weight, eps, d_x, d_weight, d_bias });
}

struct NormaliseBackward<'a> {
    shape: Columns,
    pitch: usize,
    x: &'a [f32],
    d: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    d_x: &'a mut [f32],
    d_weight: &'a mut [f32],
    d_bias: &'a mut [f32],
}

impl Op for NormaliseBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        for column in (0..self.shape.columns).step_by(V::LANES) {
            self.strip(v, column);
        }
    }
}

impl NormaliseBackward<'_> {
    /// One register's columns.
    #[inline(always)]
    fn strip<V: Vector>(&mut self, v: V, column: usize) {
        let share = v.splat(1.0 / self.shape.rows as f32);
        let at = |d: usize| d * self.pitch + column;
        let mut mean = v.splat(0.0);
        for d in 0..self.shape.rows {
            mean = v.add(mean, v.load(&self.x[at(d)..]));
        }
        mean = v.mul(mean, share);
        let mut squares = v.splat(0.0);
        for d in 0..self.shape.rows {
            let centred = v.sub(v.load(&self.x[at(d)..]), mean);
            squares = v.mul_add(centred, centred, squares);
        }
        let variance = v.mul_add(squares, share, v.splat(self.eps));
        let inverse = v.div(v.splat(1.0), v.sqrt(variance));
        let (mut level, mut slope) = (v.splat(0.0), v.splat(0.0));
        for d in 0..self.shape.rows {
            let z = v.mul(v.sub(v.load(&self.x[at(d)..]), mean), inverse);
            let given = v.load(&self.d[at(d)..]);
            let product = v.mul(given, z);
            self.d_weight[d] += v.sum(product);
            self.d_bias[d] += v.sum(given);
            let weight = v.splat(self.weight[d]);
            level = v.mul_add(given, weight, level);
            slope = v.mul_add(product, weight, slope);
        }
        let (level, slope) = (v.mul(level, share), v.mul(slope, share));
        for d in 0..self.shape.rows {
            let z = v.mul(v.sub(v.load(&self.x[at(d)..]), mean), inverse);
            let inner = v.sub(v.mul(v.load(&self.d[at(d)..]), v.splat(self.weight[d])), level);
            let inner = v.sub(inner, v.mul(z, slope));
            let d_x = &mut self.d_x[at(d)..];
            v.store(v.mul_add(inner, inverse, v.load(d_x)), d_x);
        }
    }
}

/// Gradient of the softmax down each column: `d = y (d - sum(y d))`, in place; rows of both start
/// `pitch` apart.
///
/// # Panics
///
/// If a length does not fit.
pub fn softmax_columns_backward(
    isa: Isa,
    (shape, pitch): (Columns, usize),
    y: &[f32],
    d: &mut [f32],
) {
    shape.check(isa.lanes(), &[(y.len(), pitch), (d.len(), pitch)]);
    isa.run(SoftmaxBackward { shape, pitch, y, d });
}

struct SoftmaxBackward<'a> {
    shape: Columns,
    pitch: usize,
    y: &'a [f32],
    d: &'a mut [f32],
}

impl Op for SoftmaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        for column in (0..self.shape.columns).step_by(V::LANES) {
            let at = |row: usize| row * self.pitch + column;
            let mut mean = v.splat(0.0);
            for row in 0..self.shape.rows {
                mean = v.mul_add(v.load(&self.y[at(row)..]), v.load(&self.d[at(row)..]), mean);
            }
            for row in 0..self.shape.rows {
                let d = &mut self.d[at(row)..];
                v.store(v.mul(v.load(&self.y[at(row)..]), v.sub(v.load(d), mean)), d);
            }
        }
    }
}

/// `out[r] +=` the sum of row `r`, each row by itself; rows start `pitch` apart.
///
/// # Panics
///
/// If a length does not fit.
pub fn add_row_sums(isa: Isa, shape: Columns, (x, pitch): (&[f32], usize), out: &mut [f32]) {
    shape.check(isa.lanes(), &[(x.len(), pitch)]);
    assert_eq!(out.len(), shape.rows, "add_row_sums");
    isa.run(RowSums { shape, x, pitch, out });
}

struct RowSums<'a> {
    shape: Columns,
    x: &'a [f32],
    pitch: usize,
    out: &'a mut [f32],
}

impl Op for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        for (row, out) in self.out.iter_mut().enumerate() {
            let mut sum = v.splat(0.0);
            for x in self.x[row * self.pitch..][..self.shape.columns].chunks_exact(V::LANES) {
                sum = v.add(sum, v.load(x));
            }
            *out += v.sum(sum);
        }
    }
}

/// `out[j] +=` the sum of column `j`, the rows one after the other; rows start `pitch` apart.
///
/// # Panics
///
/// If a length does not fit.
pub fn add_column_sums(isa: Isa, shape: Columns, (x, pitch): (&[f32], usize), out: &mut [f32]) {
    shape.check(isa.lanes(), &[(x.len(), pitch)]);
    assert_eq!(out.len(), shape.columns, "add_column_sums");
    isa.run(ColumnSums { shape, x, pitch, out });
}

struct ColumnSums<'a> {
    shape: Columns,
    x: &'a [f32],
    pitch: usize,
    out: &'a mut [f32],
}

impl Op for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        for column in (0..self.shape.columns).step_by(V::LANES) {
            let mut sum = v.load(&self.out[column..]);
            for row in 0..self.shape.rows {
                sum = v.add(sum, v.load(&self.x[row * self.pitch + column..]));
            }
            v.store(sum, &mut self.out[column..]);
        }
    }
}

/// `out = a b`, element by element, or `out += a b` if `add`; the lengths are equal.
///
/// # Panics
///
/// If they are not.
pub fn multiply(isa: Isa, (a, b): (&[f32], &[f32]), add: bool, out: &mut [f32]) {
    assert!(a.len() == out.len() && b.len() == out.len(), "multiply: lengths");
    isa.run(Multiply { a, b, add, out });
}

struct Multiply<'a> {
    a: &'a [f32],
    b: &'a [f32],
    add: bool,
    out: &'a mut [f32],
}

impl Op for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let Self { a, b, add, out } = self;
        let pairs = a.chunks(V::LANES).zip(b.chunks(V::LANES));
        for ((a, b), out) in pairs.zip(out.chunks_mut(V::LANES)) {
            let (a, b) = (v.load_part(a, 0.0), v.load_part(b, 0.0));
            let product = if add { v.mul_add(a, b, v.load_part(out, 0.0)) } else { v.mul(a, b) };
            v.store_part(product, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_canaries};

    /// Rows and columns of odd sizes, with a pitch.
    fn shapes(isa: Isa) -> Vec<(Columns, usize)> {
        let lanes = isa.lanes();
        let heights = (1..=67).map(|rows| (Columns { rows, columns: lanes }, lanes));
        let widths =
            (0..=5).map(|n| (Columns { rows: 6, columns: n * lanes }, n * lanes + lanes + 1));
        heights.chain(widths).collect()
    }

    /// Numbers of a matrix as f64, `[rows][columns]`.
    fn at(pitch: usize, x: &[f32]) -> impl Fn(usize, usize) -> f64 + '_ {
        move |row, column| f64::from(x[row * pitch + column])
    }

    #[test]
    fn a_norm_has_its_textbook_gradient() {
        for isa in Isa::available() {
            for (shape, pitch) in shapes(isa) {
                let (rows, columns, len) = (shape.rows, shape.columns, shape.rows * pitch);
                let (x, d, before) = (numbers(1, len), numbers(2, len), numbers(3, len));
                let (weight, start) = (numbers(4, rows), numbers(5, rows));
                let eps = 1e-3;
                let (mut d_weight, mut d_bias) = (start.clone(), start.clone());
                let mut got = before.clone();
                let to = (&mut got[..], &mut d_weight[..], &mut d_bias[..]);
                normalise_columns_backward(isa, (shape, pitch), (&x, &d), (&weight, eps), to);
                let (mut wanted, count) =
                    (before.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(), rows as f64);
                let (mut wanted_weight, mut wanted_bias) = (
                    start.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(),
                    start.iter().map(|&x| f64::from(x)).collect::<Vec<_>>(),
                );
                let (x, d) = (at(pitch, &x), at(pitch, &d));
                for j in 0..columns {
                    let mean = (0..rows).map(|r| x(r, j)).sum::<f64>() / count;
                    let variance = (0..rows).map(|r| (x(r, j) - mean).powi(2)).sum::<f64>() / count;
                    let inverse = 1.0 / (variance + f64::from(eps)).sqrt();
                    let z = |r: usize| (x(r, j) - mean) * inverse;
                    let inner = |r: usize| d(r, j) * f64::from(weight[r]);
                    let level = (0..rows).map(inner).sum::<f64>() / count;
                    let slope = (0..rows).map(|r| inner(r) * z(r)).sum::<f64>() / count;
                    for r in 0..rows {
                        wanted[r * pitch + j] += (inner(r) - level - z(r) * slope) * inverse;
                        wanted_weight[r] += d(r, j) * z(r);
                        wanted_bias[r] += d(r, j);
                    }
                }
                let name = format!("{} {rows} {columns}", isa.name());
                assert_close(&got, &wanted, 2e-5, &name);
                assert_close(&d_weight, &wanted_weight, 2e-6, &name);
                assert_close(&d_bias, &wanted_bias, 2e-6, &name);
            }
        }
    }

    #[test]
    fn a_softmax_has_its_textbook_gradient() {
        for isa in Isa::available() {
            for (shape, pitch) in shapes(isa) {
                let len = shape.rows * pitch;
                let (y, d) = (numbers(1, len), numbers(2, len));
                let got = with_canaries(&d, |d| {
                    softmax_columns_backward(isa, (shape, pitch), &y, d);
                });
                let (y_at, d_at) = (at(pitch, &y), at(pitch, &d));
                let wanted: Vec<f64> = (0..len)
                    .map(|i| {
                        let (r, j) = (i / pitch, i % pitch);
                        if j >= shape.columns {
                            return d_at(r, j);
                        }
                        let mean: f64 = (0..shape.rows).map(|r| y_at(r, j) * d_at(r, j)).sum();
                        y_at(r, j) * (d_at(r, j) - mean)
                    })
                    .collect();
                assert_close(&got, &wanted, 2e-6, &format!("{} {shape:?}", isa.name()));
            }
        }
    }

    #[test]
    fn rows_and_columns_are_summed() {
        for isa in Isa::available() {
            for (shape, pitch) in shapes(isa) {
                let x = numbers(1, shape.rows * pitch);
                let (rows, columns) = (numbers(2, shape.rows), numbers(3, shape.columns));
                let name = format!("{} {shape:?}", isa.name());
                let got = with_canaries(&rows, |out| add_row_sums(isa, shape, (&x, pitch), out));
                let value = at(pitch, &x);
                let wanted: Vec<f64> = (0..shape.rows)
                    .map(|r| {
                        f64::from(rows[r]) + (0..shape.columns).map(|j| value(r, j)).sum::<f64>()
                    })
                    .collect();
                assert_close(&got, &wanted, 2e-6, &name);
                let got =
                    with_canaries(&columns, |out| add_column_sums(isa, shape, (&x, pitch), out));
                let wanted: Vec<f64> = (0..shape.columns)
                    .map(|j| {
                        f64::from(columns[j]) + (0..shape.rows).map(|r| value(r, j)).sum::<f64>()
                    })
                    .collect();
                assert_close(&got, &wanted, 2e-6, &name);
            }
        }
    }

    #[test]
    fn products_of_every_length() {
        for isa in Isa::available() {
            for len in 0..=67 {
                let (a, b, c) = (numbers(1, len), numbers(2, len), numbers(3, len));
                for add in [false, true] {
                    let got = with_canaries(&c, |out| multiply(isa, (&a, &b), add, out));
                    let wanted: Vec<f64> = (0..len)
                        .map(|i| {
                            let onto = if add { f64::from(c[i]) } else { 0.0 };
                            onto + f64::from(a[i]) * f64::from(b[i])
                        })
                        .collect();
                    assert_close(&got, &wanted, 1e-6, &format!("{} {len}", isa.name()));
                }
            }
        }
    }
}
