//! Gradient of the layer norm down columns.

use crate::gradients::AffineGradients;
use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, MatrixShape};
use crate::vector::{UNROLL, Vector};

/// What the gradient of a layer norm reads: what its forward pass kept, and its weight.
#[derive(Debug, Clone, Copy)]
pub struct Normed<'a> {
    /// The normalised elements, as [`normalise_columns_keeping`](crate::normalise_columns_keeping)
    /// stores them.
    pub z: Matrix<'a>,
    /// `1 / sqrt(variance + eps)`, one for each column.
    pub inverse_deviation: &'a [f32],
    /// The weight of the norm, one for each row.
    pub weight: &'a [f32],
}

/// Gradient of a layer norm, `z weight + bias`, down columns: with `e = d weight`,
/// `d_x += (e - mean(e) - z mean(e z)) inverse_deviation`.
///
/// The gradients of weight and bias, `sum(d z)` and `sum(d)` along rows, are added to `gradients` as
/// one partial sum for each lane, as by [`add_lanes`](crate::add_lanes);
/// [`sum_lanes`](crate::sum_lanes) reduces them.
///
/// # Panics
///
/// If a length does not fit.
pub fn normalise_columns_backward(
    isa: Isa,
    shape: MatrixShape,
    normed: Normed<'_>,
    d: Matrix<'_>,
    gradients: AffineGradients<'_>,
    d_x: MatrixMut<'_>,
) {
    shape.check(isa.lanes(), &[normed.z, d, d_x.view()]);
    let AffineGradients { weight: d_weight, bias: d_bias } = gradients;
    assert_eq!(normed.inverse_deviation.len(), shape.columns, "norm backward: deviations");
    let lanes = shape.rows * isa.lanes();
    let lengths = [normed.weight.len() * isa.lanes(), d_weight.len(), d_bias.len()];
    assert_eq!(lengths, [lanes; 3], "norm backward: weights");
    isa.run(Backward { shape, normed, d, d_weight, d_bias, d_x });
}

struct Backward<'a> {
    shape: MatrixShape,
    normed: Normed<'a>,
    d: Matrix<'a>,
    d_weight: &'a mut [f32],
    d_bias: &'a mut [f32],
    d_x: MatrixMut<'a>,
}

