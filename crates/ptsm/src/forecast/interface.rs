//! [`ForecastInterface`]: what lies between the data and the network of a forecaster.

use std::borrow::Borrow;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::answer::{Forecast, ForecastInterval, ForecastQuantile};
use crate::calibration::{self, Band, Calibration};
use crate::data::{Batch, BatchShape, PreparedSeries, Series, Standardiser};
use crate::preprocessor::Preprocessor;
use crate::{Config, Error, Model, Result};
use ptsm_core::{OutputSpec, Prediction};

/// Series that a thread is given at once; one by itself takes no other thread.
const SERIES_AT_ONCE: usize = 8;

/// Windows to forecast from, and what makes data of the forecast of each.
#[derive(Debug, Clone)]
pub struct Contexts {
    /// `[B, L, C]`, standardised.
    pub batch: Batch,
    /// One for each window.
    pub units: Vec<ForecastUnits>,
}

/// What a forecast from one window is in: standardised units, without the effects of covariates.
#[derive(Debug, Clone)]
pub struct ForecastUnits {
    /// The standardiser of the window.
    pub scale: Standardiser,
    /// What covariates add to the forecast, `[H, C]`, standardised; `None` = nothing.
    pub effects: Option<Vec<f32>>,
}

impl ForecastUnits {
    /// Those of a model without covariates.
    pub(crate) fn without_effects(scale: Standardiser) -> Self {
        Self { scale, effects: None }
    }

    /// A forecast of a channel, `step` steps ahead (from 0), in data units.
    fn undo(&self, step: usize, channel: usize, forecast: f32) -> f64 {
        let effect = |effects: &Vec<f32>| effects[step * self.scale.num_channels() + channel];
        let effect = self.effects.as_ref().map_or(0.0, effect);
        self.scale.undo_value(channel, forecast + effect)
    }
}

/// As [`Contexts`], of one window, whose memory is used again.
#[derive(Clone, Copy)]
pub(crate) struct OneContext<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) units: &'a ForecastUnits,
}

/// Rows in front of the forecast: at least one.
fn end_of(series: &Series, rows_before_end: usize) -> Result<usize> {
    match series.num_rows().saturating_sub(rows_before_end) {
        0 => {
            let name = if series.id.is_empty() { "the data" } else { &series.id };
            let rows = series.num_rows();
            let text = format!(
                "{name}: there is no row in front of the forecast, which begins {rows_before_end} \
                 rows before the end of {rows} (forecast from fewer rows before the end)"
            );
            Err(Error::input(text))
        }
        end => Ok(end),
    }
}

/// A step of the forecast of a window.
#[derive(Clone, Copy)]
pub(crate) struct StepOf<'a> {
    /// Number of the window in its batch.
    pub(crate) window: usize,
    /// Number of the step, from 0.
    pub(crate) step: usize,
    pub(crate) units: &'a ForecastUnits,
}

/// Where a window ends.
#[derive(Clone, Copy)]
pub(crate) struct WindowEnd<'a> {
    pub(crate) series: &'a Series,
    /// Row after its last one, at least 1.
    pub(crate) row: usize,
}

/// The output of a model for one window.
struct WindowOutput<'a> {
    /// `[H, C']`, standardised.
    points: &'a [f32],
    /// Every interval of the batch, standardised.
    bands: &'a [Band],
    /// Every further quantile of the batch, standardised.
    quantiles: &'a [Vec<f64>],
    /// Where the window's part of them begins.
    first: usize,
    units: &'a ForecastUnits,
}

/// Standardised windows in, forecasts in data units out, of one head of a network.
#[derive(Debug, Clone)]
pub(crate) struct ForecastInterface {
    pub(super) config: Config,
    pub(super) preprocessor: Preprocessor,
    pub(super) output: Arc<OutputSpec>,
    pub(super) calibration: Option<Calibration>,
    /// Levels of the intervals that forecasts come with.
    pub(super) levels: Vec<f64>,
    /// Levels of the further quantiles that they come with.
    quantiles: Vec<f64>,
}

impl ForecastInterface {
    /// That of a model whose data are read and whose intervals are calibrated so.
    pub(crate) fn new(
        model: &Model,
        preprocessor: Preprocessor,
        calibration: Option<Calibration>,
    ) -> Self {
        let output = Arc::clone(model.output());
        Self::of_output(model.config().clone(), output, preprocessor, calibration)
    }

    /// As [`ForecastInterface::new`], of any forecaster with this configuration and output.
    pub(crate) fn of_output(
        config: Config,
        output: Arc<OutputSpec>,
        preprocessor: Preprocessor,
        calibration: Option<Calibration>,
    ) -> Self {
        let (levels, quantiles) = match &calibration {
            Some(calibration) => {
                (calibration.intervals.iter().map(|i| i.level).collect(), Vec::new())
            }
            None => (output.kind().interval_levels(), output.kind().single_levels()),
        };
        Self { config, preprocessor, output, calibration, levels, quantiles }
    }

