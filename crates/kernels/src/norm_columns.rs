//! Layer norm down columns: of activations `[features][positions]`, each position separately.

use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, MatrixShape};
use crate::vector::{UNROLL, Vector};

/// Parameters of a layer norm.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// Multiplies the normalised elements, one for each row.
    pub weight: &'a [f32],
    /// Added last, one for each row.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub eps: f32,
}

/// Layer norm of every column: `out = (x - mean) / sqrt(variance + eps) * weight + bias`.
///
/// The variance is that of the population, computed in two passes. Source: `torch.nn.LayerNorm`.
///
/// # Panics
///
/// If a length does not fit.
pub fn normalise_columns(
    isa: Isa,
    shape: MatrixShape,
    x: Matrix<'_>,
    norm: LayerNorm<'_>,
    out: MatrixMut<'_>,
) {
    shape.check(isa.lanes(), &[x, out.view()]);
    let lengths = [norm.weight.len(), norm.bias.len()];
    assert_eq!(lengths, [shape.rows; 2], "normalise_columns");
    isa.run(Normalise { shape, x, norm, out, kept: None });
}

/// Where the forward pass of a layer norm stores what its gradient needs.
#[derive(Debug)]
pub struct KeptNorm<'a> {
    /// The normalised elements, before weight and bias.
    pub z: MatrixMut<'a>,
    /// `1 / sqrt(variance + eps)`, one for each column.
    pub inverse_deviation: &'a mut [f32],
}

/// As [`normalise_columns`], with the same bits, and stores in `kept` what
/// [`normalise_columns_backward`](crate::normalise_columns_backward) needs.
///
/// # Panics
///
/// If a length does not fit.
pub fn normalise_columns_keeping(
    isa: Isa,
    shape: MatrixShape,
    x: Matrix<'_>,
    norm: LayerNorm<'_>,
    out: MatrixMut<'_>,
    kept: KeptNorm<'_>,
) {
    shape.check(isa.lanes(), &[x, out.view(), kept.z.view()]);
    let lengths = [norm.weight.len(), norm.bias.len()];
    assert_eq!(lengths, [shape.rows; 2], "normalise_columns_keeping");
    assert_eq!(kept.inverse_deviation.len(), shape.columns, "normalise_columns_keeping");
    isa.run(Normalise { shape, x, norm, out, kept: Some(kept) });
}

struct Normalise<'a> {
    shape: MatrixShape,
    x: Matrix<'a>,
    norm: LayerNorm<'a>,
    out: MatrixMut<'a>,
    kept: Option<KeptNorm<'a>>,
}

impl Op for Normalise<'_> {
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

impl Normalise<'_> {
    /// A strip of `WIDTH` registers of columns.
    #[inline(always)]
    fn strip<V: Vector, const WIDTH: usize>(&mut self, v: V, column: usize) {
        let inverse_rows = v.splat(1.0 / self.shape.rows as f32);
        // Slices of constant length: the inner loops unroll and need no bounds checks.
        let wide = WIDTH * V::LANES;
        let x = self.x;
        let rows = |at: usize| x.values[at * x.pitch + column..][..wide].chunks_exact(V::LANES);
        let mut mean = [v.splat(0.0); WIDTH];
        for d in 0..self.shape.rows {
            for (mean, x) in mean.iter_mut().zip(rows(d)) {
                *mean = v.add(*mean, v.load(x));
            }
        }
        for mean in &mut mean {
            *mean = v.mul(*mean, inverse_rows);
        }
        let mut inverse = [v.splat(0.0); WIDTH];
        for d in 0..self.shape.rows {
            for ((squares, &mean), x) in inverse.iter_mut().zip(&mean).zip(rows(d)) {
                let centred = v.sub(v.load(x), mean);
                *squares = v.mul_add(centred, centred, *squares);
            }
        }
        for inverse in &mut inverse {
            let variance = v.mul_add(*inverse, inverse_rows, v.splat(self.norm.eps));
            *inverse = v.div(v.splat(1.0), v.sqrt(variance));
        }
        if let Some(KeptNorm { z, inverse_deviation }) = &mut self.kept {
            let kept = inverse_deviation[column..].chunks_exact_mut(V::LANES);
            inverse.iter().zip(kept).for_each(|(&inverse, kept)| v.store(inverse, kept));
            for d in 0..self.shape.rows {
                let z = z.values[d * z.pitch + column..][..wide].chunks_exact_mut(V::LANES);
                for (((z, x), &mean), &inverse) in z.zip(rows(d)).zip(&mean).zip(&inverse) {
                    v.store(v.mul(v.sub(v.load(x), mean), inverse), z);
                }
            }
        }
        for d in 0..self.shape.rows {
            let (weight, bias) = (v.splat(self.norm.weight[d]), v.splat(self.norm.bias[d]));
            let out = &mut self.out.values[d * self.out.pitch + column..][..wide];
            let out = out.chunks_exact_mut(V::LANES);
            for (((out, x), &mean), &inverse) in out.zip(rows(d)).zip(&mean).zip(&inverse) {
                let z = v.mul(v.sub(v.load(x), mean), inverse);
                v.store(v.mul_add(z, weight, bias), out);
            }
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
    fn columns_are_normalised_and_mapped() {
        for isa in Isa::available() {
            for (rows, width) in
                (1..=67).map(|d| (d, isa.lanes())).chain(widths(isa).map(|w| (5, w)))
            {
                let pitch = width + 3;
                let x = numbers(1, rows * pitch);
                let (weight, bias) = (numbers(2, rows), numbers(3, rows));
                let shape = MatrixShape { rows, columns: width };
                let got = with_canaries(&vec![0.0; rows * width], |out| {
                    let norm = LayerNorm { weight: &weight, bias: &bias, eps: 1e-3 };
                    let (x, out) = (Matrix::new(&x, pitch), MatrixMut::new(out, width));
                    normalise_columns(isa, shape, x, norm, out);
                });
                let value = |d: usize, j: usize| f64::from(x[d * pitch + j]);
                let wanted = wanted(rows, width, |d, j| {
                    let mean = (0..rows).map(|d| value(d, j)).sum::<f64>() / rows as f64;
                    let square = |d| (value(d, j) - mean) * (value(d, j) - mean);
                    let variance = (0..rows).map(square).sum::<f64>() / rows as f64;
                    (value(d, j) - mean) / (variance + 1e-3).sqrt() * f64::from(weight[d])
                        + f64::from(bias[d])
                });
                assert_close(&got, &wanted, 3e-6, &format!("{} {rows} {width}", isa.name()));
            }
        }
    }
}
