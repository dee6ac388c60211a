//! How well the series are forecast with the effects of covariates, by forecasters that are quick to fit.

use std::sync::Arc;

use crate::classical::Classical;
use crate::data::{
    Batch, CovariateEffects, Prepared, Standardiser, Transform, WindowShape, prepare,
};
use crate::ensemble::Method;
use crate::evaluate::Ridge;
use crate::job::automatic::{borders, median};
use crate::job::data::SeriesData;
use crate::{Error, Result};
use ptsm_core::train::Samples;

/// Most past steps that the forecasters see; what is trained later sees as many, and knows from them what the calendar
/// would say of a season that they show.
const CONTEXT: usize = 512;

/// Fewest past steps of the second ridge regression.
const SHORT: usize = 16;

/// Training windows, counted for each channel, that a ridge regression is fitted to.
const FITTED: usize = 4000;

/// Validation windows, counted for each channel, that are forecast.
const JUDGED: usize = 300;

/// Judges effects on validation windows.
pub(super) struct Judge<'a> {
    data: &'a SeriesData,
    shape: WindowShape,
    /// Past steps of a second ridge regression, for which there may be windows enough where there are not for the
    /// longer one.
    short: usize,
    standardiser: Standardiser,
    /// Numbers of the validation windows.
    windows: Vec<usize>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(data: &'a SeriesData, prediction_length: usize) -> Result<Self> {
        let rows = borders(data).into_iter().map(|borders| borders.train.len());
        let usual = median(&rows.collect::<Vec<_>>());
        let room = usual.saturating_sub(prediction_length) * 2 / 3;
        let context_length = CONTEXT.min(room).max(1);
        let short = (2 * data.seasonal_period).max(prediction_length).max(SHORT);
        let mut shape = WindowShape { context_length, prediction_length, step: 1 };
        let prepared = prepare(&data.set, &data.split, shape, Some(Transform::None), None)?;
        let channels = data.set.channels.len();
        shape.step = (prepared.train.len() * channels).div_ceil(FITTED).max(1);
        let all = prepared.validation.len();
        let wanted = (JUDGED / channels).clamp(1, all.max(1));
        let windows: Vec<usize> = (0..wanted.min(all)).map(|i| i * all / wanted).collect();
        if windows.is_empty() {
            let text =
                "leaves no validation part, which shows whether covariates help (use another)";
            return Err(Error::config("split", text));
        }
        let short = short.min(context_length);
        Ok(Self { data, shape, short, standardiser: prepared.standardiser, windows })
    }

    /// Shift and scale of the series.
    pub(super) fn standardiser(&self) -> &Standardiser {
        &self.standardiser
    }

    /// Validation windows, counted for each channel.
    pub(super) fn windows(&self) -> usize {
        self.windows.len() * self.data.set.channels.len()
    }

    /// Mean absolute error of the better forecaster where these effects are taken off.
    pub(super) fn error(&self, effects: Option<&Arc<CovariateEffects>>) -> Result<f64> {
        let standardiser = Standardiser { effects: effects.cloned(), ..self.standardiser.clone() };
        let prepared =
            prepare(&self.data.set, &self.data.split, self.shape, None, Some(&standardiser))?;
        let batch = Samples::batch(&prepared.validation, &self.windows);
        let season = self.data.seasonal_period.max(1);
        let all: Vec<usize> = (0..prepared.validation.num_channels()).collect();
        let theta = Classical { method: Method::Theta, season };
        let theta = theta.forecast(&batch, self.shape.prediction_length, &all);
        let mut error = mean_absolute_error(&batch, &theta);
        let mut lengths = vec![self.shape.context_length, self.short];
        lengths.dedup();
        for length in lengths {
            if let Some(ridge) = ridge(&prepared, length) {
                let forecast = ridge.predict(&batch.shortened(length))?;
                error = error.min(mean_absolute_error(&batch, &forecast));
            }
        }
        match error.is_finite() {
            true => Ok(error),
            false => Err(Error::input(
                "no value of the validation part is known, by which covariates are judged",
            )),
        }
    }
}

/// A ridge regression from so many steps, where there are windows enough.
fn ridge(Prepared { train, validation, .. }: &Prepared, length: usize) -> Option<Ridge> {
    if train.is_empty() || validation.is_empty() {
        return None;
    }
    Ridge::fit(&train.shortened(length, true), &validation.shortened(length, true)).ok()
}

/// Over the known points; not finite if there is none.
fn mean_absolute_error(batch: &Batch, forecast: &[f32]) -> f64 {
    let (truth, mask) = (batch.future_values().unwrap_or_default(), batch.future_observed_mask());
    let known = |place: &usize| mask.is_none_or(|mask| mask[*place] != 0.0);
    let errors = (0..truth.len()).filter(known);
    let errors = errors.map(|i| f64::from((truth[i] - forecast[i]).abs()));
    let (sum, count) = errors.fold((0.0, 0.0), |(sum, count), error| (sum + error, count + 1.0));
    sum / count
}
