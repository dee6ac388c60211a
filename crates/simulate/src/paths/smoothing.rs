//! States of exponential smoothing: a level, a damped slope that changes now and then, and a season
//! that moves.

use crate::frame::Frame;
use crate::random::Random;

/// The constants of one series.
struct Constants {
    /// Share of the noise that stays in the level.
    level: f64,
    /// Share that goes into the slope.
    slope: f64,
    /// Share that goes into the season.
    season: f64,
    /// What is left of the slope after a step.
    damping: f64,
    /// Chance of a step that the slope changes.
    changes: f64,
    /// The slope at the start.
    start: f64,
}

impl Constants {
    fn draw(frame: &Frame, random: &mut Random) -> Self {
        let level = level(frame, random);
        let slope = if random.chance(0.5) {
            let share = random.unit();
            0.5 * level * share * share
        } else {
            0.0
        };
        let mut damping = if random.chance(0.5) { 1.0 } else { random.uniform(0.8, 0.995) };
        let mut start = 0.0;
        if random.chance(0.75) {
            start = random.normal() * random.power(-2.0, 0.15) * frame.pace();
        }
        if !frame.is_seasonal() {
            start *= 0.6;
        }
        let moves = frame.is_seasonal() && random.chance(0.6);
        let season = if moves { random.power(-2.5, -0.4) } else { 0.0 };
        let changes = if random.chance(0.5) { random.power(-2.3, -0.8) } else { 0.0 };
        if random.chance(0.3) {
            damping = random.uniform(0.85, 0.99);
        }
        Self { level, slope, season, damping, changes, start }
    }
}

/// Share of the noise that stays in the level; near 1, a walk, where there is no season.
fn level(frame: &Frame, random: &mut Random) -> f64 {
    let place = random.unit();
    if !frame.is_seasonal() {
        if place < 0.4 {
            return 1.0;
        }
        if place < 0.8 {
            return random.uniform(0.4, 1.2);
        }
    }
    match random.unit() {
        place if place < 0.15 => 0.0,
        place if place < 0.5 => random.uniform(0.02, 0.35),
        place if place < 0.85 => random.uniform(0.35, 1.0),
        _ => 1.0,
    }
}

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let constants = Constants::draw(frame, random);
    let mut season: Vec<f64> = frame.pattern.iter().map(|x| x * frame.amplitude).collect();
    let (mut level, mut slope) = (0.0, constants.start);
    let mut path = Vec::with_capacity(frame.total);
    for t in 0..frame.total {
        let noise = frame.noise.at(t, random);
        let mut value = level + slope + noise;
        if frame.is_seasonal() {
            let place = t % frame.period();
            value += season[place];
            season[place] += constants.season * noise;
        }
        path.push(value);
        level += slope + constants.level * noise;
        slope = constants.damping * slope + constants.slope * noise;
        if constants.changes > 0.0 && random.chance(constants.changes) {
            slope = match random.chance(0.6) {
                true => slope * random.uniform(-0.2, 1.0),
                false => random.normal() * constants.start.abs(),
            };
        }
    }
    path
}
