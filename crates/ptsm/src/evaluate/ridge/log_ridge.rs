//! A linear regression on differences of logarithms: for positive series, above all many short ones.
//!
//! Each window is scaled by level ([`LevelWindow`]), so the regression forecasts `ln(y / level)` from `ln(x / level)`
//! and from which points are missing. Each step of the horizon has weights of its own, shared by all series and
//! channels. They minimise an absolute or a percentage error by reweighted least squares: with `r` the
//! residual, a row counts `loss'(r) / r`.

use ptsm_core::train::PercentLoss;
use ptsm_core::{LevelWindow, LinearDims, Real};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::cholesky::Cholesky;
use crate::data::{Batch, WindowSet};
use crate::{Error, Result};

/// Penalties that are tried, as shares of the weight of all rows times the mean square of the points, so that series
/// which vary by a thousandth of their level are fitted as those which double.
const PENALTIES: [f64; 3] = [2e-3, 2e-2, 2e-1];

/// What stands for the mean square of the points in the penalty of what is missing, which is 0 or 1.
const MISSING_SQUARE: f64 = 0.05;

/// The same for the constant: enough to solve the equations where it is all there is.
const CONSTANT_PENALTY: f64 = 1e-9;

/// Rounds of reweighting after plain least squares.
const ROUNDS: usize = 3;

/// Residuals below this share of their mean count as large: no row has a boundless weight.
const LEAST_RESIDUAL: f64 = 0.05;

/// Residuals of larger forecasts are cut here before they are weighted by percents.
const MOST_RESIDUAL: f64 = 1.5;

/// Multiply-adds of a fit, beyond which rows are thinned, evenly.
const WORK: usize = 40_000_000_000;

/// Numbers of the rows, at most.
const NUMBERS: usize = 16_000_000;

/// Windows that are read at once.
const AT_ONCE: usize = 256;

/// Rows whose products are summed in single precision.
const CHUNK: usize = 512;

/// What a fit minimises, and how windows are scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRidgeOptions {
    /// Last observed points that the level of a window is the mean of: a season, or 1.
    pub season: usize,
    /// A percentage error; `None` = the absolute error of logarithms.
    pub loss: Option<PercentLoss>,
    /// The penalty, as a share of the weight of all rows times the mean square of the points; `None` = chosen by validation windows.
    pub penalty: Option<f64>,
}

/// A linear forecaster of logarithms from `context_length` to `prediction_length` steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct LogRidge {
    context_length: usize,
    prediction_length: usize,
    /// Of [`LogRidgeOptions`].
    season: usize,
    penalty: f64,
    training_rows: usize,
    /// `[L, H]`, or `[2 L, H]` where points may be missing: those of the points, then of what is missing.
    weights: Vec<f32>,
    /// `[H]`.
    bias: Vec<f32>,
}

/// The fields of a file, before their lengths are checked.
#[derive(Deserialize)]
#[serde(rename = "LogRidge")]
struct Unchecked {
    context_length: usize,
    prediction_length: usize,
    season: usize,
    penalty: f64,
    training_rows: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl TryFrom<Unchecked> for LogRidge {
    type Error = Error;

    fn try_from(read: Unchecked) -> Result<Self> {
        let Unchecked { context_length, prediction_length, .. } = read;
        let once = context_length.checked_mul(prediction_length).filter(|&count| count > 0);
        let fits = once.is_some_and(|once| {
            [Some(once), once.checked_mul(2)].contains(&Some(read.weights.len()))
        });
        if !fits || read.bias.len() != prediction_length || read.season == 0 {
            return Err(Error::weights(format!(
                "ridge on logarithms from {context_length} to {prediction_length} steps, season {}, cannot have {} \
                 weights and {} biases",
                read.season,
                read.weights.len(),
                read.bias.len(),
            )));
        }
        Ok(Self {
            context_length,
            prediction_length,
            season: read.season,
            penalty: read.penalty,
            training_rows: read.training_rows,
            weights: read.weights,
            bias: read.bias,
        })
    }
}

/// The inputs of one channel of one window: the scaled points, and where `inputs` has room for them, which of them are
/// missing; the rest stays 0.
fn fill(past: &LevelWindow, inputs: &mut [f32]) {
    let length = past.scaled.len();
    let (points, missing) = inputs.split_at_mut(length);
    points.copy_from_slice(&past.scaled);
    for (into, &seen) in missing.iter_mut().zip(&past.observed) {
        *into = if seen { 0.0 } else { 1.0 };
    }
}

/// Windows as rows of a regression, one for each channel.
struct Rows {
    /// Inputs of a row, the constant 1 included, which is the last one.
    width: usize,
    /// Those of them that are points, the first ones.
    points: usize,
    /// `[N, width]`.
    inputs: Vec<f32>,
    /// `[N, H]`; NaN where a point is not known.
    targets: Vec<f64>,
    steps: usize,
}

impl Rows {
    /// At most `most` rows, evenly spread.
    fn of(windows: &WindowSet, season: usize, width: usize, most: usize) -> Self {
        let channels = windows.num_channels();
        let total = windows.len() * channels;
        let steps = windows.shape().prediction_length;
        let count = total.min(most);
        let chosen: Vec<usize> = (0..count).map(|i| i * total / count).collect();
        let points = windows.shape().context_length;
        let mut rows = Self { width, points, inputs: Vec::new(), targets: Vec::new(), steps };
        for part in chosen.chunks(AT_ONCE) {
            let indices: Vec<usize> = part.iter().map(|place| place / channels).collect();
            let batch = windows.batch(&indices);
            for (window, place) in part.iter().enumerate() {
                rows.push(&batch, window, place % channels, season);
            }
        }
        rows
    }

