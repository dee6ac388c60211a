//! Walks, or one walk for each step of the season, whose steps are a stable ARMA that is integrated to
//! a fractional order.

use crate::arma::{Arma, integrate};
use crate::frame::Frame;
use crate::random::Random;

/// Steps in front of the series in which the filter settles.
const SETTLING: usize = 40;

pub(super) fn draw(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let steps = steps(frame, random);
    let size = if frame.is_seasonal() { random.power(-1.3, 0.0) } else { 1.0 };
    let drift = if random.chance(0.6) {
        let square = steps.iter().map(|x| x * x).sum::<f64>() / frame.total as f64;
        random.normal() * square.sqrt() * random.power(-2.0, 0.0) * frame.pace()
    } else {
        0.0
    };
    let lag = frame.period().max(1);
    let mut path: Vec<f64> = Vec::with_capacity(frame.total);
    for (t, step) in steps.iter().enumerate() {
        let value = match t.checked_sub(lag) {
            Some(before) => path[before] + size * (step + drift),
            None => size * step + frame.amplitude * frame.season(t),
        };
        path.push(value);
    }
    if random.chance(0.4) {
        let noise = random.uniform(0.1, 0.8);
        path.iter_mut().for_each(|value| *value += noise * random.normal());
    }
    path
}

/// The steps of the walk.
fn steps(frame: &Frame, random: &mut Random) -> Vec<f64> {
    let filter = Arma::draw(random, 0.9, 0.8);
    let count = SETTLING + frame.total;
    let noise: Vec<f64> = (0..count).map(|t| frame.noise.at(t, random)).collect();
    let mut filtered = filter.filter(&noise);
    let order = if frame.is_seasonal() { random.unit() } else { random.uniform(-0.4, 0.6) };
    match random.chance(0.4) {
        true => filtered.split_off(SETTLING),
        false => integrate(&filtered, order, SETTLING),
    }
}
