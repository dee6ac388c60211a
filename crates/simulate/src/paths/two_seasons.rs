//! A fast season and a slow one: added, or the fast one swinging with the slow one; with
//! autoregressive noise on a slowly moving level.

use crate::frame::Frame;
use crate::random::Random;
use crate::season::{held_pattern, pattern, smooth_pattern};

/// Steps of a fast and a slow season, with their weights: hours of a day and days of a week, and so on.
const PAIRS: [(usize, usize, f64); 8] = [
    (24, 168, 0.25),
    (48, 336, 0.12),
    (96, 672, 0.10),
    (7, 52, 0.08),
    (7, 364, 0.13),
    (12, 60, 0.07),
    (4, 24, 0.07),
    (0, 0, 0.18),
];

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let [fast_steps, slow_steps] = pair(frame.past, random);
    let fast = pattern(random, fast_steps);
    let slow = match slow_steps.is_multiple_of(fast_steps) && random.chance(0.6) {
        true => held_pattern(random, slow_steps, fast_steps),
        false => smooth_pattern(random, slow_steps),
    };
    let begin = random.whole(0, slow_steps);
    let amplitude = frame.amplitude;
    let swings = random.chance(0.5);
    let share = random.power(-0.7, 0.1);
    let memory = random.uniform(0.0, 0.97);
    let keep = (1.0 - memory * memory).sqrt();
    let walk = if random.chance(0.6) { random.power(-2.0, -0.5) } else { 0.0 };
    let moves = if random.chance(0.3) { random.power(-2.5, -0.8) } else { 0.0 };
    let mut fast = fast;
    let (mut level, mut state) = (0.0, 0.0);
    let mut step = |t: usize| {
        let noise = frame.noise.at(t, random);
        level += walk * random.normal();
        state = memory * state + keep * noise;
        let place = (t + begin) % fast_steps;
        let (quick, calm) = (fast[place], slow[(t + begin) % slow_steps]);
        fast[place] += moves * noise / amplitude.max(0.3);
        let seasons = match swings {
            true => quick * (1.0 + share * calm).max(0.0),
            false => quick + share * calm,
        };
        level + state + amplitude * seasons
    };
    (0..frame.total).map(&mut step).collect()
}

/// The two periods; mostly ones that the history shows.
fn pair(past: usize, random: &mut Random) -> [usize; 2] {
    let fits = |fast: usize| past >= 2 * fast;
    let weights = PAIRS.map(|(fast, _, weight)| if fits(fast) { weight } else { 0.02 * weight });
    match PAIRS[random.choose(&weights)] {
        (0, ..) => {
            let fast = random.whole(2, 40);
            [fast, fast * random.whole(2, 10) + random.whole(0, fast)]
        }
        (fast, slow, _) => [fast, slow],
    }
}
