//! The windows of a block of series: truth, scales, simple forecasts, sums.

use rayon::prelude::*;

use super::sums::{ChannelScale, Quantile, Sums, Window};
use crate::data::Series;
use crate::ensemble::Method;
use crate::evaluate::formulas::NaiveError;
use crate::forecast::{Forecast, ForecastQuantile, ScoredForecast};
use ptsm_classical::History;

/// What is forecast and scored of every window.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Steps, H.
    pub(super) steps: usize,
    /// Which channels of the series are forecast, C'.
    pub(super) channels: Vec<usize>,
    /// Steps of a season; 1 = none.
    pub(super) season: usize,
    /// Simple forecasts beside the models'.
    pub(super) baselines: Vec<Method>,
    /// Past rows that they see.
    pub(super) past: usize,
}

/// The truth of a window, what it is measured by, and simple forecasts of it.
pub(super) struct Known {
    /// `[H, C']`, NaN where it is missing or after the end.
    pub(super) truth: Vec<f64>,
    /// One for each channel.
    pub(super) scales: Vec<ChannelScale>,
    /// `[H, C']` of each baseline.
    pub(super) baselines: Vec<Vec<f64>>,
}

impl Plan {
    /// What is known of the window of a series whose first `end` rows are its past.
    fn known(&self, series: &Series, end: usize) -> Known {
        let value = |row: usize, channel: usize| match row < series.num_rows() {
            true => series.get(row, channel).unwrap_or(f64::NAN),
            false => f64::NAN,
        };
        let rows = end..end + self.steps;
        let truth =
            rows.flat_map(|row| self.channels.iter().map(move |&channel| value(row, channel)));
        let truth = truth.collect();
        let past = |channel: usize| (0..end).map(|row| value(row, channel)).collect::<Vec<f64>>();
        let pasts: Vec<Vec<f64>> = self.channels.iter().map(|&channel| past(channel)).collect();
        let scales = pasts.iter().map(|past| self.scale(past)).collect();
        let baseline = |&method: &Method| {
            let mut all = vec![0.0; self.steps * pasts.len()];
            for (place, past) in pasts.iter().enumerate() {
                let values = &past[past.len().saturating_sub(self.past)..];
                let history = History { values, season: self.season, zero: Some(0.0) };
                for (step, x) in method.forecast(&history, self.steps).into_iter().enumerate() {
                    all[step * pasts.len() + place] = x;
                }
            }
            all
        };
        let baselines = self.baselines.iter().map(baseline).collect();
        Known { truth, scales, baselines }
    }

    fn scale(&self, past: &[f64]) -> ChannelScale {
        let season = self.season.max(1);
        let later = past.iter().skip(season);
        let changes = later.zip(past).map(|(now, before)| (now - before).abs());
        let naive = NaiveError::of(changes.filter(|change| change.is_finite()).collect());
        let sizes = past.iter().map(|x| x.abs()).filter(|size| size.is_finite());
        let largest = sizes.fold(0.0, f64::max);
        ChannelScale { naive, rounding: f64::from(f32::EPSILON) * largest }
    }

    /// What is known of the windows of some series before `rows_before_end` rows, in their order.
    pub(super) fn all_known(&self, series: &[&Series], rows_before_end: usize) -> Vec<Known> {
        let known = |series: &&Series| {
            self.known(series, series.num_rows().saturating_sub(rows_before_end))
        };
        series.par_iter().map(known).collect()
    }
}

/// The windows of one forecaster.
#[derive(Clone, Copy)]
pub(super) enum Forecasts<'a> {
    Model(&'a [ScoredForecast]),
    /// The baseline of this number.
    Baseline(usize),
}

impl<'a> Forecasts<'a> {
    /// Window number `number` beside what is known of it.
    fn window(self, number: usize, known: &'a Known) -> Window<'a> {
        let (truth, scales) = (&known.truth[..], &known.scales[..]);
        match self {
            Self::Model(forecasts) => {
                let one = &forecasts[number];
                let (values, intervals) = (&one.forecast.values[..], &one.forecast.intervals[..]);
                Window { truth, values, intervals, quantiles: scored(one), scales }
            }
            Self::Baseline(method) => {
                let values = &known.baselines[method][..];
                Window { truth, values, intervals: &[], quantiles: Vec::new(), scales }
            }
        }
    }

    /// The sums of every window, and adds each step of all of them to the sums of that step.
    pub(super) fn sums(self, known: &'a [Known], by_step: &mut [Sums]) -> Vec<Sums> {
        let windows: Vec<Window<'a>> =
            known.iter().enumerate().map(|(number, known)| self.window(number, known)).collect();
        by_step.par_iter_mut().enumerate().for_each(|(step, sums)| {
            windows.iter().for_each(|window| sums.push(window, step..step + 1));
        });
        let whole = |window: &Window<'_>| {
            let mut sums = Sums::default();
            sums.push(window, 0..window.values.len() / window.scales.len());
            sums
        };
        windows.par_iter().map(whole).collect()
    }
}

/// The quantiles that are scored: those of the head, or those that the forecast comes with, its points as the
/// median; none of a point forecast alone.
fn scored<'a>(one: &'a ScoredForecast) -> Vec<Quantile<'a>> {
    let of = |one: &'a ForecastQuantile| Quantile { level: one.level, values: &one.values };
    if !one.quantiles.is_empty() {
        return one.quantiles.iter().map(of).collect();
    }
    let Forecast { values, intervals, quantiles, .. } = &one.forecast;
    if intervals.is_empty() && quantiles.is_empty() {
        return Vec::new();
    }
    let ends = intervals.iter().flat_map(|interval| {
        let tail = 0.5 * (1.0 - interval.level);
        let lower = Quantile { level: tail, values: &interval.lower };
        [lower, Quantile { level: 1.0 - tail, values: &interval.upper }]
    });
    let mut all: Vec<Quantile<'_>> =
        ends.chain(quantiles.iter().map(of)).chain([Quantile { level: 0.5, values }]).collect();
    all.sort_by(|a, b| a.level.total_cmp(&b.level));
    all.dedup_by(|a, b| a.level == b.level);
    all
}
