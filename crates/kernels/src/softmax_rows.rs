//! Softmax along rows, and its gradient.

use crate::exp::exp;
use crate::isa::{Isa, Op};
use crate::vector::Vector;

/// Softmax of every row of `width` elements, in place; the largest element is subtracted first, so
/// that no exponential overflows.
///
/// Shapes: `x` `[rows, width]`, row-major.
///
/// # Panics
///
/// If `x` is not a whole number of rows.
pub fn softmax_rows(isa: Isa, width: usize, x: &mut [f32]) {
    assert!(width > 0 && x.len().is_multiple_of(width), "softmax_rows");
    isa.run(Softmax { width, x });
}

struct Softmax<'a> {
    width: usize,
    x: &'a mut [f32],
}

impl Op for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        for row in self.x.chunks_exact_mut(self.width) {
            let mut max = v.splat(f32::MIN);
            for x in row.chunks(V::LANES) {
                max = v.max(max, v.load_part(x, f32::MIN));
            }
            let max = v.splat(v.fold(max, f32::max));
            let mut sum = v.splat(0.0);
            for x in row.chunks_mut(V::LANES) {
                let e = exp(v, v.sub(v.load_part(x, 0.0), max));
                v.store_part(e, x);
                // Loaded back, so that lanes after the end of the row add 0.
                sum = v.add(sum, v.load_part(x, 0.0));
            }
            let inverse = v.splat(1.0 / v.fold(sum, |a, b| a + b));
            for x in row.chunks_mut(V::LANES) {
                let y = v.mul(v.load_part(x, 0.0), inverse);
                v.store_part(y, x);
            }
        }
    }
}

/// Gradient of the softmax, in place on `d`: `d = y (d - sum(y d))` along each row.
///
/// Shapes: `y` (the softmax) and `d` `[rows, width]`, row-major.
///
/// # Panics
///
/// If the lengths do not fit.
pub fn softmax_rows_backward(isa: Isa, width: usize, y: &[f32], d: &mut [f32]) {
    assert!(width > 0 && y.len().is_multiple_of(width) && y.len() == d.len(), "softmax backward");
    isa.run(SoftmaxBackward { width, y, d });
}

struct SoftmaxBackward<'a> {
    width: usize,
    y: &'a [f32],
    d: &'a mut [f32],
}

impl Op for SoftmaxBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let rows = self.y.chunks_exact(self.width).zip(self.d.chunks_exact_mut(self.width));
        for (y, d) in rows {
            let mut sum = v.splat(0.0);
            for (y, d) in y.chunks(V::LANES).zip(d.chunks(V::LANES)) {
                sum = v.mul_add(v.load_part(y, 0.0), v.load_part(d, 0.0), sum);
            }
            let mean = v.splat(v.fold(sum, |a, b| a + b));
            for (y, d) in y.chunks(V::LANES).zip(d.chunks_mut(V::LANES)) {
                let slope = v.sub(v.load_part(d, 0.0), mean);
                v.store_part(v.mul(v.load_part(y, 0.0), slope), d);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_canaries};

    fn reference(width: usize, x: &[f32]) -> Vec<f64> {
        let row = |row: &[f32]| {
            let max = row.iter().fold(f32::MIN, |max, &x| max.max(x));
            let e: Vec<f64> = row.iter().map(|&x| libm::exp(f64::from(x - max))).collect();
            let sum: f64 = e.iter().sum();
            e.into_iter().map(move |e| e / sum).collect::<Vec<f64>>()
        };
        x.chunks_exact(width).flat_map(row).collect()
    }

    #[test]
    fn rows_of_every_width_match_the_reference() {
        for isa in Isa::available() {
            for width in 1..=67 {
                let x = numbers(3, 3 * width);
                let y = with_canaries(&x, |x| softmax_rows(isa, width, x));
                assert_close(&y, &reference(width, &x), 1e-6, &format!("{} {width}", isa.name()));
            }
        }
    }

    #[test]
    fn huge_logits_do_not_overflow() {
        for isa in Isa::available() {
            let mut x = [1e30, 1e30, -1e30];
            softmax_rows(isa, 3, &mut x);
            assert_eq!(x[..2], [0.5, 0.5]);
            assert!(x[2] < 1e-30);
        }
    }

    #[test]
    fn the_gradient_matches_the_reference() {
        for isa in Isa::available() {
            for width in 1..=67 {
                let (y, d) = (numbers(3, 2 * width), numbers(4, 2 * width));
                let got = with_canaries(&d, |d| softmax_rows_backward(isa, width, &y, d));
                let mut wanted = Vec::new();
                for (y, d) in y.chunks_exact(width).zip(d.chunks_exact(width)) {
                    let product = |(&y, &d): (&f32, &f32)| f64::from(y) * f64::from(d);
                    let mean: f64 = y.iter().zip(d).map(product).sum();
                    let slope = |(&y, &d): (&f32, &f32)| f64::from(y) * (f64::from(d) - mean);
                    wanted.extend(y.iter().zip(d).map(slope));
                }
                assert_close(&got, &wanted, 2e-6, &format!("{} {width}", isa.name()));
            }
        }
    }
}
