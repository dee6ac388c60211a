//! What happens to a path: exponentiation, noise by level, floors, outliers, shifts, calendars.

use crate::calendar::{holidays, working_days};
use crate::frame::Frame;
use crate::mix::{Effect, Mix};
use crate::random::Random;
use crate::season::{pattern, period};

/// Largest logarithm of an exponentiated series.
const LARGEST: f64 = 8.0;

/// Mean and deviation of the seen points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
}

impl Level {
    pub(crate) fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let square = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        Self { mean, deviation: square.sqrt() }
    }
}

/// The effects on one path.
pub(crate) struct Effects<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) mix: &'a Mix,
    pub(crate) random: &'a mut Random,
}

impl Effects<'_> {
    fn happens(&mut self, effect: Effect) -> bool {
        self.random.chance(self.mix.chance(effect))
    }

    fn level(&self, path: &[f64]) -> Level {
        Level::of(&path[..self.frame.past])
    }

    /// Those that add to a path in front of a transform.
    pub(crate) fn add(&mut self, path: &mut [f64]) {
        if self.happens(Effect::SecondSeason) && self.frame.is_seasonal() {
            self.second_season(path);
        }
        if self.happens(Effect::Calendar) {
            self.calendar(path);
        }
    }

    /// Those that change what the numbers mean: the path of counts is left as it is.
    pub(crate) fn transform(&mut self, path: &mut [f64]) {
        if self.happens(Effect::Exponentiated) {
            let Level { mean, deviation } = self.level(path);
            let swing = self.random.power(-1.6, 0.1) / (deviation + 1e-9);
            for value in path.iter_mut() {
                *value = libm::exp((swing * (*value - mean)).clamp(-LARGEST, LARGEST));
            }
            if self.happens(Effect::LevelNoise) {
                self.level_noise(path);
            }
        }
        if self.happens(Effect::Floor) {
            let Level { mean, deviation } = self.level(path);
            let floor = mean - self.random.uniform(0.3, 1.2) * deviation;
            path.iter_mut().for_each(|value| *value = value.max(floor));
        }
    }

    /// Those that fall from outside onto the finished series.
    pub(crate) fn disturb(&mut self, path: &mut [f64]) {
        let Level { deviation, .. } = self.level(path);
        if self.happens(Effect::Outliers) {
            let share = self.random.uniform(0.005, 0.04);
            let size = self.random.uniform(1.5, 5.0) * deviation;
            for value in path.iter_mut() {
                if self.random.chance(share) {
                    *value += size * self.random.normal();
                }
            }
        }
        if self.happens(Effect::LevelShift) {
            let first = self.random.whole(1, path.len());
            let jump = 2.0 * deviation * self.random.normal();
            path[first..].iter_mut().for_each(|value| *value += jump);
        }
    }

    fn second_season(&mut self, path: &mut [f64]) {
        let steps = period(self.random, self.frame.past);
        if steps == self.frame.period() {
            return;
        }
        let shape = pattern(self.random, steps);
        let size = self.frame.amplitude * self.random.uniform(0.2, 1.0);
        path.iter_mut().enumerate().for_each(|(t, value)| *value += size * shape[t % steps]);
    }

    fn calendar(&mut self, path: &mut [f64]) {
        let shape = match self.frame.period() {
            12 => working_days(self.random, path.len()),
            7 => holidays(self.random, path.len()),
            _ => return,
        };
        let size = self.level(path).deviation * self.random.power(-1.3, -0.1);
        path.iter_mut().zip(shape).for_each(|(value, x)| *value += size * x);
    }

    /// Noise of which there is more where the level is high.
    fn level_noise(&mut self, path: &mut [f64]) {
        let counts = self.random.chance(0.4);
        let rate = self.random.power(0.7, 2.5);
        let size = self.random.power(-1.7, -0.5);
        for value in path.iter_mut() {
            *value = match counts {
                true => self.random.count(*value * rate) / rate,
                false => *value * libm::exp(size * self.random.normal() - 0.5 * size * size),
            };
        }
    }
}
