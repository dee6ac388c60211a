//! Forecasts over another number of steps than the model was trained for.

use std::borrow::Borrow;

use super::answer::Forecast;
use super::{Forecaster, add_times};
use crate::Result;
use crate::data::{Covariates, Series, SeriesSet};

/// The rows after which a forecast is made.
struct Past {
    /// `[rows, C]`, NaN for a missing point.
    rows: Vec<f64>,
    /// Covariates from the first of the rows on.
    known: Option<Covariates>,
}

impl Forecaster {
    /// As [`Forecaster::predict`], over `steps` steps: fewer than the model's own are cut; beyond
    /// them the model gets its own forecasts as context (channels that it does not forecast are
    /// missing there), and no intervals are given, since none were learnt so far ahead.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::predict`]; covariates must be known in `steps` steps.
    pub fn predict_steps(
        &mut self,
        set: &SeriesSet,
        rows_before_end: usize,
        steps: usize,
    ) -> Result<Vec<Forecast>> {
        let set = &*self.planned(set, rows_before_end, steps)?;
        let mut forecasts = self.predict_planned(set, rows_before_end)?;
        self.over_steps(&mut forecasts, set, &set.series, steps)?;
        Ok(forecasts)
    }

    /// Extends forecasts of these series to `steps` steps, or cuts them.
    pub(super) fn over_steps<S: Borrow<Series> + Sync>(
        &mut self,
        forecasts: &mut [Forecast],
        set: &SeriesSet,
        series: &[S],
        steps: usize,
    ) -> Result<()> {
        if steps > self.config().prediction_length {
            self.extend(forecasts, series, steps)?;
            add_times(forecasts, set, series, 1);
        }
        forecasts.iter_mut().for_each(|forecast| forecast.cut(steps));
        Ok(())
    }

    /// Extends forecasts to at least `steps` steps, all series together, a horizon at a time.
    fn extend<S: Borrow<Series> + Sync>(
        &mut self,
        forecasts: &mut [Forecast],
        series: &[S],
        steps: usize,
    ) -> Result<()> {
        let context = |(series, forecast): (&Series, &Forecast)| {
            let rows = rows_before(series, forecast.first_row, self.config().context_length);
            let before = forecast.first_row.saturating_sub(self.config().context_length);
            let known = series.covariates.as_ref().map(|known| known.without_first(before));
            self.followed_by(&series.id, Past { rows, known }, &forecast.values)
        };
        let pairs = series.iter().map(Borrow::borrow).zip(&*forecasts);
        let mut contexts: Vec<Series> = pairs.map(context).collect::<Result<_>>()?;
        while forecasts.first().is_some_and(|forecast| forecast.prediction_length() < steps) {
            let mut next = Vec::with_capacity(contexts.len());
            self.each_batch(&contexts, 0, |_, _, forecasts| {
                next.extend(forecasts);
                Ok(())
            })?;
            for ((forecast, context), next) in forecasts.iter_mut().zip(&mut contexts).zip(next) {
                let rows = rows_before(context, context.num_rows(), context.num_rows());
                let past = Past { rows, known: context.covariates.take() };
                *context = self.followed_by(&forecast.id, past, &next.values)?;
                forecast.values.extend(next.values);
            }
        }
        for forecast in forecasts.iter_mut() {
            forecast.intervals.clear();
            forecast.quantiles.clear();
        }
        Ok(())
    }

    /// The rows of a context that end with a forecast, `[H, C']`; channels without a forecast are missing in it.
    fn followed_by(&self, id: &str, past: Past, forecast: &[f64]) -> Result<Series> {
        let Past { rows: mut values, known } = past;
        let channels = self.config().prediction_channels();
        let width = self.config().num_input_channels;
        for row in forecast.chunks_exact(channels.len()) {
            let start = values.len();
            values.resize(start + width, f64::NAN);
            channels.iter().zip(row).for_each(|(&channel, &x)| values[start + channel] = x);
        }
        let surplus = (values.len() / width).saturating_sub(self.config().context_length);
        values.drain(..surplus * width);
        let covariates = known.map(|known| known.without_first(surplus));
        Ok(Series { covariates, ..Series::new(id, width, values)? })
    }
}

/// At most `count` rows of a series in front of row `end`, `[rows, C]`, NaN for a missing point.
fn rows_before(series: &Series, end: usize, count: usize) -> Vec<f64> {
    let point = |row, channel| series.get(row, channel).unwrap_or(f64::NAN);
    let rows = end.saturating_sub(count)..end;
    rows.flat_map(|row| (0..series.num_channels).map(move |channel| point(row, channel))).collect()
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
