//! Random numbers of one series: a stream of ChaCha that is named by a seed and the number of the
//! series, so that no series depends on which ones were drawn before.

use crate::ziggurat;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Keeps the streams apart from those that other parts of the project draw with the same seed.
const SALT: u64 = 0x7073_696d_756c_6174;

/// Counts above this mean are drawn from the normal distribution of the same mean and variance.
const MANY: f64 = 20.0;

/// The random numbers of one series.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    source: ChaCha8Rng,
}

impl Random {
    /// The numbers of series `index` of `seed`.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut source = ChaCha8Rng::seed_from_u64(seed ^ SALT);
        source.set_stream(index);
        Self { source }
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        ziggurat::unit(self.source.next_u64())
    }

    /// Uniform in [low, high).
    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Ten to the power of a uniform number.
    pub(crate) fn power(&mut self, low: f64, high: f64) -> f64 {
        libm::exp(std::f64::consts::LN_10 * self.uniform(low, high))
    }

    /// Whether something of this probability happens.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number from `low` to below `high`, which is larger.
    pub(crate) fn whole(&mut self, low: usize, high: usize) -> usize {
        let span = high.saturating_sub(low).max(1);
        low + ((self.unit() * span as f64) as usize).min(span - 1)
    }

    /// The number of one of these weights, drawn in proportion to them.
    pub(crate) fn choose(&mut self, weights: &[f64]) -> usize {
        let mut rest = self.unit() * weights.iter().sum::<f64>();
        let found = weights.iter().position(|weight| {
            rest -= weight;
            rest < 0.0
        });
        // Rounding may leave a rest: the last one that has a weight.
        found.or_else(|| weights.iter().rposition(|weight| *weight > 0.0)).unwrap_or(0)
    }

    /// Standard normal, see [`ziggurat`].
    pub(crate) fn normal(&mut self) -> f64 {
        ziggurat::normal(&ziggurat::LAYERS, || self.source.next_u64())
    }

    /// Student's t with four degrees of freedom, times 0.7: heavy tails, a deviation near 1.
    pub(crate) fn heavy(&mut self) -> f64 {
        // Chi-square with four degrees of freedom is -2 ln of a product of two uniform numbers.
        let product = ((1.0 - self.unit()) * (1.0 - self.unit())).max(f64::MIN_POSITIVE);
        let mean_square = -0.5 * libm::log(product);
        0.7 * self.normal() / (mean_square + 1e-6).sqrt()
    }

    /// Exponential with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// A count from the Poisson distribution of this mean, at least 0.
    pub(crate) fn count(&mut self, mean: f64) -> f64 {
        if mean > MANY {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let limit = libm::exp(-mean.max(0.0));
        let (mut product, mut count) = (self.unit(), 0.0);
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let numbers: Vec<f64> = (0..40_000).map(|_| draw()).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let square = numbers.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
        (mean, square / numbers.len() as f64)
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut random = Random::new(1, 2);
        let (mean, variance) = moments(|| random.normal());
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let far = (0..400_000).filter(|_| random.normal().abs() > 3.0).count();
        assert!((950..1220).contains(&far), "{far} of 1080");
        let beyond = (0..400_000).filter(|_| random.normal() > 3.5).count();
        assert!((60..130).contains(&beyond), "{beyond} of 93");
        let (mean, variance) = moments(|| random.unit());
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.003);
        let (mean, variance) = moments(|| random.heavy());
        assert!(mean.abs() < 0.03 && (0.8..1.3).contains(&variance), "{mean} {variance}");
        for wanted in [0.3, 4.0, 50.0] {
            let (mean, variance) = moments(|| random.count(wanted));
            assert!((mean / wanted - 1.0).abs() < 0.03, "{wanted}: {mean}");
            assert!((variance / wanted - 1.0).abs() < 0.06, "{wanted}: {variance}");
        }
    }

    #[test]
    fn choices_follow_the_weights_and_streams_differ() {
        let mut random = Random::new(3, 0);
        let mut counts = [0; 4];
        (0..9000).for_each(|_| counts[random.choose(&[1.0, 0.0, 2.0, 0.0])] += 1);
        assert_eq!((counts[1], counts[3]), (0, 0));
        assert!((2700..3300).contains(&counts[0]), "{counts:?}");
        let first = |seed, index| Random::new(seed, index).source.next_u64();
        assert_eq!(first(3, 9), first(3, 9));
        assert_ne!(first(3, 9), first(3, 10));
        assert_ne!(first(3, 9), first(4, 9));
    }
}
