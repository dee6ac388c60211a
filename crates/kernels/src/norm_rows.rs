//! Layer norm along rows and its affine map, with their gradients.

use crate::gradients::AffineGradients;
use crate::isa::{Isa, Op};
use crate::vector::Vector;

/// Normalises every row of `width` elements: `z = (x - mean) / sqrt(variance + eps)`.
///
/// The variance is that of the population, computed in two passes.
///
/// Shapes: `x` and `z` `[rows, width]`, row-major; `inverse_deviation` `[rows]`; both outputs are
/// overwritten.
///
/// # Panics
///
/// If a length does not fit.
pub fn normalise_rows(
    isa: Isa,
    width: usize,
    eps: f32,
    x: &[f32],
    z: &mut [f32],
    inverse_deviation: &mut [f32],
) {
    assert!(x.len() == z.len() && x.len() == width * inverse_deviation.len(), "normalise_rows");
    isa.run(Normalise { width, eps, x, z, inverse_deviation });
}

struct Normalise<'a> {
    width: usize,
    eps: f32,
    x: &'a [f32],
    z: &'a mut [f32],
    inverse_deviation: &'a mut [f32],
}

impl Op for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let inverse_width = 1.0 / self.width as f32;
        let rows = self.x.chunks_exact(self.width).zip(self.z.chunks_exact_mut(self.width));
        for ((x, z), inverse) in rows.zip(self.inverse_deviation) {
            let mut sum = v.splat(0.0);
            for x in x.chunks(V::LANES) {
                sum = v.add(sum, v.load_part(x, 0.0));
            }
            let mean = v.fold(sum, |a, b| a + b) * inverse_width;
            let mut squares = v.splat(0.0);
            for x in x.chunks(V::LANES) {
                // Lanes after the end of the row hold the mean, and so add 0.
                let centred = v.sub(v.load_part(x, mean), v.splat(mean));
                squares = v.mul_add(centred, centred, squares);
            }
            let variance = v.fold(squares, |a, b| a + b) * inverse_width;
            *inverse = 1.0 / (variance + self.eps).sqrt();
            for (x, z) in x.chunks(V::LANES).zip(z.chunks_mut(V::LANES)) {
                let centred = v.sub(v.load_part(x, mean), v.splat(mean));
                v.store_part(v.mul(centred, v.splat(*inverse)), z);
            }
        }
    }
}

/// Gradient of [`normalise_rows`], in place on `d`:
/// `d = (d - mean(d) - z mean(d z)) * inverse_deviation` along each row.
///
/// Shapes: `z` and `d` `[rows, width]`, `inverse_deviation` `[rows]`.
///
/// # Panics
///
/// If a length does not fit.
pub fn normalise_rows_backward(
    isa: Isa,
    width: usize,
    z: &[f32],
    inverse_deviation: &[f32],
    d: &mut [f32],
) {
    assert!(z.len() == d.len() && z.len() == width * inverse_deviation.len(), "norm backward");
    isa.run(NormaliseBackward { width, z, inverse_deviation, d });
}

struct NormaliseBackward<'a> {
    width: usize,
    z: &'a [f32],
    inverse_deviation: &'a [f32],
    d: &'a mut [f32],
}

impl Op for NormaliseBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let inverse_width = 1.0 / self.width as f32;
        let rows = self.z.chunks_exact(self.width).zip(self.d.chunks_exact_mut(self.width));
        for ((z, d), &inverse) in rows.zip(self.inverse_deviation) {
            let (mut sum, mut product) = (v.splat(0.0), v.splat(0.0));
            for (z, d) in z.chunks(V::LANES).zip(d.chunks(V::LANES)) {
                let (z, d) = (v.load_part(z, 0.0), v.load_part(d, 0.0));
                sum = v.add(sum, d);
                product = v.mul_add(z, d, product);
            }
            let mean = v.splat(v.fold(sum, |a, b| a + b) * inverse_width);
            let slope = v.splat(v.fold(product, |a, b| a + b) * -inverse_width);
            for (z, d) in z.chunks(V::LANES).zip(d.chunks_mut(V::LANES)) {
                let rest = v.sub(v.load_part(d, 0.0), mean);
                let rest = v.mul_add(v.load_part(z, 0.0), slope, rest);
                v.store_part(v.mul(rest, v.splat(inverse)), d);
            }
        }
    }
}

/// `out = z * weight + bias` along each row of `weight`'s length.
///
/// # Panics
///
/// If a length does not fit.
pub fn affine_rows(isa: Isa, z: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
    assert!(weight.len() == bias.len() && z.len() == out.len(), "affine_rows");
    assert!(!weight.is_empty() && z.len().is_multiple_of(weight.len()), "affine_rows");
    isa.run(Affine { z, weight, bias, out });
}

struct Affine<'a> {
    z: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Affine<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let width = self.weight.len();
        for (z, out) in self.z.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let columns = self.weight.chunks(V::LANES).zip(self.bias.chunks(V::LANES));
            let row = z.chunks(V::LANES).zip(out.chunks_mut(V::LANES));
            for ((weight, bias), (z, out)) in columns.zip(row) {
                let (weight, bias) = (v.load_part(weight, 0.0), v.load_part(bias, 0.0));
                v.store_part(v.mul_add(v.load_part(z, 0.0), weight, bias), out);
            }
        }
    }
}

