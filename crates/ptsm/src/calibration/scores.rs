//! From conformity scores to widths, also where there are few of them.

use serde::{Deserialize, Serialize};

use super::difficulty::{Difficulty, usable};
use crate::{Error, Result};
use ptsm_core::{Distribution, LocScale};

/// Which scores the width of an interval at one step of one channel was taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Those of this step and channel.
    #[default]
    None,
    /// Those of all steps of this channel, since a step has too few for the level. Scores of points
    /// are divided by the square root of the step first.
    Steps,
    /// Those of all steps and channels, since a channel has too few too.
    Channels,
    /// All scores, and even those are too few for the level: the width is that of Student's t, with
    /// three degrees of freedom for each window and no less than the largest score. The errors of one
    /// forecast go the same way, so a window tells less than its steps count; with three degrees the
    /// intervals of single series of M3 and tourism covered what they state (`docs/accuracy.md`).
    StudentT,
}

impl Pooling {
    /// In words; `points` is the number of scores.
    pub(super) fn method(self, points: usize) -> String {
        let s = if points == 1 { "" } else { "s" };
        match self {
            Self::None => format!("each step by its own {points} known point{s}"),
            Self::Steps => format!(
                "a step has too few known points for this level, so all steps together \
                 ({points} point{s})"
            ),
            Self::Channels => format!(
                "a channel has too few known points for this level, so all steps and channels \
                 together ({points} point{s})"
            ),
            Self::StudentT => format!(
                "{points} known point{s} in all are too few for this level, so widened by \
                 Student's t"
            ),
        }
    }
}

/// Degrees of freedom that one window is worth.
const DEGREES_PER_WINDOW: usize = 3;

/// One known point.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored {
    /// How far the truth lies outside the head's own interval; negative inside.
    pub(super) miss: f32,
    /// The difficulty of its window; NaN where the window does not show it.
    pub(super) difficulty: f32,
}

/// Known points by their place in `[H, C']`.
#[derive(Debug, Clone)]
pub(super) struct Scores {
    channels: usize,
    places: Vec<Vec<Scored>>,
}

/// Widths for each place.
pub(super) struct Fitted {
    /// `[H, C']`, in difficulties.
    pub(super) multiples: Vec<f64>,
    pub(super) pooling: Pooling,
    /// Scores that each multiple was taken from, at least.
    pub(super) points: usize,
}

impl Scores {
    pub(super) fn new(prediction_length: usize, channels: usize) -> Self {
        Self { channels, places: vec![Vec::new(); prediction_length * channels] }
    }

    /// Points of a window, H x C'.
    pub(super) fn per_window(&self) -> usize {
        self.places.len()
    }

    pub(super) fn push(&mut self, place: usize, scored: Scored) {
        self.places[place].push(scored);
    }

    /// A number for each channel, from the difficulties of its points.
    pub(super) fn by_channel(&self, of: fn(Vec<f64>) -> f64) -> Vec<f64> {
        let channel = |channel: usize| {
            let places = self.places.iter().skip(channel).step_by(self.channels);
            of(places.flatten().map(|scored| f64::from(scored.difficulty)).collect())
        };
        (0..self.channels).map(channel).collect()
    }

    /// The widths of one level; `typical` are the difficulties `[C']` of a typical window.
    pub(super) fn fit(
        &self,
        typical: &[f64],
        difficulty: Difficulty,
        level: f64,
        windows: usize,
    ) -> Result<Fitted> {
        let growth = |place: usize| difficulty.growth(place / self.channels + 1);
        let own = |place: usize| self.scores(place, typical[place % self.channels]);
        let grown = |place: usize| own(place).into_iter().map(move |x| x / growth(place));
        let of_channel = |channel: usize| -> Vec<f64> {
            (channel..self.places.len()).step_by(self.channels).flat_map(grown).collect()
        };
        let places = 0..self.places.len();
        if let Some(fitted) = quantiles(places.clone().map(own), level) {
            return Ok(fitted.pooled(Pooling::None));
        }
        let spread = |fitted: Fitted, pooling| {
            let channels = fitted.multiples.len();
            let width = |place: usize| fitted.multiples[place % channels] * growth(place);
            Fitted { multiples: places.clone().map(width).collect(), ..fitted }.pooled(pooling)
        };
        if let Some(fitted) = quantiles((0..self.channels).map(of_channel), level) {
            return Ok(spread(fitted, Pooling::Steps));
        }
        let all: Vec<f64> = (0..self.channels).flat_map(of_channel).collect();
        if let Some(fitted) = quantiles(std::iter::once(all.clone()), level) {
            return Ok(spread(fitted, Pooling::Channels));
        }
        let points = all.len();
        let degrees = points.min(DEGREES_PER_WINDOW * windows);
        let multiples = vec![student_t(&all, difficulty.half_width(), level, degrees)?];
        let fitted = Fitted { multiples, pooling: Pooling::StudentT, points };
        Ok(spread(fitted, Pooling::StudentT))
    }

    /// The scores of a place in difficulties.
    fn scores(&self, place: usize, typical: f64) -> Vec<f64> {
        let score = |scored: &Scored| {
            let found = (!scored.difficulty.is_nan()).then(|| f64::from(scored.difficulty));
            f64::from(scored.miss) / usable(found, typical)
        };
        self.places[place].iter().map(score).collect()
    }
}

impl Fitted {
    fn pooled(self, pooling: Pooling) -> Self {
        Self { pooling, ..self }
    }
}

