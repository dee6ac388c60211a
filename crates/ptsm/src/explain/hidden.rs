//! The end of a series, with a stretch of a channel made missing.

use std::ops::Range;

use crate::data::Series;

/// Which points are made missing.
#[derive(Debug, Clone)]
pub(super) struct Hidden {
    pub(super) channel: usize,
    /// Counted from the start of the series.
    pub(super) rows: Range<usize>,
}

/// Rows of a series with its id, covariates and clock, as a series of its own.
pub(super) fn rows_of(series: &Series, rows: Range<usize>) -> Series {
    let points = rows.start * series.num_channels..rows.end * series.num_channels;
    Series {
        id: series.id.clone(),
        timestamps: None,
        anchor: series.anchor,
        zone: series.zone.clone(),
        num_channels: series.num_channels,
        values: series.values[points.clone()].to_vec(),
        observed: series.observed.as_ref().map(|seen| seen[points].to_vec()),
        covariates: series.covariates.as_ref().map(|known| known.without_first(rows.start)),
    }
}

/// A series without these points; `first` is the number that its first row has in `hidden`.
pub(super) fn without(series: &Series, hidden: &Hidden, first: usize) -> Series {
    let mut series = series.clone();
    let width = series.num_channels;
    let count = series.values.len();
    let seen = series.observed.get_or_insert_with(|| vec![true; count]);
    for row in hidden.rows.clone() {
        let place = (row - first) * width + hidden.channel;
        seen[place] = false;
        series.values[place] = 0.0;
    }
    series
}
