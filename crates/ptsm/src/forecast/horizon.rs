//! Forecasts over another number of steps than the model was trained for.

use super::answer::Forecast;
use super::model::Contexts;
use super::{Forecaster, times_from};
use crate::data::{Series, SeriesSet};
use crate::{Config, Result};

impl Forecaster {
    /// As [`Forecaster::predict`], over `steps` steps: fewer than the model's own are cut; beyond
    /// them the model is fed its own forecasts (channels that it does not forecast are missing
    /// there), and no intervals are given, since none were learnt so far ahead.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::predict`].
    pub fn predict_steps(
        &mut self,
        set: &SeriesSet,
        rows_before_end: usize,
        steps: usize,
    ) -> Result<Vec<Forecast>> {
        let own = self.config().prediction_length;
        let mut forecasts = self.predict(set, rows_before_end)?;
        let longer = steps > own;
        for (forecast, series) in forecasts.iter_mut().zip(&set.series) {
            if longer {
                let mut recent = self.recent(series, forecast.first_row)?;
                let mut newest = forecast.values.clone();
                while forecast.prediction_length() < steps {
                    recent = self.followed_by(&recent, &newest)?;
                    newest = self.values_after(&recent)?;
                    forecast.values.extend_from_slice(&newest);
                }
                forecast.intervals.clear();
                forecast.quantiles.clear();
                forecast.timestamps = times_from(set, series, forecast.first_row, steps);
            }
            forecast.cut(steps);
        }
        Ok(forecasts)
    }

    /// The rows of a context in front of row `end`, without their times.
    fn recent(&self, series: &Series, end: usize) -> Result<Series> {
        let first = end.saturating_sub(self.config().context_length);
        let point = |row, channel| series.get(row, channel).unwrap_or(f64::NAN);
        let row = |row| (0..series.num_channels).map(move |channel| point(row, channel));
        Series::new(&series.id, series.num_channels, (first..end).flat_map(row).collect())
    }

    /// The rows of a context that end with a forecast, `[H, C']`; channels without a forecast are
    /// missing.
    fn followed_by(&self, series: &Series, forecast: &[f64]) -> Result<Series> {
        let channels = self.config().prediction_channels();
        let width = series.num_channels;
        let point = |row, channel| series.get(row, channel).unwrap_or(f64::NAN);
        let mut values: Vec<f64> = (0..series.num_rows())
            .flat_map(|row| (0..width).map(move |channel| (row, channel)))
            .map(|(row, channel)| point(row, channel))
            .collect();
        for row in forecast.chunks_exact(channels.len()) {
            let start = values.len();
            values.resize(start + width, f64::NAN);
            channels.iter().zip(row).for_each(|(&channel, &x)| values[start + channel] = x);
        }
        let Config { context_length, .. } = *self.config();
        let surplus = (values.len() / width).saturating_sub(context_length);
        values.drain(..surplus * width);
        Series::new(&series.id, width, values)
    }

    /// The forecast after the last row of a series, `[H, C']`.
    fn values_after(&mut self, series: &Series) -> Result<Vec<f64>> {
        let Contexts { batch, scales } = self.context(series, 0)?;
        self.session.forward(&batch, &mut self.output)?;
        let forecast = self.model.read_out(&self.output, &scales).pop();
        Ok(forecast.map(|forecast| forecast.values).unwrap_or_default())
    }
}

impl Forecast {
    /// Keeps the first `steps` steps.
    fn cut(&mut self, steps: usize) {
        let points = steps * self.channels.len();
        self.values.truncate(points);
        for interval in &mut self.intervals {
            interval.lower.truncate(points);
            interval.upper.truncate(points);
        }
        self.quantiles.iter_mut().for_each(|quantile| quantile.values.truncate(points));
        if let Some(times) = &mut self.timestamps {
            times.truncate(steps);
        }
    }
}
