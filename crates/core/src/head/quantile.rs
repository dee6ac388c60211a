//! Maps the outputs of a quantile head to quantiles that cannot cross: the middle one is free, each
//! other one is a positive step further from it than its neighbour. An extension of ours.

use crate::real::Real;

/// Turns rows of `count` free numbers into ascending ones, in place.
pub(crate) fn map<T: Real>(count: usize, x: &mut [T]) {
    let middle = count / 2;
    for row in x.chunks_exact_mut(count) {
        for i in middle + 1..count {
            row[i] = row[i - 1] + softplus(row[i]);
        }
        for i in (0..middle).rev() {
            row[i] = row[i + 1] - softplus(row[i]);
        }
    }
}

/// Gradient of [`map`] at `raw`, in place on `d`.
pub(crate) fn map_backward<T: Real>(count: usize, raw: &[T], d: &mut [T]) {
    let middle = count / 2;
    for (raw, d) in raw.chunks_exact(count).zip(d.chunks_exact_mut(count)) {
        // A step moves its own quantile and all beyond it.
        for i in (middle + 1..count).rev() {
            let passed = d[i];
            d[i - 1] += passed;
            d[i] = passed * slope(raw[i]);
        }
        for i in 0..middle {
            let passed = d[i];
            d[i + 1] += passed;
            d[i] = -(passed * slope(raw[i]));
        }
    }
}

/// `ln(1 + exp(x))`, without overflow.
fn softplus<T: Real>(x: T) -> T {
    let positive = if x > T::ZERO { x } else { T::ZERO };
    positive + (T::ONE + (-x.abs()).exp()).ln()
}

/// The derivative of [`softplus`].
fn slope<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_never_cross() {
        for count in 1..8 {
            let mut x: Vec<f64> = (0..count * 5).map(|i| ((i * 37) % 23) as f64 - 11.0).collect();
            map(count, &mut x);
            for row in x.chunks_exact(count) {
                assert!(row.windows(2).all(|pair| pair[0] < pair[1]), "{row:?}");
            }
        }
    }

    #[test]
    fn gradient_is_the_slope() {
        let raw = [0.3, -1.2, 0.7, 2.0, -0.4];
        let weights = [1.0, -2.0, 0.5, 0.25, 3.0];
        let value = |raw: &[f64]| {
            let mut x = raw.to_vec();
            map(5, &mut x);
            x.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>()
        };
        let mut d = weights.to_vec();
        map_backward(5, &raw, &mut d);
        for i in 0..5 {
            let (mut up, mut down) = (raw, raw);
            up[i] += 1e-6;
            down[i] -= 1e-6;
            let slope = (value(&up) - value(&down)) / 2e-6;
            assert!((slope - d[i]).abs() < 1e-8, "{i}: {slope} {}", d[i]);
        }
    }
}
