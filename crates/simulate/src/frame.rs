//! What a path is drawn from: lengths, season and noise, which all families share.

use crate::random::Random;
use crate::season::{pattern, period};

/// Steps of the swing of the noise where there is no season.
const SWING: usize = 37;

/// Lengths, season and noise of one series.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Points that are seen.
    pub(crate) past: usize,
    /// Points in all.
    pub(crate) total: usize,
    /// One period of the season, with deviation 1; empty without a season.
    pub(crate) pattern: Vec<f64>,
    /// Size of the season, in deviations of the noise.
    pub(crate) amplitude: f64,
    /// The noise.
    pub(crate) noise: Noise,
}

/// Noise with deviation near 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noise {
    /// Whether it is Student's t.
    pub(crate) heavy: bool,
    /// Share by which its size swings, 0 to below 1.
    pub(crate) swing: f64,
    /// Steps of a swing.
    pub(crate) cycle: usize,
}

impl Noise {
    /// The noise of step `t`.
    pub(crate) fn at(&self, t: usize, random: &mut Random) -> f64 {
        let noise = if self.heavy { random.heavy() } else { random.normal() };
        if self.swing == 0.0 {
            return noise;
        }
        let angle = std::f64::consts::TAU * (t % self.cycle) as f64 / self.cycle as f64;
        noise * (1.0 + self.swing * libm::sin(angle))
    }
}

/// Which kinds of noise a series has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoiseKind {
    /// Whether it is Student's t.
    pub(crate) heavy: bool,
    /// Whether its variance follows the season.
    pub(crate) seasonal: bool,
}

impl Frame {
    /// Draws the season and the noise of a series of `total` points, of which `past` are seen.
    pub(crate) fn draw(random: &mut Random, [past, total]: [usize; 2], kind: NoiseKind) -> Self {
        let steps = seasonal_period(random, past);
        let amplitude = random.power(-0.6, 1.35);
        let pattern = if steps > 0 { pattern(random, steps) } else { Vec::new() };
        let swing = if kind.seasonal { random.uniform(0.2, 0.9) } else { 0.0 };
        let cycle = if steps > 1 { steps } else { SWING };
        let noise = Noise { heavy: kind.heavy, swing, cycle };
        Self { past, total, pattern, amplitude, noise }
    }

    /// Steps of the season; 0 = none.
    pub(crate) fn period(&self) -> usize {
        self.pattern.len()
    }

    /// Whether there is a season.
    pub(crate) fn is_seasonal(&self) -> bool {
        !self.pattern.is_empty()
    }

    /// The season at step `t`, with deviation 1; 0 without one.
    pub(crate) fn season(&self, t: usize) -> f64 {
        if self.pattern.is_empty() { 0.0 } else { self.pattern[t % self.pattern.len()] }
    }

    /// Size of steady changes of a step beside those of a series of 128 points, so that trends of long
    /// series do not drown everything else.
    pub(crate) fn pace(&self) -> f64 {
        (128.0 / self.total as f64).min(1.0).sqrt()
    }
}

/// The period of a history; 0 = none. One that the history hardly shows is mostly dropped.
fn seasonal_period(random: &mut Random, past: usize) -> usize {
    if !random.chance(if past >= 24 { 0.72 } else { 0.5 }) {
        return 0;
    }
    let steps = period(random, past);
    if past < steps + steps / 2 && random.chance(0.7) {
        return if random.chance(0.6) { 0 } else { 4 };
    }
    steps
}