    /// Gives forecasts intervals of these levels, and no further quantiles.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the level, if it is below 1 % or beyond what the model says, or if the
    /// intervals are calibrated to other levels.
    pub(super) fn set_levels(&mut self, levels: &[f64]) -> Result<()> {
        if self.calibration.is_some() && levels != self.levels {
            return Err(Error::config("levels", "are those that the model was calibrated to"));
        }
        for &level in levels {
            let reached = level >= 0.01 && self.output.kind().reaches(0.5 + level / 2.0);
            if !(reached && self.output.kind().reaches(0.5 - level / 2.0)) {
                let widest = self.output.kind().interval_levels().last().map_or(0.0, |w| w * 100.0);
                let text = format!(
                    "{} must be a percentage from 1 to {widest:.0}, the widest interval that the model \
                     was trained for (a model that is trained and calibrated gives wider ones)",
                    level * 100.0
                );
                return Err(Error::config("levels", text));
            }
        }
        self.levels = levels.to_vec();
        self.levels.sort_by(f64::total_cmp);
        self.levels.dedup();
        self.quantiles.clear();
        Ok(())
    }

    /// The interval of every level for the output of the head for a batch, standardised units.
    pub(super) fn bands(&self, batch: &Batch, output: &Prediction) -> Vec<Band> {
        match &self.calibration {
            Some(calibration) => calibration.bands(batch, output),
            None => self.levels.iter().map(|&l| calibration::interval(output, l)).collect(),
        }
    }

