//! Forecast errors, added up window by window in double precision.
//!
//! The order of the additions is fixed by the order of the windows alone, so the result has the
//! same bits for every batch size.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::by_series::{SeriesMean, SeriesMetrics, SeriesSums, mean_of, series_mean};
use super::formulas::usual_changes;
use super::units::{Blocks, UnitError, Units};
use crate::data::{Segment, WindowSet};
use crate::{Error, Result};

/// Scores over all counted points of a forecast.
///
/// Errors are in the units of the truth; `mse` in their square.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Mean squared error.
    pub mse: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// Square root of `mse`.
    pub rmse: f64,
    /// Mean over series and channels of the mean absolute error divided by that of the seasonal
    /// naive forecast on the training rows of the series ([`MaseScale`]); those without a scale are
    /// left out. `None` without any scale.
    pub mase: Option<f64>,
    /// Symmetric mean absolute percentage error, in percent: the mean over all points of
    /// `200 |f - y| / (|y| + |f|)` in data units; `None` where a truth is negative, or the units are
    /// not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smape: Option<f64>,
    /// Mean absolute percentage error, in percent: the mean over all points of `100 |f - y| / |y|` in
    /// data units; `None` where a truth is not above 0, or the units are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mape: Option<f64>,
    /// Pearson correlation of forecast and truth over all points as one long list; `None` where
    /// one of them is constant.
    pub correlation: Option<f64>,
    /// Windows scored.
    pub windows: usize,
    /// Means over the series of a long table; `None` for a single series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_mean: Option<SeriesMean>,
    /// Points counted: windows x steps x channels without the missing ones.
    pub points: u64,
    /// One entry per step of the horizon, where [`Detail::per_step`] asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_step: Option<Vec<PartMetrics>>,
    /// One entry per channel, where [`Detail::per_channel`] asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_channel: Option<Vec<PartMetrics>>,
    /// One entry per series of a long table, where [`Detail::per_series`] asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_series: Option<Vec<SeriesMetrics>>,
    /// Errors in data units, where the values were transformed (logarithms) before they were
    /// standardised; otherwise `mae` and `rmse` are those up to a factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_units: Option<DataUnits>,
    /// Errors by series or blocks of windows, for comparisons; not in files.
    #[serde(skip)]
    pub(crate) units: Units,
}

/// Errors in the units of the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataUnits {
    /// Mean absolute error.
    pub mae: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
}

/// Scores of one step of the horizon or of one channel; `None` where no point counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartMetrics {
    /// Mean squared error.
    pub mse: Option<f64>,
    /// Mean absolute error.
    pub mae: Option<f64>,
    /// Square root of `mse`.
    pub rmse: Option<f64>,
    /// Mean over the points of channels with a scale of the absolute error divided by that scale.
    pub mase: Option<f64>,
    /// Pearson correlation of forecast and truth; `None` where one of them is constant.
    pub correlation: Option<f64>,
    /// Points counted.
    pub points: u64,
}

/// Which parts a [`Metrics`] lists besides the totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detail {
    /// One entry per step of the horizon.
    pub per_step: bool,
    /// One entry per channel.
    pub per_channel: bool,
    /// One entry per series of a long table.
    pub per_series: bool,
}

/// Mean absolute error of the seasonal naive forecast on the training rows, per channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaseScale {
    /// Time steps in one season; 1 compares with the step before.
    pub season_length: usize,
    /// One scale per channel, above zero; `None` for a channel that repeats itself exactly or has
    /// no two observed points one season apart.
    pub per_channel: Vec<Option<f64>>,
    /// The same for each series of a long table, by id; empty for a single series.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub per_series: BTreeMap<String, Vec<Option<f64>>>,
}

