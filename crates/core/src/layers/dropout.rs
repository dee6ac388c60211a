//! Dropout by a counter-based random generator: a draw depends on the number that it is for, and
//! not on the order in which numbers are drawn.

use crate::real::Real;

/// Source of the draws of one training step.
///
/// The draw for element `i` of sample `b` at one place of the model depends on the seed, the step,
/// the place, `b` and `i` alone: the same for any split of the batch and any number of threads.
/// The gradient repeats the draw instead of storing it.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    /// Seed of the run.
    pub seed: u64,
    /// Optimiser step, from 0.
    pub step: u64,
    /// Number of the first sample of this part of the batch.
    pub first_sample: u64,
}

impl Dropout {
    /// Drops elements of `x` `[B, ...]` with `probability` and scales the others by
    /// `1 / (1 - probability)`; on a gradient it is its own backward.
    pub(crate) fn apply<T: Real>(self, place: u64, probability: f64, batch: usize, x: &mut [T]) {
        if probability <= 0.0 {
            return;
        }
        let counter = self.first_sample * (x.len() / batch.max(1)) as u64;
        T::dropout(self.key(place), counter, probability, x);
    }

    /// Key of the draws of one place in this step.
    pub(crate) fn key(self, place: u64) -> u64 {
        mix(mix(self.seed).wrapping_add(mix(self.step ^ (place << 40))))
    }
}

/// The finaliser of SplitMix64: every input bit moves every output bit.
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_in_parts_draws_the_same() {
        let dropout = |first_sample| Dropout { seed: 5, step: 9, first_sample };
        let mut whole = vec![1.0_f64; 4 * 100];
        dropout(0).apply(3, 0.4, 4, &mut whole);
        let mut part = vec![1.0_f64; 2 * 100];
        dropout(2).apply(3, 0.4, 2, &mut part);
        assert_eq!(whole[200..], part);
    }

    #[test]
    fn the_share_and_the_mean_are_kept() {
        let mut x = vec![1.0_f64; 100_000];
        Dropout { seed: 1, step: 0, first_sample: 0 }.apply(0, 0.7, 1, &mut x);
        let dropped = x.iter().filter(|&&x| x == 0.0).count() as f64 / x.len() as f64;
        assert!((dropped - 0.7).abs() < 0.005, "{dropped}");
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn steps_and_places_draw_differently() {
        let draw = |step, place| {
            let mut x = vec![1.0_f32; 64];
            Dropout { seed: 1, step, first_sample: 0 }.apply(place, 0.5, 1, &mut x);
            x
        };
        assert_ne!(draw(0, 0), draw(1, 0));
        assert_ne!(draw(0, 0), draw(0, 1));
    }
}