impl Op for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        let wide = UNROLL * V::LANES;
        let mut column = 0;
        while column + wide <= self.shape.columns {
            self.strip::<V, UNROLL>(v, column);
            column += wide;
        }
        while column < self.shape.columns {
            self.strip::<V, 1>(v, column);
            column += V::LANES;
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    fn strip<V: Vector, const WIDTH: usize>(&mut self, v: V, column: usize) {
        let (all_z, all_d) = (self.normed.z, self.d);
        let (mut mean, mut slope) = ([v.splat(0.0); WIDTH], [v.splat(0.0); WIDTH]);
        for r in 0..self.shape.rows {
            let weight = v.splat(self.normed.weight[r]);
            let z = all_z.values[r * all_z.pitch + column..].chunks_exact(V::LANES);
            let d = all_d.values[r * all_d.pitch + column..].chunks_exact(V::LANES);
            let (mut sum, mut product) = (v.splat(0.0), v.splat(0.0));
            for (((mean, slope), z), d) in mean.iter_mut().zip(&mut slope).zip(z).zip(d) {
                let (z, d) = (v.load(z), v.load(d));
                sum = v.add(sum, d);
                product = v.mul_add(d, z, product);
                let e = v.mul(d, weight);
                *mean = v.add(*mean, e);
                *slope = v.mul_add(e, z, *slope);
            }
            let d_weight = &mut self.d_weight[r * V::LANES..][..V::LANES];
            v.store(v.add(v.load(d_weight), product), d_weight);
            let d_bias = &mut self.d_bias[r * V::LANES..][..V::LANES];
            v.store(v.add(v.load(d_bias), sum), d_bias);
        }
        let inverse_rows = 1.0 / self.shape.rows as f32;
        let mut inverse = [v.splat(0.0); WIDTH];
        let kept = self.normed.inverse_deviation[column..].chunks_exact(V::LANES);
        for (i, kept) in kept.take(WIDTH).enumerate() {
            inverse[i] = v.load(kept);
            mean[i] = v.mul(mean[i], v.splat(inverse_rows));
            slope[i] = v.mul(slope[i], v.splat(-inverse_rows));
        }
        for r in 0..self.shape.rows {
            let weight = v.splat(self.normed.weight[r]);
            let z = all_z.values[r * all_z.pitch + column..].chunks_exact(V::LANES);
            let d = all_d.values[r * all_d.pitch + column..].chunks_exact(V::LANES);
            let d_x = self.d_x.values[r * self.d_x.pitch + column..].chunks_exact_mut(V::LANES);
            for (i, ((d_x, z), d)) in d_x.zip(z).zip(d).take(WIDTH).enumerate() {
                let rest = v.sub(v.mul(v.load(d), weight), mean[i]);
                let rest = v.mul_add(v.load(z), slope[i], rest);
                v.store(v.mul_add(rest, inverse[i], v.load(d_x)), d_x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norm_columns::{KeptNorm, LayerNorm, normalise_columns, normalise_columns_keeping};
    use crate::sums::sum_lanes;
    use crate::testing::{assert_close, numbers, with_canaries};

    fn shapes(isa: Isa) -> Vec<MatrixShape> {
        let lanes = isa.lanes();
        let mut shapes: Vec<_> =
            (1..=67).map(|rows| MatrixShape { rows, columns: lanes }).collect();
        shapes.extend((0..=9).map(|n| MatrixShape { rows: 5, columns: n * lanes }));
        shapes
    }

    #[test]
    fn a_norm_that_keeps_has_the_same_bits_and_keeps_its_intermediates() {
        for isa in Isa::available() {
            for shape in shapes(isa) {
                let MatrixShape { rows, columns } = shape;
                let (pitch, z_pitch) = (columns + 3, columns + 1);
                let x = numbers(1, rows * pitch);
                let (weight, bias) = (numbers(2, rows), numbers(3, rows));
                let mut wanted = vec![0.0; rows * columns];
                let norm = LayerNorm { weight: &weight, bias: &bias, eps: 1e-3 };
                let x_view = Matrix::new(&x, pitch);
                let to = MatrixMut::new(&mut wanted, columns);
                normalise_columns(isa, shape, x_view, norm, to);
                let (zeros, none) = (vec![0.0; rows * z_pitch], vec![0.0; columns]);
                let run = |out: &mut [f32], z: &mut [f32], inverse_deviation: &mut [f32]| {
                    let kept = KeptNorm { z: MatrixMut::new(z, z_pitch), inverse_deviation };
                    let to = MatrixMut::new(out, columns);
                    normalise_columns_keeping(isa, shape, x_view, norm, to, kept);
                };
                let start = vec![0.0; rows * columns];
                let z = with_canaries(&zeros, |z| run(&mut start.clone(), z, &mut none.clone()));
                let kept =
                    with_canaries(&none, |kept| run(&mut start.clone(), &mut zeros.clone(), kept));
                let out =
                    with_canaries(&start, |out| run(out, &mut zeros.clone(), &mut none.clone()));
                let name = format!("{} {shape:?}", isa.name());
                assert_eq!(out, wanted, "{name}");
                for j in 0..columns {
                    let x = |r: usize| f64::from(x[r * pitch + j]);
                    let mean = (0..rows).map(x).sum::<f64>() / rows as f64;
                    let squares = (0..rows).map(|r| (x(r) - mean).powi(2)).sum::<f64>();
                    let inverse = 1.0 / (squares / rows as f64 + 1e-3).sqrt();
                    assert!((f64::from(kept[j]) / inverse - 1.0).abs() < 1e-4, "{name}");
                    for r in 0..rows {
                        let wanted = (x(r) - mean) * inverse;
                        assert!((f64::from(z[r * z_pitch + j]) - wanted).abs() < 1e-4, "{name}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_gradient_matches_the_reference() {
        for isa in Isa::available() {
            for shape in shapes(isa) {
                let MatrixShape { rows, columns } = shape;
                let (z_pitch, d_pitch, x_pitch) = (columns + 3, columns + 2, columns + 1);
                let (z, d) = (numbers(1, rows * z_pitch), numbers(2, rows * d_pitch));
                let (inverse, weight) = (numbers(3, columns), numbers(4, rows));
                let start = numbers(5, (rows - 1) * x_pitch + columns);
                let normed = Normed {
                    z: Matrix::new(&z, z_pitch),
                    inverse_deviation: &inverse,
                    weight: &weight,
                };
                let lanes = vec![0.0; rows * isa.lanes()];
                let run = |weight: &mut [f32], bias: &mut [f32], d_x: &mut [f32]| {
                    let (d, d_x) = (Matrix::new(&d, d_pitch), MatrixMut::new(d_x, x_pitch));
                    let gradients = AffineGradients { weight, bias };
                    normalise_columns_backward(isa, shape, normed, d, gradients, d_x);
                };
                let d_weight =
                    with_canaries(&lanes, |w| run(w, &mut lanes.clone(), &mut start.clone()));
                let d_bias =
                    with_canaries(&lanes, |b| run(&mut lanes.clone(), b, &mut start.clone()));
                let d_x = with_canaries(&start, |x| run(&mut lanes.clone(), &mut lanes.clone(), x));

                let z = |r: usize, j: usize| f64::from(z[r * z_pitch + j]);
                let d = |r: usize, j: usize| f64::from(d[r * d_pitch + j]);
                let e = |r: usize, j: usize| d(r, j) * f64::from(weight[r]);
                let name = format!("{} {shape:?}", isa.name());
                let mut wanted: Vec<f64> = start.iter().map(|&x| f64::from(x)).collect();
                for j in 0..columns {
                    let mean = (0..rows).map(|r| e(r, j)).sum::<f64>() / rows as f64;
                    let slope = (0..rows).map(|r| e(r, j) * z(r, j)).sum::<f64>() / rows as f64;
                    for r in 0..rows {
                        let rest = e(r, j) - mean - z(r, j) * slope;
                        wanted[r * x_pitch + j] += rest * f64::from(inverse[j]);
                    }
                }
                assert_close(&d_x, &wanted, 3e-6, &name);
                for (lanes, term) in [
                    (d_weight, &(|r, j| d(r, j) * z(r, j)) as &dyn Fn(usize, usize) -> f64),
                    (d_bias, &d),
                ] {
                    let mut got = vec![0.0; rows];
                    sum_lanes(isa, &lanes, &mut got);
                    let sum = |r: usize| (0..columns).map(|j| term(r, j)).sum::<f64>();
                    let wanted: Vec<f64> = (0..rows).map(sum).collect();
                    assert_close(&got, &wanted, 3e-6, &name);
                }
            }
        }
    }
}
