//! Pure random walks: prices, rates. The best forecast is the last value, or a line with a small slope.

use crate::frame::Frame;
use crate::random::Random;

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let drift = match random.chance(0.3) {
        true => random.normal() * random.power(-2.0, -0.7) * frame.pace(),
        false => 0.0,
    };
    // Logarithm of the volatility: an autoregression, or constant.
    let restless = if random.chance(0.4) { random.uniform(0.1, 0.35) } else { 0.0 };
    let memory = random.uniform(0.8, 0.99);
    let observed = if random.chance(0.2) { random.uniform(0.05, 0.3) } else { 0.0 };
    let (mut level, mut volatility) = (0.0, 0.0);
    let mut step = || {
        if restless > 0.0 {
            volatility = memory * volatility + restless * random.normal();
        }
        let noise = if frame.noise.heavy { random.heavy() } else { random.normal() };
        level += drift + noise * if restless > 0.0 { libm::exp(volatility) } else { 1.0 };
        if observed > 0.0 { level + observed * random.normal() } else { level }
    };
    (0..frame.total).map(|_| step()).collect()
}