impl MaseScale {
    /// Measures the scale on the rows of `train`: of all series together, and of each one that has a
    /// name.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if `season_length` is 0; `InvalidInput` if `train` is empty.
    pub fn fit(train: &[Segment], season_length: usize) -> Result<Self> {
        if season_length == 0 {
            return Err(Error::config("season_length", "must be at least 1"));
        }
        let Some(first) = train.first() else {
            return Err(Error::input("there are no training rows for the MASE scale"));
        };
        let mut sums = vec![(0.0f64, 0u64); first.series.num_channels];
        let scales = |sums: &[(f64, u64)]| {
            let scale = |&(sum, count): &(f64, u64)| (sum > 0.0).then(|| sum / count as f64);
            sums.iter().map(scale).collect::<Vec<_>>()
        };
        let mut per_series = BTreeMap::new();
        for segment in train {
            add_changes(segment, season_length, &mut sums);
            if !segment.series.id.is_empty() {
                let mut own = vec![(0.0, 0); sums.len()];
                add_changes(segment, season_length, &mut own);
                per_series.insert(segment.series.id.clone(), scales(&own));
            }
        }
        Ok(Self { season_length, per_channel: scales(&sums), per_series })
    }

    /// The scales of some channels, in the order of `channels`.
    ///
    /// # Panics
    ///
    /// If a channel is out of range.
    #[must_use]
    pub fn select(&self, channels: &[usize]) -> Self {
        let select = |scales: &Vec<Option<f64>>| channels.iter().map(|&c| scales[c]).collect();
        let series = self.per_series.iter().map(|(id, scales)| (id.clone(), select(scales)));
        Self {
            season_length: self.season_length,
            per_channel: select(&self.per_channel),
            per_series: series.collect(),
        }
    }
}

/// Adds up, for each channel, how far the seen points of a segment are from those one season before,
/// without glitches.
fn add_changes(segment: &Segment, season_length: usize, sums: &mut [(f64, u64)]) {
    let Segment { series, rows } = segment;
    let channels = sums.len();
    for (channel, (sum, count)) in sums.iter_mut().enumerate() {
        let change = |row: usize| {
            let now = row * channels + channel;
            let before = now - season_length * channels;
            let mask = series.observed_mask.as_deref();
            let seen = mask.is_none_or(|mask| mask[now] != 0.0 && mask[before] != 0.0);
            seen.then(|| (f64::from(series.values[now]) - f64::from(series.values[before])).abs())
        };
        let changes = (rows.start + season_length..rows.end).filter_map(change).collect();
        for change in usual_changes(changes) {
            *sum += change;
            *count += 1;
        }
    }
}

/// 1 / scale per channel; 0 where there is none.
fn inverse(scales: &[Option<f64>]) -> Vec<f64> {
    scales.iter().map(|scale| scale.map_or(0.0, |scale| 1.0 / scale)).collect()
}

/// Running sums over some points: errors, and the moments for the correlation.
///
/// The moments are kept about the running means (Welford), because sums of squares lose the
/// correlation of a series whose level is large next to its spread.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    points: u64,
    squared_error: f64,
    absolute_error: f64,
    forecast_mean: f64,
    truth_mean: f64,
    forecast_spread: f64,
    truth_spread: f64,
    common_spread: f64,
}

impl Tally {
    #[inline(always)]
    fn add(&mut self, forecast: f64, truth: f64) {
        self.points += 1;
        let error = forecast - truth;
        self.squared_error += error * error;
        self.absolute_error += error.abs();
        let share = 1.0 / self.points as f64;
        let forecast_step = forecast - self.forecast_mean;
        let truth_step = truth - self.truth_mean;
        self.forecast_mean += forecast_step * share;
        self.truth_mean += truth_step * share;
        let truth_rest = truth - self.truth_mean;
        self.forecast_spread += forecast_step * (forecast - self.forecast_mean);
        self.truth_spread += truth_step * truth_rest;
        self.common_spread += forecast_step * truth_rest;
    }

