//! The linear baseline: one ridge regression in closed form, shared by all channels.
//!
//! The mean (or the last value) of each context is subtracted and added back, the constant is not
//! penalised, and the penalty is picked on validation windows. There is no training loop and no
//! randomness, so its score is the reference that a trained model has to beat.

mod cholesky;
mod log_ridge;
mod moments;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::{Batch, WindowSet};
use crate::{Error, Result};
pub(crate) use cholesky::Cholesky;
use cholesky::add_scaled;
pub use log_ridge::{LogRidge, LogRidgeOptions};
use moments::Moments;
use ptsm_core::Location;

/// Penalties that are tried, in units of the number of training rows.
pub const PENALTIES: [f64; 4] = [1e-4, 1e-3, 1e-2, 1e-1];

/// Options of a fit; the default is the usual linear baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RidgeOptions<'a> {
    /// What is subtracted from each context and added back.
    pub location: Location,
    /// Whether a constant is fitted; without one, no drift of the training rows is extrapolated.
    pub constant: bool,
    /// Penalties that are tried, in units of the number of training rows.
    pub penalties: &'a [f64],
}

impl Default for RidgeOptions<'_> {
    fn default() -> Self {
        Self { location: Location::Mean, constant: true, penalties: &PENALTIES }
    }
}

/// Every how many validation windows the penalty is scored; neighbouring windows overlap and add
/// little.
const VALIDATION_STRIDE: usize = 8;

/// Steps of the horizon that are solved and scored as one task.
const BLOCK: usize = 48;

/// Steps of the horizon whose weights stay in the cache while rows pass.
const TILE: usize = 96;

/// Windows forecast as one task.
const WINDOWS: usize = 8;

/// A linear forecaster from `context_length` to `prediction_length` steps, the same for every
/// channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Ridge {
    context_length: usize,
    prediction_length: usize,
    penalty: f64,
    validation_mse: f64,
    training_rows: usize,
    /// What is subtracted from a context and added back.
    #[serde(default)]
    location: Location,
    /// `[L, H]`, row-major.
    weights: Vec<f32>,
    /// `[H]`.
    bias: Vec<f32>,
}

/// The fields of a file, before their lengths are checked.
#[derive(Deserialize)]
#[serde(rename = "Ridge")]
struct Unchecked {
    context_length: usize,
    prediction_length: usize,
    penalty: f64,
    validation_mse: f64,
    training_rows: usize,
    #[serde(default)]
    location: Location,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl TryFrom<Unchecked> for Ridge {
    type Error = Error;

    fn try_from(read: Unchecked) -> Result<Self> {
        let wanted = read.context_length.checked_mul(read.prediction_length);
        if Some(read.weights.len()) != wanted
            || read.bias.len() != read.prediction_length
            || read.weights.is_empty()
        {
            return Err(Error::weights(format!(
                "ridge from {} to {} steps cannot have {} weights and {} biases",
                read.context_length,
                read.prediction_length,
                read.weights.len(),
                read.bias.len(),
            )));
        }
        Ok(Self {
            context_length: read.context_length,
            prediction_length: read.prediction_length,
            penalty: read.penalty,
            validation_mse: read.validation_mse,
            training_rows: read.training_rows,
            location: read.location,
            weights: read.weights,
            bias: read.bias,
        })
    }
}

/// A solution for one penalty: `[L + 1, H]` weights, the constant last.
struct Candidate {
    penalty: f64,
    validation_mse: f64,
    weights: Vec<f64>,
}

impl Ridge {
    /// Fits the weights on every complete training window and picks the penalty of [`PENALTIES`]
    /// with the smallest error on every eighth complete validation window.
    ///
    /// A window counts once for each channel in which it has no missing point, context and future.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the two sets have different windows, if there are fewer complete training
    /// rows than weights for one step, if no validation window is complete, or if the values are so
    /// large that the equations cannot be solved.
    pub fn fit(train: &WindowSet, validation: &WindowSet) -> Result<Self> {
        Self::fit_with(train, validation, RidgeOptions::default())
    }

