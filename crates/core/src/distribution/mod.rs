//! The distributions that a head with `loss = "nll"` predicts: what their parameters are made of.
//!
//! Source: `StudentTOutput`, `NormalOutput`, `NegativeBinomialOutput` of `time_series_utils.py`,
//! transformers 5.23.0.

mod special;

use special::{digamma, incomplete_beta, normal_quantile, student_t_quantile};

use crate::real::Real;

/// A family of distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Parameters `df`, `loc`, `scale`.
    StudentT,
    /// Parameters `loc`, `scale`.
    Normal,
    /// Parameters `total_count`, `logits`; for counts.
    NegativeBinomial,
}

impl Distribution {
    /// Smallest scale of a distribution, the rounding unit of float32: as in the reference.
    pub const MIN_SCALE: f64 = 1.192_092_9e-7;

    /// Number of the parameter `logits` of a negative binomial.
    pub(crate) const LOGITS: usize = 1;

    /// Parameters of one distribution, K.
    pub fn num_parameters(self) -> usize {
        self.parameter_names().len()
    }

    /// Names of the parameters, in order.
    pub fn parameter_names(self) -> &'static [&'static str] {
        match self {
            Distribution::StudentT => &["df", "loc", "scale"],
            Distribution::Normal => &["loc", "scale"],
            Distribution::NegativeBinomial => &["total_count", "logits"],
        }
    }

    /// Parameter `k` from the output of its projection.
    pub(crate) fn map<T: Real>(self, k: usize, x: T) -> T {
        match self.parameter_names()[k] {
            "df" => T::from_f64(2.0) + squareplus(x),
            "scale" => {
                let (scale, least) = (squareplus(x), T::from_f64(Self::MIN_SCALE));
                if scale > least { scale } else { least }
            }
            "total_count" => squareplus(x),
            _ => x,
        }
    }

    /// The derivative of [`Distribution::map`].
    pub(crate) fn d_map<T: Real>(self, k: usize, x: T) -> T {
        let half = T::from_f64(0.5);
        let slope = half * (T::ONE + x / (x * x + T::from_f64(4.0)).sqrt());
        match self.parameter_names()[k] {
            "df" | "total_count" => slope,
            "scale" if squareplus(x) > T::from_f64(Self::MIN_SCALE) => slope,
            "scale" => T::ZERO,
            _ => T::ONE,
        }
    }
}

/// `(x + sqrt(x^2 + 4)) / 2`, above 0; for large negative x by the conjugate, which does not cancel.
fn squareplus<T: Real>(x: T) -> T {
    let root = (x * x + T::from_f64(4.0)).sqrt();
    let two = T::from_f64(2.0);
    if x < T::ZERO { two / (root - x) } else { (x + root) / two }
}

/// Shift and scale of a window, which the parameters of a distribution are relative to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocScale {
    /// What is added after the scaling, in data units.
    pub loc: f64,
    /// What the scaled space is multiplied by.
    pub scale: f64,
}

impl LocScale {
    /// No window at all: the parameters are in data units.
    pub const NONE: LocScale = LocScale { loc: 0.0, scale: 1.0 };
}

/// Negative log-likelihood of one value, with its slopes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Likelihood {
    /// In nats.
    pub(crate) nll: f64,
    /// For each parameter of the distribution, in order.
    pub(crate) d_parameters: [f64; 3],
    /// For the window's loc and scale.
    pub(crate) d_loc: f64,
    pub(crate) d_scale: f64,
}

/// Negative log-likelihood of `y` under the distribution of `loc + scale Z`, Z having these (mapped)
/// parameters. A negative binomial knows no window: its logits hold the logarithm of the scale.
pub(crate) fn likelihood(
    distribution: Distribution,
    parameters: &[f64],
    window: LocScale,
    y: f64,
) -> Likelihood {
    let LocScale { loc, scale } = window;
    if distribution == Distribution::NegativeBinomial {
        return negative_binomial(parameters[0], parameters[1], y);
    }
    let z = (y - loc) / scale;
    let (centre, width) = match distribution {
        Distribution::StudentT => (parameters[1], parameters[2]),
        _ => (parameters[0], parameters[1]),
    };
    let u = (z - centre) / width;
    // `slope` is the derivative of the standard distribution's nll at u.
    let (standard, slope, d_df) = match distribution {
        Distribution::StudentT => student_t(parameters[0], u),
        _ => (0.5 * u * u + 0.5 * libm::log(std::f64::consts::TAU), u, 0.0),
    };
    let (d_centre, d_width) = (-slope / width, (1.0 - slope * u) / width);
    Likelihood {
        nll: standard + libm::log(width) + libm::log(scale),
        d_parameters: match distribution {
            Distribution::StudentT => [d_df, d_centre, d_width],
            _ => [d_centre, d_width, 0.0],
        },
        d_loc: -slope / (width * scale),
        d_scale: (1.0 - slope * z / width) / scale,
    }
}