    /// Adds the points of `other` (Chan's rule for the moments).
    fn merge(&mut self, other: &Self) {
        if other.points == 0 {
            return;
        }
        let (mine, theirs) = (self.points as f64, other.points as f64);
        let both = mine + theirs;
        let forecast_step = other.forecast_mean - self.forecast_mean;
        let truth_step = other.truth_mean - self.truth_mean;
        let between = mine * theirs / both;
        self.points += other.points;
        self.squared_error += other.squared_error;
        self.absolute_error += other.absolute_error;
        self.forecast_mean += forecast_step * theirs / both;
        self.truth_mean += truth_step * theirs / both;
        self.forecast_spread += other.forecast_spread + forecast_step * forecast_step * between;
        self.truth_spread += other.truth_spread + truth_step * truth_step * between;
        self.common_spread += other.common_spread + forecast_step * truth_step * between;
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.points > 0).then(|| sum / self.points as f64)
    }

    fn correlation(&self) -> Option<f64> {
        // Two roots instead of the root of the product, which may underflow to zero.
        let size = self.forecast_spread.sqrt() * self.truth_spread.sqrt();
        (size > 0.0).then(|| (self.common_spread / size).clamp(-1.0, 1.0))
    }

    fn part(&self, mase: Option<f64>) -> PartMetrics {
        let mse = self.mean(self.squared_error);
        PartMetrics {
            mse,
            mae: self.mean(self.absolute_error),
            rmse: mse.map(f64::sqrt),
            mase,
            correlation: self.correlation(),
            points: self.points,
        }
    }
}

/// Forecasts of some windows of a set, in the order of the set, beside the truth.
#[derive(Clone, Copy)]
pub struct ScoredWindows<'a> {
    /// The set.
    pub windows: &'a WindowSet,
    /// Numbers of the windows, B of them.
    pub indices: &'a [usize],
    /// `[B, H, C']`, standardised.
    pub forecast: &'a [f32],
    /// `[B, H, C']`, standardised.
    pub truth: &'a [f32],
    /// `[B, H, C']`, 1 = known, 0 = missing; `None` = everything known.
    pub mask: Option<&'a [f32]>,
}

/// Adds up forecasts against the truth, batch after batch.
#[derive(Debug, Clone)]
pub struct Accumulator {
    windows: usize,
    /// 1 / scale per channel; 0 where there is none.
    inverse_scale: Vec<f64>,
    per_channel: Vec<Tally>,
    per_step: Vec<Tally>,
    /// Per step: the sum of scaled absolute errors and how many there are.
    scaled_per_step: Vec<(f64, u64)>,
    /// The series of a long table so far; windows are added to the last one.
    series: Vec<SeriesSums>,
    /// Scales of the series.
    series_scales: BTreeMap<String, Vec<Option<f64>>>,
    /// Errors of consecutive windows.
    blocks: Blocks,
}

impl Accumulator {
    /// An empty accumulator for forecasts of `prediction_length` steps and `num_channels` channels.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no step or no channel, or if `scale` has another number of
    /// channels.
    pub fn new(
        prediction_length: usize,
        num_channels: usize,
        scale: Option<&MaseScale>,
    ) -> Result<Self> {
        if prediction_length == 0 || num_channels == 0 {
            return Err(Error::input(format!(
                "there is nothing to score in {prediction_length} steps of {num_channels} channels"
            )));
        }
        let mut inverse_scale = vec![0.0; num_channels];
        let mut series_scales = BTreeMap::new();
        if let Some(scale) = scale {
            let got = scale.per_channel.len();
            if got != num_channels {
                return Err(Error::input(format!(
                    "the MASE scale is for {got} channels, the forecast has {num_channels}"
                )));
            }
            inverse_scale = inverse(&scale.per_channel);
            series_scales.clone_from(&scale.per_series);
        }
        Ok(Self {
            windows: 0,
            inverse_scale,
            per_channel: vec![Tally::default(); num_channels],
            per_step: vec![Tally::default(); prediction_length],
            scaled_per_step: vec![(0.0, 0); prediction_length],
            series: Vec::new(),
            series_scales,
            blocks: Blocks::new(prediction_length),
        })
    }

