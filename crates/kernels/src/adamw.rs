//! One step of the AdamW optimiser over all weights.

use crate::isa::{Isa, Op};
use crate::vector::Vector;

/// The coefficients of one step, the same for every weight; each is rounded once, to f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Factor that decoupled weight decay multiplies a weight by: 1 - learning rate * decay.
    pub keep: f64,
    /// Learning rate divided by the bias correction of the first moment.
    pub step_size: f64,
    /// Square root of the bias correction of the second moment.
    pub root: f64,
    /// Added to the square root of the second moment.
    pub eps: f64,
}

/// The state of AdamW, one element for each weight.
#[derive(Debug)]
pub struct AdamWMoments<'a> {
    /// Running mean of the gradients: `m`.
    pub first: &'a mut [f32],
    /// Running mean of their squares: `v`.
    pub second: &'a mut [f32],
}

/// Updates moments and weights:
/// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g g`, `w = keep w - step_size m / (sqrt(v) / root + eps)`.
///
/// # Panics
///
/// If the lengths differ.
pub fn adamw(
    isa: Isa,
    step: AdamWStep,
    weights: &mut [f32],
    gradients: &[f32],
    moments: AdamWMoments<'_>,
) {
    let AdamWMoments { first, second } = moments;
    let lengths = [gradients.len(), first.len(), second.len()];
    assert_eq!(lengths, [weights.len(); 3], "adamw");
    isa.run(AdamW { step, weights, gradients, first, second });
}

struct AdamW<'a> {
    step: AdamWStep,
    weights: &'a mut [f32],
    gradients: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Op for AdamW<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let AdamWStep { beta1, beta2, keep, step_size, root, eps } = self.step;
        let all = |x: f64| v.splat(x as f32);
        let (rest1, rest2) = (all(1.0 - beta1), all(1.0 - beta2));
        let (beta1, beta2) = (all(beta1), all(beta2));
        let (keep, minus, eps, root) = (all(keep), all(-step_size), all(eps), all(root));
        let pairs = self.weights.chunks_mut(V::LANES).zip(self.gradients.chunks(V::LANES));
        let moments = self.first.chunks_mut(V::LANES).zip(self.second.chunks_mut(V::LANES));
        for ((weights, gradients), (first, second)) in pairs.zip(moments) {
            let g = v.load_part(gradients, 0.0);
            let m = v.mul_add(beta1, v.load_part(first, 0.0), v.mul(rest1, g));
            let s = v.mul_add(beta2, v.load_part(second, 0.0), v.mul(v.mul(rest2, g), g));
            let size = v.add(v.div(v.sqrt(s), root), eps);
            let w = v.mul(keep, v.load_part(weights, 0.0));
            v.store_part(v.mul_add(v.div(m, size), minus, w), weights);
            v.store_part(m, first);
            v.store_part(s, second);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_canaries};

    #[test]
    fn every_length_matches_the_reference() {
        let step = AdamWStep {
            beta1: 0.9,
            beta2: 0.999,
            keep: 0.99,
            step_size: 0.05,
            root: 0.3,
            eps: 1e-3,
        };
        for isa in Isa::available() {
            for len in 0..=67 {
                let (w, g, m) = (numbers(1, len), numbers(2, len), numbers(3, len));
                let s: Vec<f32> = numbers(4, len).iter().map(|s| s.abs()).collect();
                let run = |w: &mut [f32], first: &mut [f32], second: &mut [f32]| {
                    adamw(isa, step, w, &g, AdamWMoments { first, second });
                };
                let weights = with_canaries(&w, |w| run(w, &mut m.clone(), &mut s.clone()));
                let first = with_canaries(&m, |m| run(&mut w.clone(), m, &mut s.clone()));
                let second = with_canaries(&s, |s| run(&mut w.clone(), &mut m.clone(), s));
                let wide = |x: &[f32], i: usize| f64::from(x[i]);
                let m: Vec<f64> = (0..len).map(|i| 0.9 * wide(&m, i) + 0.1 * wide(&g, i)).collect();
                let s: Vec<f64> = (0..len)
                    .map(|i| 0.999 * wide(&s, i) + 0.001 * wide(&g, i) * wide(&g, i))
                    .collect();
                let w: Vec<f64> = (0..len)
                    .map(|i| 0.99 * wide(&w, i) - 0.05 * m[i] / (s[i].sqrt() / 0.3 + 1e-3))
                    .collect();
                let name = format!("{} {len}", isa.name());
                assert_close(&weights, &w, 1e-6, &name);
                assert_close(&first, &m, 1e-6, &name);
                assert_close(&second, &s, 1e-6, &name);
            }
        }
    }
}
