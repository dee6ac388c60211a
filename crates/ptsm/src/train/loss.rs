//! What training makes small.

use crate::data::Batch;
use crate::model::Real;
use crate::{Error, Result};

/// A loss with its gradient.
#[derive(Debug, Clone)]
pub struct Loss<T> {
    /// The loss.
    pub value: T,
    /// Gradient for the prediction, `[B, H, C']`.
    pub d_prediction: Vec<T>,
}

/// Points of `future_values` that count for `channels`.
pub fn known_points<T: Real>(batch: &Batch<T>, channels: &[usize]) -> usize {
    match &batch.future_observed_mask {
        Some(mask) => {
            let rows = mask.chunks_exact(batch.num_channels);
            rows.map(|row| channels.iter().filter(|&&c| row[c] != T::ZERO).count()).sum()
        }
        None => {
            let points = batch.future_values.as_ref().map_or(0, Vec::len);
            points / batch.num_channels * channels.len()
        }
    }
}

/// Squared error over known points, divided by `count`.
///
/// `prediction` is `[B, H, C']` with the `channels` of the batch's `future_values` `[B, H, C]`, in
/// the same units. With `count` = [`known_points`] this is the mean; a part of a batch passes the
/// count of the whole, so that the parts add up. A count of 0 gives the loss 0.
///
/// # Errors
///
/// `InvalidInput` if the batch has no `future_values` of the right length.
pub fn mse<T: Real>(
    prediction: &[T],
    batch: &Batch<T>,
    channels: &[usize],
    count: usize,
) -> Result<Loss<T>> {
    let Some(truth) = &batch.future_values else {
        return Err(Error::input("is missing: a loss needs the truth").at("future_values"));
    };
    let rows = prediction.len() / channels.len();
    if truth.len() != rows * batch.num_channels {
        let text = format!("has {} numbers, wanted {}", truth.len(), rows * batch.num_channels);
        return Err(Error::input(text).at("future_values"));
    }
    let share = if count == 0 { T::ZERO } else { T::ONE / T::from_usize(count) };
    let two = T::from_f64(2.0);
    let mut value = T::ZERO;
    let mut d_prediction = vec![T::ZERO; prediction.len()];
    for row in 0..rows {
        for (k, &c) in channels.iter().enumerate() {
            let (i, from) = (row * channels.len() + k, row * batch.num_channels + c);
            let known = batch.future_observed_mask.as_ref().map_or(T::ONE, |mask| mask[from]);
            let error = (prediction[i] - truth[from]) * known;
            value += error * error;
            d_prediction[i] = two * error * share;
        }
    }
    Ok(Loss { value: value * share, d_prediction })
}