    /// Adds windows of a set, each to the sums of its series.
    ///
    /// # Errors
    ///
    /// As [`Accumulator::push`].
    ///
    /// # Panics
    ///
    /// If there is no such window.
    pub fn push_windows(&mut self, scored: &ScoredWindows<'_>) -> Result<()> {
        let ScoredWindows { windows, indices, forecast, truth, mask } = *scored;
        let window = self.per_step.len() * self.per_channel.len();
        if forecast.len() != indices.len() * window {
            return self.push(forecast, truth, mask);
        }
        let mut done = 0;
        for run in indices.chunk_by(|&a, &b| windows.segment_of(a) == windows.segment_of(b)) {
            let segment = windows.segment_of(run[0]);
            self.begin_series(&windows.segments()[segment].series.id);
            let part = done * window..(done + run.len()) * window;
            let mask = mask.map(|mask| &mask[part.clone()]);
            self.push(&forecast[part.clone()], &truth[part], mask)?;
            done += run.len();
        }
        Ok(())
    }

    /// Directs the next windows to the sums of this series; a series without a name has none.
    fn begin_series(&mut self, id: &str) {
        if id.is_empty() || self.series.last().is_some_and(|series| series.id == id) {
            return;
        }
        self.inverse_scale = match self.series_scales.get(id) {
            Some(scales) => inverse(scales),
            None => vec![0.0; self.per_channel.len()],
        };
        self.blocks.end();
        self.series.push(SeriesSums::new(id, self.inverse_scale.clone()));
    }

    /// Adds whole windows.
    ///
    /// Shapes: `forecast`, `truth` and `mask` are `[B, H, C]`, row-major. Points whose mask is 0 do
    /// not count and may hold anything.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the lengths differ or are not whole windows, or if a point that counts is
    /// not finite in forecast or truth. Nothing is added then.
    pub fn push(&mut self, forecast: &[f32], truth: &[f32], mask: Option<&[f32]>) -> Result<()> {
        let channels = self.per_channel.len();
        let window = self.per_step.len() * channels;
        let mask_length = mask.map_or(truth.len(), <[f32]>::len);
        let same = forecast.len() == truth.len() && mask_length == truth.len();
        if !same || !truth.len().is_multiple_of(window) {
            return Err(Error::input(format!(
                "forecast, truth and mask hold {}, {} and {mask_length} numbers, wanted equal \
                 multiples of {window} (steps x channels)",
                forecast.len(),
                truth.len(),
            )));
        }
        self.check_finite(forecast, truth, mask)?;
        let mut unit = UnitError::default();
        let rows = forecast.chunks_exact(channels).zip(truth.chunks_exact(channels));
        for (row, (forecast, truth)) in rows.enumerate() {
            let step = row % self.per_step.len();
            unit.add(match mask {
                None => self.add_row(step, forecast, truth, |_| true),
                Some(mask) => {
                    let mask = &mask[row * channels..(row + 1) * channels];
                    self.add_row(step, forecast, truth, |channel| mask[channel] != 0.0)
                }
            });
            if step + 1 == self.per_step.len() {
                self.blocks.push(std::mem::take(&mut unit));
            }
        }
        self.windows += truth.len() / window;
        if let Some(series) = self.series.last_mut() {
            series.windows += truth.len() / window;
        }
        Ok(())
    }

    #[inline(always)] // so that the variant without a mask is compiled without a test per point
    fn add_row(
        &mut self,
        step: usize,
        forecast: &[f32],
        truth: &[f32],
        counts: impl Fn(usize) -> bool,
    ) -> UnitError {
        let mut row = self.per_step[step];
        let mut unit = UnitError::default();
        let (mut scaled, mut scaled_points) = self.scaled_per_step[step];
        let parts = self.per_channel.iter_mut().zip(&self.inverse_scale);
        let points = forecast.iter().zip(truth);
        let mut series = self.series.last_mut();
        for (channel, ((tally, &inverse), (&forecast, &truth))) in parts.zip(points).enumerate() {
            if counts(channel) {
                let (forecast, truth) = (f64::from(forecast), f64::from(truth));
                tally.add(forecast, truth);
                row.add(forecast, truth);
                if let Some(series) = &mut series {
                    series.add(channel, forecast - truth);
                }
                let absolute = (forecast - truth).abs();
                scaled += absolute * inverse;
                scaled_points += u64::from(inverse > 0.0);
                unit.absolute += absolute;
                unit.points += 1;
                unit.scaled += absolute * inverse;
                unit.scaled_points += u64::from(inverse > 0.0);
            }
        }
        self.per_step[step] = row;
        self.scaled_per_step[step] = (scaled, scaled_points);
        unit
    }