    /// The last window in front of `rows_before_end` rows before the end of each series, each
    /// standardised by its series' shift and scale: one batch. No window looks at another one. What
    /// is missing in front of a series that is shorter than the context is masked.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the series, if it has no row before the forecast, another number of
    /// channels, or a value in the window that is beyond the range of single precision.
    pub(super) fn contexts<'a, S: Borrow<Series> + Sync + 'a>(
        &self,
        series: &'a [S],
        rows_before_end: usize,
    ) -> Result<Contexts> {
        let end = |series: &'a S| {
            let series = series.borrow();
            Ok(WindowEnd { series, row: end_of(series, rows_before_end)? })
        };
        self.contexts_of(series, end)
    }

    /// As [`ForecastInterface::contexts`], of any windows: `end` says where each ends.
    ///
    /// # Errors
    ///
    /// As [`ForecastInterface::contexts`], and those of `end`.
    pub(crate) fn contexts_of<'a, T: Sync + 'a>(
        &self,
        windows: &'a [T],
        end: impl Fn(&'a T) -> Result<WindowEnd<'a>> + Sync,
    ) -> Result<Contexts> {
        let Config { context_length, num_input_channels, .. } = self.config;
        let points = windows.len() * context_length * num_input_channels;
        let mut past_values = Vec::with_capacity(points);
        let mut units = Vec::with_capacity(windows.len());
        let standardised = |window: &'a T| {
            let WindowEnd { series, row } = end(window)?;
            let whole = series.observed.is_none() && row >= context_length;
            let found = self.standardised(series, row.saturating_sub(context_length)..row)?;
            Ok((found, whole))
        };
        let found = windows.par_iter().with_min_len(SERIES_AT_ONCE).map(standardised);
        // In their order, so that the first error is told.
        let found: Vec<_> = found.collect::<Vec<Result<_>>>().into_iter().collect::<Result<_>>()?;
        let gaps = !found.iter().all(|(_, whole)| *whole);
        let mut mask: Option<Vec<f32>> = gaps.then(|| Vec::with_capacity(points));
        for ((own, window), _) in found {
            past_values.extend(window.values);
            units.push(own);
            if let Some(mask) = &mut mask {
                match window.observed_mask {
                    Some(seen) => mask.extend(seen),
                    None => mask.resize(past_values.len(), 1.0),
                }
            }
        }
        let shape =
            BatchShape { size: windows.len(), context_length, num_channels: num_input_channels };
        let origin: Option<Vec<Vec<f32>>> = units.iter().map(|own| own.scale.origin()).collect();
        let batch = Batch::new(shape, past_values)?
            .with_observed_mask(mask)?
            .with_origin(origin.map(|origins| origins.concat()))?;
        Ok(Contexts { batch, units })
    }

    /// The units of a forecast that begins after some rows of a series, and the window that ends with them.
    fn standardised(
        &self,
        series: &Series,
        rows: Range<usize>,
    ) -> Result<(ForecastUnits, PreparedSeries)> {
        let named = |e: Error| match series.id.as_str() {
            "" => e,
            id => e.at(id),
        };
        let Config { context_length, prediction_length, .. } = self.config;
        let ahead = rows.end..rows.end + prediction_length;
        let scale = self.preprocessor.standardiser.of_rows(series, rows.clone()).map_err(named)?;
        let window = scale.apply_window(series, rows, context_length).map_err(named)?;
        let effects = scale.effects(series, ahead).map_err(named)?;
        Ok((ForecastUnits { scale, effects }, window))
    }

    /// The forecasts of these contexts in data units, one for each window, without name and times.
    pub(crate) fn read_out(&self, output: &Prediction, contexts: &Contexts) -> Vec<Forecast> {
        let points = output.points();
        let bands = self.bands(&contexts.batch, output);
        let quantiles = self.single_quantiles(output);
        let each = self.config.prediction_length * self.output.channels().len();
        let windows = points.par_chunks_exact(each).zip(&contexts.units).enumerate();
        let forecast = |(b, (points, units))| {
            let mut forecast = self.empty_forecast();
            let first = b * each;
            let window =
                WindowOutput { points, bands: &bands, quantiles: &quantiles, first, units };
            self.fill(&window, &mut forecast);
            forecast
        };
        windows.with_min_len(SERIES_AT_ONCE).map(forecast).collect()
    }

    /// As [`ForecastInterface::read_out`] for one window, reusing the memory of `forecast`; leaves the
    /// standardised points in `points`.
    pub(crate) fn read_one(
        &self,
        output: &Prediction,
        context: OneContext<'_>,
        points: &mut Vec<f32>,
        forecast: &mut Forecast,
    ) {
        output.points_into(points);
        let OneContext { batch, units } = context;
        let (bands, quantiles) = (&self.bands(batch, output), &self.single_quantiles(output));
        let window = WindowOutput { points, bands, quantiles, first: 0, units };
        self.fill(&window, forecast);
    }

    /// A forecast with the model's channels and no values.
    pub(crate) fn empty_forecast(&self) -> Forecast {
        let channels = self.output.channels();
        Forecast {
            id: String::new(),
            timestamps: None,
            first_row: 0,
            values: Vec::new(),
            intervals: Vec::new(),
            quantiles: Vec::new(),
            channels: channels.iter().map(|&c| self.preprocessor.channels[c].clone()).collect(),
        }
    }

    /// Every further quantile of a batch, standardised.
    fn single_quantiles(&self, output: &Prediction) -> Vec<Vec<f64>> {
        self.quantiles.iter().map(|&level| output.quantiles(level)).collect()
    }

    /// Standardised values of one window, `[H, C']`, in data units.
    pub(crate) fn in_data_units(&self, units: &ForecastUnits, window: &[f64]) -> Vec<f64> {
        let channels = self.output.channels();
        let undo = |(i, &x): (usize, &f64)| {
            units.undo(i / channels.len(), channels[i % channels.len()], x as f32)
        };
        window.iter().enumerate().map(undo).collect()
    }

    /// One step of the forecast of window number `window` of an output, `[C']`, data units; `points` are those of
    /// the output.
    pub(crate) fn one_step<'a>(
        &'a self,
        points: &'a [f32],
        at: StepOf<'a>,
    ) -> impl Iterator<Item = f64> + 'a {
        let StepOf { window, step, units } = at;
        let channels = self.output.channels();
        let first = (window * self.config.prediction_length + step) * channels.len();
        let points = &points[first..first + channels.len()];
        points.iter().zip(channels).map(move |(&x, &channel)| units.undo(step, channel, x))
    }

    /// Writes one window's points and intervals in data units.
    fn fill(&self, window: &WindowOutput<'_>, forecast: &mut Forecast) {
        let WindowOutput { points, bands, quantiles, first, units } = *window;
        let channels = self.output.channels();
        forecast.values.clear();
        let undo = |(i, &x): (usize, &f32)| {
            units.undo(i / channels.len(), channels[i % channels.len()], x)
        };
        forecast.values.extend(points.iter().enumerate().map(undo));
        let undo_all = |ends: &[f64]| self.in_data_units(units, &ends[first..][..points.len()]);
        forecast.intervals.clear();
        forecast.intervals.extend(self.levels.iter().zip(bands).map(|(&level, band)| {
            ForecastInterval { level, lower: undo_all(&band.lower), upper: undo_all(&band.upper) }
        }));
        forecast.quantiles.clear();
        forecast.quantiles.extend(
            self.quantiles
                .iter()
                .zip(quantiles)
                .map(|(&level, values)| ForecastQuantile { level, values: undo_all(values) }),
        );
    }
}
