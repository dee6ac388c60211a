//! [`Forecaster::explain`]: forecasts with one stretch after the other hidden.

use std::ops::Range;
use std::sync::Arc;

use super::answer::{Explanation, Influence, Source};
use super::hidden::{Hidden, rows_of, without};
use crate::data::{CovariateEffects, Series, SeriesSet, Standardiser};
use crate::forecast::{Forecast, ForecastUnits, Forecaster, WindowEnd, windows_at_once};
use crate::{Error, Result};

/// Stretches of a context, if their length is not given: at most so many.
const MOST_STRETCHES: usize = 32;

/// How a forecast is explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// The forecast begins this many rows before the end of each series.
    pub rows_before_end: usize,
    /// Rows that are hidden at a time, counted from the end of the context; `None` = the patch of the model, or as many
    /// patches as give at most 32 stretches.
    pub stretch: Option<usize>,
}

/// Hears how many windows of all are done; an error from it stops the work.
type Tell<'a> = &'a mut dyn FnMut(usize, usize) -> Result<()>;

impl Forecaster {
    /// The forecast of every series, and what each stretch of its past and each covariate adds to it. The same bits for
    /// any number of threads.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a stretch of 0 rows, or longer than the context; as [`Forecaster::predict`]; what `tell`
    /// returns.
    pub fn explain(
        &mut self,
        set: &SeriesSet,
        options: &ExplainOptions,
        tell: Tell<'_>,
    ) -> Result<Vec<Explanation>> {
        let stretch = self.stretch(options.stretch)?;
        let forecasts = self.predict(set, options.rows_before_end)?;
        let plans = set.series.iter().zip(&forecasts).map(|(series, forecast)| {
            let end = forecast.first_row;
            let context = end.saturating_sub(self.config().context_length)..end;
            Plan::new(series, context, stretch)
        });
        let plans: Vec<Plan> = plans.collect();
        let all: usize = plans.iter().map(|plan| plan.hidden.len()).sum();
        let mut done = 0;
        let mut found = Vec::with_capacity(plans.len());
        for ((series, forecast), plan) in set.series.iter().zip(forecasts).zip(plans) {
            let mut influences = Vec::with_capacity(plan.hidden.len());
            // Covariates of some rows before the context act in its first rows.
            let lags = self.preprocessor().standardiser.effects.as_ref().map_or(0, |all| all.lags);
            let first = plan.context.start.saturating_sub(lags);
            let base = rows_of(series, first..plan.context.end);
            let units = self.model().contexts(std::slice::from_ref(&base), 0)?.units;
            for part in plan.hidden.chunks(windows_at_once(self.config().num_input_channels)) {
                tell(done, all)?;
                done += part.len();
                let hidden: Vec<Series> =
                    part.iter().map(|hidden| without(&base, hidden, first)).collect();
                for (hidden, other) in part.iter().zip(self.at_ends(&hidden)?) {
                    let Hidden { channel, rows } = hidden.clone();
                    let source = Source::Past { channel, rows };
                    influences.push(Influence { source, change: less(&forecast, &other) });
                }
            }
            influences.extend(self.covariate_influences(series, &forecast, &units[0])?);
            let context = plan.context;
            found.push(Explanation { forecast, context, stretch, influences });
        }
        tell(all, all)?;
        Ok(found)
    }

    fn stretch(&self, asked: Option<usize>) -> Result<usize> {
        let config = self.config();
        let (context, patch) = (config.context_length, config.patch_length.max(1));
        match asked {
            Some(rows) if !(1..=context).contains(&rows) => {
                let text = format!("{rows} must be from 1 to {context}, the rows of the context");
                Err(Error::config("stretch", text))
            }
            Some(rows) => Ok(rows),
            None => Ok(patch * context.div_ceil(MOST_STRETCHES).div_ceil(patch)),
        }
    }

    /// The forecasts of these series from their ends.
    fn at_ends(&mut self, series: &[Series]) -> Result<Vec<Forecast>> {
        let model = Arc::clone(self.model());
        let end = |series| Ok(WindowEnd { series, row: Series::num_rows(series) });
        let contexts = model.interface().contexts_of(series, end)?;
        let output = self.output(&contexts.batch)?;
        let forecasts = model.read_out(&output, &contexts);
        forecasts.iter().try_for_each(Forecast::check_finite)?;
        Ok(forecasts)
    }

    /// What each covariate adds in the steps of a forecast.
    fn covariate_influences(
        &self,
        series: &Series,
        forecast: &Forecast,
        units: &ForecastUnits,
    ) -> Result<Vec<Influence>> {
        let standardiser = &self.preprocessor().standardiser;
        let (Some(effects), Some(_)) = (&standardiser.effects, &units.effects) else {
            return Ok(Vec::new());
        };
        let ahead = forecast.first_row..forecast.first_row + forecast.prediction_length();
        let channels = self.config().prediction_channels();
        let influence = |number: usize| {
            let own =
                CovariateEffects { weights: weights_of(effects, number), ..(**effects).clone() };
            let one = Standardiser { effects: Some(Arc::new(own)), ..units.scale.clone() };
            let added = one.effects(series, ahead.clone())?.unwrap_or_default();
            let change = forecast.values.iter().enumerate().map(|(i, &value)| {
                let channel = channels[i % channels.len()];
                let step = i / channels.len();
                let effect = f64::from(added[step * units.scale.num_channels() + channel]);
                // Taken off before the transform is undone.
                let (scale, mean) = (units.scale.scale[channel], units.scale.mean[channel]);
                let transform = units.scale.transform;
                let whole = (transform.apply(value) - mean) / scale;
                value - transform.undo((whole - effect) * scale + mean)
            });
            let source = Source::Covariate { number };
            Ok(Influence { source, change: change.collect() })
        };
        (0..effects.names.len()).map(influence).collect()
    }
}

/// The weights of one covariate, 0 for the others.
fn weights_of(effects: &CovariateEffects, number: usize) -> Vec<f64> {
    let own = |(i, &weight): (usize, &f64)| match i % effects.names.len() == number {
        true => weight,
        false => 0.0,
    };
    effects.weights.iter().enumerate().map(own).collect()
}

/// The difference of two forecasts.
fn less(forecast: &Forecast, other: &Forecast) -> Vec<f64> {
    forecast.values.iter().zip(&other.values).map(|(a, b)| a - b).collect()
}

/// What is hidden of a series.
struct Plan {
    context: Range<usize>,
    hidden: Vec<Hidden>,
}

impl Plan {
    fn new(series: &Series, context: Range<usize>, stretch: usize) -> Self {
        let mut ends = Vec::new();
        let mut end = context.end;
        while end > context.start {
            let start = end.saturating_sub(stretch).max(context.start);
            ends.push(start..end);
            end = start;
        }
        ends.reverse();
        let of_channel = |channel: usize| {
            let seen = move |rows: &Range<usize>| {
                rows.clone().any(|row| series.get(row, channel).is_some())
            };
            let rows = ends.iter().filter(move |rows| seen(rows));
            rows.map(move |rows| Hidden { channel, rows: rows.clone() })
        };
        let hidden = (0..series.num_channels).flat_map(of_channel).collect();
        Self { context, hidden }
    }
}