    /// As [`Ridge::fit`], with other choices.
    ///
    /// # Errors
    ///
    /// As [`Ridge::fit`].
    pub fn fit_with(
        train: &WindowSet,
        validation: &WindowSet,
        options: RidgeOptions<'_>,
    ) -> Result<Self> {
        let RidgeOptions { location, constant, penalties } = options;
        let (context_length, prediction_length) = lengths(train, validation)?;
        let fitted = Moments::of(train, 1, location);
        let judged = Moments::of(validation, VALIDATION_STRIDE, location);
        let inputs = context_length + 1;
        if fitted.rows < inputs {
            return Err(Error::input(format!(
                "ridge: {} complete training rows (windows x channels without a missing point) are \
                 too few for {inputs} weights; use a shorter context_length or more data",
                fitted.rows
            )));
        }
        if judged.rows == 0 {
            return Err(Error::input(
                "ridge: no complete validation window to pick the penalty on; use a shorter \
                 context_length or more validation data",
            ));
        }
        let mut best: Option<Candidate> = None;
        for &penalty in penalties {
            let Some(candidate) = solve(&fitted, &judged, penalty, constant) else {
                continue;
            };
            let better = |best: &Candidate| candidate.validation_mse < best.validation_mse;
            if best.as_ref().is_none_or(better) {
                best = Some(candidate);
            }
        }
        let best = best.ok_or_else(|| {
            Error::input("ridge: the equations cannot be solved; standardise the values first")
        })?;
        let weights: Vec<f32> = best.weights.iter().map(|&weight| weight as f32).collect();
        let (weights, bias) = weights.split_at(context_length * prediction_length);
        Ok(Self {
            context_length,
            prediction_length,
            penalty: best.penalty,
            validation_mse: best.validation_mse,
            training_rows: fitted.rows,
            location,
            weights: weights.to_vec(),
            bias: bias.to_vec(),
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

    /// The penalty that was picked, in units of the number of training rows.
    pub fn penalty(&self) -> f64 {
        self.penalty
    }

    /// Mean squared error of the picked penalty on the validation windows.
    pub fn validation_mse(&self) -> f64 {
        self.validation_mse
    }

    /// Complete training windows, counted once for each channel.
    pub fn training_rows(&self) -> usize {
        self.training_rows
    }

    /// What is subtracted from a context and added back.
    pub fn location(&self) -> Location {
        self.location
    }

    /// Weights `[L, H]`, row-major, and constants `[H]`.
    pub fn weights(&self) -> (&[f32], &[f32]) {
        (&self.weights, &self.bias)
    }

    /// Forecasts all channels of a batch.
    ///
    /// Returns `[B, H, C]`, row-major, in the units of the batch. A missing point counts as
    /// what is subtracted; a channel without any is forecast as the constant around 0.
    /// The forecast of a window has the same bits in any batch.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the batch has another context length.
    pub fn predict(&self, batch: &Batch) -> Result<Vec<f32>> {
        if batch.context_length() != self.context_length {
            return Err(Error::input(format!(
                "ridge was fitted on context_length {}, the batch has {}",
                self.context_length,
                batch.context_length()
            )));
        }
        let window = self.prediction_length * batch.num_channels();
        let mut forecast = vec![0.0; batch.size() * window];
        let chunks = forecast.par_chunks_mut(WINDOWS * window).enumerate();
        chunks.for_each(|(chunk, out)| self.predict_windows(batch, chunk * WINDOWS, out));
        Ok(forecast)
    }

    /// Fills `out` with the windows from number `first` on.
    fn predict_windows(&self, batch: &Batch, first: usize, out: &mut [f32]) {
        let (inputs, outputs) = (self.context_length, self.prediction_length);
        let channels = batch.num_channels();
        let rows = out.len() / outputs;
        let mut centred = vec![0.0; rows * inputs];
        let mut means = vec![0.0; rows];
        for (row, past) in centred.chunks_exact_mut(inputs).enumerate() {
            let (window, channel) = (first + row / channels, row % channels);
            means[row] = centre(batch, window, channel, self.location, past);
        }
        // [rows, H], a tile of steps at a time
        let mut sums = vec![0.0; rows * outputs];
        for tile in (0..outputs).step_by(TILE) {
            let steps = tile..outputs.min(tile + TILE);
            for (past, sums) in centred.chunks_exact(inputs).zip(sums.chunks_exact_mut(outputs)) {
                let sums = &mut sums[steps.clone()];
                sums.copy_from_slice(&self.bias[steps.clone()]);
                let weights = self.weights.chunks_exact(outputs);
                add_products(sums, past, weights.map(|row| &row[steps.clone()]));
            }
        }
        for (at, out) in out.iter_mut().enumerate() {
            let (window, step, channel) =
                (at / channels / outputs, at / channels % outputs, at % channels);
            let row = window * channels + channel;
            *out = sums[row * outputs + step] + means[row];
        }
    }
}

fn lengths(train: &WindowSet, validation: &WindowSet) -> Result<(usize, usize)> {
    let (shape, other) = (train.shape(), validation.shape());
    let lengths = (shape.context_length, shape.prediction_length);
    if lengths != (other.context_length, other.prediction_length) {
        return Err(Error::input(format!(
            "ridge: training windows have {} + {} steps, validation windows {} + {}",
            lengths.0, lengths.1, other.context_length, other.prediction_length
        )));
    }
    if lengths.0 == 0 || lengths.1 == 0 {
        return Err(Error::input(format!(
            "ridge: windows of {} + {} steps have no past or no future",
            lengths.0, lengths.1
        )));
    }
    Ok(lengths)
}

/// Solves the normal equations for one penalty and scores the solution on the moments `judged`;
/// `None` if they are not positive definite in double precision.
fn solve(fitted: &Moments, judged: &Moments, penalty: f64, constant: bool) -> Option<Candidate> {
    let outputs = fitted.target_squares.len();
    let inputs = fitted.cross.len() / outputs;
    let mut matrix = fitted.gram.clone();
    if !constant {
        // Decouples the constant from the other unknowns; its own equation becomes `constant = 0`.
        let last = inputs - 1;
        (0..inputs)
            .for_each(|i| (matrix[i * inputs + last], matrix[last * inputs + i]) = (0.0, 0.0));
        matrix[last * inputs + last] = 1.0;
    }
    // Every input but the constant, which comes last.
    for i in 0..inputs - 1 {
        matrix[i * inputs + i] += penalty * fitted.rows as f64;
    }
    let cholesky = Cholesky::factor(matrix, inputs)?;
    let firsts: Vec<usize> = (0..outputs).step_by(BLOCK).collect();
    // Collected in order: the same bits for any number of threads.
    let blocks: Vec<(Vec<f64>, f64)> = firsts
        .into_par_iter()
        .map(|first| {
            let steps = first..outputs.min(first + BLOCK);
            let columns = steps.len();
            let rows = fitted.cross.chunks_exact(outputs);
            let mut weights: Vec<f64> = rows.flat_map(|row| &row[steps.clone()]).copied().collect();
            if !constant {
                weights[(inputs - 1) * columns..].fill(0.0);
            }
            cholesky.solve(&mut weights, columns);
            let error = squared_error(judged, &weights, first, columns);
            (weights, error)
        })
        .collect();
    let mut weights = Vec::with_capacity(inputs * outputs);
    for i in 0..inputs {
        for (block, _) in &blocks {
            let columns = block.len() / inputs;
            weights.extend_from_slice(&block[i * columns..(i + 1) * columns]);
        }
    }
    let error: f64 = blocks.iter().map(|(_, error)| error).sum();
    let points = (judged.rows * outputs) as f64;
    Some(Candidate {
        penalty,
        // Rounding may leave a perfect fit just below zero.
        validation_mse: (error / points).max(0.0),
        weights,
    })
}

/// Sum of squared errors of `[L + 1, columns]` weights for the steps from `first` on, from the
/// moments alone: `y'y - 2 w'X'y + w'X'Xw`.
fn squared_error(judged: &Moments, weights: &[f64], first: usize, columns: usize) -> f64 {
    let outputs = judged.target_squares.len();
    let inputs = weights.len() / columns;
    let mut sum: f64 = judged.target_squares[first..first + columns].iter().sum();
    let mut image = vec![0.0; columns];
    for i in 0..inputs {
        image.fill(0.0);
        let gram = &judged.gram[i * inputs..(i + 1) * inputs];
        for (row, factor) in weights.chunks_exact(columns).zip(gram) {
            add_scaled(&mut image, *factor, row);
        }
        let cross = &judged.cross[i * outputs + first..i * outputs + first + columns];
        let row = &weights[i * columns..(i + 1) * columns];
        for ((weight, image), cross) in row.iter().zip(&image).zip(cross) {
            sum += weight * (image - 2.0 * cross);
        }
    }
    sum
}

/// Copies one channel of a context, less the mean (or the last) of its observed points, which is
/// returned.
fn centre(
    batch: &Batch,
    window: usize,
    channel: usize,
    location: Location,
    into: &mut [f32],
) -> f32 {
    let at =
        |step: usize| (window * batch.context_length() + step) * batch.num_channels() + channel;
    let mask = batch.observed_mask();
    let observed = |step: usize| mask.is_none_or(|mask| mask[at(step)] != 0.0);
    let (mut sum, mut count) = (0.0f64, 0u32);
    for step in 0..into.len() {
        if observed(step) {
            sum += f64::from(batch.past_values()[at(step)]);
            count += 1;
        }
    }
    let mut level = sum / f64::from(count.max(1));
    let last = (0..into.len()).rev().find(|&step| observed(step));
    if let (Location::Last, Some(last)) = (location, last) {
        level = batch.past_values()[at(last)].into();
    }
    for (step, value) in into.iter_mut().enumerate() {
        *value = if observed(step) {
            (f64::from(batch.past_values()[at(step)]) - level) as f32
        } else {
            0.0
        };
    }
    level as f32
}

/// `sums += sum over i of past[i] * weights[i]`, in the order of i; four rows at a time, so that
/// `sums` is read and written a quarter as often.
fn add_products<'a>(sums: &mut [f32], past: &[f32], mut weights: impl Iterator<Item = &'a [f32]>) {
    let (blocks, rest) = past.as_chunks::<4>();
    for x in blocks {
        let mut next = || weights.next().expect("there is one row of weights per past step");
        let (a, b, c, d) = (next(), next(), next(), next());
        let rows = a.iter().zip(b).zip(c).zip(d);
        for (sum, (((a, b), c), d)) in sums.iter_mut().zip(rows) {
            *sum = *sum + x[0] * a + x[1] * b + x[2] * c + x[3] * d;
        }
    }
    for (x, row) in rest.iter().zip(weights) {
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += x * weight;
        }
    }
}

#[cfg(test)]
mod tests;
