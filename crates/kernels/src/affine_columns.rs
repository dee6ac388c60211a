//! Affine maps and sums of matrices, with one coefficient for each row: batch norm and its gradient.

use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, MatrixShape};
use crate::vector::Vector;

/// Coefficients of [`affine_columns`], one of each for each row.
#[derive(Debug, Clone, Copy)]
pub struct CentredAffine<'a> {
    /// Subtracted first.
    pub mean: &'a [f32],
    /// Multiplies the difference.
    pub weight: &'a [f32],
    /// Added last.
    pub bias: &'a [f32],
}

/// Maps every row: `out = (x - mean) * weight + bias`; batch norm in evaluation, with the reciprocal
/// of the standard deviation in the weight.
///
/// # Panics
///
/// If a length does not fit.
pub fn affine_columns(
    isa: Isa,
    shape: MatrixShape,
    x: Matrix<'_>,
    map: CentredAffine<'_>,
    out: MatrixMut<'_>,
) {
    shape.check(isa.lanes(), &[x, out.view()]);
    let CentredAffine { mean, weight, bias } = map;
    let lengths = [mean.len(), weight.len(), bias.len()];
    assert_eq!(lengths, [shape.rows; 3], "affine_columns");
    for d in 0..shape.rows {
        let x = &x.values[d * x.pitch..][..shape.columns];
        let out = &mut out.values[d * out.pitch..][..shape.columns];
        isa.run(Affine { x, mean: mean[d], weight: weight[d], bias: bias[d], out });
    }
}

struct Affine<'a> {
    x: &'a [f32],
    mean: f32,
    weight: f32,
    bias: f32,
    out: &'a mut [f32],
}

impl Op for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let (mean, weight, bias) = (v.splat(self.mean), v.splat(self.weight), v.splat(self.bias));
        let x = self.x.chunks_exact(V::LANES);
        for (x, out) in x.zip(self.out.chunks_exact_mut(V::LANES)) {
            v.store(v.mul_add(v.sub(v.load(x), mean), weight, bias), out);
        }
    }
}

/// Coefficients of [`combine_columns`], one of each for each row.
#[derive(Debug, Clone, Copy)]
pub struct Combination<'a> {
    /// Multiplies `x`.
    pub scale: &'a [f32],
    /// Multiplies `z`.
    pub slope: &'a [f32],
    /// Added to the sum.
    pub offset: &'a [f32],
}

/// Adds a linear combination of two matrices to a third: `out += scale x + slope z + offset`; the
/// gradient of batch norm.
///
/// # Panics
///
/// If a length does not fit.
pub fn combine_columns(
    isa: Isa,
    shape: MatrixShape,
    x: Matrix<'_>,
    z: Matrix<'_>,
    by: Combination<'_>,
    out: MatrixMut<'_>,
) {
    shape.check(isa.lanes(), &[x, z, out.view()]);
    let Combination { scale, slope, offset } = by;
    let lengths = [scale.len(), slope.len(), offset.len()];
    assert_eq!(lengths, [shape.rows; 3], "combine_columns");
    for d in 0..shape.rows {
        let x = &x.values[d * x.pitch..][..shape.columns];
        let z = &z.values[d * z.pitch..][..shape.columns];
        let out = &mut out.values[d * out.pitch..][..shape.columns];
        isa.run(Combine { x, z, scale: scale[d], slope: slope[d], offset: offset[d], out });
    }
}

struct Combine<'a> {
    x: &'a [f32],
    z: &'a [f32],
    scale: f32,
    slope: f32,
    offset: f32,
    out: &'a mut [f32],
}

impl Op for Combine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let (scale, slope) = (v.splat(self.scale), v.splat(self.slope));
        let offset = v.splat(self.offset);
        let pairs = self.x.chunks_exact(V::LANES).zip(self.z.chunks_exact(V::LANES));
        for ((x, z), out) in pairs.zip(self.out.chunks_exact_mut(V::LANES)) {
            let sum = v.mul_add(v.load(z), slope, offset);
            let sum = v.mul_add(v.load(x), scale, sum);
            v.store(v.add(v.load(out), sum), out);
        }
    }
}

/// `y += x`, row by row.
///
/// # Panics
///
/// If a length does not fit.
pub fn add_columns(isa: Isa, shape: MatrixShape, x: Matrix<'_>, y: MatrixMut<'_>) {
    shape.check(isa.lanes(), &[x, y.view()]);
    for d in 0..shape.rows {
        let x = &x.values[d * x.pitch..][..shape.columns];
        isa.run(AddTo { x, y: &mut y.values[d * y.pitch..][..shape.columns] });
    }
}

struct AddTo<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Op for AddTo<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let x = self.x.chunks_exact(V::LANES);
        for (x, y) in x.zip(self.y.chunks_exact_mut(V::LANES)) {
            v.store(v.add(v.load(x), v.load(y)), y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_canaries};

    fn widths(isa: Isa) -> impl Iterator<Item = usize> {
        (0..=9).map(move |registers| registers * isa.lanes())
    }

    /// `f(row, column)` for every element of a matrix without padding.
    fn wanted(rows: usize, width: usize, f: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..rows * width).map(|at| f(at / width, at % width)).collect()
    }

    #[test]
    fn rows_are_mapped_and_added() {
        for isa in Isa::available() {
            for width in widths(isa) {
                let (rows, pitch) = (6, width + 1);
                let x = numbers(1, rows * pitch);
                let (mean, weight, bias) = (numbers(2, rows), numbers(3, rows), numbers(4, rows));
                let shape = MatrixShape { rows, columns: width };
                let x_view = Matrix::new(&x, pitch);
                let mapped = with_canaries(&vec![0.0; rows * width], |out| {
                    let map = CentredAffine { mean: &mean, weight: &weight, bias: &bias };
                    affine_columns(isa, shape, x_view, map, MatrixMut::new(out, width));
                });
                let value = |d: usize, j: usize| f64::from(x[d * pitch + j]);
                let name = format!("{} {width}", isa.name());
                let affine = wanted(rows, width, |d, j| {
                    (value(d, j) - f64::from(mean[d])) * f64::from(weight[d]) + f64::from(bias[d])
                });
                assert_close(&mapped, &affine, 1e-6, &name);
                let y = numbers(5, rows * width);
                let sum = with_canaries(&y, |y| {
                    add_columns(isa, shape, x_view, MatrixMut::new(y, width));
                });
                let added = wanted(rows, width, |d, j| value(d, j) + f64::from(y[d * width + j]));
                assert_close(&sum, &added, 1e-6, &name);
                let z_pitch = width + 2;
                let z = numbers(6, rows * z_pitch);
                let combined = with_canaries(&y, |y| {
                    let by = Combination { scale: &mean, slope: &weight, offset: &bias };
                    let (z, out) = (Matrix::new(&z, z_pitch), MatrixMut::new(y, width));
                    combine_columns(isa, shape, x_view, z, by, out);
                });
                let sum = wanted(rows, width, |d, j| {
                    let part = f64::from(weight[d]) * f64::from(z[d * z_pitch + j]);
                    f64::from(y[d * width + j])
                        + f64::from(mean[d]) * value(d, j)
                        + part
                        + f64::from(bias[d])
                });
                assert_close(&combined, &sum, 1e-6, &name);
            }
        }
    }
}
