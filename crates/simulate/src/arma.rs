//! Autoregression and moving average by poles and zeros inside the unit circle, and fractional
//! integration.

use crate::random::Random;

/// The highest order.
pub(crate) const ORDER: usize = 4;

/// An ARMA filter: `y[t] = e[t] - sum m[i] e[t-1-i] + sum a[i] y[t-1-i]`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arma {
    autoregression: [f64; ORDER],
    moving_average: [f64; ORDER],
}

impl Arma {
    /// Draws a stable filter: up to three poles of radius up to `poles`, up to two zeros of radius up
    /// to `zeros`.
    pub(crate) fn draw(random: &mut Random, poles: f64, zeros: f64) -> Self {
        let (p, q) = (random.whole(0, 4), random.whole(0, 3));
        let autoregression = coefficients(random, p, [0.05, poles]);
        let moving_average = coefficients(random, q, [0.0, zeros]);
        Self { autoregression, moving_average }
    }

    /// Filters noise.
    pub(crate) fn filter(&self, noise: &[f64]) -> Vec<f64> {
        let mut filtered = noise.to_vec();
        for t in 0..noise.len() {
            for lag in 1..=t.min(ORDER) {
                filtered[t] += self.autoregression[lag - 1] * filtered[t - lag]
                    - self.moving_average[lag - 1] * noise[t - lag];
            }
        }
        filtered
    }
}

/// Coefficients of lags 1 to 4 of the polynomial with `order` random roots, whose radii lie in
/// `[low, high]`; pairs are conjugate.
fn coefficients(random: &mut Random, order: usize, [low, high]: [f64; 2]) -> [f64; ORDER] {
    let mut polynomial = [1.0, 0.0, 0.0, 0.0, 0.0];
    let mut times = |first: f64, second: f64| {
        for i in (1..=ORDER).rev() {
            let before = if i >= 2 { polynomial[i - 2] } else { 0.0 };
            polynomial[i] += first * polynomial[i - 1] + second * before;
        }
    };
    let mut count = 0;
    while count < order {
        let radius = random.uniform(low, high);
        if order - count >= 2 && random.chance(0.4) {
            let angle = random.uniform(0.0, std::f64::consts::PI);
            times(-2.0 * radius * libm::cos(angle), radius * radius);
            count += 2;
        } else {
            times(if random.chance(0.25) { radius } else { -radius }, 0.0);
            count += 1;
        }
    }
    [1, 2, 3, 4].map(|lag| -polynomial[lag])
}

/// Lags whose weights are exact, and the number of later ones that share their mean weight.
const NEAR: usize = 64;
const SHARED: usize = 16;

/// Integrates `values` to the fractional `order`, above -1; only the results from `first` on are
/// kept. Weights of far lags change slowly, and are those of their means over 16 lags.
pub(crate) fn integrate(values: &[f64], order: f64, first: usize) -> Vec<f64> {
    let count = values.len();
    let mut sums = vec![0.0; count - first];
    let mut weight = 1.0;
    let mut next = |lag: usize| {
        if lag > 0 {
            weight *= (lag as f64 - 1.0 + order) / lag as f64;
        }
        weight
    };
    for lag in 0..count.min(NEAR) {
        let weight = next(lag);
        let begin = first.max(lag);
        let earlier = &values[begin - lag..count - lag];
        for (sum, value) in sums[begin - first..].iter_mut().zip(earlier) {
            *sum += weight * value;
        }
    }
    // Sums of the first values, from none to all.
    let mut before = vec![0.0; count + 1];
    (0..count).for_each(|t| before[t + 1] = before[t] + values[t]);
    for lag in (NEAR..count).step_by(SHARED) {
        let weight = (lag..lag + SHARED).map(&mut next).sum::<f64>() / SHARED as f64;
        for t in first.max(lag)..count {
            let oldest = (t + 1).saturating_sub(lag + SHARED);
            sums[t - first] += weight * (before[t + 1 - lag] - before[oldest]);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_stable() {
        for index in 0..300 {
            let mut random = Random::new(5, index);
            let filter = Arma::draw(&mut random, 0.9, 0.9);
            let mut pulse = vec![0.0; 600];
            pulse[0] = 1.0;
            let answer = filter.filter(&pulse);
            assert_eq!(answer[0], 1.0);
            assert!(answer[590..].iter().all(|x| x.abs() < 1e-6), "{filter:?}");
        }
    }

    #[test]
    fn order_one_sums_up_and_order_zero_keeps() {
        let values = [1.0, 2.0, -4.0, 0.5];
        assert_eq!(integrate(&values, 1.0, 0), [1.0, 3.0, -1.0, -0.5]);
        assert_eq!(integrate(&values, 0.0, 1), [2.0, -4.0, 0.5]);
        // Twice the half is the whole.
        let half = integrate(&values, 0.5, 0);
        let whole = integrate(&half, 0.5, 0);
        whole.iter().zip([1.0, 3.0, -1.0, -0.5]).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    }

    #[test]
    fn far_lags_are_weighted_almost_exactly() {
        let values: Vec<f64> = (0..500).map(|i| f64::from((i * 37) % 101) / 50.0 - 1.0).collect();
        for order in [-0.3, 0.4, 1.0] {
            let mut weights = vec![1.0];
            (1..500)
                .for_each(|k| weights.push(weights[k - 1] * (k as f64 - 1.0 + order) / k as f64));
            let found = integrate(&values, order, 40);
            for t in 40..500 {
                let exact: f64 = (0..=t).map(|lag| weights[lag] * values[t - lag]).sum();
                assert!((found[t - 40] - exact).abs() < 2e-2, "{order}, {t}");
            }
        }
    }
}