/// Gradient of [`affine_rows`]: `d_weight += sum(d z)`, `d_bias += sum(d)` over rows, then
/// `d *= weight` in place.
///
/// # Panics
///
/// If a length does not fit.
pub fn affine_rows_backward(
    isa: Isa,
    z: &[f32],
    weight: &[f32],
    d: &mut [f32],
    gradients: AffineGradients<'_>,
) {
    let AffineGradients { weight: d_weight, bias: d_bias } = gradients;
    let width = weight.len();
    assert!(d_weight.len() == width && d_bias.len() == width && z.len() == d.len(), "affine");
    assert!(width > 0 && z.len().is_multiple_of(width), "affine backward");
    isa.run(AffineBackward { z, weight, d, d_weight, d_bias });
}

struct AffineBackward<'a> {
    z: &'a [f32],
    weight: &'a [f32],
    d: &'a mut [f32],
    d_weight: &'a mut [f32],
    d_bias: &'a mut [f32],
}

impl Op for AffineBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let width = self.weight.len();
        for (z, d) in self.z.chunks_exact(width).zip(self.d.chunks_exact_mut(width)) {
            for start in (0..width).step_by(V::LANES) {
                let part = start..width.min(start + V::LANES);
                let (z, slope) =
                    (v.load_part(&z[part.clone()], 0.0), v.load_part(&d[part.clone()], 0.0));
                let sum = v.load_part(&self.d_weight[part.clone()], 0.0);
                v.store_part(v.mul_add(slope, z, sum), &mut self.d_weight[part.clone()]);
                let sum = v.load_part(&self.d_bias[part.clone()], 0.0);
                v.store_part(v.add(slope, sum), &mut self.d_bias[part.clone()]);
                let weight = v.load_part(&self.weight[part.clone()], 0.0);
                v.store_part(v.mul(slope, weight), &mut d[part]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_canaries};

    const EPS: f32 = 1e-5;
    const ROWS: usize = 3;

    /// Normalised rows and inverse deviations in f64.
    fn reference(width: usize, x: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let (mut z, mut inverse) = (Vec::new(), Vec::new());
        for row in x.chunks_exact(width) {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let mean = row.iter().sum::<f64>() / width as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (variance + f64::from(EPS)).sqrt();
            z.extend(row.iter().map(|x| (x - mean) * scale));
            inverse.push(scale);
        }
        (z, inverse)
    }

    #[test]
    fn rows_of_every_width_are_normalised() {
        for isa in Isa::available() {
            for width in 2..=67 {
                let x: Vec<f32> = numbers(1, ROWS * width).iter().map(|x| x + 30.0).collect();
                let mut inverse = [0.0; ROWS];
                let name = format!("{} {width}", isa.name());
                let mut z = vec![0.0; x.len()];
                normalise_rows(isa, width, EPS, &x, &mut z, &mut inverse);
                let (wanted, wanted_inverse) = reference(width, &x);
                assert_close(&z, &wanted, 2e-5, &name);
                assert_close(&inverse, &wanted_inverse, 2e-5, &name);
            }
        }
    }

    #[test]
    fn gradients_match_the_reference() {
        for isa in Isa::available() {
            for width in 1..=67 {
                let name = format!("{} {width}", isa.name());
                let (z, d) = (numbers(1, ROWS * width), numbers(2, ROWS * width));
                let inverse = [0.5, 2.0, 1.0];
                let got =
                    with_canaries(&d, |d| normalise_rows_backward(isa, width, &z, &inverse, d));
                let mut wanted = Vec::new();
                for r in 0..ROWS {
                    let row = |x: &[f32]| -> Vec<f64> {
                        x[r * width..][..width].iter().map(|&x| f64::from(x)).collect()
                    };
                    let (z, d) = (row(&z), row(&d));
                    let mean = d.iter().sum::<f64>() / width as f64;
                    let slope = z.iter().zip(&d).map(|(z, d)| z * d).sum::<f64>() / width as f64;
                    let scale = f64::from(inverse[r]);
                    wanted.extend(z.iter().zip(&d).map(|(z, d)| (d - mean - z * slope) * scale));
                }
                assert_close(&got, &wanted, 3e-6, &name);
            }
        }
    }

    #[test]
    fn the_affine_map_and_its_gradient_match_the_reference() {
        for isa in Isa::available() {
            for width in 1..=67 {
                let (z, d) = (numbers(1, ROWS * width), numbers(2, ROWS * width));
                let (weight, bias) = (numbers(3, width), numbers(4, width));
                let out = with_canaries(&d, |out| affine_rows(isa, &z, &weight, &bias, out));
                let (mut d_weight, mut d_bias) = (bias.clone(), weight.clone());
                let slope = with_canaries(&d, |d| {
                    let (mut d_weight, mut d_bias) = (vec![0.0; width], vec![0.0; width]);
                    let gradients = AffineGradients { weight: &mut d_weight, bias: &mut d_bias };
                    affine_rows_backward(isa, &z, &weight, d, gradients);
                });
                let mut again = d.clone();
                let gradients = AffineGradients { weight: &mut d_weight, bias: &mut d_bias };
                affine_rows_backward(isa, &z, &weight, &mut again, gradients);
                for c in 0..width {
                    let (mut sum, mut product) = (weight[c], bias[c]);
                    for r in 0..ROWS {
                        let i = r * width + c;
                        assert!((out[i] - (z[i] * weight[c] + bias[c])).abs() < 1e-5);
                        assert!((slope[i] - d[i] * weight[c]).abs() < 1e-6);
                        sum += d[i];
                        product += d[i] * z[i];
                    }
                    assert!((d_bias[c] - sum).abs() < 1e-5 && (d_weight[c] - product).abs() < 1e-5);
                }
            }
        }
    }
}