    /// Adds one channel of a window, if something of its past is known.
    fn push(&mut self, batch: &Batch, window: usize, channel: usize, season: usize) {
        let past = LevelWindow::of(batch, window, channel, season);
        if !past.observed.contains(&true) {
            return;
        }
        let start = self.inputs.len();
        self.inputs.resize(start + self.width, 0.0);
        fill(&past, &mut self.inputs[start..start + self.width - 1]);
        self.inputs[start + self.width - 1] = 1.0;
        let (channels, steps) = (batch.num_channels(), self.steps);
        let place = |step: usize| (window * steps + step) * channels + channel;
        let future = batch.future_values().unwrap_or_default();
        let mask = batch.future_observed_mask();
        let target = |step: usize| match mask.is_some_and(|mask| mask[place(step)] == 0.0) {
            true => f64::NAN,
            false => past.scale(future[place(step)]).into(),
        };
        self.targets.extend((0..steps).map(target));
    }

    fn len(&self) -> usize {
        self.inputs.len() / self.width
    }

    /// The inputs and the target of one step of every row in which it is known.
    fn known(&self, step: usize) -> impl Iterator<Item = (&[f32], f64)> {
        let targets = self.targets.iter().skip(step).step_by(self.steps);
        self.inputs.chunks_exact(self.width).zip(targets.copied()).filter(|(_, y)| !y.is_nan())
    }

    /// Sums of the products of inputs, and of inputs with the target, each row times its weight, which `weigh` gives
    /// from inputs and target.
    fn moments(&self, step: usize, weigh: &dyn Fn(&[f32], f64) -> f64) -> Moments {
        let width = self.width;
        let mut sums =
            Moments { gram: vec![0.0; width * width], cross: vec![0.0; width], weight: 0.0 };
        let (mut inputs, mut weighted) = (Vec::new(), Vec::new());
        for (row, y) in self.known(step) {
            let w = weigh(row, y);
            sums.weight += w;
            sums.cross.iter_mut().zip(row).for_each(|(sum, &x)| *sum += w * y * f64::from(x));
            inputs.extend_from_slice(row);
            weighted.extend(row.iter().map(|&x| w as f32 * x));
            if inputs.len() == CHUNK * width {
                sums.add(&inputs, &weighted);
                inputs.clear();
                weighted.clear();
            }
        }
        sums.add(&inputs, &weighted);
        sums
    }

    /// The weights that minimise `sum of w (y - x weights)^2`, for each penalty; `weigh` as in [`Rows::moments`].
    fn solve(
        &self,
        step: usize,
        penalties: &[f64],
        weigh: &dyn Fn(&[f32], f64) -> f64,
    ) -> Option<Vec<Vec<f64>>> {
        let Moments { gram, cross, weight } = self.moments(step, weigh);
        let width = self.width;
        let points = self.points;
        let squares = (0..points).map(|i| gram[i * width + i]).sum::<f64>() / points as f64;
        let with = |&penalty: &f64| {
            let mut matrix = gram.clone();
            for i in 0..width {
                matrix[i * width + i] += match i {
                    // Where all points are equal, too, the equations have a solution.
                    i if i < points => penalty * squares + CONSTANT_PENALTY * weight,
                    i if i + 1 < width => penalty * MISSING_SQUARE * weight,
                    _ => CONSTANT_PENALTY * weight,
                };
            }
            let mut solution = cross.clone();
            Cholesky::factor(matrix, width)?.solve(&mut solution, 1);
            Some(solution)
        };
        penalties.iter().map(with).collect()
    }

    /// Sum of the absolute errors of one step.
    fn error(&self, step: usize, weights: &[f64]) -> f64 {
        self.known(step).map(|(row, y)| (product(row, weights) - y).abs()).sum()
    }

