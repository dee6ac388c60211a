//! The output of a model for a batch, and how it is read: as points, intervals, samples or
//! probabilities.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::distribution::LocScale;
use crate::output_kind::{OutputKind, OutputSpec};
use crate::{Error, Result};

/// Output of a model's head for one batch.
///
/// [`Prediction::default`] is empty; a [`Session`](crate::Session) fills it again and again in the
/// same memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prediction {
    spec: Arc<OutputSpec>,
    /// The numbers as the head gives them, see [`OutputKind`].
    pub numbers: Vec<f32>,
    /// Sums of segments, `[B, S, C']`, with the hierarchical head; empty without.
    pub aggregates: Vec<f32>,
    /// Shift of every window and channel, `[B, C]`, which a distribution is relative to; empty for
    /// a plain point forecast, which is un-scaled already.
    pub loc: Vec<f32>,
    /// Scale of every window and channel, `[B, C]`; as `loc`.
    pub scale: Vec<f32>,
}

/// Which samples are drawn from a prediction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SampleOptions {
    /// Samples of every point.
    pub count: usize,
    /// Another seed draws other samples.
    pub seed: u64,
    /// Number of the first window of the batch: a window draws the same by its number, whatever
    /// batch it is in, and no two windows draw alike.
    pub first_window: u64,
}

/// One point of a forecast: places in `[B, H, C']` and `[B, C]`.
struct Place {
    point: usize,
    channel: usize,
}

impl Prediction {
    /// An empty prediction of a model whose output is described by `spec`.
    pub fn new(spec: &Arc<OutputSpec>) -> Self {
        Self { spec: Arc::clone(spec), ..Self::default() }
    }

    /// Empties the numbers, keeps their memory, and takes those of `spec` from now on.
    pub fn reset(&mut self, spec: &Arc<OutputSpec>) {
        self.spec.clone_from(spec);
        let Self { numbers, aggregates, loc, scale, .. } = self;
        [numbers, aggregates, loc, scale].into_iter().for_each(Vec::clear);
    }

    /// What the numbers are, with their lengths.
    pub fn spec(&self) -> &Arc<OutputSpec> {
        &self.spec
    }

    /// What the numbers are.
    pub fn kind(&self) -> &OutputKind {
        self.spec.kind()
    }

    /// The point forecast `[B, H, C']`, in the units of the batch: the forecast itself, the mean of
    /// a distribution, the median of quantiles. Numbers of another kind are given as they are.
    pub fn points(&self) -> Vec<f32> {
        let mut points = Vec::new();
        self.points_into(&mut points);
        points
    }

    /// As [`Prediction::points`], into memory that is there already.
    pub fn points_into(&self, points: &mut Vec<f32>) {
        points.clear();
        match self.kind() {
            OutputKind::Distribution(distribution) => {
                let count = distribution.num_parameters();
                points.extend(self.places().map(|place| {
                    let parameters = self.parameters(place.point, count);
                    distribution.mean(&parameters, self.window(place.channel)) as f32
                }));
            }
            OutputKind::Quantiles(levels) => {
                let rows = self.numbers.chunks_exact(levels.len());
                points.extend(rows.map(|row| interpolate(levels, row, 0.5) as f32));
            }
            _ => points.extend_from_slice(&self.numbers),
        }
    }

