//! The peak rate of one core, measured with independent chains of fused multiply-adds.

use std::hint::black_box;
use std::time::Instant;

use crate::isa::{Isa, Op};
use crate::vector::Vector;

/// Independent chains: enough to hide the latency of two FMA units.
const CHAINS: usize = 12;
/// Multiply-adds per chain in one measurement.
const STEPS: usize = 2_000_000;

/// Measures the multiply-add peak of one core, in GFLOP/s (two operations per multiply-add). Takes
/// some tens of milliseconds; the best of five is reported.
pub fn measure_fma_peak(isa: Isa) -> f64 {
    let once = || {
        let began = Instant::now();
        let lanes = black_box(isa.run(Chains { factor: black_box(0.999_999) }));
        2.0 * (lanes * CHAINS * STEPS) as f64 / began.elapsed().as_secs_f64() / 1e9
    };
    (0..5).map(|_| once()).fold(0.0, f64::max)
}

struct Chains {
    factor: f32,
}

impl Op for Chains {
    /// Lanes of one register.
    type Output = usize;

    #[inline(always)]
    fn run<V: Vector>(self, v: V) -> usize {
        let factor = v.splat(self.factor);
        let add = v.splat(1e-6);
        let mut chains = [v.splat(1.0); CHAINS];
        for _ in 0..STEPS {
            for chain in &mut chains {
                *chain = v.mul_add(*chain, factor, add);
            }
        }
        let total = chains.into_iter().fold(v.splat(0.0), |a, b| v.add(a, b));
        black_box(v.fold(total, |a, b| a + b));
        V::LANES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_a_positive_number() {
        let peak = measure_fma_peak(Isa::best());
        assert!(peak > 0.0 && peak.is_finite(), "{peak}");
    }
}
