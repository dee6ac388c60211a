//! From the graph's inputs to the standardised window.

use ptsm::core::Transform;
use ptsm::data::{CovariateEffects, SeriesScale, Standardiser};
use ptsm::{Error, Result};

use super::logarithm::log1p;
use super::own_scale::{Points, Shift};
use super::units::Units;
use crate::fact::{Dim, Fact, Kind};
use crate::graph::{Graph, Value};
use crate::options::Missing;

/// Names of the inputs.
pub(crate) const PAST_VALUES: &str = "past_values";
pub(crate) const OBSERVED_MASK: &str = "observed_mask";
pub(crate) const SERIES: &str = "series";
pub(crate) const PAST_COVARIATES: &str = "past_covariates";
pub(crate) const FUTURE_COVARIATES: &str = "future_covariates";

/// Shape of the windows that the graph is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) context: usize,
    pub(crate) channels: usize,
    /// Steps of the forecast, of which covariates are asked for.
    pub(crate) horizon: usize,
}

/// A standardised window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// `[B, C, L]`; 0 where a point is missing.
    pub(crate) values: Value,
    /// `[B, C, L]`: 1 where a point was seen; `None` = everywhere.
    pub(crate) seen: Option<Value>,
    /// The same as truth.
    pub(crate) is_seen: Option<Value>,
    /// Where the data's zero lies, `[C, 1]` or `[B, C, 1]`; `None` = at 0.
    pub(crate) origin: Option<Value>,
    /// Steps, L.
    pub(crate) length: usize,
}

impl Window {
    /// Its last `length` steps.
    pub(crate) fn end(&self, g: &mut Graph, length: usize) -> Result<Window> {
        let from = self.length - length;
        let mut cut = |x: Value| g.slice(x, 2, from, self.length);
        Ok(Window {
            values: cut(self.values)?,
            seen: self.seen.map(&mut cut).transpose()?,
            is_seen: self.is_seen.map(&mut cut).transpose()?,
            origin: self.origin,
            length,
        })
    }

    /// Seen points, `[B, C, 1]`; a number where all are.
    pub(crate) fn count(&self, g: &mut Graph) -> Result<Value> {
        match self.seen {
            Some(seen) => g.sum_last(seen),
            None => Ok(g.number(self.length as f32)),
        }
    }

    /// `x` `[B, C, L]`, 0 where a point is missing.
    pub(crate) fn only_seen(&self, g: &mut Graph, x: Value) -> Result<Value> {
        let Some(seen) = self.is_seen else { return Ok(x) };
        let zero = g.number(0.0);
        g.choose(seen, x, zero)
    }
}

/// What the graph is given.
pub(crate) struct Given<'a> {
    pub(crate) lengths: Lengths,
    pub(crate) missing: Missing,
    /// What makes standardised values of data; `None` = the caller does it.
    pub(crate) standardiser: Option<&'a Standardiser>,
    /// Where the data's zero lies in standardised units, `[C]`, if the caller standardises.
    pub(crate) origin: Option<Vec<f32>>,
    /// Whether a part of the model asks where the data's zero lies.
    pub(crate) takes_levels: bool,
}

