//! [`Simulator`]: series by number.

use crate::effects::{Effects, Level};
use crate::frame::{Frame, NoiseKind};
use crate::mix::{Effect, Family, Mix};
use crate::paths;
use crate::random::Random;

/// Raised with every change to a number of a series or a window.
pub const VERSION: u32 = 1;

/// Draws in a row that may give a constant or boundless series before a walk is taken instead.
const TRIES: usize = 20;

/// The largest deviation of a series.
const LARGEST: f64 = 1e12;

/// Simulated series, numbered from 0: each is a function of the seed, the mix, its number and its
/// lengths alone.
///
/// ```
/// use ptsm_simulate::{Mix, Simulator};
///
/// let simulator = Simulator::new(7, Mix::default());
/// let series = simulator.series(123_456_789, 100);
/// assert_eq!(series.values.len(), 100);
/// assert_eq!(series, simulator.series(123_456_789, 100));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Simulator {
    seed: u64,
    mix: Mix,
}

/// One simulated series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SimulatedSeries {
    /// What its path is.
    pub family: Family,
    /// Steps of its season; 0 = none. A family that has seasons of its own (`two-seasons`) or none
    /// (`walk`) does not look at it.
    pub period: usize,
    /// Its values, in no unit in particular; all finite.
    pub values: Vec<f64>,
}

impl Simulator {
    /// The series of `seed`.
    pub fn new(seed: u64, mix: Mix) -> Self {
        Self { seed, mix }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Families and effects with their weights.
    pub fn mix(&self) -> &Mix {
        &self.mix
    }

    /// Series number `index` with `length` points, at least 8 of them.
    ///
    /// # Panics
    ///
    /// If it would have fewer than 8 points.
    pub fn series(&self, index: u64, length: usize) -> SimulatedSeries {
        self.draw(&mut self.random(index), [length, length])
    }

    /// The random numbers of series `index`.
    pub(crate) fn random(&self, index: u64) -> Random {
        Random::new(self.seed, index)
    }

    /// A series of `total` points whose first `past` are seen: they are not constant.
    pub(crate) fn draw(&self, random: &mut Random, lengths: [usize; 2]) -> SimulatedSeries {
        let [past, total] = lengths;
        assert!(past >= 5 && total >= 8, "a series of {total} points, {past} of them seen");
        for _ in 0..TRIES {
            let series = self.try_draw(random, lengths);
            let Level { deviation, .. } = Level::of(&series.values[..past]);
            let finite = series.values.iter().all(|value| value.is_finite());
            if finite && deviation > 1e-9 && deviation < LARGEST {
                return series;
            }
        }
        let kind = NoiseKind { heavy: false, seasonal: false };
        let frame = Frame::draw(random, lengths, kind);
        let values = paths::draw(Family::Walk, &frame, random);
        SimulatedSeries { family: Family::Walk, period: frame.period(), values }
    }

    fn try_draw(&self, random: &mut Random, lengths: [usize; 2]) -> SimulatedSeries {
        let family = Family::ALL[random.choose(self.mix.weights())];
        let kind = NoiseKind {
            heavy: random.chance(self.mix.chance(Effect::HeavyTails)),
            seasonal: random.chance(self.mix.chance(Effect::SeasonalVariance)),
        };
        let frame = Frame::draw(random, lengths, kind);
        let mut values = paths::draw(family, &frame, random);
        let mut effects = Effects { frame: &frame, mix: &self.mix, random };
        if !matches!(family, Family::Counts | Family::Walk) {
            effects.add(&mut values);
        }
        // Counts are whole numbers, and growth multiplies already.
        if !matches!(family, Family::Counts | Family::Growth) {
            effects.transform(&mut values);
        }
        effects.disturb(&mut values);
        if family == Family::Counts {
            values.iter_mut().for_each(|value| *value = value.round().max(0.0));
        }
        SimulatedSeries { family, period: frame.period(), values }
    }
}
