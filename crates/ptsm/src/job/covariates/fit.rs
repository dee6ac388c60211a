//! Effects in closed form: a ridge regression of changes of the series on the same changes of the covariates.
//!
//! Levels of a series and of a covariate may rise together for reasons of their own; changes do not, so each of
//! several kinds is tried. Every channel has its own weights, and every series the same.

use std::fmt;
use std::ops::Range;

use crate::data::{CovariateEffects, Covariates, PreparedSeries, Standardiser};
use crate::evaluate::Cholesky;
use crate::job::data::SeriesData;
use crate::{Error, Result};

/// Penalties that are tried, as shares of the square of each input.
const PENALTIES: [f64; 6] = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0];

/// Rows that are looked at, of all series together; of more, every nth.
const ROWS: usize = 100_000;

/// To what effects are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    /// Differences from the mean of each series.
    Levels,
    /// Differences from so many rows before.
    Over(usize),
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Levels => f.write_str("levels"),
            Self::Over(1) => f.write_str("changes"),
            Self::Over(rows) => write!(f, "changes over {rows} rows"),
        }
    }
}

/// One fit of effects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fit<'a> {
    pub(super) changes: Changes,
    pub(super) lags: usize,
    /// Which covariates may act, `[K]`.
    pub(super) active: &'a [bool],
}

/// To which rows effects are fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Those of the training part, so that the validation part can judge them.
    Training,
    /// Those of the validation part too, with the penalty that suits it when it is left out.
    WithValidation,
}

/// Where a covariate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changing {
    InTraining,
    /// Only there: the validation part cannot judge what is learnt in it.
    InValidation,
    Never,
}

/// What effects are fitted to.
pub(super) struct Material<'a> {
    names: &'a [String],
    channels: usize,
    /// Mean and deviation of each covariate in the training rows.
    mean: Vec<f64>,
    scale: Vec<f64>,
    series: Vec<OneSeries<'a>>,
    /// Every nth row is taken.
    step: usize,
}

struct OneSeries<'a> {
    values: PreparedSeries,
    covariates: &'a Covariates,
    train: Range<usize>,
    validation: Range<usize>,
}

/// Sums of products of inputs and responses over rows.
struct Sums {
    inputs: usize,
    /// `[inputs, inputs]` of rows in which every channel is seen; the lower triangle.
    gram: Vec<f64>,
    /// Of the others, for each channel.
    own: Vec<Option<Vec<f64>>>,
    /// `[C, inputs]`.
    cross: Vec<f64>,
}

impl<'a> Material<'a> {
    /// Of the series that can be split, standardised without effects.
    pub(super) fn new(data: &'a SeriesData, standardiser: &Standardiser) -> Result<Self> {
        let mut series = Vec::new();
        for one in &data.set.series {
            let Some(covariates) = &one.covariates else { continue };
            let borders = data.split.borders(one.num_rows(), one.timestamps.as_ref(), 1);
            let Ok(borders) = borders else { continue };
            let own = standardiser.of_rows(one, borders.train.clone())?;
            let (train, validation) = (borders.train, borders.validation);
            series.push(OneSeries { values: own.apply(one)?, covariates, train, validation });
        }
        let rows: usize = series.iter().map(|one| one.train.len()).sum();
        let names = &data.set.covariates;
        let moments = (0..names.len()).map(|k| moments(&series, k));
        let (mean, scale) = moments.unzip();
        let channels = data.set.channels.len();
        if series.is_empty() {
            return Err(Error::input("no series is long enough for the split"));
        }
        Ok(Self { names, channels, mean, scale, series, step: rows.div_ceil(ROWS).max(1) })
    }

