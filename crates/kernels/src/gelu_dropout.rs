//! GELU and dropout fused into one pass, which also stores the factor of their gradient.

use crate::dropout::{Draws, FACTORS};
use crate::gelu::gelu_and_slope_of;
use crate::isa::{Isa, Op};
use crate::matrix::{MatrixMut, MatrixShape};
use crate::vector::{UNROLL, Vector};

/// Fuses GELU, its derivative and dropout: `slope = gelu'(x) f`, then `x = gelu(x) f`, where f is the
/// factor of dropout, or 1 without `draws`. The backward pass is a multiplication by `slope`.
///
/// # Panics
///
/// If a length does not fit.
pub fn gelu_dropout(
    isa: Isa,
    shape: MatrixShape,
    draws: Option<Draws>,
    x: MatrixMut<'_>,
    slope: MatrixMut<'_>,
) {
    shape.check(isa.lanes(), &[x.view(), slope.view()]);
    // A value even where nothing is dropped: the compiler may hoist the threshold out of the loop, and
    // would compute it from the uninitialised bytes of a `None`, which valgrind reports.
    let nothing = Draws { key: 0, counter: 0, row: 0, column: 0, probability: 0.0 };
    let draws = draws.unwrap_or(nothing);
    isa.run(GeluDropout { shape, draws, x, slope });
}

struct GeluDropout<'a> {
    shape: MatrixShape,
    draws: Draws,
    x: MatrixMut<'a>,
    slope: MatrixMut<'a>,
}

impl Op for GeluDropout<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let mut factors = [1.0; FACTORS];
        for r in 0..self.shape.rows {
            let x = &mut self.x.values[r * self.x.pitch..][..self.shape.columns];
            let slope = &mut self.slope.values[r * self.slope.pitch..][..self.shape.columns];
            for (i, (x, slope)) in x.chunks_mut(FACTORS).zip(slope.chunks_mut(FACTORS)).enumerate()
            {
                let factors = &mut factors[..x.len()];
                if self.draws.probability > 0.0 {
                    self.draws.factors(r, i * FACTORS, factors);
                }
                let wide = UNROLL * V::LANES;
                let whole = x.len() / wide * wide;
                for at in (0..whole).step_by(wide) {
                    step::<V, UNROLL>(v, &factors[at..], &mut x[at..], &mut slope[at..]);
                }
                for at in (whole..x.len()).step_by(V::LANES) {
                    step::<V, 1>(v, &factors[at..], &mut x[at..], &mut slope[at..]);
                }
            }
        }
    }
}

/// `N` registers.
#[inline(always)]
fn step<V: Vector, const N: usize>(v: V, factors: &[f32], x: &mut [f32], slope: &mut [f32]) {
    let mut values = [v.splat(0.0); N];
    for (value, x) in values.iter_mut().zip(x.chunks_exact(V::LANES)) {
        *value = v.load(x);
    }
    let slopes = gelu_and_slope_of(v, &mut values);
    let places = factors.chunks_exact(V::LANES).zip(slope.chunks_exact_mut(V::LANES));
    for (&value, (factor, to)) in slopes.iter().zip(places) {
        v.store(v.mul(value, v.load(factor)), to);
    }
    let places = factors.chunks_exact(V::LANES).zip(x.chunks_exact_mut(V::LANES));
    for (&value, (factor, to)) in values.iter().zip(places) {
        v.store(v.mul(value, v.load(factor)), to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dropout::dropout_columns;
    use crate::gelu::{gelu, gelu_backward};
    use crate::testing::{numbers, with_canaries};

    #[test]
    fn it_equals_its_unfused_steps() {
        for isa in Isa::available() {
            for registers in 1..=19 {
                let (rows, columns) = (3, registers * isa.lanes());
                let (shape, pitch) = (MatrixShape { rows, columns }, columns + 2);
                let draws = Draws { key: 5, counter: 9, row: 1, column: 11, probability: 0.3 };
                let mut x = numbers(1, (rows - 1) * pitch + columns);
                x.iter_mut().for_each(|x| *x *= 4.0);
                let special = [0.0, -0.0, 5.75, -7.0, 1e30, -1e30, f32::NEG_INFINITY];
                let special = &special[..x.len().min(special.len())];
                x[..special.len()].copy_from_slice(special);
                let (mut value, mut slope) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                gelu(isa, &x, &mut value);
                gelu_backward(isa, &x, &vec![1.0; x.len()], &mut slope);
                for draws in [None, Some(Draws { probability: 0.0, ..draws }), Some(draws)] {
                    let mut steps = [value.clone(), slope.clone()];
                    if let Some(draws) = draws {
                        for step in &mut steps {
                            dropout_columns(isa, shape, draws, MatrixMut::new(step, pitch));
                        }
                    }
                    let run = |x: &mut [f32], slope: &mut [f32]| {
                        let (x, slope) = (MatrixMut::new(x, pitch), MatrixMut::new(slope, pitch));
                        gelu_dropout(isa, shape, draws, x, slope);
                    };
                    let inside = |at: usize| at % pitch < columns;
                    let got = with_canaries(&x, |x| {
                        run(x, &mut slope.clone());
                    });
                    let slopes = with_canaries(&slope, |slope| {
                        run(&mut x.clone(), slope);
                    });
                    for at in 0..x.len() {
                        let wanted = if inside(at) { steps[0][at] } else { x[at] };
                        assert_eq!(got[at], wanted, "{} {columns} {at}", isa.name());
                        let wanted = if inside(at) { steps[1][at] } else { slope[at] };
                        assert_eq!(slopes[at], wanted, "{} {columns} {at}", isa.name());
                    }
                }
            }
        }
    }
}
