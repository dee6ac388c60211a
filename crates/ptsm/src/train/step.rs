//! One optimiser step's gradient, and the score of a whole set, with the same bits for any number
//! of threads.

use rayon::prelude::*;

use super::loss::{known_points, mse};
use crate::config::Norm;
use crate::data::{Batch, WindowSet};
use crate::model::{Dropout, Mode, Model};
use crate::{Error, Result};

/// Windows whose gradients are summed one after the other; the sums of such groups are then added
/// in order. A constant, so that the order of the additions never depends on the threads.
const GROUP: usize = 8;

/// Windows that go through the model at once: few, so that they stay in the cache.
const CHUNK: usize = 2;

/// Windows per parallel piece of a scoring run.
const SCORE_CHUNK: usize = 16;

/// Loss and gradient of one batch.
pub(crate) struct StepGradient {
    /// Mean squared error over the known points.
    pub(crate) loss: f64,
    /// Known points.
    pub(crate) points: usize,
    /// One number per weight.
    pub(crate) gradient: Vec<f32>,
}

/// Computes the gradient of the mean squared error over the windows `indices`.
///
/// Moves the running statistics where the model has batch norm, which needs the whole batch at
/// once.
pub(crate) fn gradient(
    model: &mut Model,
    windows: &WindowSet,
    indices: &[usize],
    dropout: Dropout,
) -> Result<StepGradient> {
    let channels = model.config().prediction_channels();
    let batch_norm = model.config().norm() == Norm::Batch;
    let (group, chunk) = if batch_norm { (indices.len(), indices.len()) } else { (GROUP, CHUNK) };
    let points: usize = {
        let count = |part: &[usize]| known_points(&windows.batch(part), &channels);
        indices.par_chunks(GROUP).map(count).sum()
    };
    let groups: Vec<(usize, &[usize])> = indices.chunks(group).enumerate().collect();
    let frozen: &Model = model;
    let parts: Vec<Result<Part>> = groups
        .into_par_iter()
        .map(|(number, indices)| {
            let mut part =
                Part { gradient: vec![0.0; frozen.layout().num_trained()], loss: 0.0, last: None };
            for (i, indices) in indices.chunks(chunk).enumerate() {
                let first_sample = dropout.first_sample + (number * group + i * chunk) as u64;
                let dropout = Some(Dropout { first_sample, ..dropout });
                let mode = Mode { train_norm: true, dropout, borrow_scale: false };
                let batch = windows.batch(indices);
                part.add(frozen, &batch, mode, (&channels, points))?;
            }
            Ok(part)
        })
        .collect();
    let mut parts: Vec<Part> = parts.into_iter().collect::<Result<_>>()?;
    if batch_norm && let Some(forward) = parts[0].last.take() {
        model.update_running(&forward);
    }
    let loss = parts.iter().map(|part| part.loss).sum();
    let gradient = add_up(parts.into_iter().map(|part| part.gradient).collect());
    Ok(StepGradient { loss, points, gradient })
}

/// Sum over one group of windows.
struct Part {
    gradient: Vec<f32>,
    loss: f64,
    last: Option<crate::model::Forward<f32>>,
}

impl Part {
    fn add(
        &mut self,
        model: &Model,
        batch: &Batch,
        mode: Mode,
        (channels, points): (&[usize], usize),
    ) -> Result<()> {
        let forward = model.forward(batch, mode)?;
        let loss = mse(&forward.prediction, batch, channels, points)?;
        self.loss += f64::from(loss.value);
        model.backward(batch, &forward, &loss.d_prediction, &mut self.gradient);
        self.last = Some(forward);
        Ok(())
    }
}

/// Adds the parts pairwise, neighbours first, in an order that depends on their number alone.
fn add_up(mut parts: Vec<Vec<f32>>) -> Vec<f32> {
    while parts.len() > 1 {
        parts = parts
            .chunks_mut(2)
            .map(|pair| {
                let mut sum = std::mem::take(&mut pair[0]);
                if let Some(other) = pair.get(1) {
                    sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
                }
                sum
            })
            .collect();
    }
    parts.pop().unwrap_or_default()
}

/// Mean squared and mean absolute error of the model over every window of a set.
///
/// # Errors
///
/// `InvalidInput` if the set has no known point, or does not fit the model.
pub fn score(model: &Model, windows: &WindowSet) -> Result<(f64, f64)> {
    let channels = model.config().prediction_channels();
    let indices: Vec<usize> = (0..windows.len()).collect();
    let parts: Vec<Result<(f64, f64, usize)>> = indices
        .par_chunks(SCORE_CHUNK)
        .map(|indices| {
            let batch = windows.batch(indices);
            let forward = model.forward(&batch, Mode::default())?;
            Ok(errors(&forward.prediction, &batch, &channels))
        })
        .collect();
    let (mut squared, mut absolute, mut points) = (0.0, 0.0, 0);
    for part in parts {
        let part = part?;
        squared += part.0;
        absolute += part.1;
        points += part.2;
    }
    if points == 0 {
        return Err(Error::input("there is no known point to score"));
    }
    Ok((squared / points as f64, absolute / points as f64))
}

/// Sums of squared and absolute errors over known points, and their number.
fn errors(prediction: &[f32], batch: &Batch, channels: &[usize]) -> (f64, f64, usize) {
    let truth = batch.future_values.as_deref().unwrap_or_default();
    let mask = batch.future_observed_mask.as_deref();
    let (mut squared, mut absolute, mut points) = (0.0, 0.0, 0);
    for (row, prediction) in prediction.chunks_exact(channels.len()).enumerate() {
        for (&c, &prediction) in channels.iter().zip(prediction) {
            let i = row * batch.num_channels + c;
            if mask.is_none_or(|mask| mask[i] != 0.0) {
                let error = f64::from(prediction) - f64::from(truth[i]);
                squared += error * error;
                absolute += error.abs();
                points += 1;
            }
        }
    }
    (squared, absolute, points)
}
