//! Windows of data as inputs of a file, and as a batch for this library.

use std::ops::Range;

use ptsm::core::{BatchShape, bytes_of, require_memory};
use ptsm::data::{Batch, CovariateEffects, PreparedSeries, Series, Standardiser};
use ptsm::forecast::ForecastUnits;
use ptsm::{Config, Result};

use crate::forms::Windowed;
use crate::lower::window::{
    FUTURE_COVARIATES, OBSERVED_MASK, PAST_COVARIATES, PAST_VALUES, SERIES,
};
use crate::options::{Missing, Options, Standardise};
use crate::runtime::{Given, Values};
use crate::source::Source;

/// Times that the points of a window are held at once: as they are given, standardised, as bytes, in the runtime.
const COPIES: usize = 8;

/// Windows, both ways.
pub(crate) struct Windows {
    pub(crate) inputs: Vec<Given>,
    pub(crate) batch: Batch,
    /// `None` where the file gives the numbers of the network.
    pub(crate) units: Option<Vec<ForecastUnits>>,
}

/// How windows are laid out.
pub(crate) struct Layout<'a> {
    standardiser: Standardiser,
    options: &'a Options,
    context: usize,
    channels: usize,
    horizon: usize,
}

/// A window as rows in front of a place in a series.
pub(crate) struct Cut<'a> {
    pub(crate) series: &'a Series,
    /// The row after the window.
    pub(crate) end: usize,
}

/// What is collected of all windows.
#[derive(Default)]
struct Collected {
    /// As the file takes them, NaN where a point is missing.
    given: Vec<f32>,
    standardised: Vec<f32>,
    mask: Vec<f32>,
    origins: Vec<f32>,
    numbers: Vec<i64>,
    past: Vec<f32>,
    future: Vec<f32>,
    units: Vec<ForecastUnits>,
}

impl<'a> Layout<'a> {
    /// That of a source; `options` are settled.
    pub(crate) fn of(source: &Source, options: &'a Options) -> Self {
        let Config { context_length, num_input_channels, prediction_length, .. } = source.config();
        let standardiser = match &source.preprocessor {
            Some(own) => own.standardiser.clone(),
            None => Standardiser::identity(num_input_channels),
        };
        Self {
            standardiser,
            options,
            context: context_length,
            channels: num_input_channels,
            horizon: prediction_length,
        }
    }

    fn effects(&self) -> Option<&CovariateEffects> {
        self.standardiser.effects.as_deref()
    }

    fn inside(&self) -> bool {
        self.options.standardise == Some(Standardise::Inside)
    }

    /// Whether the file can be given this window: one without the input of missing points takes whole ones only.
    pub(crate) fn takes(&self, cut: &Cut<'_>) -> bool {
        let range = cut.end.saturating_sub(self.context) * self.channels..cut.end * self.channels;
        let whole = cut.end >= self.context
            && cut.series.observed.as_ref().is_none_or(|seen| seen[range].iter().all(|&seen| seen));
        self.options.missing != Missing::None || whole
    }

