//! Periods and the shapes of seasons.

use crate::random::Random;

/// The longest period that is drawn for one season.
const LONGEST: usize = 200;

/// The usual periods with their weights for short and for long histories; 0 = a random one.
const PERIODS: [(usize, f64, f64); 11] = [
    (12, 0.38, 0.20),
    (4, 0.22, 0.06),
    (7, 0.10, 0.15),
    (24, 0.07, 0.22),
    (52, 0.05, 0.10),
    (48, 0.02, 0.07),
    (96, 0.02, 0.07),
    (6, 0.04, 0.03),
    (13, 0.03, 0.02),
    (168, 0.0, 0.03),
    (0, 0.07, 0.05),
];

/// Histories of at least so many points take the weights of long ones.
const LONG: usize = 160;

/// A period in steps, at least 2, for a history of `past` points.
pub(crate) fn period(random: &mut Random, past: usize) -> usize {
    let weights = PERIODS.map(|(_, short, long)| if past < LONG { short } else { long });
    match PERIODS[random.choose(&weights)].0 {
        0 if past < LONG => random.whole(2, 60),
        0 => random.whole(2, LONGEST),
        period => period,
    }
}

/// A season's shape over one period, with mean 0 and deviation 1.
pub(crate) fn pattern(random: &mut Random, period: usize) -> Vec<f64> {
    let mut shape = vec![0.0; period];
    match random.whole(0, 4) {
        0 | 1 => {
            let most = 1 + random.whole(0, (period / 2).clamp(1, 6));
            waves(random, most, &mut shape);
        }
        2 => rough(random, &mut shape),
        _ => spikes(random, &mut shape),
    }
    standardise(&mut shape);
    shape
}

/// A smooth shape of at most three harmonics, for slow seasons.
pub(crate) fn smooth_pattern(random: &mut Random, period: usize) -> Vec<f64> {
    let mut shape = vec![0.0; period];
    let most = random.whole(1, 4);
    waves(random, most, &mut shape);
    standardise(&mut shape);
    shape
}

/// A shape that is level for `hold` steps at a time, such as the days of a week in hours.
pub(crate) fn held_pattern(random: &mut Random, period: usize, hold: usize) -> Vec<f64> {
    let levels = pattern(random, (period / hold.max(1)).max(2));
    let mut shape: Vec<f64> = (0..period).map(|i| levels[(i / hold) % levels.len()]).collect();
    standardise(&mut shape);
    shape
}

/// Sum of the first `most` harmonics, with random weights that fall.
fn waves(random: &mut Random, most: usize, shape: &mut [f64]) {
    let fall = random.uniform(0.5, 2.0);
    for harmonic in 1..=most {
        let size = libm::pow(harmonic as f64, -fall);
        let (a, b) = (random.normal() * size, random.normal() * size);
        let angle = std::f64::consts::TAU * harmonic as f64 / shape.len() as f64;
        let (turn_sin, turn_cos) = (libm::sin(angle), libm::cos(angle));
        let (mut cos, mut sin) = (1.0, 0.0);
        for value in shape.iter_mut() {
            *value += a * cos + b * sin;
            (cos, sin) = (cos * turn_cos - sin * turn_sin, sin * turn_cos + cos * turn_sin);
        }
    }
}

/// An autoregression of the first order.
fn rough(random: &mut Random, shape: &mut [f64]) {
    let memory = random.uniform(0.0, 0.8);
    let mut state = 0.0;
    for value in shape {
        state = memory * state + random.normal();
        *value = state;
    }
}

/// Some steps far above the others, or far below.
fn spikes(random: &mut Random, shape: &mut [f64]) {
    let share = random.uniform(0.1, 0.5);
    for value in shape.iter_mut() {
        let is_spike = random.chance(share);
        *value = if is_spike { 0.5 + random.exponential() } else { 0.2 * random.normal() };
    }
    if random.chance(0.4) {
        shape.iter_mut().for_each(|value| *value = -*value);
    }
}

fn standardise(shape: &mut [f64]) {
    let count = shape.len() as f64;
    let mean = shape.iter().sum::<f64>() / count;
    shape.iter_mut().for_each(|value| *value -= mean);
    let deviation = (shape.iter().map(|x| x * x).sum::<f64>() / count).sqrt() + 1e-6;
    shape.iter_mut().for_each(|value| *value /= deviation);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_their_period_mean_zero_and_deviation_one() {
        for index in 0..200 {
            let mut random = Random::new(0, index);
            let length = period(&mut random, 40 + 4 * index as usize);
            assert!((2..=LONGEST).contains(&length));
            for shape in [
                pattern(&mut random, length),
                smooth_pattern(&mut random, length + 2),
                held_pattern(&mut random, 7 * length, length),
            ] {
                let mean = shape.iter().sum::<f64>() / shape.len() as f64;
                let square = shape.iter().map(|x| x * x).sum::<f64>() / shape.len() as f64;
                assert!(mean.abs() < 1e-9 && square < 1.0 + 1e-6, "{index}: {mean} {square}");
                assert!(square > 0.9, "{index}: {square}");
            }
        }
    }
}
