//! Forecasts of rows from those before them.

use super::rows::SeriesRows;
use crate::data::{Series, SeriesSet};
use crate::forecast::{Forecaster, StepOf, WindowEnd, windows_at_once};
use crate::{Error, Result};
use ptsm_core::{bytes_of, require_memory};

/// From how far before a row its forecast is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    /// Steps, from 1.
    pub(super) steps: usize,
    /// Rows that must be there before the forecast, at least 1.
    pub(super) min_rows: usize,
}

impl Ahead {
    /// Rows before one that it needs for a forecast.
    pub(super) fn rows_before(self) -> usize {
        self.min_rows.max(1).saturating_add(self.steps - 1)
    }

    /// The row after the last one that the forecast of `row` is made from; `None` if there are too few.
    fn end(self, row: usize) -> Option<usize> {
        (row + 1).checked_sub(self.steps).filter(|&end| end >= self.min_rows.max(1))
    }

    /// The place of a row, if it has a value of one of these channels and enough rows before it.
    pub(super) fn place(
        self,
        set: &SeriesSet,
        series: usize,
        row: usize,
        channels: &[usize],
    ) -> Option<Place> {
        let one = &set.series[series];
        let seen = channels.iter().any(|&channel| one.get(row, channel).is_some());
        let end = self.end(row).filter(|_| seen)?;
        Some(Place { series, row, end })
    }
}

/// Hears how many windows of all are done; an error from it stops the work.
pub(super) type Tell<'a> = &'a mut dyn FnMut(usize, usize) -> Result<()>;

/// A row of a series.
pub(super) struct Place {
    pub(super) series: usize,
    pub(super) row: usize,
    /// The row after the last one that its forecast is made from.
    end: usize,
}

impl Forecaster {
    /// The forecast of every point of these rows, `[rows, C']` for each series, in data units; NaN where there is
    /// none: too few rows before it, no seen value of its channel in the context, or a row without any value.
    pub(super) fn expected(
        &mut self,
        set: &SeriesSet,
        rows: &SeriesRows,
        ahead: Ahead,
        tell: Tell<'_>,
    ) -> Result<Vec<Vec<f64>>> {
        let channels = self.config().prediction_channels();
        let width = channels.len();
        let count: usize = rows.iter().map(ExactSizeIterator::len).sum();
        // An expected value of each point, and a place of each row.
        let bytes = bytes_of(&[count, width + 3, 8]);
        require_memory("the expected values of all points", bytes, "fewer rows")?;
        let mut found: Vec<Vec<f64>> =
            rows.iter().map(|rows| vec![f64::NAN; rows.len() * width]).collect();
        let mut places = Vec::new();
        for (series, rows) in rows.iter().enumerate() {
            let place = |row| ahead.place(set, series, row, &channels);
            places.extend(rows.clone().filter_map(place));
        }
        let at_once = windows_at_once(self.config().num_input_channels);
        for (part, all) in places.chunks(at_once).enumerate() {
            tell(part * at_once, places.len())?;
            self.expect(&set.series, all, ahead, |place, k, x| {
                found[place.series][(place.row - rows[place.series].start) * width + k] = x;
            })?;
        }
        tell(places.len(), places.len())?;
        Ok(found)
    }

    /// Forecasts some rows, and gives `take` each with the number of the channel and what is expected there.
    pub(super) fn expect(
        &mut self,
        series: &[Series],
        places: &[Place],
        ahead: Ahead,
        mut take: impl FnMut(&Place, usize, f64),
    ) -> Result<()> {
        let model = std::sync::Arc::clone(self.model());
        let channels = self.config().prediction_channels();
        let end = |place: &Place| Ok(WindowEnd { series: &series[place.series], row: place.end });
        let contexts = model.interface().contexts_of(places, end)?;
        let output = self.output(&contexts.batch)?;
        let (points, batch) = (output.points(), &contexts.batch);
        let context = batch.context_length() * batch.num_channels();
        let seen = |window: usize, channel: usize| {
            batch.observed_mask().is_none_or(|mask| {
                let mask = &mask[window * context..(window + 1) * context];
                mask.iter().skip(channel).step_by(batch.num_channels()).any(|&x| x != 0.0)
            })
        };
        for (window, (place, units)) in places.iter().zip(&contexts.units).enumerate() {
            let at = StepOf { window, step: ahead.steps - 1, units };
            for (k, x) in model.interface().one_step(&points, at).enumerate() {
                if seen(window, channels[k]) {
                    check_finite(x, &series[place.series].id, place)?;
                    take(place, k, x);
                }
            }
        }
        Ok(())
    }
}

fn check_finite(x: f64, id: &str, place: &Place) -> Result<()> {
    if x.is_finite() {
        return Ok(());
    }
    let text = format!(
        "the forecast of row {} is {x}, not a finite number: the model does not suit these values (are they of the \
         size of the training data?)",
        place.row
    );
    Err(if id.is_empty() { Error::input(text) } else { Error::input(text).at(id) })
}
