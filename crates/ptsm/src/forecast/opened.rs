//! A forecaster of any series opened together with the series that it forecasts.

use super::{Forecaster, ZeroShotOptions};
use crate::data::{Series, SeriesSet, Split, usual_horizon};
use crate::spec::{DataSpec, Source};
use crate::zero_shot::ZeroShot;
use crate::{Model, Result};
use ptsm_core::Backend;

/// What a network that was trained on other series is opened for.
#[derive(Debug, Clone, Copy)]
pub struct AnySeriesOptions<'a> {
    /// How the series are read from the table.
    pub data: &'a DataSpec,
    /// Steps; `None` = those of the split `last:H`, or the usual ones of the step of the rows.
    pub steps: Option<usize>,
    /// Levels of the intervals, in (0, 1); `None` = those of the network.
    pub levels: Option<&'a [f64]>,
    /// Rows that may show the season: those of its training part; `None` = all.
    pub season_from: Option<Split>,
}

/// A forecaster of any series, and series.
pub struct AnySeries {
    /// The forecaster.
    pub forecaster: Forecaster,
    /// The series.
    pub set: SeriesSet,
    /// Steps of the season; 1 = none.
    pub season: usize,
}

/// Series of a table, with what a network for any series must be told of them.
#[derive(Debug, Clone)]
pub struct OpenSeries {
    /// The series.
    pub set: SeriesSet,
    /// Steps of the season; 1 = none.
    pub season: usize,
    /// Steps to forecast.
    pub steps: usize,
}

impl OpenSeries {
    /// Takes the series out of a table, and finds their season and the steps to forecast.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged.
    pub fn read(source: &Source, options: &AnySeriesOptions<'_>) -> Result<Self> {
        let AnySeriesOptions { data, steps, season_from, .. } = *options;
        let mut set = data.series(source)?;
        let every_row = Split::Fraction { train: 1.0, validation: 0.0 };
        let shown = DataSpec { split: season_from.or(Some(every_row)), ..data.clone() };
        let season = shown.seasonal_period(source, &mut set)?;
        let steps = steps.unwrap_or_else(|| match season_from {
            Some(Split::Last { rows }) => rows,
            _ => usual_horizon(set.frequency, season, median_rows(&set)),
        });
        Ok(Self { set, season, steps })
    }
}

impl AnySeries {
    /// Takes the series out of a table, finds their season and the steps to forecast, and puts the network onto a
    /// backend.
    ///
    /// # Errors
    ///
    /// As [`OpenSeries::read`] and [`Forecaster::zero_shot`].
    pub fn open(
        network: Model,
        source: &Source,
        options: &AnySeriesOptions<'_>,
        backend: &dyn Backend,
    ) -> Result<Self> {
        let OpenSeries { set, season, steps } = OpenSeries::read(source, options)?;
        let zero_shot = ZeroShot::new(network, season)?;
        let options = ZeroShotOptions { steps, levels: options.levels.map(<[f64]>::to_vec) };
        let forecaster = Forecaster::zero_shot(zero_shot, &set, &options, backend)?;
        Ok(Self { forecaster, set, season })
    }
}

/// Rows of a series than which half of all are shorter.
fn median_rows(set: &SeriesSet) -> usize {
    let mut rows: Vec<usize> = set.series.iter().map(Series::num_rows).collect();
    rows.sort_unstable();
    rows.get(rows.len() / 2).copied().unwrap_or_default()
}
