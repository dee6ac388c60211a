//! The exponential functions `e^x` and `2^x` of a register.

use crate::vector::Vector;

/// `e^x`: `2^n` times a polynomial in the remainder, which is at most ln 2 / 2; relative error below 2e-7.
/// `x` is clamped to -87..88, where the result is a normal number.
#[inline(always)]
pub(crate) fn exp<V: Vector>(v: V, x: V::F) -> V::F {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts (Cody and Waite), so that x - n ln 2 is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    /// (e^r - 1 - r) / r^2 on |r| <= ln 2 / 2.
    const TERMS: [f32; 6] =
        [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = v.max(v.min(x, v.splat(88.0)), v.splat(-87.0));
    let n = v.round(v.mul(x, v.splat(LOG2_E)));
    let r = v.mul_add(n, v.splat(-LN2_HIGH), x);
    let r = v.mul_add(n, v.splat(-LN2_LOW), r);
    let mut p = v.splat(TERMS[0]);
    for term in &TERMS[1..] {
        p = v.mul_add(p, r, v.splat(*term));
    }
    let p = v.add(v.mul_add(p, v.mul(r, r), r), v.splat(1.0));
    v.mul(p, v.pow2(n))
}

/// `2^x` for `x` at most 0, with `x` clamped to -126 from below; relative error below 2e-7.
#[inline(always)]
pub(crate) fn exp2<V: Vector>(v: V, x: V::F) -> V::F {
    /// `2^f` for f between -1/2 and 1/2: a minimax polynomial for the relative error.
    const TERMS: [f32; 6] =
        [1.327_638e-3, 9.675_541e-3, 5.550_713_5e-2, 0.240_221_2, 0.693_146_97, 1.000_000_1];
    // `max` returns its second operand if one is NaN, so NaN propagates.
    let x = v.max(v.splat(-126.0), x);
    let n = v.round(x);
    let f = v.sub(x, n);
    let mut p = v.splat(TERMS[0]);
    for term in &TERMS[1..] {
        p = v.mul_add(p, f, v.splat(*term));
    }
    v.times_pow2(p, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, Op};

    struct Exp<'a>(&'a mut [f32]);

    impl Op for Exp<'_> {
        type Output = ();
        #[inline(always)]
        fn run<V: Vector>(self, v: V) {
            for x in self.0.chunks_mut(V::LANES) {
                let e = exp(v, v.load_part(x, 0.0));
                v.store_part(e, x);
            }
        }
    }

    #[test]
    fn exp_keeps_its_relative_accuracy() {
        for isa in Isa::available() {
            let x: Vec<f32> = (-86_000..=87_000).map(|i| i as f32 * 1e-3).collect();
            let mut out = x.clone();
            isa.run(Exp(&mut out));
            for (&x, &e) in x.iter().zip(&out) {
                let wanted = libm::exp(f64::from(x));
                assert!((f64::from(e) / wanted - 1.0).abs() < 2.5e-7, "{}: exp({x})", isa.name());
            }
        }
    }
}
