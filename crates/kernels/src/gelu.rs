//! Exact GELU and its gradient.
//!
//! GELU is `x Phi(x) = max(x, 0) - |x| Phi(-|x|)`; its derivative, `Phi(x) + x phi(x)`, is 0.5 plus an
//! odd function of x. The term `|x| Phi(-|x|)`, and that odd function divided by x, are approximated
//! by one polynomial each, or by piecewise polynomials where a table of coefficients fits into
//! registers.

use crate::gelu_table::{END, SLOPE, TAIL};
use crate::isa::{Isa, Op};
use crate::vector::{UNROLL, Vector};

/// A polynomial with an odd number of terms, the highest power first, split into even and odd powers:
/// two independent chains of half the length, to halve the latency of Horner's scheme.
#[inline(always)]
fn polynomial<V: Vector, const N: usize>(v: V, u: &[V::F; N], terms: &[f32]) -> [V::F; N] {
    let (mut even, mut odd) = ([v.splat(terms[0]); N], [v.splat(terms[1]); N]);
    let mut square = *u;
    for i in 0..N {
        square[i] = v.mul(u[i], u[i]);
    }
    for pair in terms[2..].chunks(2) {
        for i in 0..N {
            even[i] = v.mul_add(even[i], square[i], v.splat(pair[0]));
        }
        if let Some(&term) = pair.get(1) {
            for i in 0..N {
                odd[i] = v.mul_add(odd[i], square[i], v.splat(term));
            }
        }
    }
    for i in 0..N {
        even[i] = v.mul_add(odd[i], u[i], even[i]);
    }
    even
}

/// `x Phi(x)` of `N` registers in place, absolute error below 1e-6.
#[inline(always)]
pub(crate) fn gelu_of<V: Vector, const N: usize>(v: V, x: &mut [V::F; N]) {
    match V::HAS_LOOKUP {
        true => gelu_by_table(v, x),
        false => gelu_by_polynomial(v, x),
    }
}

/// `max(x, 0) - t Phi(-t)` for `t = |x|` up to [`END`], piecewise (error 5.3e-8, and the rounding of
/// the result); beyond it, `max(x, 0)`. This takes less than a third of the FMAs of a single
/// polynomial, and table lookups run on other execution ports than FMAs.
#[inline(always)]
fn gelu_by_table<V: Vector, const N: usize>(v: V, x: &mut [V::F; N]) {
    for x in x {
        let piece = Piece::of(v, v.min(v.abs(*x), v.splat(END)));
        // `max` returns its second operand if one is NaN, so NaN propagates.
        *x = v.add(piece.value(v, &TAIL), v.max(v.splat(0.0), *x));
    }
}

/// A piece of a piecewise polynomial, and the position within it.
struct Piece<V: Vector> {
    /// The index of the piece, in the low bits of the bit pattern.
    index: V::F,
    /// From -1/8 to 1/8 around the middle of the piece.
    r: V::F,
}

impl<V: Vector> Piece<V> {
    /// The piece in which `t` lies, from 0 to [`END`].
    #[inline(always)]
    fn of(v: V, t: V::F) -> Self {
        /// 1.5 * 2^21: the sum with a number below 2^20 is rounded to quarters, whose count is in the low
        /// bits of the bit pattern.
        const SHIFT: f32 = 3_145_728.0;
        let index = v.add(t, v.splat(SHIFT));
        Self { index, r: v.sub(t, v.sub(index, v.splat(SHIFT))) }
    }

    /// The value of the table's polynomial at that position.
    #[inline(always)]
    fn value(&self, v: V, table: &[[f32; 32]; 5]) -> V::F {
        let [terms @ .., highest] = table;
        let highest = v.lookup(highest, self.index);
        terms.iter().rev().fold(highest, |p, term| v.mul_add(p, self.r, v.lookup(term, self.index)))
    }
}