impl Given<'_> {
    /// Declares the inputs, and makes the standardised window of them.
    pub(crate) fn lower(&self, g: &mut Graph) -> Result<(Window, Units)> {
        g.enter("window");
        let Lengths { context, channels, .. } = self.lengths;
        let shape = vec![Dim::Batch, Dim::Fixed(context), Dim::Fixed(channels)];
        let doc = match (self.missing, self.standardiser) {
            (Missing::Nan, Some(_)) => "the last rows, in data units; NaN = missing",
            (Missing::Nan, None) => "the last rows, standardised; NaN = missing",
            (_, Some(_)) => "the last rows, in data units",
            (_, None) => "the last rows, standardised",
        };
        let given = g.input(PAST_VALUES, Fact::new(Kind::Float, shape.clone()), doc);
        let values = g.transpose(given, &[0, 2, 1])?;
        let is_seen = match self.missing {
            Missing::None => None,
            Missing::Nan => {
                let nan = g.unary("IsNaN", values)?;
                Some(g.unary("Not", nan)?)
            }
            Missing::Mask => {
                let doc = "1 = seen, 0 = missing";
                let mask = g.input(OBSERVED_MASK, Fact::new(Kind::Float, shape), doc);
                let mask = g.transpose(mask, &[0, 2, 1])?;
                let zero = g.number(0.0);
                Some(g.binary("Greater", mask, zero)?)
            }
        };
        let seen = is_seen.map(|seen| g.cast(seen, Kind::Float)).transpose()?;
        let raw = Window { values, seen, is_seen, origin: None, length: context };
        match self.standardiser {
            None => {
                let values = raw.only_seen(g, values)?;
                let name = "standardiser.origin";
                let origin = self.origin.as_ref().map(|o| g.floats(name, &[channels, 1], o));
                Ok((Window { values, origin, ..raw }, Units::AS_THEY_ARE))
            }
            Some(standardiser) => self.standardised(g, standardiser, raw),
        }
    }

    fn standardised(
        &self,
        g: &mut Graph,
        standardiser: &Standardiser,
        raw: Window,
    ) -> Result<(Window, Units)> {
        let transform = standardiser.transform;
        let mut values = raw.only_seen(g, raw.values)?;
        if transform == Transform::Log1p {
            let (sign, size) = (g.unary("Sign", values)?, g.unary("Abs", values)?);
            let logarithm = log1p(g, size)?;
            values = g.binary("Mul", sign, logarithm)?;
        }
        let Window { seen, is_seen, length, .. } = raw;
        let shift = self.shift(g, standardiser, Points { values, seen, is_seen, length })?;
        let centred = g.binary("Sub", values, shift.mean)?;
        values = g.binary("Div", centred, shift.scale)?;
        let mut effects = None;
        if let Some(found) = &standardiser.effects {
            let (past, future) = self.effects(g, found)?;
            values = g.binary("Sub", values, past)?;
            effects = Some(future);
        }
        let values = raw.only_seen(g, values)?;
        let origin = match transform.is_none() && self.takes_levels {
            true => {
                let below = g.unary("Neg", shift.mean)?;
                Some(g.binary("Div", below, shift.scale)?)
            }
            false => None,
        };
        let units = Units { shift: Some(shift), transform, effects };
        Ok((Window { values, origin, ..raw }, units))
    }

    /// Shift and scale: those of the training, of a series, or of the window.
    fn shift(&self, g: &mut Graph, standardiser: &Standardiser, points: Points) -> Result<Shift> {
        let channels = self.lengths.channels;
        let numbers = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let shape = [channels, 1];
        let shared = Shift {
            mean: g.floats("standardiser.mean", &shape, &numbers(&standardiser.mean)),
            scale: g.floats("standardiser.scale", &shape, &numbers(&standardiser.scale)),
        };
        if standardiser.series.is_empty() {
            return match standardiser.adapts {
                true => points.adapted(g, shared, shared),
                false => Ok(shared),
            };
        }
        let all = standardiser.series.values();
        let table = |part: fn(&SeriesScale) -> &Vec<f64>| -> Vec<f32> {
            all.clone().flat_map(|own| numbers(part(own))).collect()
        };
        let shape = [standardiser.series.len(), channels, 1];
        let mean = g.floats("standardiser.series.mean", &shape, &table(|own| &own.mean));
        let scale = g.floats("standardiser.series.scale", &shape, &table(|own| &own.scale));
        let doc = "number of each window's series in the metadata ptsm.series; -1 = another one";
        let index = g.input(SERIES, Fact::new(Kind::Int, vec![Dim::Batch]), doc);
        let zero = g.places(&[], &[0]);
        let inside = g.binary("Max", index, zero)?;
        let known = g.binary("GreaterOrEqual", index, zero)?;
        let known = g.reshape(known, &[1, 1])?;
        let saved = Shift { mean: g.gather(mean, inside, 0)?, scale: g.gather(scale, inside, 0)? };
        let saved = match standardiser.adapts {
            true => points.adapted(g, saved, shared)?,
            false => saved,
        };
        points.unless_known(g, known, saved, shared)
    }

    /// What covariates add to the past, `[B, C, L]`, and to the forecast, `[B, C, H]`, in standardised units.
    fn effects(&self, g: &mut Graph, effects: &CovariateEffects) -> Result<(Value, Value)> {
        let Lengths { context, horizon, channels } = self.lengths;
        let (width, lags) = (effects.names.len(), effects.lags);
        let steps = |steps: usize| {
            Fact::new(Kind::Float, vec![Dim::Batch, Dim::Fixed(steps), Dim::Fixed(width)])
        };
        let names = effects.names.join(", ");
        let doc =
            format!("{names} in the rows of past_values and {lags} before them; NaN = unknown");
        let past = g.input(PAST_COVARIATES, steps(lags + context), &doc);
        let doc = format!("{names} in the steps of the forecast; NaN = unknown");
        let future = g.input(FUTURE_COVARIATES, steps(horizon), &doc);
        let all = g.concat(&[past, future], 1)?;
        let numbers = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let mean = g.floats("covariates.mean", &[width], &numbers(&effects.mean));
        let scale = g.floats("covariates.scale", &[width], &numbers(&effects.scale));
        let unknown = g.unary("IsNaN", all)?;
        let centred = g.binary("Sub", all, mean)?;
        let scaled = g.binary("Div", centred, scale)?;
        let zero = g.number(0.0);
        let known = g.choose(unknown, zero, scaled)?;
        let mut sum: Option<Value> = None;
        for lag in 0..=lags {
            let rows = g.slice(known, 1, lags - lag, lags - lag + context + horizon)?;
            let weights: Vec<f32> = (0..width)
                .flat_map(|k| (0..channels).map(move |c| (c * (lags + 1) + lag) * width + k))
                .map(|place| effects.weights[place] as f32)
                .collect();
            let weights = g.floats(&format!("covariates.{lag}"), &[width, channels], &weights);
            let part = g.binary("MatMul", rows, weights)?;
            sum = Some(match sum {
                Some(sum) => g.binary("Add", sum, part)?,
                None => part,
            });
        }
        let sum = sum.ok_or_else(|| Error::internal("covariates act in no row"))?;
        let sum = g.transpose(sum, &[0, 2, 1])?;
        Ok((g.slice(sum, 2, 0, context)?, g.slice(sum, 2, context, context + horizon)?))
    }
}
