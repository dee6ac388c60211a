//! Counts and intermittent demand: whole numbers around a moving rate, with steps without any.

use super::smoothing;
use crate::frame::Frame;
use crate::random::Random;

/// The largest rate.
const MOST: f64 = 1e6;

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let mut path = smoothing::draw(frame, random);
    let past = &path[..frame.past.max(1)];
    let mean = past.iter().sum::<f64>() / past.len() as f64;
    let square = past.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / past.len() as f64;
    let rate = random.power(-0.8, 1.5);
    let swing = random.uniform(0.0, 0.8) / (square.sqrt() + 1e-9);
    let present = Presence::draw(random);
    let mut state = true;
    for value in &mut path {
        let mean = rate * libm::exp((swing * (*value - mean)).clamp(-4.0, 4.0));
        state = present.next(state, random);
        *value = if state { random.count(mean.min(MOST)) } else { 0.0 };
    }
    path
}

/// Chances that demand is there, after a step with and one without.
struct Presence {
    after_some: f64,
    after_none: f64,
}

impl Presence {
    fn draw(random: &mut Random) -> Self {
        if random.chance(0.5) {
            return Self { after_some: 1.0, after_none: 1.0 };
        }
        let share = random.uniform(0.15, 0.9);
        // Half of the series come in runs.
        let sticks = if random.chance(0.5) { random.uniform(0.0, 0.8) } else { 0.0 };
        Self { after_some: share + sticks * (1.0 - share), after_none: share * (1.0 - sticks) }
    }

    fn next(&self, before: bool, random: &mut Random) -> bool {
        random.chance(if before { self.after_some } else { self.after_none })
    }
}
