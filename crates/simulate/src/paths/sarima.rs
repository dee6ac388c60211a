//! ARMA around a level, a drift or a walk, with a seasonal autoregression whose coefficient is near 1.

use crate::arma::Arma;
use crate::frame::Frame;
use crate::random::Random;

/// Steps in front of the series in which the filter settles.
const SETTLING: usize = 60;

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let stationary = stationary(frame, random);
    let square = stationary.iter().map(|x| x * x).sum::<f64>() / frame.total as f64;
    let deviation = square.sqrt() + 1e-9;
    let integrates = random.chance(if frame.is_seasonal() { 0.55 } else { 0.85 });
    if !integrates {
        let drift = if random.chance(0.5) {
            random.normal() * random.power(-2.5, -0.5) * deviation * frame.pace()
        } else {
            0.0
        };
        return stationary.iter().zip(0..).map(|(x, t)| x + drift * f64::from(t)).collect();
    }
    let drift = random.normal() * random.power(-2.0, 0.0) * deviation * frame.pace();
    if frame.is_seasonal() && random.chance(0.7) {
        return on_a_walk(&stationary, WalkSize { deviation, drift }, frame, random);
    }
    let mut level = 0.0;
    let sum = |x: f64| {
        level += x + drift;
        level
    };
    stationary.into_iter().map(sum).collect()
}

/// Sizes of the steps of a walk, before its share is drawn.
struct WalkSize {
    deviation: f64,
    drift: f64,
}

/// A walk with the seasonal autoregression around it.
fn on_a_walk(
    stationary: &[f64],
    WalkSize { deviation, drift }: WalkSize,
    frame: &Frame,
    random: &mut Random,
) -> Vec<f64> {
    let share = random.power(-1.5, 0.2);
    let mut level = 0.0;
    let mut step = |(t, x): (usize, &f64)| {
        level += share * (drift + 0.7 * deviation * frame.noise.at(t, random));
        level + x
    };
    stationary.iter().enumerate().map(&mut step).collect()
}

/// The part without trend, after it has settled.
fn stationary(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let filter = Arma::draw(random, 0.98, 0.9);
    let period = frame.period();
    let begin = SETTLING + 3 * period;
    let noise: Vec<f64> = (0..begin + frame.total).map(|t| frame.noise.at(t, random)).collect();
    let mut path = filter.filter(&noise);
    if frame.is_seasonal() {
        let memory = 1.0 - random.power(-2.5, -0.3);
        let averaging = if random.chance(0.5) { random.uniform(0.2, 0.95) * memory } else { 0.0 };
        let filtered = path.clone();
        for t in 0..path.len() {
            path[t] += match t < period {
                true => 0.7 * frame.amplitude * frame.season(t),
                false => memory * path[t - period] - averaging * filtered[t - period],
            };
        }
    }
    path.split_off(begin)
}
