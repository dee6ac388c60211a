//! [`Forecaster::explain`]: forecasts with one stretch after the other hidden.

use std::ops::Range;
use std::sync::Arc;

use super::answer::{Explanation, Influence, Source};
use super::hidden::{Hidden, rows_of, without};
use crate::data::{CovariateEffects, Series, SeriesSet, Standardiser};
use crate::forecast::{Forecast, ForecastUnits, Forecaster, WindowEnd, windows_at_once};
use crate::{Config, Error, Result};
use ptsm_core::{bytes_of, option, require_memory};

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
    /// returns; `OutOfMemory` if the influences do not fit.
    pub fn explain(
        &mut self,
        set: &SeriesSet,
        options: &ExplainOptions,
        tell: Tell<'_>,
    ) -> Result<Vec<Explanation>> {
        let stretch = self.stretch(options.stretch)?;
        let forecasts = self.predict(set, options.rows_before_end)?;
        let context_length = self.config().context_length;
        let plans = set.series.iter().zip(forecasts).map(|(series, forecast)| {
            let end = forecast.first_row;
            Plan::new(series, forecast, Stretches { end, context_length, each: stretch })
        });
        let plans: Vec<Plan> = plans.collect();
        let mut progress = Progress { done: 0, all: plans.iter().map(Plan::len).sum(), tell };
        self.require_room(&plans, stretch)?;
        let mut found = Vec::with_capacity(plans.len());
        for (series, plan) in set.series.iter().zip(plans) {
            let influences = self.influences(series, &plan, &mut progress)?;
            let Plan { forecast, context, .. } = plan;
            found.push(Explanation { forecast, context, stretch, influences });
        }
        progress.advance(0)?;
        Ok(found)
    }

    /// Refuses what does not fit into memory: all influences, and the series of those that are computed at a time.
    fn require_room(&self, plans: &[Plan], stretch: usize) -> Result<()> {
        let Config { num_input_channels: width, context_length, .. } = *self.config();
        let covariates = self.preprocessor().standardiser.effects.as_ref();
        let lags = covariates.map_or(0, |all| all.lags);
        let sources = |plan: &Plan| plan.len() + covariates.map_or(0, |all| all.names.len());
        let numbers = |plan: &Plan| sources(plan).saturating_mul(plan.forecast.values.len());
        let numbers = plans.iter().map(numbers).fold(0, usize::saturating_add);
        let hidden = plans.iter().map(Plan::len).max().unwrap_or(0).min(windows_at_once(width));
        // A number in f64 takes the room of two; a point of a series has one, and a flag.
        let bytes = bytes_of(&[numbers, 2]).saturating_add(bytes_of(&[
            hidden,
            context_length.saturating_add(lags),
            width,
            3,
        ]));
        let longer = option("stretch", None);
        let way_out = format!("a longer {longer} than {stretch}, or fewer series or channels");
        require_memory("the influences of all stretches", bytes, &way_out)
    }

    /// What each stretch of the past of a series and each covariate adds to its forecast.
    fn influences(
        &mut self,
        series: &Series,
        plan: &Plan,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Influence>> {
        let mut influences = Vec::with_capacity(plan.len());
        // Covariates of some rows before the context act in its first rows.
        let lags = self.preprocessor().standardiser.effects.as_ref().map_or(0, |all| all.lags);
        let first = plan.context.start.saturating_sub(lags);
        let base = rows_of(series, first..plan.context.end);
        let units = self.model().contexts(std::slice::from_ref(&base), 0)?.units;
        for part in plan.hidden.chunks(windows_at_once(self.config().num_input_channels)) {
            progress.advance(part.len())?;
            let hidden: Vec<Series> =
                part.iter().map(|hidden| without(&base, hidden, first)).collect();
            for (hidden, other) in part.iter().zip(self.at_ends(&hidden)?) {
                let Hidden { channel, rows } = hidden.clone();
                let source = Source::Past { channel, rows };
                influences.push(Influence { source, change: less(&plan.forecast, &other) });
            }
        }
        influences.extend(self.covariate_influences(series, &plan.forecast, &units[0])?);
        Ok(influences)
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

/// How many windows are done.
struct Progress<'a> {
    done: usize,
    all: usize,
    tell: Tell<'a>,
}

impl Progress<'_> {
    /// Tells how many windows are done, before some more.
    fn advance(&mut self, more: usize) -> Result<()> {
        (self.tell)(self.done, self.all)?;
        self.done += more;
        Ok(())
    }
}

/// The stretches of a context, counted from its end.
struct Stretches {
    /// The row after the context.
    end: usize,
    context_length: usize,
    /// Rows of a stretch; the earliest may be shorter.
    each: usize,
}

impl Stretches {
    /// Their rows, the earliest first.
    fn rows(&self, context: &Range<usize>) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut end = context.end;
        while end > context.start {
            let start = end.saturating_sub(self.each).max(context.start);
            found.push(start..end);
            end = start;
        }
        found.reverse();
        found
    }
}

/// The forecast of a series, and what is hidden of its past.
struct Plan {
    forecast: Forecast,
    context: Range<usize>,
    hidden: Vec<Hidden>,
}

impl Plan {
    fn new(series: &Series, forecast: Forecast, stretches: Stretches) -> Self {
        let context = stretches.end.saturating_sub(stretches.context_length)..stretches.end;
        let all = stretches.rows(&context);
        let of_channel = |channel: usize| {
            let seen = move |rows: &&Range<usize>| {
                (*rows).clone().any(|row| series.get(row, channel).is_some())
            };
            all.iter().filter(seen).map(move |rows| Hidden { channel, rows: rows.clone() })
        };
        let hidden = (0..series.num_channels).flat_map(of_channel).collect();
        Self { forecast, context, hidden }
    }

    /// Forecasts with a stretch hidden.
    fn len(&self) -> usize {
        self.hidden.len()
    }
}
