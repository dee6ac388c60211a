//! [`evaluate`]: one pass over every window of a set, the last partial batch included.
//!
//! Test loaders that drop the last partial batch flatter some published numbers; nothing is
//! dropped here, so the score does not depend on the batch size.

use super::metrics::{Accumulator, Detail, MaseScale, Metrics, ScoredWindows};
use super::percent::PercentErrors;
use crate::data::{Batch, Standardiser, WindowSet};
use crate::{Error, Result};

/// Options of [`evaluate`].
pub struct EvaluateOptions<'a> {
    /// Windows per call of the forecaster, at least 1.
    pub batch_size: usize,
    /// Which channels of the truth the forecast holds, ascending (`prediction_channel_indices`);
    /// `None` = all.
    pub channels: Option<Vec<usize>>,
    /// Scale for MASE, for all channels of the windows; `None` leaves MASE out.
    pub mase_scale: Option<MaseScale>,
    /// What the series of each segment of the windows was standardised by; `None` leaves out the
    /// errors in percent.
    pub scales: Option<&'a [Standardiser]>,
    /// Which parts to list besides the totals.
    pub detail: Detail,
    /// Called after each batch with the windows done and their total; an error from it stops the
    /// evaluation with that error.
    pub progress: Option<&'a dyn Fn(usize, usize) -> Result<()>>,
}

impl Default for EvaluateOptions<'_> {
    fn default() -> Self {
        Self {
            batch_size: 64,
            channels: None,
            mase_scale: None,
            scales: None,
            detail: Detail::default(),
            progress: None,
        }
    }
}

/// Scores `forecaster` on every window of `windows`.
///
/// The forecaster gets batches with the future in them, which it must not look at, and returns
/// `[B, H, K]`, row-major, K being the channels of [`EvaluateOptions::channels`].
///
/// # Errors
///
/// `InvalidInput` if there is no window or no future in it, if a forecast has the wrong length or
/// is not finite, or if no point of the truth is known; `InvalidConfig` for impossible options;
/// and whatever the forecaster or the progress callback returns.
pub fn evaluate(
    forecaster: &mut dyn FnMut(&Batch) -> Result<Vec<f32>>,
    windows: &WindowSet,
    options: &EvaluateOptions<'_>,
) -> Result<Metrics> {
    let num_channels = windows.num_channels();
    check(windows, options)?;
    let channels = options.channels.as_deref();
    let scale = match (&options.mase_scale, channels) {
        (Some(scale), Some(channels)) => Some(scale.select(channels)),
        (scale, _) => scale.clone(),
    };
    let outputs = channels.map_or(num_channels, <[usize]>::len);
    let prediction_length = windows.shape().prediction_length;
    let mut sums = Accumulator::new(prediction_length, outputs, scale.as_ref())?;
    let scored = channels.map_or_else(|| (0..num_channels).collect(), <[usize]>::to_vec);
    let mut percent = PercentErrors::new(options.scales, scored);
    let mut done = 0;
    while done < windows.len() {
        let end = windows.len().min(done + options.batch_size);
        let indices: Vec<usize> = (done..end).collect();
        let batch = windows.batch(&indices);
        let forecast = forecaster(&batch)?;
        let wanted = batch.size() * prediction_length * outputs;
        if forecast.len() != wanted {
            let (got, size) = (forecast.len(), batch.size());
            return Err(Error::input(format!(
                "the forecast holds {got} numbers, wanted {wanted} ({size} windows x \
                 {prediction_length} steps x {outputs} channels)"
            )));
        }
        let Some(truth) = batch.future_values() else {
            return Err(Error::internal("windows with a future gave a batch without"));
        };
        let kept = |values: &[f32]| match channels {
            None => values.to_vec(),
            Some(channels) => select_channels(values, num_channels, channels),
        };
        let (truth, mask) = (kept(truth), batch.future_observed_mask().map(kept));
        let (indices, forecast, truth) = (&indices[..], &forecast[..], &truth[..]);
        let scored = ScoredWindows { windows, indices, forecast, truth, mask: mask.as_deref() };
        sums.push_windows(&scored)?;
        percent.push(&scored)?;
        done = end;
        if let Some(progress) = options.progress {
            progress(done, windows.len())?;
        }
    }
    let metrics = sums.metrics(options.detail)?;
    let (smape, mape) = (percent.sums.smape(), percent.sums.mape());
    let units = metrics.units.clone().with_percents(&percent.of_series(windows));
    Ok(Metrics { smape, mape, data_units: percent.data_units(), units, ..metrics })
}

