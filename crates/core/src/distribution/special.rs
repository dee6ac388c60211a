//! Special functions in double precision.

/// Derivative of the logarithm of the gamma function, for x > 0, to about 1e-14.
pub(super) fn digamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= 1.0 / x;
        x += 1.0;
    }
    // Bernoulli numbers over 2k.
    let terms = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32_760.0,
        1.0 / 12.0,
    ];
    let square = 1.0 / (x * x);
    let tail = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * square);
    shift + libm::log(x) - 0.5 / x - tail
}

/// Logarithm of the beta function; without cancellation where one argument is large and the other
/// 1/2.
fn ln_beta(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    let step = if small == 0.5 && large > 100.0 {
        // lgamma(x + 1/2) - lgamma(x), by its asymptotic series.
        let x = 1.0 / large;
        0.5 * libm::log(large) - x / 8.0 + x * x * x / 192.0 - x.powi(5) / 640.0
    } else {
        libm::lgamma(large + small) - libm::lgamma(large)
    };
    libm::lgamma(small) - step
}

/// Regularised incomplete beta function I_x(a, b), by Lentz's continued fraction.
pub(super) fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast on the left of the mean; the other side is its mirror.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let ln_front = a * libm::log(x) + b * libm::log1p(-x) + libm::lgamma(a + b)
        - libm::lgamma(a)
        - libm::lgamma(b);
    let least = 1e-300;
    let away_from_0 = |x: f64| if x.abs() < least { least } else { x };
    let (mut c, mut d) = (1.0, 1.0 / away_from_0(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for i in 1..500 {
        let m = f64::from(i);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / away_from_0(1.0 + term * d);
            c = away_from_0(1.0 + term / c);
            step = c * d;
            fraction *= step;
        }
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    libm::exp(ln_front) * fraction / a
}

/// Distribution function of Student's t with `df` degrees of freedom.
pub(super) fn student_t_cdf(df: f64, u: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(0.5 * df, 0.5, df / (df + u * u));
    if u > 0.0 { 1.0 - tail } else { tail }
}

/// Distribution function of the standard normal distribution.
pub(super) fn normal_cdf(u: f64) -> f64 {
    0.5 * libm::erfc(-u * std::f64::consts::FRAC_1_SQRT_2)
}

/// Where the distribution function of Student's t reaches `level`: Newton steps towards the root,
/// kept inside a bracket, from the quantile of the normal distribution.
pub(super) fn student_t_quantile(df: f64, level: f64) -> f64 {
    if level > 0.5 {
        return -student_t_quantile(df, 1.0 - level);
    }
    if level == 0.5 {
        return 0.0;
    }
    let ln_scale = -ln_beta(0.5 * df, 0.5) - 0.5 * libm::log(df);
    let density = |u: f64| libm::exp(ln_scale - 0.5 * (df + 1.0) * libm::log1p(u * u / df));
    // Cornish-Fisher: the first corrections of the normal quantile.
    let z = normal_quantile(level);
    let cube = z * z * z;
    let mut u = z
        + (cube + z) / (4.0 * df)
        + (5.0 * z * z * cube + 16.0 * cube + 3.0 * z) / (96.0 * df * df);
    let (mut low, mut high) = (f64::NEG_INFINITY, 0.0);
    for _ in 0..100 {
        let error = student_t_cdf(df, u) - level;
        if error < 0.0 {
            low = u
        } else {
            high = u
        }
        let step = error / density(u);
        let mut next = u - step;
        if !(next > low && next < high) {
            next = if low.is_finite() { 0.5 * (low + high) } else { 2.0 * u };
        }
        if (next - u).abs() <= 1e-12 * u.abs() {
            return next;
        }
        u = next;
    }
    u
}

/// Where the standard normal distribution reaches `level`: a rational start and Newton steps.
pub(super) fn normal_quantile(level: f64) -> f64 {
    if level > 0.5 {
        return -normal_quantile(1.0 - level);
    }
    // Hastings' approximation, good to 4.5e-4.
    let t = libm::sqrt(-2.0 * libm::log(level));
    let top = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let bottom = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut u = top / bottom - t;
    for _ in 0..4 {
        let density = libm::exp(-0.5 * u * u) / std::f64::consts::TAU.sqrt();
        u -= (normal_cdf(u) - level) / density;
    }
    u
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_tables() {
        assert!((digamma(1.0) + 0.577_215_664_901_532_9).abs() < 1e-14);
        assert!((digamma(0.5) + 1.963_510_026_021_423_5).abs() < 1e-13);
        assert!((digamma(100.0) - 4.600_161_852_738_087).abs() < 1e-13);
        // Closed forms for 1, 2 and 3 degrees of freedom.
        for u in [-6.0_f64, -1.0, 0.3, 1.0, 40.0] {
            let pi = std::f64::consts::PI;
            let one = 0.5 + u.atan() / pi;
            let two = 0.5 + u / (2.0 * (2.0 + u * u).sqrt());
            let v = u / 3.0_f64.sqrt();
            let three = 0.5 + (v / (1.0 + u * u / 3.0) + v.atan()) / pi;
            for (df, wanted) in [(1.0, one), (2.0, two), (3.0, three)] {
                assert!((student_t_cdf(df, u) - wanted).abs() < 1e-13, "{df} {u}");
            }
        }
        assert!((normal_cdf(1.959_963_984_540_054) - 0.975).abs() < 1e-14);
        assert!((incomplete_beta(2.0, 3.0, 0.4) - 0.5248).abs() < 1e-13);
    }

    #[test]
    fn inversion_gives_back_the_level() {
        for level in [1e-9, 0.025, 0.4, 0.5, 0.9, 0.999_999] {
            for df in [2.01, 5.0, 400.0, 1e6] {
                let u = student_t_quantile(df, level);
                // Far out, df / (df + u^2) is rounded to within 1e-16 of 1.
                let allowed = 1e-12_f64.max(1e-16 * df);
                assert!((student_t_cdf(df, u) - level).abs() < allowed, "{df} {level}");
            }
            let u = normal_quantile(level);
            assert!((normal_cdf(u) - level).abs() < 1e-14, "{level}");
        }
        let quantile = student_t_quantile(4.0, 0.975);
        assert!((quantile - 2.776_445_105_197_793).abs() < 1e-10, "{quantile}");
    }
}