    /// The effects with the penalty that suits the validation rows best; `None` if the covariates do not change.
    pub(super) fn fit(&self, fit: &Fit<'_>, rows: Rows) -> Option<CovariateEffects> {
        let blank = CovariateEffects {
            names: self.names.to_vec(),
            mean: self.mean.clone(),
            scale: self.scale.clone(),
            lags: fit.lags,
            weights: Vec::new(),
        };
        let train = self.sums(&blank, fit, |one| one.train.clone());
        let judged = self.sums(&blank, fit, |one| one.validation.clone());
        let whole =
            match rows {
                Rows::Training => None,
                Rows::WithValidation => Some(self.sums(&blank, fit, |one| {
                    one.train.start..one.validation.end.max(one.train.end)
                })),
            };
        if whole.as_ref().unwrap_or(&train).is_zero() {
            return None;
        }
        let mut weights = Vec::with_capacity(self.channels * train.inputs);
        for channel in 0..self.channels {
            let solved = PENALTIES.iter().filter_map(|&penalty| {
                let weights = train.solve(channel, penalty)?;
                Some((judged.error(channel, &weights), penalty, weights))
            });
            let best = solved.min_by(|(a, ..), (b, ..)| a.total_cmp(b));
            let best = best.map(|(_, penalty, weights)| match &whole {
                Some(whole) => whole.solve(channel, penalty).unwrap_or(weights),
                None => weights,
            });
            weights.extend(best.unwrap_or(vec![0.0; train.inputs]));
        }
        Some(CovariateEffects { weights, ..blank })
    }

    /// Whether any of these covariates changes in the training rows of a series; and whether it does if the validation
    /// rows are looked at too.
    pub(super) fn change(&self, covariates: Range<usize>) -> Changing {
        let changes = |one: &OneSeries<'_>, rows: Range<usize>| {
            let row = |row| one.covariates.row(row).map(|row| &row[covariates.clone()]);
            let known = |values: &&[f64]| values.iter().all(|value| !value.is_nan());
            let mut rows = rows.filter_map(row).filter(known);
            let first = rows.next();
            rows.any(|row| Some(row) != first)
        };
        let whole = |one: &OneSeries<'_>| one.train.start..one.validation.end.max(one.train.end);
        if self.series.iter().any(|one| changes(one, one.train.clone())) {
            Changing::InTraining
        } else if self.series.iter().any(|one| changes(one, whole(one))) {
            Changing::InValidation
        } else {
            Changing::Never
        }
    }

    fn sums(
        &self,
        effects: &CovariateEffects,
        fit: &Fit<'_>,
        part: impl Fn(&OneSeries<'a>) -> Range<usize>,
    ) -> Sums {
        let inputs = effects.inputs();
        let mut sums = Sums {
            inputs,
            gram: vec![0.0; inputs * inputs],
            own: vec![None; self.channels],
            cross: vec![0.0; self.channels * inputs],
        };
        let mut row_inputs = vec![0.0; inputs];
        let mut before = vec![0.0; inputs];
        for one in &self.series {
            let level = Level::of(one, effects, fit);
            let from = match fit.changes {
                Changes::Levels => 0,
                Changes::Over(rows) => rows,
            };
            let rows = part(one);
            for row in rows.start.max(from)..rows.end {
                if row % self.step != 0 {
                    continue;
                }
                effects.inputs_of(one.covariates, row, &mut row_inputs);
                match fit.changes {
                    Changes::Levels => before.copy_from_slice(&level.inputs),
                    Changes::Over(rows) => {
                        effects.inputs_of(one.covariates, row - rows, &mut before);
                    }
                }
                let active = fit.active.iter().cycle();
                for ((x, before), active) in row_inputs.iter_mut().zip(&before).zip(active) {
                    *x = if *active { *x - before } else { 0.0 };
                }
                let response = |channel| match fit.changes {
                    Changes::Levels => Some(one.seen(row, channel)? - level.values[channel]),
                    Changes::Over(rows) => {
                        Some(one.seen(row, channel)? - one.seen(row - rows, channel)?)
                    }
                };
                sums.push(&row_inputs, &(0..self.channels).map(response).collect::<Vec<_>>());
            }
        }
        sums
    }
}

impl OneSeries<'_> {
    fn seen(&self, row: usize, channel: usize) -> Option<f64> {
        let place = row * self.values.num_channels + channel;
        let seen = self.values.observed_mask.as_ref().is_none_or(|mask| mask[place] != 0.0);
        seen.then(|| f64::from(self.values.values[place]))
    }
}

/// Means of a series over its training rows.
struct Level {
    inputs: Vec<f64>,
    values: Vec<f64>,
}