fn check(windows: &WindowSet, options: &EvaluateOptions<'_>) -> Result<()> {
    let shape = windows.shape();
    if options.batch_size == 0 {
        return Err(Error::config("batch_size", "must be at least 1"));
    }
    if shape.prediction_length == 0 {
        return Err(Error::input("windows without a future cannot be scored"));
    }
    if windows.is_empty() {
        return Err(Error::input(format!(
            "no window of {} + {} steps fits into the rows to be scored",
            shape.context_length, shape.prediction_length
        )));
    }
    let num_channels = windows.num_channels();
    if let Some(scale) = &options.mase_scale
        && scale.per_channel.len() != num_channels
    {
        return Err(Error::input(format!(
            "the MASE scale is for {} channels, the windows have {num_channels}",
            scale.per_channel.len()
        )));
    }
    if let Some(channels) = &options.channels {
        let ascending = channels.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || channels.last().is_none_or(|&last| last >= num_channels) {
            return Err(Error::config(
                "prediction_channel_indices",
                format!("must be ascending numbers below {num_channels}, got {channels:?}"),
            ));
        }
    }
    Ok(())
}

/// Picks channels out of `[.., C]` values; the result is `[.., K]`, in the order of `channels`.
///
/// # Panics
///
/// If a channel is not below `num_channels`.
pub fn select_channels(values: &[f32], num_channels: usize, channels: &[usize]) -> Vec<f32> {
    let rows = values.chunks_exact(num_channels);
    rows.flat_map(|row| channels.iter().map(|&channel| row[channel])).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::data::{PreparedSeries, Segment, WindowShape};
    use crate::evaluate::repeat_last;

    /// Channel 0 counts 0, 1, 2, ...; channel 1 goes up by ten; one window per start.
    fn windows(rows: usize, masked: bool) -> WindowSet {
        let values: Vec<f32> = (0..rows).flat_map(|i| [i as f32, 10.0 * i as f32]).collect();
        let mut observed_mask = masked.then(|| vec![1.0; values.len()]);
        if let Some(mask) = &mut observed_mask {
            mask[2 * (rows - 1)] = 0.0;
        }
        let series = PreparedSeries { id: String::new(), num_channels: 2, values, observed_mask };
        let shape = WindowShape { context_length: 3, prediction_length: 2, step: 1 };
        let series = Arc::new(series);
        WindowSet::new(vec![Segment { series, rows: 0..rows }], shape).unwrap()
    }

    fn last(batch: &Batch) -> Result<Vec<f32>> {
        Ok(repeat_last(batch, 2))
    }

    #[test]
    fn every_window_counts_whatever_the_batch_size() {
        let windows = windows(11, false);
        let mut seen = Vec::new();
        for batch_size in [1, 3, 7, 64] {
            let sizes = Cell::new(0);
            let options = EvaluateOptions {
                batch_size,
                progress: Some(&|done, total| {
                    assert_eq!(total, 7);
                    sizes.set(done);
                    Ok(())
                }),
                ..Default::default()
            };
            seen.push(evaluate(&mut last, &windows, &options).unwrap());
            assert_eq!(sizes.get(), 7);
        }
        // Errors 1 and 2 steps ahead: 1, 2 and 10, 20.
        assert_eq!((seen[0].mse, seen[0].mae), (505.0 / 4.0, 33.0 / 4.0));
        assert_eq!((seen[0].windows, seen[0].points), (7, 28));
        assert!(seen.iter().all(|metrics| *metrics == seen[0]));
    }

    #[test]
    fn chosen_channels_of_the_truth_are_compared_with_the_forecast() {
        let windows = windows(11, true);
        let options = EvaluateOptions {
            channels: Some(vec![0]),
            mase_scale: Some(MaseScale::fit(windows.segments(), 1).unwrap()),
            ..Default::default()
        };
        let mut only_first = |batch: &Batch| Ok(select_channels(&last(batch)?, 2, &[0]));
        let got = evaluate(&mut only_first, &windows, &options).unwrap();
        // The last point is missing: 7 errors of 1, 6 errors of 2.
        assert_eq!((got.points, got.mse), (13, 31.0 / 13.0));
        assert_eq!(got.mase, Some(19.0 / 13.0));
        let error = evaluate(&mut last, &windows, &options).unwrap_err();
        assert!(error.to_string().contains("28 numbers, wanted 14"), "{error}");
    }

    #[test]
    fn impossible_requests_are_refused() {
        let refused = |options: EvaluateOptions<'_>, rows: usize| {
            let error = evaluate(&mut last, &windows(rows, false), &options).unwrap_err();
            error.to_string()
        };
        let text = refused(EvaluateOptions::default(), 4);
        assert!(text.contains("no window of 3 + 2 steps"), "{text}");
        for channels in [vec![], vec![2], vec![1, 0], vec![1, 1]] {
            let options = EvaluateOptions { channels: Some(channels), ..Default::default() };
            let text = refused(options, 11);
            assert!(text.starts_with("prediction_channel_indices: "), "{text}");
        }
        let options = EvaluateOptions { batch_size: 0, ..Default::default() };
        assert!(refused(options, 11).starts_with("batch_size: "));
    }

    #[test]
    fn an_error_from_progress_stops_the_evaluation() {
        let stop = |_, _| Err(Error::new(crate::ErrorKind::Interrupted, "stopped"));
        let options = EvaluateOptions { progress: Some(&stop), ..Default::default() };
        let error = evaluate(&mut last, &windows(11, false), &options).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Interrupted);
    }
}