    /// The weights of the next round.
    fn reweighted(
        &self,
        step: usize,
        weights: &[f64],
        penalty: f64,
        loss: Option<PercentLoss>,
    ) -> Option<Vec<f64>> {
        let count = self.known(step).count().max(1) as f64;
        let least = LEAST_RESIDUAL * self.error(step, weights) / count;
        let weigh = |row: &[f32], y: f64| weight(loss, product(row, weights) - y, least);
        self.solve(step, &[penalty], &weigh)?.pop()
    }
}

/// Weighted sums over rows.
struct Moments {
    /// `[width, width]`.
    gram: Vec<f64>,
    /// `[width]`.
    cross: Vec<f64>,
    weight: f64,
}

impl Moments {
    /// Adds the products of some rows, `[N, width]`, with the same rows times their weights.
    fn add(&mut self, inputs: &[f32], weighted: &[f32]) {
        let width = self.cross.len();
        let dims = LinearDims { rows: inputs.len() / width, inputs: width, outputs: width };
        let (mut products, mut sums) = (vec![0.0; width * width], vec![0.0; width]);
        f32::linear_d_weight(dims, weighted, inputs, &mut products, &mut sums);
        self.gram.iter_mut().zip(products).for_each(|(sum, x)| *sum += f64::from(x));
    }
}

fn product(row: &[f32], weights: &[f64]) -> f64 {
    row.iter().zip(weights).map(|(&x, w)| f64::from(x) * w).sum()
}

/// What a row counts in the next round, for the residual `forecast - target` of logarithms; those below `least` count as
/// that.
fn weight(loss: Option<PercentLoss>, residual: f64, least: f64) -> f64 {
    let slope = match loss {
        None => 1.0,
        // |exp(r) - 1|
        Some(PercentLoss::Mape) => residual.min(MOST_RESIDUAL).exp(),
        // 2 |tanh(r / 2)|
        Some(PercentLoss::Smape) => (0.5 * residual).cosh().powi(-2),
    };
    slope / residual.abs().max(least).max(f64::MIN_POSITIVE.sqrt())
}

impl LogRidge {
    /// How far below the least point of its window a forecast may lie, as the logarithm of 10.
    pub const BELOW: f32 = std::f32::consts::LN_10;
    /// How far above the greatest one, as the logarithm of 5.
    pub const ABOVE: f32 = 1.609_438;

    /// Fits the weights on the known points of training windows, which may be
    /// [partial](WindowSet::partial); the penalty is the one with the least error on the validation windows.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are fewer than two rows (windows x channels) for each weight of a step, or the equations
    /// cannot be solved.
    pub fn fit(
        train: &WindowSet,
        validation: &WindowSet,
        options: LogRidgeOptions,
    ) -> Result<Self> {
        let LogRidgeOptions { season, loss, penalty } = options;
        let shape = train.shape();
        let masked = |windows: &WindowSet| {
            windows.segments().iter().any(|segment| segment.series.observed_mask.is_some())
        };
        let inputs = match masked(train) || masked(validation) {
            true => 2 * shape.context_length,
            false => shape.context_length,
        };
        let width = inputs + 1;
        let each = width * width * shape.prediction_length * (ROUNDS + 1);
        let most = (WORK / each).min(NUMBERS / width);
        let count = (train.len() * train.num_channels()).min(most);
        if count < 2 * width {
            return Err(too_few(count, width));
        }
        let rows = Rows::of(train, season, width, most);
        if rows.len() < 2 * width {
            return Err(too_few(rows.len(), width));
        }
        let judged = Rows::of(validation, season, width, most);
        let start = start(&rows, &judged, penalty)?;
        let steps: Vec<usize> = (0..shape.prediction_length).collect();
        // Collected in order: the same bits for any number of threads.
        let fitted = steps.par_iter().map(|&step| {
            let mut weights = start.weights[step].clone();
            for _ in 0..ROUNDS {
                weights = rows.reweighted(step, &weights, start.penalty, loss)?;
            }
            Some(weights)
        });
        let fitted: Option<Vec<Vec<f64>>> = fitted.collect();
        let fitted = fitted.ok_or_else(unsolvable)?;
        let number = |input: usize| fitted.iter().map(move |weights| weights[input] as f32);
        Ok(Self {
            context_length: shape.context_length,
            prediction_length: shape.prediction_length,
            season,
            penalty: start.penalty,
            training_rows: rows.len(),
            weights: (0..inputs).flat_map(number).collect(),
            bias: number(inputs).collect(),
        })
    }

    /// Past steps, L.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Future steps, H.
    pub fn prediction_length(&self) -> usize {
        self.prediction_length
    }

