//! Windows of one channel of a series: gathered from a table, checked, measured and standardised.

use crate::isa::{Isa, Op};
use crate::matrix::StridedSlice;
use crate::vector::Vector;

/// Partial sums; their number is the same for every instruction set, so the results are the same, too.
const SUMS: usize = 16;

/// Mean and variance of the observed points of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Mean; 0 if nothing was observed.
    pub mean: f64,
    /// Population variance; 0 if nothing was observed.
    pub variance: f64,
}

/// Copies elements of a slice that lie a stride apart: `out[t] = values[offset + t * stride]`.
///
/// # Panics
///
/// If the slice is too short.
pub fn gather(from: StridedSlice<'_>, out: &mut [f32]) {
    let StridedSlice { values, offset, stride } = from;
    if out.is_empty() {
        return;
    }
    assert!(offset + (out.len() - 1) * stride < values.len(), "gather");
    for (out, value) in out.iter_mut().zip(values[offset..].iter().step_by(stride)) {
        *out = *value;
    }
}

/// Mean and population variance of the observed points, in f64 and two passes. `mask` is 1 at an
/// observed point and 0 at a missing one; `None` means that all are observed.
///
/// # Panics
///
/// If the lengths differ.
pub fn moments(isa: Isa, x: &[f32], mask: Option<&[f32]>) -> Moments {
    assert!(mask.is_none_or(|mask| mask.len() == x.len()), "moments");
    let count = isa.run(Sum { x, mask, term: Term::One }).max(1.0);
    let mean = isa.run(Sum { x, mask, term: Term::Value }) / count;
    let variance = isa.run(Sum { x, mask, term: Term::SquareAround(mean) }) / count;
    Moments { mean, variance }
}

/// Mean absolute value of the observed points in f64; `None` if no point is observed.
///
/// # Panics
///
/// If the lengths differ.
pub fn mean_magnitude(isa: Isa, x: &[f32], mask: Option<&[f32]>) -> Option<f64> {
    assert!(mask.is_none_or(|mask| mask.len() == x.len()), "mean_magnitude");
    let count = isa.run(Sum { x, mask, term: Term::One });
    (count > 0.0).then(|| isa.run(Sum { x, mask, term: Term::Magnitude }) / count)
}

/// Sum of the squares, in f64.
pub fn sum_of_squares(isa: Isa, x: &[f32]) -> f64 {
    isa.run(Sum { x, mask: None, term: Term::SquareAround(0.0) })
}

/// What is summed.
#[derive(Clone, Copy)]
enum Term {
    One,
    Value,
    Magnitude,
    SquareAround(f64),
}

/// Sum of a term over the window, weighted by the mask.
struct Sum<'a> {
    x: &'a [f32],
    mask: Option<&'a [f32]>,
    term: Term,
}

impl Op for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Vector>(self, _: V) -> f64 {
        // Arrays that the compiler vectorises: the vector trait has no f64, which only this file needs.
        match (self.term, self.mask) {
            (Term::One, None) => self.x.len() as f64,
            (Term::One, Some(mask)) => sum(mask, None, |mask| mask),
            (Term::Value, mask) => sum(self.x, mask, |x| x),
            (Term::Magnitude, mask) => sum(self.x, mask, f64::abs),
            (Term::SquareAround(mean), mask) => sum(self.x, mask, |x| (x - mean) * (x - mean)),
        }
    }
}

#[inline(always)]
fn sum(x: &[f32], mask: Option<&[f32]>, f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0_f64; SUMS];
    let whole = x.len() / SUMS * SUMS;
    match mask {
        None => {
            for x in x[..whole].chunks_exact(SUMS) {
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum += f(f64::from(x));
                }
            }
        }
        Some(mask) => {
            for (x, mask) in x[..whole].chunks_exact(SUMS).zip(mask.chunks_exact(SUMS)) {
                for ((sum, &x), &mask) in sums.iter_mut().zip(x).zip(mask) {
                    *sum += f(f64::from(x)) * f64::from(mask);
                }
            }
        }
    }
    for (i, &x) in x[whole..].iter().enumerate() {
        let seen = mask.map_or(1.0, |mask| f64::from(mask[whole + i]));
        sums[i] += f(f64::from(x)) * seen;
    }
    sums.iter().sum()
}