impl Level {
    /// Zeros where changes are looked at.
    fn of(one: &OneSeries<'_>, effects: &CovariateEffects, fit: &Fit<'_>) -> Self {
        let channels = one.values.num_channels;
        let (mut inputs, mut values) = (vec![0.0; effects.inputs()], vec![0.0; channels]);
        if fit.changes != Changes::Levels {
            return Self { inputs, values };
        }
        let mut row_inputs = inputs.clone();
        let rows = one.train.clone();
        let count = rows.len().max(1) as f64;
        for row in rows.clone() {
            effects.inputs_of(one.covariates, row, &mut row_inputs);
            inputs.iter_mut().zip(&row_inputs).for_each(|(sum, x)| *sum += x / count);
        }
        for (channel, value) in values.iter_mut().enumerate() {
            let seen = rows.clone().filter_map(|row| one.seen(row, channel));
            let (sum, count) = seen.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
            *value = sum / f64::max(count, 1.0);
        }
        Self { inputs, values }
    }
}

impl Sums {
    /// Whether no input ever changes.
    fn is_zero(&self) -> bool {
        self.gram.iter().chain(self.own.iter().flatten().flatten()).all(|sum| *sum == 0.0)
    }

    /// Adds a row; `None` is a channel that is not seen in it.
    fn push(&mut self, inputs: &[f64], responses: &[Option<f64>]) {
        let complete = responses.iter().all(Option::is_some);
        if complete {
            add_products(&mut self.gram, inputs);
        }
        for (channel, response) in responses.iter().enumerate() {
            let Some(response) = response else { continue };
            if !complete {
                let own = &mut self.own[channel];
                let own = own.get_or_insert_with(|| vec![0.0; self.inputs * self.inputs]);
                add_products(own, inputs);
            }
            let cross = &mut self.cross[channel * self.inputs..][..self.inputs];
            cross.iter_mut().zip(inputs).for_each(|(sum, x)| *sum += x * response);
        }
    }

    fn gram(&self, channel: usize) -> Vec<f64> {
        match &self.own[channel] {
            None => self.gram.clone(),
            Some(own) => self.gram.iter().zip(own).map(|(a, b)| a + b).collect(),
        }
    }

    /// The weights of a channel; an input that never changes has the weight 0.
    fn solve(&self, channel: usize, penalty: f64) -> Option<Vec<f64>> {
        let mut matrix = self.gram(channel);
        for input in 0..self.inputs {
            let square = &mut matrix[input * (self.inputs + 1)];
            *square = if *square > 0.0 { *square * (1.0 + penalty) } else { 1.0 };
        }
        let mut weights = self.cross[channel * self.inputs..][..self.inputs].to_vec();
        Cholesky::factor(matrix, self.inputs)?.solve(&mut weights, 1);
        weights.iter().all(|weight| weight.is_finite()).then_some(weights)
    }

    /// Sum of squared errors of weights, but for a part that is the same for all weights.
    fn error(&self, channel: usize, weights: &[f64]) -> f64 {
        let gram = self.gram(channel);
        let cross = &self.cross[channel * self.inputs..][..self.inputs];
        let mut error = 0.0;
        for (i, weight) in weights.iter().enumerate() {
            let row = &gram[i * self.inputs..][..self.inputs];
            let below: f64 =
                row[..i].iter().zip(weights).map(|(square, other)| square * other).sum();
            error += weight * (2.0 * below + row[i] * weight - 2.0 * cross[i]);
        }
        error
    }
}

/// Adds the products of inputs to a lower triangle; many inputs are 0.
fn add_products(gram: &mut [f64], inputs: &[f64]) {
    for (row, &x) in gram.chunks_exact_mut(inputs.len()).zip(inputs) {
        if x == 0.0 {
            continue;
        }
        row.iter_mut().zip(inputs).for_each(|(sum, other)| *sum += x * other);
    }
}

/// Mean and deviation of a covariate in the training rows; 0 and 1 where it is not known.
fn moments(series: &[OneSeries<'_>], covariate: usize) -> (f64, f64) {
    let known = || {
        series.iter().flat_map(|one| {
            let value = move |row| one.covariates.row(row).map(|row| row[covariate]);
            one.train.clone().filter_map(value).filter(|value| !value.is_nan())
        })
    };
    let count = known().count().max(1) as f64;
    let mean = known().sum::<f64>() / count;
    let squares: f64 = known().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / count).sqrt();
    (mean, if deviation > 0.0 { deviation } else { 1.0 })
}
