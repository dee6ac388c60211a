//! Sums along rows and down columns, and elementwise sums and products.

use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixShape};
use crate::vector::{UNROLL, Vector};

/// `out[j] += sum_r x[r, j]`: the gradient of a bias for each column.
///
/// # Panics
///
/// If a length does not fit.
pub fn add_rows(isa: Isa, shape: MatrixShape, x: Matrix<'_>, out: &mut [f32]) {
    shape.check(isa.lanes(), &[x]);
    assert_eq!(out.len(), shape.columns, "add_rows");
    isa.run(AddRows { shape, x, out });
}

struct AddRows<'a> {
    shape: MatrixShape,
    x: Matrix<'a>,
    out: &'a mut [f32],
}

impl Op for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let wide = UNROLL * V::LANES;
        for (i, out) in self.out.chunks_mut(wide).enumerate() {
            let mut sums = [v.splat(0.0); UNROLL];
            for r in 0..self.shape.rows {
                let x = &self.x.values[r * self.x.pitch + i * wide..][..out.len()];
                for (sum, x) in sums.iter_mut().zip(x.chunks_exact(V::LANES)) {
                    *sum = v.add(*sum, v.load(x));
                }
            }
            for (&sum, out) in sums.iter().zip(out.chunks_exact_mut(V::LANES)) {
                v.store(v.add(v.load(out), sum), out);
            }
        }
    }
}

/// Partial sums along rows, one for each lane of a register: element `[r, l]` of `sums`
/// `[rows][lanes]` gets the elements `x[r, l + i lanes]` added. [`sum_lanes`] reduces them to one sum for
/// each row: the gradient of a bias for each row.
///
/// # Panics
///
/// If a length does not fit.
pub fn add_lanes(isa: Isa, shape: MatrixShape, x: Matrix<'_>, sums: &mut [f32]) {
    shape.check(isa.lanes(), &[x]);
    assert_eq!(sums.len(), shape.rows * isa.lanes(), "add_lanes");
    isa.run(AddLanes { shape, x, sums });
}

struct AddLanes<'a> {
    shape: MatrixShape,
    x: Matrix<'a>,
    sums: &'a mut [f32],
}

impl Op for AddLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        for (r, sums) in self.sums.chunks_exact_mut(V::LANES).enumerate() {
            let row = &self.x.values[r * self.x.pitch..][..self.shape.columns];
            let mut partial = [v.splat(0.0); UNROLL];
            for x in row.chunks(UNROLL * V::LANES) {
                for (sum, x) in partial.iter_mut().zip(x.chunks_exact(V::LANES)) {
                    *sum = v.add(*sum, v.load(x));
                }
            }
            let [a, b, c, d] = partial;
            v.store(v.add(v.load(sums), v.add(v.add(a, b), v.add(c, d))), sums);
        }
    }
}

/// As [`add_lanes`], of the products `x[r, j] y[r, j]`.
///
/// # Panics
///
/// If a length does not fit.
pub fn add_product_lanes(
    isa: Isa,
    shape: MatrixShape,
    x: Matrix<'_>,
    y: Matrix<'_>,
    sums: &mut [f32],
) {
    shape.check(isa.lanes(), &[x, y]);
    assert_eq!(sums.len(), shape.rows * isa.lanes(), "add_product_lanes");
    isa.run(AddProductLanes { shape, x, y, sums });
}

struct AddProductLanes<'a> {
    shape: MatrixShape,
    x: Matrix<'a>,
    y: Matrix<'a>,
    sums: &'a mut [f32],
}

impl Op for AddProductLanes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let wide = UNROLL * V::LANES;
        for (r, sums) in self.sums.chunks_exact_mut(V::LANES).enumerate() {
            let x = &self.x.values[r * self.x.pitch..][..self.shape.columns];
            let y = &self.y.values[r * self.y.pitch..][..self.shape.columns];
            let mut partial = [v.splat(0.0); UNROLL];
            for (x, y) in x.chunks(wide).zip(y.chunks(wide)) {
                let pairs = x.chunks_exact(V::LANES).zip(y.chunks_exact(V::LANES));
                for (sum, (x, y)) in partial.iter_mut().zip(pairs) {
                    *sum = v.mul_add(v.load(x), v.load(y), *sum);
                }
            }
            let [a, b, c, d] = partial;
            v.store(v.add(v.load(sums), v.add(v.add(a, b), v.add(c, d))), sums);
        }
    }
}