/// Whether every number is finite.
pub fn all_finite(isa: Isa, x: &[f32]) -> bool {
    isa.run(AllFinite(x))
}

struct AllFinite<'a>(&'a [f32]);

impl Op for AllFinite<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<V: Vector>(self, _: V) -> bool {
        /// All ones for infinities and NaN, and for nothing else.
        const EXPONENT: u32 = 0x7f80_0000;
        let mut bad = 0_u32;
        for x in self.0 {
            bad |= u32::from(x.to_bits() & EXPONENT == EXPONENT);
        }
        bad == 0
    }
}

/// `x = (x - loc) / scale`, in place.
pub fn standardise(isa: Isa, x: &mut [f32], loc: f32, scale: f32) {
    isa.run(Standardise { x, loc, scale });
}

struct Standardise<'a> {
    x: &'a mut [f32],
    loc: f32,
    scale: f32,
}

impl Op for Standardise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let (loc, scale) = (v.splat(self.loc), v.splat(self.scale));
        for x in self.x.chunks_mut(V::LANES) {
            let centred = v.sub(v.load_part(x, 0.0), loc);
            v.store_part(v.div(centred, scale), x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, with_canaries};

    fn mask(len: usize) -> Vec<f32> {
        (0..len).map(|i| f32::from(u8::from(i % 3 != 1))).collect()
    }

    #[test]
    fn moments_match_the_reference_and_are_the_same_on_every_set() {
        for len in 0..=67 {
            let x: Vec<f32> = numbers(1, len).iter().map(|x| x + 100.0).collect();
            let seen = mask(len);
            for mask in [None, Some(&seen[..])] {
                let points: Vec<f64> = (0..len)
                    .filter(|&i| mask.is_none_or(|mask| mask[i] == 1.0))
                    .map(|i| f64::from(x[i]))
                    .collect();
                let count = points.len().max(1) as f64;
                let mean = points.iter().sum::<f64>() / count;
                let square = |x: &f64| (x - mean) * (x - mean);
                let variance = points.iter().map(square).sum::<f64>() / count;
                let magnitude = points.iter().map(|x| x.abs()).sum::<f64>() / count;
                let squares: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
                for isa in Isa::available() {
                    assert!((sum_of_squares(isa, &x) - squares).abs() <= 1e-12 * squares);
                    let got = moments(isa, &x, mask);
                    assert_eq!(got, moments(Isa::Portable, &x, mask), "{}", isa.name());
                    assert!(
                        (got.mean - mean).abs() < 1e-10 && (got.variance - variance).abs() < 1e-10
                    );
                    match mean_magnitude(isa, &x, mask) {
                        Some(mean) => assert!((mean - magnitude).abs() < 1e-10),
                        None => assert!(points.is_empty()),
                    }
                }
            }
        }
    }

    #[test]
    fn one_number_that_is_not_finite_is_found_anywhere() {
        for isa in Isa::available() {
            for len in 0..=67 {
                let mut x = numbers(1, len);
                assert!(all_finite(isa, &x), "{} {len}", isa.name());
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    for i in 0..len {
                        let good = std::mem::replace(&mut x[i], bad);
                        assert!(!all_finite(isa, &x), "{} {len} {i}", isa.name());
                        x[i] = good;
                    }
                }
            }
        }
    }

    #[test]
    fn a_column_is_gathered_and_standardised() {
        for len in 0..=67_usize {
            let table = numbers(2, len * 3);
            let from = StridedSlice { values: &table, offset: 2, stride: 3 };
            let column = with_canaries(&vec![0.0; len], |out| gather(from, out));
            let wanted: Vec<f32> = table.iter().skip(2).step_by(3).copied().collect();
            assert_eq!(column, wanted);
            for isa in Isa::available() {
                let scaled = with_canaries(&column, |x| standardise(isa, x, 0.25, 3.0));
                let wanted: Vec<f32> = column.iter().map(|x| (x - 0.25) / 3.0).collect();
                assert_eq!(scaled, wanted, "{}", isa.name());
            }
        }
    }
}