    fn check_finite(&self, forecast: &[f32], truth: &[f32], mask: Option<&[f32]>) -> Result<()> {
        let bad = |i: usize| {
            let finite = forecast[i].is_finite() && truth[i].is_finite();
            !finite && mask.is_none_or(|mask| mask[i] != 0.0)
        };
        let all = |values: &[f32]| values.iter().fold(true, |all, v| all & v.is_finite());
        if all(forecast) && all(truth) {
            return Ok(());
        }
        let Some(i) = (0..truth.len()).find(|&i| bad(i)) else {
            return Ok(());
        };
        let channels = self.per_channel.len();
        let steps = self.per_step.len();
        Err(Error::input(format!(
            "window {}, step {}, channel {}: the forecast is {} and the truth is {}, both must be \
             finite to be scored",
            self.windows + i / channels / steps,
            i / channels % steps,
            i % channels,
            forecast[i],
            truth[i],
        )))
    }

    /// The scores of everything added so far.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if no point counted.
    pub fn metrics(&self, detail: Detail) -> Result<Metrics> {
        let mut total = Tally::default();
        for tally in &self.per_channel {
            total.merge(tally);
        }
        let (Some(mse), Some(mae)) =
            (total.mean(total.squared_error), total.mean(total.absolute_error))
        else {
            return Err(Error::input(format!(
                "not one known point in {} windows, so there is no score",
                self.windows
            )));
        };
        let per_channel = self.channel_parts();
        let series: Vec<SeriesMetrics> = self.series.iter().map(SeriesSums::metrics).collect();
        let mase = match series.is_empty() {
            true => mean_of(per_channel.iter().filter_map(|part| part.mase)),
            false => mean_of(series.iter().filter_map(|one| one.mase)),
        };
        Ok(Metrics {
            mse,
            mae,
            rmse: mse.sqrt(),
            mase,
            smape: None,
            mape: None,
            correlation: total.correlation(),
            data_units: None,
            units: Units::new(self.series.iter().map(SeriesSums::unit).collect(), &self.blocks.all),
            windows: self.windows,
            series_mean: if series.len() > 1 { series_mean(&series) } else { None },
            points: total.points,
            per_step: detail.per_step.then(|| self.step_parts()),
            per_channel: detail.per_channel.then_some(per_channel),
            per_series: (detail.per_series && !series.is_empty()).then_some(series),
        })
    }

    fn channel_parts(&self) -> Vec<PartMetrics> {
        let parts = self.per_channel.iter().zip(&self.inverse_scale).enumerate();
        let part = |(channel, (tally, &inverse)): (usize, (&Tally, &f64))| {
            let mae = tally.mean(tally.absolute_error);
            let mase = match self.series.is_empty() {
                true => mae.filter(|_| inverse > 0.0).map(|mae| mae * inverse),
                false => mean_of(self.series.iter().filter_map(|one| one.scaled(channel))),
            };
            tally.part(mase)
        };
        parts.map(part).collect()
    }

    fn step_parts(&self) -> Vec<PartMetrics> {
        let parts = self.per_step.iter().zip(&self.scaled_per_step);
        let part = |(tally, &(sum, points)): (&Tally, &(f64, u64))| {
            tally.part((points > 0).then(|| sum / points as f64))
        };
        parts.map(part).collect()
    }
}

#[cfg(test)]
mod tests;