    /// The penalty, as a share of the weight of all rows times the mean square of the points.
    pub fn penalty(&self) -> f64 {
        self.penalty
    }

    /// Rows that it was fitted on: windows, counted once for each channel.
    pub fn training_rows(&self) -> usize {
        self.training_rows
    }

    /// Last observed points that the level of a window is the mean of.
    pub fn season(&self) -> usize {
        self.season
    }

    /// Whether which points are missing is an input, too.
    pub fn sees_gaps(&self) -> bool {
        self.weights.len() > self.context_length * self.prediction_length
    }

    /// Weights `[L, H]`, or `[2 L, H]` where points may be missing, row-major, and constants `[H]`.
    pub fn weights(&self) -> (&[f32], &[f32]) {
        (&self.weights, &self.bias)
    }

    /// Forecasts all channels of a batch: `[B, H, C]`, row-major, in the units of the batch.
    ///
    /// A forecast lies between a tenth of the least and five times the greatest point of its window, as distances from
    /// the data's zero. The forecast of a window has the same bits in any batch.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch has another context length.
    pub fn predict(&self, batch: &Batch) -> Result<Vec<f32>> {
        if batch.context_length() != self.context_length {
            return Err(Error::input(format!(
                "ridge on logarithms was fitted on context_length {}, the batch has {}",
                self.context_length,
                batch.context_length()
            )));
        }
        let channels = batch.num_channels();
        let each = self.prediction_length * channels;
        let mut forecast = vec![0.0; batch.size() * each];
        forecast.par_chunks_mut(each).enumerate().for_each(|(window, out)| {
            for channel in 0..channels {
                let numbers = self.predict_channel(batch, window, channel);
                let places = out.iter_mut().skip(channel).step_by(channels);
                places.zip(numbers).for_each(|(place, x)| *place = x);
            }
        });
        Ok(forecast)
    }

    /// The steps of one channel of one window.
    fn predict_channel(&self, batch: &Batch, window: usize, channel: usize) -> Vec<f32> {
        let past = LevelWindow::of(batch, window, channel, self.season);
        let steps = self.prediction_length;
        let mut inputs = vec![0.0; self.weights.len() / steps];
        fill(&past, &mut inputs);
        let mut sums: Vec<f64> = self.bias.iter().map(|&x| x.into()).collect();
        for (x, row) in inputs.iter().zip(self.weights.chunks_exact(steps)) {
            sums.iter_mut().zip(row).for_each(|(sum, &w)| *sum += f64::from(*x) * f64::from(w));
        }
        let seen =
            || past.scaled.iter().zip(&past.observed).filter(|(_, seen)| **seen).map(|(&x, _)| x);
        let least = seen().reduce(f32::min).unwrap_or_default() - Self::BELOW;
        let most = seen().reduce(f32::max).unwrap_or_default() + Self::ABOVE;
        sums.into_iter().map(|sum| past.value((sum as f32).clamp(least, most))).collect()
    }
}

fn too_few(rows: usize, weights: usize) -> Error {
    Error::input(format!(
        "ridge on logarithms: {rows} training rows (windows x channels, thinned where that is much work) are too few \
         for {weights} weights (with a shorter context_length or more data there are enough)"
    ))
}

fn unsolvable() -> Error {
    Error::input("ridge on logarithms: the equations cannot be solved (a series of equal values?)")
}

/// Least squares, from which reweighting starts.
struct Start {
    penalty: f64,
    /// Of each step.
    weights: Vec<Vec<f64>>,
}

fn start(rows: &Rows, judged: &Rows, penalty: Option<f64>) -> Result<Start> {
    let penalties = penalty.map_or(PENALTIES.to_vec(), |penalty| vec![penalty]);
    let steps: Vec<usize> = (0..rows.steps).collect();
    let solve = |&step: &usize| {
        let solutions = rows.solve(step, &penalties, &|_, _| 1.0)?;
        let errors: Vec<f64> =
            solutions.iter().map(|weights| judged.error(step, weights)).collect();
        Some((solutions, errors))
    };
    let solved: Option<Vec<_>> = steps.par_iter().map(solve).collect();
    let solved: Vec<(Vec<Vec<f64>>, Vec<f64>)> = solved.ok_or_else(unsolvable)?;
    let error = |number: &usize| solved.iter().map(|(_, errors)| errors[*number]).sum::<f64>();
    // Of equal ones the larger penalty, as without validation windows.
    let best = (0..penalties.len()).rev().min_by(|a, b| error(a).total_cmp(&error(b)));
    let best = best.unwrap_or_default();
    let weights = solved.into_iter().map(|(mut solutions, _)| solutions.swap_remove(best));
    Ok(Start { penalty: penalties[best], weights: weights.collect() })
}

#[cfg(test)]
mod tests;