/// `t Phi(-t)` for `t = |x|` up to `END` is approximated by `t (END - t) R(t)`, where R is a minimax
/// polynomial for the absolute error (5.8e-7); beyond it, by 0.
#[inline(always)]
fn gelu_by_polynomial<V: Vector, const N: usize>(v: V, x: &mut [V::F; N]) {
    const END: f32 = 5.25;
    /// `-R` in powers of `2 t / END - 1`.
    const TERMS: [f32; 13] = [
        2.547_149_5e-3,
        -4.992_064e-3,
        -7.206_192_8e-3,
        2.231_023_2e-2,
        -3.576_793_6e-3,
        -3.535_435_4e-2,
        3.983_117_4e-2,
        1.247_925_7e-3,
        -4.480_903_4e-2,
        5.332_784e-2,
        -3.275_54e-2,
        1.107_335_7e-2,
        -1.650_537_3e-3,
    ];
    let end = v.splat(END);
    let mut t = *x;
    let mut u = *x;
    for i in 0..N {
        t[i] = v.min(v.abs(x[i]), end);
        u[i] = v.mul_add(t[i], v.splat(2.0 / END), v.splat(-1.0));
    }
    let p = polynomial(v, &u, &TERMS);
    for i in 0..N {
        // `max` returns its second operand if one is NaN, so NaN propagates.
        let positive = v.max(v.splat(0.0), x[i]);
        x[i] = v.mul_add(v.mul(t[i], v.sub(end, t[i])), p[i], positive);
    }
}

/// `Phi(x) + x phi(x)`, the derivative of GELU, of `N` registers in place; absolute error below 1e-6.
/// Subtracting 0.5 leaves an odd function, `x Q(|x|)`. Beyond the end of the approximation it is
/// constant.
#[inline(always)]
pub(crate) fn slope_of<V: Vector, const N: usize>(v: V, x: &mut [V::F; N]) {
    match V::HAS_LOOKUP {
        true => slope_by_table(v, x),
        false => slope_by_polynomial(v, x),
    }
}

/// Piecewise as [`gelu_by_table`]: error 8.5e-8, and the rounding of the result; 1.6e-7 beyond
/// [`END`].
#[inline(always)]
fn slope_by_table<V: Vector, const N: usize>(v: V, x: &mut [V::F; N]) {
    for x in x {
        let within = v.max(v.min(*x, v.splat(END)), v.splat(-END));
        let q = Piece::of(v, v.abs(within)).value(v, &SLOPE);
        *x = v.mul_add(within, q, v.splat(0.5));
    }
}

/// Replaces `x` by [`gelu_of`] it, and returns [`slope_of`] it.
#[inline(always)]
pub(crate) fn gelu_and_slope_of<V: Vector, const N: usize>(v: V, x: &mut [V::F; N]) -> [V::F; N] {
    let mut slope = *x;
    if V::HAS_LOOKUP {
        for (x, slope) in x.iter_mut().zip(&mut slope) {
            let within = v.max(v.min(*x, v.splat(END)), v.splat(-END));
            let piece = Piece::of(v, v.abs(within));
            *slope = v.mul_add(within, piece.value(v, &SLOPE), v.splat(0.5));
            *x = v.add(piece.value(v, &TAIL), v.max(v.splat(0.0), *x));
        }
    } else {
        slope_by_polynomial(v, &mut slope);
        gelu_by_polynomial(v, x);
    }
    slope
}

/// `Q` up to `END` by a minimax polynomial for the absolute error (2.1e-7).
#[inline(always)]
fn slope_by_polynomial<V: Vector, const N: usize>(v: V, x: &mut [V::F; N]) {
    const END: f32 = 5.5;
    /// `Q` in powers of `2 t / END - 1`.
    const TERMS: [f32; 17] = [
        -7.810_039e-3,
        -6.746_019_2e-3,
        7.126_146e-2,
        -1.558_731_3e-2,
        -0.219_030_08,
        0.200_463_37,
        0.251_936,
        -0.524_707_2,
        0.142_708_99,
        0.477_931_5,
        -0.631_942_75,
        0.213_048_92,
        0.284_556_72,
        -0.457_486_96,
        0.362_895_7,
        -0.240_411_43,
        0.189_828_26,
    ];
    let mut u = *x;
    for i in 0..N {
        x[i] = v.max(v.min(x[i], v.splat(END)), v.splat(-END));
        u[i] = v.mul_add(v.abs(x[i]), v.splat(2.0 / END), v.splat(-1.0));
    }
    let p = polynomial(v, &u, &TERMS);
    for i in 0..N {
        x[i] = v.mul_add(x[i], p[i], v.splat(0.5));
    }
}

