//! Values that are known ahead of a forecast, row by row with those of a series.

use std::ops::Range;

/// Covariates of one series: those of its rows, and of rows after its end as far as they are planned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Covariates {
    /// Number of covariates, K, at least 1.
    width: usize,
    /// `[R, K]`, row-major, NaN where a value is not known; R is at least the rows of the series, and row i belongs
    /// to its row i.
    values: Vec<f64>,
}

impl Covariates {
    /// `values` are `[R, K]`, NaN where a value is not known.
    ///
    /// # Panics
    ///
    /// If they are no whole rows of `width` numbers.
    pub fn new(width: usize, values: Vec<f64>) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "whole rows of {width} numbers");
        Self { width, values }
    }

    /// Number of covariates, K.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows, R.
    pub fn num_rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// The covariates of a row, `[K]`; `None` after the last one.
    pub fn row(&self, row: usize) -> Option<&[f64]> {
        self.values.get(row * self.width..(row + 1) * self.width)
    }

    /// As [`Covariates::row`], to be written over; rows up to it are added, of unknown values.
    pub fn row_mut(&mut self, row: usize) -> &mut [f64] {
        let end = (row + 1) * self.width;
        if self.values.len() < end {
            self.values.resize(end, f64::NAN);
        }
        &mut self.values[row * self.width..end]
    }

    /// The first value that is not known in these rows: row and number of the covariate.
    pub fn first_unknown(&self, rows: Range<usize>) -> Option<(usize, usize)> {
        let unknown = |row: usize| match self.row(row) {
            Some(values) => values.iter().position(|value| value.is_nan()).map(|k| (row, k)),
            None => Some((row, 0)),
        };
        rows.into_iter().find_map(unknown)
    }

    /// The covariates without the first `count` rows.
    #[must_use]
    pub fn without_first(&self, count: usize) -> Self {
        let from = (count * self.width).min(self.values.len());
        Self { width: self.width, values: self.values[from..].to_vec() }
    }

    /// The values, `[R, K]`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// The cells of a table, parted.
pub(super) struct Parted {
    /// `[T, C]`.
    pub(super) values: Vec<f64>,
    /// `[R, K]`; `None` without covariates.
    pub(super) covariates: Option<Covariates>,
}

/// Parts the cells of a table, `[R, C + K]`, NaN where one is missing. Rows after the last value of a channel only
/// plan covariates.
pub(super) fn part(cells: Vec<f64>, channels: usize, covariates: usize) -> Parted {
    if covariates == 0 {
        let mut values = cells;
        without_plan(&mut values, channels);
        return Parted { values, covariates: None };
    }
    let mut parted = [Vec::new(), Vec::new()];
    for row in cells.chunks_exact(channels + covariates) {
        parted[0].extend_from_slice(&row[..channels]);
        parted[1].extend_from_slice(&row[channels..]);
    }
    let [mut values, known] = parted;
    without_plan(&mut values, channels);
    Parted { values, covariates: Some(Covariates::new(covariates, known)) }
}

/// Leaves out rows after the last value of a channel, unless there is none.
fn without_plan(values: &mut Vec<f64>, channels: usize) {
    let last = values.iter().rposition(|value| !value.is_nan());
    values.truncate(last.map_or(values.len(), |last| (last / channels + 1) * channels));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_channel_at_the_end_are_a_plan() {
        let nan = f64::NAN;
        let cells = vec![1.0, nan, 10.0, nan, nan, 20.0, nan, 3.0, 30.0, nan, nan, 40.0];
        let Parted { values, covariates } = part(cells, 2, 1);
        assert_eq!(values.len(), 6);
        assert_eq!(covariates.unwrap().values(), [10.0, 20.0, 30.0, 40.0]);
        let Parted { values, covariates } = part(vec![nan, 1.0, nan, 2.0], 1, 1);
        assert_eq!((values.len(), covariates.unwrap().num_rows()), (2, 2));
        assert_eq!(part(vec![1.0, nan], 1, 0).values, [1.0]);
    }

    #[test]
    fn rows_after_the_last_one_are_unknown() {
        let mut known = Covariates::new(2, vec![1.0, 2.0, 3.0, f64::NAN]);
        assert_eq!((known.num_rows(), known.width()), (2, 2));
        assert_eq!(known.row(0), Some([1.0, 2.0].as_slice()));
        assert_eq!((known.row(2), known.first_unknown(0..1)), (None, None));
        assert_eq!(known.first_unknown(0..2), Some((1, 1)));
        known.row_mut(1)[1] = 4.0;
        assert_eq!(known.first_unknown(0..3), Some((2, 0)));
        known.row_mut(3).copy_from_slice(&[7.0, 8.0]);
        assert_eq!((known.num_rows(), known.first_unknown(0..4)), (4, Some((2, 0))));
        assert_eq!(known.without_first(3).values(), [7.0, 8.0]);
    }
}