/// Of Student's t distribution at `u`: nll, its derivative in `u`, and in the degrees of freedom.
fn student_t(df: f64, u: f64) -> (f64, f64, f64) {
    let half = 0.5 * (df + 1.0);
    let square = u * u / df;
    let log = libm::log1p(square);
    let nll = libm::lgamma(0.5 * df) - libm::lgamma(half)
        + 0.5 * libm::log(df * std::f64::consts::PI)
        + half * log;
    let slope = (df + 1.0) / df * u / (1.0 + square);
    let d_df = 0.5
        * (digamma(0.5 * df) - digamma(half) + 1.0 / df + log
            - (df + 1.0) / df * square / (1.0 + square));
    (nll, slope, d_df)
}

fn negative_binomial(count: f64, logits: f64, y: f64) -> Likelihood {
    // log sigmoid(x) without overflow.
    let log_sigmoid = |x: f64| x.min(0.0) - libm::log1p(libm::exp(-x.abs()));
    let sigmoid = |x: f64| 1.0 / (1.0 + libm::exp(-x));
    let combinations = libm::lgamma(count + y) - libm::lgamma(y + 1.0) - libm::lgamma(count);
    let nll = -(combinations + count * log_sigmoid(-logits) + y * log_sigmoid(logits));
    let d_count = digamma(count) - digamma(count + y) - log_sigmoid(-logits);
    let d_logits = count * sigmoid(logits) - y * sigmoid(-logits);
    Likelihood { nll, d_parameters: [d_count, d_logits, 0.0], d_loc: 0.0, d_scale: 0.0 }
}

impl Distribution {
    /// Why a value cannot come from the distribution, if it cannot.
    pub(crate) fn refuses(self, y: f64) -> Option<String> {
        let counts = self == Distribution::NegativeBinomial;
        (counts && (y < 0.0 || y.fract() != 0.0)).then(|| {
            format!(
                "is {y}, but a negative binomial gives 0, 1, 2, ... (use data that are counts, \
                     not standardised, or another distribution_output)"
            )
        })
    }

    /// Mean of the distribution of `loc + scale Z`, in data units.
    pub fn mean(self, parameters: &[f64], window: LocScale) -> f64 {
        let LocScale { loc, scale } = window;
        match self {
            Distribution::StudentT => loc + scale * parameters[1],
            Distribution::Normal => loc + scale * parameters[0],
            Distribution::NegativeBinomial => parameters[0] * libm::exp(parameters[1]),
        }
    }

    /// Variance of the distribution of `loc + scale Z`, in squared data units; infinite for Student's
    /// t whose degrees of freedom are at most 2.
    pub fn variance(self, parameters: &[f64], window: LocScale) -> f64 {
        let scale = window.scale;
        let square = |x: f64| x * x;
        match self {
            Distribution::StudentT if parameters[0] > 2.0 => {
                square(scale * parameters[2]) * parameters[0] / (parameters[0] - 2.0)
            }
            Distribution::StudentT => f64::INFINITY,
            Distribution::Normal => square(scale * parameters[1]),
            Distribution::NegativeBinomial => {
                let ratio = libm::exp(parameters[1]);
                parameters[0] * ratio * (1.0 + ratio)
            }
        }
    }

    /// The value below which the distribution of `loc + scale Z` lies with probability `level`,
    /// which is in (0, 1), in data units; for counts the smallest one that reaches it.
    pub fn quantile(self, parameters: &[f64], window: LocScale, level: f64) -> f64 {
        let LocScale { loc, scale } = window;
        let u = match self {
            Distribution::StudentT => {
                let u = student_t_quantile(parameters[0], level);
                parameters[1] + parameters[2] * u
            }
            Distribution::Normal => parameters[0] + parameters[1] * normal_quantile(level),
            Distribution::NegativeBinomial => {
                return count_quantile(parameters[0], parameters[1], level);
            }
        };
        loc + scale * u
    }
}