/// `x Phi(x)` into `out`; absolute error below 1e-6, and a finite result for every finite `x`.
///
/// # Panics
///
/// If the lengths differ.
///
/// Source: `torch.nn.functional.gelu`, `approximate="none"`.
pub fn gelu(isa: Isa, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "gelu");
    isa.run(Gelu { x, out });
}

struct Gelu<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Op for Gelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let wide = UNROLL * V::LANES;
        let (mut x, mut out) = (self.x.chunks_exact(wide), self.out.chunks_exact_mut(wide));
        for (x, out) in x.by_ref().zip(&mut out) {
            let mut values = [v.splat(0.0); UNROLL];
            for (value, x) in values.iter_mut().zip(x.chunks_exact(V::LANES)) {
                *value = v.load(x);
            }
            gelu_of(v, &mut values);
            for (&value, out) in values.iter().zip(out.chunks_exact_mut(V::LANES)) {
                v.store(value, out);
            }
        }
        let rest = x.remainder().chunks(V::LANES);
        for (x, out) in rest.zip(out.into_remainder().chunks_mut(V::LANES)) {
            let mut value = [v.load_part(x, 0.0)];
            gelu_of(v, &mut value);
            v.store_part(value[0], out);
        }
    }
}

/// `d_x = d_out (Phi(x) + x phi(x))`, overwritten; absolute error of the factor below 1e-6.
///
/// # Panics
///
/// If the lengths differ.
pub fn gelu_backward(isa: Isa, x: &[f32], d_out: &[f32], d_x: &mut [f32]) {
    assert!(x.len() == d_out.len() && x.len() == d_x.len(), "gelu_backward");
    isa.run(GeluBackward { x, d_out, d_x });
}

struct GeluBackward<'a> {
    x: &'a [f32],
    d_out: &'a [f32],
    d_x: &'a mut [f32],
}