    /// The quantile of every point at `level` in (0, 1), `[B, H, C']`, in the units of the batch. A
    /// quantile head is interpolated between its levels and keeps its outermost ones beyond them; a
    /// point forecast is its own quantile at every level.
    pub fn quantiles(&self, level: f64) -> Vec<f64> {
        match self.kind() {
            OutputKind::Distribution(_) => {
                let places: Vec<Place> = self.places().collect();
                places.into_par_iter().map(|place| self.quantile_of(&place, level)).collect()
            }
            OutputKind::Quantiles(levels) => {
                let rows = self.numbers.chunks_exact(levels.len());
                rows.map(|row| interpolate(levels, row, level)).collect()
            }
            _ => self.numbers.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// Draws samples of every point, `[count, B, H, C']`, in the units of the batch, each point by
    /// itself.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the head forecasts points only, or no points at all.
    pub fn sample(&self, options: SampleOptions) -> Result<Vec<f64>> {
        if !self.kind().is_probabilistic() {
            let text =
                "is \"mse\": a point forecast has nothing to draw from (use nll or quantile)";
            return Err(Error::config("loss", text));
        }
        let SampleOptions { count, seed, first_window } = options;
        let each = self.spec.points_per_window();
        let points = self.places().count();
        let mut samples = vec![0.0; count * points];
        for place in self.places() {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(first_window * each as u64 + place.point as u64);
            for k in 0..count {
                // Strictly inside (0, 1).
                let level = (random.random::<u32>() as f64 + 0.5) / 4_294_967_296.0;
                samples[k * points + place.point] = self.quantile_of(&place, level);
            }
        }
        Ok(samples)
    }

    /// Probabilities of the classes, `[B, num_targets]`, each row adding up to 1: the softmax of
    /// the logits of a classification; `None` for another kind.
    pub fn probabilities(&self) -> Option<Vec<f64>> {
        (*self.kind() == OutputKind::Logits)
            .then(|| softmax(&self.numbers, self.spec.num_targets()))
    }

    /// Values of a regression, `[B, num_targets]`, in the units of `target_values`: the value
    /// itself or the mean of its distribution; `None` for another kind.
    pub fn values(&self) -> Option<Vec<f64>> {
        let OutputKind::Values(distribution) = self.kind() else { return None };
        let Some(distribution) = distribution else {
            return Some(self.numbers.iter().map(|&x| f64::from(x)).collect());
        };
        let (count, targets) = (distribution.num_parameters(), self.spec.num_targets());
        let mut means = Vec::with_capacity(self.numbers.len() / count);
        for case in self.numbers.chunks_exact(count * targets) {
            for target in 0..targets {
                let parameters: Vec<f64> =
                    (0..count).map(|k| f64::from(case[k * targets + target])).collect();
                means.push(distribution.mean(&parameters, LocScale::NONE));
            }
        }
        Some(means)
    }

    fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let (all, channels) = (self.spec.num_input_channels(), self.spec.channels());
        let each = self.spec.points_per_window();
        let batch = self.loc.len() / all;
        (0..batch * each).map(move |point| {
            let (b, c) = (point / each, channels[point % channels.len()]);
            Place { point, channel: b * all + c }
        })
    }

    /// The parameters of the distribution of one point.
    fn parameters(&self, point: usize, count: usize) -> Vec<f64> {
        let each = self.spec.points_per_window();
        let (b, rest) = (point / each, point % each);
        let place = |k: usize| (b * count + k) * each + rest;
        (0..count).map(|k| f64::from(self.numbers[place(k)])).collect()
    }

    /// Shift and scale of a window's channel.
    fn window(&self, channel: usize) -> LocScale {
        LocScale { loc: self.loc[channel].into(), scale: self.scale[channel].into() }
    }

    fn quantile_of(&self, place: &Place, level: f64) -> f64 {
        match self.kind() {
            OutputKind::Distribution(distribution) => {
                let parameters = self.parameters(place.point, distribution.num_parameters());
                distribution.quantile(&parameters, self.window(place.channel), level)
            }
            OutputKind::Quantiles(levels) => {
                let row = &self.numbers[place.point * levels.len()..][..levels.len()];
                interpolate(levels, row, level)
            }
            _ => f64::from(self.numbers[place.point]),
        }
    }
}

/// Softmax of logits `[rows, classes]`: probabilities, each row adding up to 1.
pub fn softmax(logits: &[f32], classes: usize) -> Vec<f64> {
    let mut probabilities = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(classes) {
        let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| max.max(x));
        let powers: Vec<f64> = row.iter().map(|&x| f64::from(x - max).exp()).collect();
        let sum: f64 = powers.iter().sum();
        probabilities.extend(powers.iter().map(|power| power / sum));
    }
    probabilities
}

