//! Forecasts with the quantiles that are scored.

use std::borrow::Borrow;

use super::answer::{Forecast, ForecastQuantile};
use super::{Forecaster, add_times};
use crate::Result;
use crate::data::{Series, SeriesSet};
use crate::evaluate::SCORED_LEVELS;

/// A forecast and its quantiles at [`SCORED_LEVELS`], data units; none where the head does not reach them
/// all, or beyond the model's own steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScoredForecast {
    pub(crate) forecast: Forecast,
    pub(crate) quantiles: Vec<ForecastQuantile>,
}

impl Forecaster {
    /// As [`Forecaster::predict_steps`], of some series of the set.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::predict`].
    pub(crate) fn predict_scored<S: Borrow<Series> + Sync>(
        &mut self,
        set: &SeriesSet,
        series: &[S],
        rows_before_end: usize,
        steps: usize,
    ) -> Result<Vec<ScoredForecast>> {
        let kind = self.output_spec().kind();
        let own = steps <= self.config().prediction_length;
        let reached = own && SCORED_LEVELS.iter().all(|&level| kind.reaches(level));
        let (mut forecasts, mut quantiles) = (Vec::with_capacity(series.len()), Vec::new());
        self.each_batch(series, rows_before_end, |forecaster, scales, found| {
            if reached {
                let Self { model, output, .. } = forecaster;
                let all = SCORED_LEVELS.map(|level| (level, output.quantiles(level)));
                for (window, (forecast, scale)) in found.iter().zip(scales).enumerate() {
                    let (each, kept) = (forecast.values.len(), steps * forecast.channels.len());
                    let of_level = |(level, numbers): &(f64, Vec<f64>)| ForecastQuantile {
                        level: *level,
                        values: model
                            .interface()
                            .in_data_units(scale, &numbers[window * each..][..kept]),
                    };
                    quantiles.push(all.iter().map(of_level).collect());
                }
            }
            forecasts.extend(found);
            Ok(())
        })?;
        add_times(&mut forecasts, set, series, 1);
        self.over_steps(&mut forecasts, set, series, steps)?;
        quantiles.resize(forecasts.len(), Vec::new());
        let both = forecasts.into_iter().zip(quantiles);
        Ok(both.map(|(forecast, quantiles)| ScoredForecast { forecast, quantiles }).collect())
    }
}
