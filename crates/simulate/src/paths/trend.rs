//! A trend in pieces, a fixed season that may grow, and autoregressive noise.

use crate::frame::Frame;
use crate::random::Random;

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let total = frame.total;
    let memory = memory(frame, random);
    let pieces = random.whole(1, 7);
    let mut slope = random.normal() * random.power(-2.0, 0.3) * frame.pace();
    let mut next = if pieces == 1 { total } else { random.whole(5, total) };
    let damping = if random.chance(0.3) { random.uniform(0.93, 0.999) } else { 1.0 };
    let size = random.power(-0.7, 0.2);
    let growth = if random.chance(0.3) { random.normal() / total as f64 } else { 0.0 };
    let (mut level, mut state) = (0.0, 0.0);
    let share = (1.0 - memory * memory).sqrt();
    let mut path = Vec::with_capacity(total);
    for t in 0..total {
        if t == next {
            let change = random.normal() * random.power(-2.0, 0.2) * frame.pace();
            slope = slope * random.uniform(-0.2, 1.0) + change;
            next = t + random.whole(6, total.max(7));
        }
        level += slope;
        slope *= damping;
        state = memory * state + share * frame.noise.at(t, random);
        let season = frame.amplitude * frame.season(t) * (1.0 + growth * t as f64);
        path.push(level + size * state + season);
    }
    path
}

/// Coefficient of the noise's autoregression.
fn memory(frame: &Frame, random: &mut Random) -> f64 {
    if !frame.is_seasonal() && random.chance(0.8) {
        return random.uniform(0.5, 0.99);
    }
    if random.chance(0.6) { random.uniform(0.0, 0.97) } else { 0.0 }
}