/// The smallest count up to which the distribution has a probability of at least `level`.
fn count_quantile(count: f64, logits: f64, level: f64) -> f64 {
    let rest = 1.0 / (1.0 + libm::exp(logits));
    let reached = |k: f64| incomplete_beta(count, k + 1.0, rest) >= level;
    if reached(0.0) {
        return 0.0;
    }
    // `below` is not enough, `enough` is.
    let (mut below, mut enough) = (0.0, 1.0);
    while !reached(enough) && enough < 1e15 {
        (below, enough) = (enough, 2.0 * enough);
    }
    while enough - below > 1.0 {
        let middle = libm::floor(0.5 * (below + enough));
        if reached(middle) { enough = middle } else { below = middle }
    }
    enough
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISTRIBUTIONS: [(Distribution, &[f64]); 3] = [
        (Distribution::StudentT, &[4.5, 0.3, 0.8]),
        (Distribution::Normal, &[0.3, 0.8]),
        (Distribution::NegativeBinomial, &[3.5, -0.4]),
    ];

    fn window_of(distribution: Distribution) -> LocScale {
        match distribution {
            Distribution::NegativeBinomial => LocScale::NONE,
            _ => LocScale { loc: 2.0, scale: 1.7 },
        }
    }

    #[test]
    fn slopes_of_the_likelihood_are_derivatives() {
        for (distribution, parameters) in DISTRIBUTIONS {
            let window = window_of(distribution);
            let nll = |p: &[f64], w| likelihood(distribution, p, w, 4.0).nll;
            let found = likelihood(distribution, parameters, window, 4.0);
            let slope = |f: &dyn Fn(f64) -> f64| (f(1e-6) - f(-1e-6)) / 2e-6;
            for k in 0..parameters.len() {
                let moved = |x: f64| {
                    let mut p = parameters.to_vec();
                    p[k] += x;
                    nll(&p, window)
                };
                assert!(
                    (slope(&moved) - found.d_parameters[k]).abs() < 1e-8,
                    "{distribution:?} {k}"
                );
            }
            let LocScale { loc, scale } = window;
            let d_loc = slope(&|x| nll(parameters, LocScale { loc: loc + x, scale }));
            let d_scale = slope(&|x| nll(parameters, LocScale { loc, scale: scale + x }));
            assert!((d_loc - found.d_loc).abs() < 1e-8 && (d_scale - found.d_scale).abs() < 1e-8);
        }
    }

    #[test]
    fn moments_are_those_of_the_quantiles() {
        for (distribution, parameters) in DISTRIBUTIONS {
            let window = window_of(distribution);
            let count = 20_000;
            let draws: Vec<f64> = (0..count)
                .map(|i| {
                    distribution.quantile(
                        parameters,
                        window,
                        (f64::from(i) + 0.5) / f64::from(count),
                    )
                })
                .collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance =
                draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / draws.len() as f64;
            let (wanted, spread) =
                (distribution.mean(parameters, window), distribution.variance(parameters, window));
            assert!(
                (mean - wanted).abs() < 0.01 * spread.sqrt(),
                "{distribution:?} {mean} {wanted}"
            );
            assert!((variance / spread - 1.0).abs() < 0.06, "{distribution:?} {variance} {spread}");
        }
    }

    #[test]
    fn large_counts_have_the_right_quantiles() {
        // Worked out by an independent implementation.
        for (count, mean, level, wanted) in
            [(0.5, 1e6, 0.5, 454_936.0), (2.0, 1e6, 0.025, 121_104.0), (2.0, 1e4, 0.975, 27_860.0)]
        {
            let logits = libm::log(mean / count);
            let found =
                Distribution::NegativeBinomial.quantile(&[count, logits], LocScale::NONE, level);
            assert!((found - wanted).abs() <= 1.0, "{count} {mean} {level}: {found}");
        }
    }

    #[test]
    fn a_scale_is_positive_however_negative_its_projection() {
        for x in [-1e30_f32, -1e4, -3.0, 0.0, 5.0] {
            assert!(Distribution::Normal.map(1, x) > 0.0);
            assert!(Distribution::StudentT.map(0, x) >= 2.0);
        }
    }
}
