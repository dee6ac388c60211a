//! From what a forecasting head puts out to points, intervals and samples, whatever the head.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::config::{Config, Extension};
use crate::prediction::Prediction;
use crate::{Error, Result};

/// Reads the outputs of one forecasting head.
#[derive(Debug, Clone)]
pub struct Reader {
    config: Config,
    channels: Vec<usize>,
}

/// One point of a forecast: places in `[B, H, C']` and `[B, C]`.
struct Place {
    point: usize,
    channel: usize,
}

impl Reader {
    /// For outputs of a model with this configuration.
    pub fn new(config: &Config) -> Self {
        Self { config: config.clone(), channels: config.prediction_channels() }
    }

    /// The channels that are forecast, C'.
    pub fn channels(&self) -> &[usize] {
        &self.channels
    }

    /// Whether the head itself says how sure it is.
    pub fn is_probabilistic(&self) -> bool {
        self.config.distribution().is_some() || self.config.extension().quantiles.is_some()
    }

    fn places(&self, output: &Prediction) -> impl Iterator<Item = Place> + '_ {
        let (all, steps, kept) =
            (self.config.num_input_channels, self.config.prediction_length, self.channels.len());
        let batch = output.loc.len() / all;
        (0..batch * steps * kept).map(move |point| {
            let (b, c) = (point / (steps * kept), self.channels[point % kept]);
            Place { point, channel: b * all + c }
        })
    }

    /// The parameters of the law of one point.
    fn parameters(&self, output: &Prediction, point: usize, count: usize) -> Vec<f64> {
        let each = self.config.prediction_length * self.channels.len();
        let (b, rest) = (point / each, point % each);
        let place = |k: usize| (b * count + k) * each + rest;
        (0..count).map(|k| f64::from(output.prediction[place(k)])).collect()
    }

    /// The point forecast `[B, H, C']`, in the units of the batch: the forecast itself, the mean of
    /// a law, the median of quantiles.
    pub fn points(&self, output: &Prediction) -> Vec<f32> {
        let mut points = Vec::new();
        self.points_into(output, &mut points);
        points
    }

    /// As [`Reader::points`], into memory that is there already.
    pub fn points_into(&self, output: &Prediction, points: &mut Vec<f32>) {
        points.clear();
        if let Some(law) = self.config.distribution() {
            let count = law.num_parameters();
            points.extend(self.places(output).map(|place| {
                let parameters = self.parameters(output, place.point, count);
                law.mean(&parameters, window(output, place.channel)) as f32
            }));
            return;
        }
        match self.config.extension() {
            Extension { quantiles: Some(levels), .. } => {
                let rows = output.prediction.chunks_exact(levels.len());
                points.extend(rows.map(|row| interpolate(&levels, row, 0.5) as f32));
            }
            _ => points.extend_from_slice(&output.prediction),
        }
    }

    /// The quantile of every point at `level` in (0, 1), `[B, H, C']`. A quantile head is
    /// interpolated between its levels and keeps its outermost ones beyond them; a point forecast
    /// is its own quantile at every level.
    pub fn quantiles(&self, output: &Prediction, level: f64) -> Vec<f64> {
        if let Some(law) = self.config.distribution() {
            let count = law.num_parameters();
            let places: Vec<Place> = self.places(output).collect();
            return places
                .into_par_iter()
                .map(|place| {
                    let parameters = self.parameters(output, place.point, count);
                    law.quantile(&parameters, window(output, place.channel), level)
                })
                .collect();
        }
        match self.config.extension() {
            Extension { quantiles: Some(levels), .. } => {
                let rows = output.prediction.chunks_exact(levels.len());
                rows.map(|row| interpolate(&levels, row, level)).collect()
            }
            _ => output.prediction.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// Draws `count` samples of every point, `[count, B, H, C']`, each point by itself.
    /// `first_window` is the number of the first window of the batch: a window draws the same by
    /// its number, whatever batch it is in, and no two windows draw alike.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the head forecasts points only.
    pub fn sample(
        &self,
        output: &Prediction,
        count: usize,
        (seed, first_window): (u64, u64),
    ) -> Result<Vec<f64>> {
        if !self.is_probabilistic() {
            let text =
                "is \"mse\": a point forecast has nothing to draw from (use nll or quantile)";
            return Err(Error::config("loss", text));
        }
        let each = self.config.prediction_length * self.channels.len();
        let points = self.places(output).count();
        let mut samples = vec![0.0; count * points];
        for place in self.places(output) {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(first_window * each as u64 + place.point as u64);
            for k in 0..count {
                // Strictly inside (0, 1).
                let level = (random.random::<u32>() as f64 + 0.5) / 4_294_967_296.0;
                samples[k * points + place.point] = self.quantile_of(output, &place, level);
            }
        }
        Ok(samples)
    }

    fn quantile_of(&self, output: &Prediction, place: &Place, level: f64) -> f64 {
        match (self.config.distribution(), self.config.extension().quantiles) {
            (Some(law), _) => {
                let parameters = self.parameters(output, place.point, law.num_parameters());
                law.quantile(&parameters, window(output, place.channel), level)
            }
            (None, Some(levels)) => {
                let row = &output.prediction[place.point * levels.len()..][..levels.len()];
                interpolate(&levels, row, level)
            }
            (None, None) => f64::from(output.prediction[place.point]),
        }
    }
}

fn window(output: &Prediction, channel: usize) -> (f64, f64) {
    (f64::from(output.loc[channel]), f64::from(output.scale[channel]))
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

    fn config(change: impl Fn(&mut Config)) -> Config {
        let mut config = Config { prediction_length: 2, ..Config::default() };
        change(&mut config);
        config
    }

    #[test]
    fn a_normal_law_has_its_textbook_interval() {
        let config = config(|c| {
            (c.loss, c.distribution_output) = ("nll".into(), "normal".into());
        });
        // loc of both steps, then scale of both steps.
        let prediction = vec![0.0, 1.0, 1.0, 0.5];
        let output =
            Prediction { prediction, loc: vec![10.0], scale: vec![2.0], ..Prediction::default() };
        let reader = Reader::new(&config);
        assert_eq!(reader.points(&output), [10.0, 12.0]);
        let high = reader.quantiles(&output, 0.975);
        assert!((high[0] - (10.0 + 2.0 * 1.959_963_985)).abs() < 1e-6);
        assert!((high[1] - (12.0 + 1.959_963_985)).abs() < 1e-6);
        let samples = reader.sample(&output, 4000, (7, 0)).unwrap();
        let mean = samples.iter().step_by(2).sum::<f64>() / 4000.0;
        assert!((mean - 10.0).abs() < 0.15, "{mean}");
        assert_eq!(samples, reader.sample(&output, 4000, (7, 0)).unwrap());
        assert_ne!(samples, reader.sample(&output, 4000, (8, 0)).unwrap());
        assert_ne!(samples, reader.sample(&output, 4000, (7, 1)).unwrap());
    }

    #[test]
    fn quantiles_are_interpolated_and_points_cannot_be_drawn() {
        let quantiles = Some(vec![0.1, 0.5, 0.9]);
        let config = config(|c| {
            c.ptsm = Some(Extension { quantiles: quantiles.clone(), ..Extension::default() });
        });
        let prediction = vec![1.0, 2.0, 4.0, 0.0, 0.0, 0.0];
        let output =
            Prediction { prediction, loc: vec![0.0], scale: vec![1.0], ..Prediction::default() };
        let reader = Reader::new(&config);
        assert_eq!(reader.points(&output), [2.0, 0.0]);
        assert_eq!(reader.quantiles(&output, 0.7), [3.0, 0.0]);
        assert_eq!(reader.quantiles(&output, 0.99), [4.0, 0.0]);
        assert!(Reader::new(&Config::default()).sample(&output, 1, (0, 0)).is_err());
    }
}