impl Op for GeluBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let wide = UNROLL * V::LANES;
        let whole = self.x.len() / wide * wide;
        let (x, x_rest) = self.x.split_at(whole);
        let (d_out, d_out_rest) = self.d_out.split_at(whole);
        let (d_x, d_x_rest) = self.d_x.split_at_mut(whole);
        let chunks = x.chunks_exact(wide).zip(d_out.chunks_exact(wide));
        for ((x, d_out), d_x) in chunks.zip(d_x.chunks_exact_mut(wide)) {
            let mut slopes = [v.splat(0.0); UNROLL];
            for (slope, x) in slopes.iter_mut().zip(x.chunks_exact(V::LANES)) {
                *slope = v.load(x);
            }
            slope_of(v, &mut slopes);
            let d = d_out.chunks_exact(V::LANES).zip(d_x.chunks_exact_mut(V::LANES));
            for (&slope, (d_out, d_x)) in slopes.iter().zip(d) {
                v.store(v.mul(v.load(d_out), slope), d_x);
            }
        }
        let chunks = x_rest.chunks(V::LANES).zip(d_out_rest.chunks(V::LANES));
        for ((x, d_out), d_x) in chunks.zip(d_x_rest.chunks_mut(V::LANES)) {
            let mut slope = [v.load_part(x, 0.0)];
            slope_of(v, &mut slope);
            v.store_part(v.mul(v.load_part(d_out, 0.0), slope[0]), d_x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, with_canaries};

    fn reference(x: f64) -> (f64, f64) {
        let cdf = 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let density = libm::exp(-0.5 * x * x) * 0.398_942_280_401_432_7;
        (x * cdf, cdf + x * density)
    }

    fn grid() -> Vec<f32> {
        let mut grid: Vec<f32> = (-120_000..=120_000).map(|i| i as f32 * 1e-4).collect();
        grid.extend([-1e30, -100.0, -20.0, -1e-30, 0.0, -0.0, 1e-30, 1e-7, 20.0, 100.0, 1e30]);
        grid
    }

    #[test]
    fn gelu_and_its_gradient_are_within_a_millionth_everywhere() {
        let x = grid();
        for isa in Isa::available() {
            let (mut out, mut d_x) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            gelu(isa, &x, &mut out);
            gelu_backward(isa, &x, &vec![1.0; x.len()], &mut d_x);
            for i in 0..x.len() {
                let (value, slope) = reference(f64::from(x[i]));
                let allowed = 1e-6_f64.max(value.abs() * 1e-7);
                let error = (f64::from(out[i]) - value).abs();
                assert!(error <= allowed, "{}: gelu({}) {error:e}", isa.name(), x[i]);
                let error = (f64::from(d_x[i]) - slope).abs();
                assert!(error <= 1e-6, "{}: gelu'({}) {error:e}", isa.name(), x[i]);
            }
        }
    }

    /// Replaces `x` by GELU and `slope` by its derivative, with one of the two approximations.
    struct OneWay<'a> {
        by_table: bool,
        x: &'a mut [f32],
        slope: &'a mut [f32],
    }

    impl Op for OneWay<'_> {
        type Output = ();
        #[inline(always)]
        fn run<V: Vector>(self, v: V) {
            for x in self.x.chunks_mut(V::LANES) {
                let mut value = [v.load_part(x, 0.0)];
                match self.by_table {
                    true => gelu_by_table(v, &mut value),
                    false => gelu_by_polynomial(v, &mut value),
                }
                v.store_part(value[0], x);
            }
            for x in self.slope.chunks_mut(V::LANES) {
                let mut value = [v.load_part(x, 0.0)];
                match self.by_table {
                    true => slope_by_table(v, &mut value),
                    false => slope_by_polynomial(v, &mut value),
                }
                v.store_part(value[0], x);
            }
        }
    }

    fn both_ways() -> impl Iterator<Item = (Isa, bool)> {
        Isa::available().into_iter().flat_map(|isa| [(isa, true), (isa, false)])
    }

    #[test]
    fn table_and_polynomial_keep_their_error_bounds_on_every_set() {
        let grid = grid();
        for (isa, by_table) in both_ways() {
            let (mut x, mut slope) = (grid.clone(), grid.clone());
            isa.run(OneWay { by_table, x: &mut x, slope: &mut slope });
            let (value_bound, slope_bound) = if by_table { (8e-8, 2e-7) } else { (7e-7, 1e-6) };
            for i in 0..grid.len() {
                let (value, wanted) = reference(f64::from(grid[i]));
                let name = format!("{} {by_table} {}", isa.name(), grid[i]);
                let error = (f64::from(x[i]) - value).abs();
                assert!(error <= value_bound + value.abs() * 1.2e-7, "{name}: gelu {error:e}");
                let error = (f64::from(slope[i]) - wanted).abs();
                assert!(error <= slope_bound, "{name}: gelu' {error:e}");
            }
            assert_eq!(x[grid.iter().position(|&x| x == 0.0).unwrap()], 0.0);
            assert_eq!(x[grid.iter().position(|&x| x == -100.0).unwrap()], 0.0);
        }
    }

    #[test]
    fn nan_and_infinity_go_through_gelu() {
        for (isa, by_table) in both_ways() {
            // A whole register of every set, so that no load goes through a padded buffer.
            let mut x = [1.0; 16];
            x[..3].copy_from_slice(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
            let mut slope = x;
            isa.run(OneWay { by_table, x: &mut x, slope: &mut slope });
            let place = format!("{} {by_table}: {x:?}", isa.name());
            assert!(x[0].is_nan() && x[1] == f32::INFINITY && x[2] == 0.0, "{place}");
            assert!((slope[1] - 1.0).abs() < 1e-6 && slope[2].abs() < 1e-6, "{place}");
        }
    }

    #[test]
    fn every_length_is_filled_and_no_more() {
        for isa in Isa::available() {
            for len in 0..=67 {
                let x = numbers(5, len);
                let out = with_canaries(&vec![7.0; len], |out| gelu(isa, &x, out));
                let d = with_canaries(&vec![7.0; len], |out| gelu_backward(isa, &x, &x, out));
                for i in 0..len {
                    let (value, slope) = reference(f64::from(x[i]));
                    assert!((f64::from(out[i]) - value).abs() < 1e-6);
                    assert!((f64::from(d[i]) - f64::from(x[i]) * slope).abs() < 3e-6);
                }
            }
        }
    }
}