/// Between the two levels around `level`; the outermost value beyond them.
fn interpolate(levels: &[f64], values: &[f32], level: f64) -> f64 {
    let after = levels.partition_point(|&known| known < level);
    if after == 0 {
        return f64::from(values[0]);
    }
    if after == levels.len() {
        return f64::from(values[after - 1]);
    }
    let share = (level - levels[after - 1]) / (levels[after] - levels[after - 1]);
    let (low, high) = (f64::from(values[after - 1]), f64::from(values[after]));
    low + share * (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Extension, Task};

    /// A prediction of one window and one channel.
    fn prediction(change: impl Fn(&mut Config), numbers: &[f32], window: (f32, f32)) -> Prediction {
        let mut config = Config { prediction_length: 2, ..Config::default() };
        change(&mut config);
        let mut prediction = Prediction::new(&Arc::new(OutputSpec::new(&config).unwrap()));
        prediction.numbers.extend_from_slice(numbers);
        prediction.loc.push(window.0);
        prediction.scale.push(window.1);
        prediction
    }

    fn normal(config: &mut Config) {
        (config.loss, config.distribution_output) = ("nll".into(), "normal".into());
    }

    #[test]
    fn a_normal_distribution_has_its_textbook_interval() {
        // loc of both steps, then scale of both steps.
        let prediction = prediction(normal, &[0.0, 1.0, 1.0, 0.5], (10.0, 2.0));
        assert_eq!(prediction.points(), [10.0, 12.0]);
        let high = prediction.quantiles(0.975);
        assert!((high[0] - (10.0 + 2.0 * 1.959_963_985)).abs() < 1e-6);
        assert!((high[1] - (12.0 + 1.959_963_985)).abs() < 1e-6);
        let draw = |seed, first_window| {
            prediction.sample(SampleOptions { count: 4000, seed, first_window }).unwrap()
        };
        let samples = draw(7, 0);
        let mean = samples.iter().step_by(2).sum::<f64>() / 4000.0;
        assert!((mean - 10.0).abs() < 0.15, "{mean}");
        assert_eq!(samples, draw(7, 0));
        assert_ne!(samples, draw(8, 0));
        assert_ne!(samples, draw(7, 1));
    }

    #[test]
    fn quantiles_are_interpolated_and_points_cannot_be_drawn() {
        let levels = |config: &mut Config| {
            let quantiles = Some(vec![0.1, 0.5, 0.9]);
            config.ptsm = Some(Extension { quantiles, ..Extension::default() });
        };
        let quantiles = prediction(levels, &[1.0, 2.0, 4.0, 0.0, 0.0, 0.0], (0.0, 1.0));
        assert_eq!(quantiles.points(), [2.0, 0.0]);
        assert_eq!(quantiles.quantiles(0.7), [3.0, 0.0]);
        assert_eq!(quantiles.quantiles(0.99), [4.0, 0.0]);
        let points = prediction(|_| (), &[1.0, 2.0], (0.0, 1.0));
        assert_eq!(points.quantiles(0.3), [1.0, 2.0]);
        assert!(points.sample(SampleOptions { count: 1, ..SampleOptions::default() }).is_err());
    }

    #[test]
    fn classes_have_probabilities_and_regressions_values() {
        let of = |task: Task| {
            move |config: &mut Config| {
                config.architectures = Some(vec![task.architecture().to_owned()]);
                config.num_targets = 2;
            }
        };
        let logits = prediction(of(Task::Classification), &[0.0, 0.0], (0.0, 1.0));
        assert_eq!(logits.probabilities(), Some(vec![0.5, 0.5]));
        assert_eq!(logits.values(), None);
        let values = prediction(of(Task::Regression), &[3.0, 4.0], (0.0, 1.0));
        assert_eq!(values.values(), Some(vec![3.0, 4.0]));
        assert_eq!(values.probabilities(), None);
        let both = |config: &mut Config| {
            of(Task::Regression)(config);
            normal(config);
        };
        // The means of both targets, then their scales.
        let means = prediction(both, &[3.0, 4.0, 1.0, 1.0], (9.0, 9.0));
        assert_eq!(means.values(), Some(vec![3.0, 4.0]));
    }
}