    /// Lays out some windows.
    ///
    /// # Errors
    ///
    /// As [`Standardiser::of_rows`] and [`Standardiser::apply_window`]; `OutOfMemory`.
    pub(crate) fn lay_out(&self, cuts: &[Cut<'_>]) -> Result<Windows> {
        let width = self.effects().map_or(0, |effects| effects.names.len());
        let (rows, columns) = (self.context + self.horizon, self.channels + width);
        let bytes = bytes_of(&[COPIES, cuts.len(), rows, columns]);
        require_memory("comparing windows", bytes, "a model of fewer rows and channels")?;
        let mut all = Collected::default();
        cuts.iter().try_for_each(|cut| self.add(&mut all, cut))?;
        let (size, context_length, num_channels) = (cuts.len(), self.context, self.channels);
        let shape = BatchShape { size, context_length, num_channels };
        let origins = (all.origins.len() == size * num_channels).then(|| all.origins.clone());
        let batch = Batch::new(shape, all.standardised.clone())?
            .with_observed_mask(all.mask.clone())?
            .with_origin(origins)?;
        let inputs = self.inputs(size, &mut all);
        Ok(Windows { inputs, batch, units: self.inside().then_some(all.units) })
    }

    fn add(&self, all: &mut Collected, cut: &Cut<'_>) -> Result<()> {
        let Cut { series, end } = *cut;
        let rows = end.saturating_sub(self.context)..end;
        let scale = self.standardiser.of_rows(series, rows.clone())?;
        let PreparedSeries { values, observed_mask, .. } =
            scale.apply_window(series, rows.clone(), self.context)?;
        let seen = |mask: Option<Vec<f32>>| mask.unwrap_or_else(|| vec![1.0; values.len()]);
        let mask = seen(observed_mask);
        match self.inside() {
            true => all.given.extend(self.raw(series, rows.clone())),
            false => {
                let given = values.iter().zip(&mask);
                all.given.extend(given.map(|(&x, &seen)| if seen == 0.0 { f32::NAN } else { x }));
            }
        }
        all.standardised.extend(values);
        all.mask.extend(mask);
        all.origins.extend(scale.origin().unwrap_or_default());
        let known = self.standardiser.series.keys().position(|name| *name == series.id);
        all.numbers.push(known.map_or(-1, |number| number as i64));
        let ahead = end..end + self.horizon;
        if let Some(effects) = self.effects() {
            let lags = effects.lags as i64;
            let first = end as i64 - self.context as i64 - lags;
            let row = |row: i64| -> Vec<f32> {
                let covariates = series.covariates.as_ref();
                let known = usize::try_from(row).ok().and_then(|row| covariates?.row(row));
                let unknown = vec![f32::NAN; effects.names.len()];
                known.map_or(unknown, |row| row.iter().map(|&x| x as f32).collect())
            };
            all.past.extend((first..end as i64).flat_map(row));
            all.future.extend((ahead.start as i64..ahead.end as i64).flat_map(row));
        }
        let effects = scale.effects(series, ahead)?;
        all.units.push(ForecastUnits { scale, effects });
        Ok(())
    }

    /// The rows in data units, NaN where a point is missing.
    fn raw(&self, series: &Series, rows: Range<usize>) -> Vec<f32> {
        let mut raw = vec![f32::NAN; (self.context - rows.len()) * self.channels];
        for row in rows {
            let value = |channel| series.get(row, channel).map_or(f32::NAN, |x| x as f32);
            raw.extend((0..self.channels).map(value));
        }
        raw
    }

    fn inputs(&self, size: usize, all: &mut Collected) -> Vec<Given> {
        let floats = |name: &str, shape: &[usize], values: Vec<f32>| Given {
            name: name.to_owned(),
            shape: [&[size], shape].concat(),
            values: Values::Floats(values),
        };
        let window = [self.context, self.channels];
        let mut given = std::mem::take(&mut all.given);
        let mut inputs = Vec::new();
        if self.options.missing == Missing::Mask {
            // What is missing may hold anything.
            given.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
            inputs.push(floats(OBSERVED_MASK, &window, all.mask.clone()));
        }
        inputs.insert(0, floats(PAST_VALUES, &window, given));
        if !self.inside() {
            return inputs;
        }
        if !self.standardiser.series.is_empty() {
            let values = Values::Ints(std::mem::take(&mut all.numbers));
            inputs.push(Given { name: SERIES.to_owned(), shape: vec![size], values });
        }
        if let Some(effects) = self.effects() {
            let width = effects.names.len();
            let past = std::mem::take(&mut all.past);
            inputs.push(floats(PAST_COVARIATES, &[effects.lags + self.context, width], past));
            let future = std::mem::take(&mut all.future);
            inputs.push(floats(FUTURE_COVARIATES, &[self.horizon, width], future));
        }
        inputs
    }

    /// Windows of numbers that look random, and are the same each time.
    pub(crate) fn random(&self, count: usize) -> Result<Vec<Series>> {
        Windowed {
            standardiser: &self.standardiser,
            context: self.context,
            channels: self.channels,
            horizon: self.horizon,
            gaps: self.options.missing != Missing::None,
        }
        .random(count)
    }
}
