//! Growth that saturates, is damped or goes on, with noise and season that follow the level.

use crate::frame::Frame;
use crate::random::Random;

/// The course of the level, from about 0 to about 1 over its range.
enum Course {
    /// Logistic, with its middle and its steepness.
    Logistic { middle: f64, rate: f64 },
    /// Gompertz: slow in its second half.
    Gompertz { middle: f64, rate: f64 },
    /// Towards 1 at a falling speed.
    Damped { rate: f64 },
    /// Exponential.
    Exponential { rate: f64 },
}

impl Course {
    fn draw(total: f64, random: &mut Random) -> Self {
        let middle = random.uniform(-0.2, 1.2) * total;
        let rate = random.power(0.4, 1.4) / total;
        match random.choose(&[0.3, 0.2, 0.3, 0.2]) {
            0 => Self::Logistic { middle, rate },
            1 => Self::Gompertz { middle, rate },
            2 => Self::Damped { rate },
            _ => Self::Exponential { rate: 0.4 * rate },
        }
    }

    /// The level at step `t`, above 0.
    fn at(&self, t: f64) -> f64 {
        match *self {
            Self::Logistic { middle, rate } => 1.0 / (1.0 + libm::exp(-rate * (t - middle))),
            Self::Gompertz { middle, rate } => libm::exp(-libm::exp(-rate * (t - middle))),
            Self::Damped { rate } => 1.0 - libm::exp(-rate * (t + 1.0)),
            Self::Exponential { rate } => libm::exp((rate * t).min(30.0)),
        }
    }
}

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let course = Course::draw(frame.total as f64, random);
    let floor = random.power(-2.0, 0.0);
    let memory = if random.chance(0.7) { random.uniform(0.0, 0.98) } else { 0.0 };
    let share = (1.0 - memory * memory).sqrt();
    let size = random.power(-2.3, -0.8);
    let season = (0.3 * size * frame.amplitude).min(0.6);
    let falls = random.chance(0.3);
    let mut state = 0.0;
    let mut step = |t: usize| {
        state = memory * state + share * frame.noise.at(t, random);
        let grown = course.at(t as f64);
        let level = floor + if falls { 1.0 / (0.2 + grown) } else { grown };
        level * (1.0 + size * state + season * frame.season(t))
    };
    (0..frame.total).map(&mut step).collect()
}