/// The quantile of each list of scores; `None` if one of them has too few.
fn quantiles(lists: impl Iterator<Item = Vec<f64>>, level: f64) -> Option<Fitted> {
    let mut points = usize::MAX;
    let quantile = |scores: Vec<f64>| {
        points = points.min(scores.len());
        quantile(scores, level)
    };
    let multiples = lists.map(quantile).collect::<Option<Vec<f64>>>()?;
    Some(Fitted { multiples, pooling: Pooling::None, points })
}

/// The smallest score that `ceil((n + 1) level)` of `n` scores do not exceed; `None` for fewer than
/// `level / (1 - level)` scores.
fn quantile(mut scores: Vec<f64>, level: f64) -> Option<f64> {
    // The rank of exact arithmetic: 100 x 0.55 is 55, though the rounded product is larger.
    let rank = libm::ceil((scores.len() + 1) as f64 * level - 1e-9) as usize;
    scores.sort_unstable_by(f64::total_cmp);
    scores.get(rank.checked_sub(1)?).copied()
}

/// The width of the interval of Student's t for distances from the middle of the head's own interval,
/// which are the scores and half its width; at least the largest score.
fn student_t(scores: &[f64], half_width: f64, level: f64, degrees: usize) -> Result<f64> {
    let Some(largest) = scores.iter().copied().max_by(f64::total_cmp) else {
        let text = "not one point of the windows to calibrate on is known (use more rows)";
        return Err(Error::input(text));
    };
    let count = scores.len() as f64;
    let squares = scores.iter().map(|score| (score + half_width) * (score + half_width));
    let spread = libm::sqrt(squares.sum::<f64>() / count * (1.0 + 1.0 / count));
    let parameters = [degrees.max(1) as f64, 0.0, 1.0];
    let t = Distribution::StudentT.quantile(&parameters, LocScale::NONE, 0.5 + 0.5 * level);
    Ok((t * spread - half_width).max(largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: Difficulty = Difficulty::Change { season: 1 };

    /// Two steps of one channel, each with these misses in windows of difficulty 2.
    fn scores(misses: &[&[f32]]) -> Scores {
        let mut scores = Scores::new(misses.len(), 1);
        for (place, misses) in misses.iter().enumerate() {
            misses.iter().for_each(|&miss| scores.push(place, Scored { miss, difficulty: 2.0 }));
        }
        scores
    }

    #[test]
    fn the_quantile_is_the_corrected_one_and_needs_enough_points() {
        let scores: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(quantile(scores.clone(), 0.8), Some(8.0));
        assert_eq!(quantile(scores.clone(), 0.9), Some(9.0));
        let hundred: Vec<f64> = (1..=99).map(f64::from).collect();
        assert_eq!(quantile(hundred, 0.55), Some(55.0));
        assert_eq!(quantile(vec![0.0; 4], 0.8), Some(0.0));
        assert_eq!(quantile(scores, 0.95), None);
        assert_eq!(quantile(Vec::new(), 0.5), None);
    }

    #[test]
    fn steps_with_enough_points_have_widths_of_their_own() {
        let found = scores(&[&[2.0, 1.0, 4.0, 3.0], &[20.0, 10.0, 40.0, 30.0]]);
        let fitted = found.fit(&[2.0], CHANGE, 0.8, 4).unwrap();
        assert_eq!((fitted.multiples, fitted.points), (vec![2.0, 20.0], 4));
        assert_eq!(fitted.pooling, Pooling::None);
    }

    #[test]
    fn few_points_of_a_step_are_taken_together_with_those_of_others() {
        // Divided by the difficulty and the root of the step: 1, 2; 0.5, 1.
        let root = std::f32::consts::SQRT_2;
        let found = scores(&[&[2.0, 4.0], &[root, 2.0 * root]]);
        let fitted = found.fit(&[2.0], CHANGE, 0.8, 2).unwrap();
        assert_eq!((fitted.pooling, fitted.points), (Pooling::Steps, 4));
        assert_eq!(fitted.multiples[0], 2.0);
        assert!((fitted.multiples[1] - 2.0 * f64::from(root)).abs() < 1e-6);
        assert!(fitted.pooling.method(4).contains("all steps together (4 points)"));

        let mut two = Scores::new(2, 2);
        for place in 0..4 {
            two.push(place, Scored { miss: 2.0, difficulty: 2.0 });
        }
        let fitted = two.fit(&[2.0, 2.0], Difficulty::Width, 0.8, 1).unwrap();
        assert_eq!((fitted.pooling, fitted.points), (Pooling::Channels, 4));
        assert_eq!(fitted.multiples, [1.0; 4]);
    }

    #[test]
    fn too_few_points_for_a_level_widen_the_interval() {
        let found = scores(&[&[2.0], &[2.0]]);
        let fitted = found.fit(&[2.0], CHANGE, 0.95, 1).unwrap();
        assert_eq!((fitted.pooling, fitted.points), (Pooling::StudentT, 2));
        // Scores 1 and 1 / sqrt(2), t with two degrees of freedom 4.3027.
        let wanted = 4.302_652_7 * (0.75f64 * 1.5).sqrt();
        assert!((fitted.multiples[0] - wanted).abs() < 1e-5, "{:?}", fitted.multiples);
        assert!(fitted.pooling.method(2).contains("2 known points in all are too few"));
        // Of the head's own width: the truth was in the middle, so the interval is not wider.
        let inside = student_t(&[-0.5; 3], 0.5, 0.95, 3).unwrap();
        assert_eq!(inside, -0.5);
        assert_eq!(student_t(&[9.0, 0.0, 0.0], 0.0, 0.2, 3).unwrap(), 9.0);
        let none = Scores::new(2, 1).fit(&[1.0], CHANGE, 0.8, 0);
        assert!(none.is_err_and(|error| error.to_string().contains("not one point")));
    }
}