/// `out[r] += sum_l sums[r, l]`, lanes in ascending order, for `sums` `[rows][lanes]`.
///
/// # Panics
///
/// If the lengths do not fit.
pub fn sum_lanes(isa: Isa, sums: &[f32], out: &mut [f32]) {
    assert_eq!(sums.len(), out.len() * isa.lanes(), "sum_lanes");
    for (out, lanes) in out.iter_mut().zip(sums.chunks_exact(isa.lanes())) {
        *out += lanes.iter().sum::<f32>();
    }
}

/// `x *= y`, element by element.
///
/// # Panics
///
/// If the lengths differ.
pub fn multiply(isa: Isa, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "multiply");
    isa.run(Multiply { x, y });
}

struct Multiply<'a> {
    x: &'a mut [f32],
    y: &'a [f32],
}

impl Op for Multiply<'_> {
    type Output = ();

    // One operation for each element, which the compiler vectorises for the instruction set.
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        self.x.iter_mut().zip(self.y).for_each(|(x, y)| *x *= y);
    }
}

/// `y += x`, element by element.
///
/// # Panics
///
/// If the lengths differ.
pub fn add(isa: Isa, y: &mut [f32], x: &[f32]) {
    assert_eq!(x.len(), y.len(), "add");
    isa.run(Add { x, y });
}

struct Add<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Op for Add<'_> {
    type Output = ();

    // The compiler vectorises this loop, as in `multiply`.
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        self.y.iter_mut().zip(self.x).for_each(|(y, x)| *y += x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_canaries};

    #[test]
    fn rows_and_lanes_are_summed() {
        for isa in Isa::available() {
            for (rows, registers) in (1..=67).map(|r| (r, 3)).chain((1..=9).map(|c| (5, c))) {
                let columns = registers * isa.lanes();
                let (shape, pitch) = (MatrixShape { rows, columns }, columns + 3);
                let (x, start) = (numbers(1, rows * pitch), numbers(2, rows.max(columns)));
                let value = |r: usize, j: usize| f64::from(x[r * pitch + j]);
                let x_view = Matrix::new(&x, pitch);
                let name = format!("{} {rows} {columns}", isa.name());

                let got = with_canaries(&start[..columns], |out| add_rows(isa, shape, x_view, out));
                let sum = |j: usize| (0..rows).map(|r| value(r, j)).sum::<f64>();
                let wanted: Vec<f64> = (0..columns).map(|j| f64::from(start[j]) + sum(j)).collect();
                assert_close(&got, &wanted, 1e-6, &name);

                let lanes = with_canaries(&vec![0.0; rows * isa.lanes()], |sums| {
                    add_lanes(isa, shape, x_view, sums);
                });
                let got = with_canaries(&start[..rows], |out| sum_lanes(isa, &lanes, out));
                let sum = |r: usize| (0..columns).map(|j| value(r, j)).sum::<f64>();
                let wanted: Vec<f64> = (0..rows).map(|r| f64::from(start[r]) + sum(r)).collect();
                assert_close(&got, &wanted, 2e-6, &name);

                let (y, y_pitch) = (numbers(3, rows * (columns + 1)), columns + 1);
                let lanes = with_canaries(&vec![0.0; rows * isa.lanes()], |sums| {
                    add_product_lanes(isa, shape, x_view, Matrix::new(&y, y_pitch), sums);
                });
                let got = with_canaries(&start[..rows], |out| sum_lanes(isa, &lanes, out));
                let product = |r: usize, j: usize| value(r, j) * f64::from(y[r * y_pitch + j]);
                let sum = |r: usize| (0..columns).map(|j| product(r, j)).sum::<f64>();
                let wanted: Vec<f64> = (0..rows).map(|r| f64::from(start[r]) + sum(r)).collect();
                assert_close(&got, &wanted, 2e-6, &name);
            }
        }
    }

    #[test]
    fn every_length_is_multiplied_and_added() {
        for isa in Isa::available() {
            for len in 0..=67 {
                let (x, y) = (numbers(1, len), numbers(2, len));
                let product: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x * y).collect();
                assert_eq!(with_canaries(&x, |x| multiply(isa, x, &y)), product);
                let sum: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
                assert_eq!(with_canaries(&x, |x| add(isa, x, &y)), sum);
            }
        }
    }
}
