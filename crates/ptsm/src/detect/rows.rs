//! Which rows of series are calibrated on, or scanned.

use std::ops::Range;

use crate::Result;
use crate::data::{Part, Series, SeriesSet, Split};

/// Rows of each series of a set, in their order; empty for a series that is left out.
pub type SeriesRows = Vec<Range<usize>>;

/// All rows of each series.
pub fn whole_rows(set: &SeriesSet) -> SeriesRows {
    set.series.iter().map(|series| 0..series.num_rows()).collect()
}

/// The rows that a split gives a part, without those that only lead up to it; none of a series that is too short for
/// the split.
///
/// # Errors
///
/// `InvalidInput` if every series is too short; `InvalidConfig` if dates are to split rows without times.
pub fn rows_of_part(set: &SeriesSet, split: Split, part: Part) -> Result<SeriesRows> {
    each(set, split, |borders| match part {
        Part::Train => borders.train,
        Part::Validation => borders.validation,
        Part::Test => borders.test,
    })
}

/// The rows before the test part: what a model that was trained on other series may be calibrated on.
///
/// # Errors
///
/// As [`rows_of_part`].
pub fn rows_before_test(set: &SeriesSet, split: Split) -> Result<SeriesRows> {
    each(set, split, |borders| 0..borders.validation.end.max(borders.train.end))
}

/// What a model was trained on, if it was on the series at hand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainedOn {
    /// The split of its training.
    pub split: Split,
    /// Whether it was fitted to the validation part, too.
    pub with_validation: bool,
}

impl TrainedOn {
    /// How many of these rows it was fitted to, whose residuals are then smaller than those of other rows.
    pub fn rows_among(self, set: &SeriesSet, rows: &SeriesRows) -> usize {
        let of_series = |(series, rows): (&Series, &Range<usize>)| {
            let borders = self.split.borders(series.num_rows(), series.timestamps.as_ref(), 0);
            let end = borders.map_or(0, |borders| match self.with_validation {
                true => borders.validation.end,
                false => borders.train.end,
            });
            rows.end.min(end).saturating_sub(rows.start)
        };
        set.series.iter().zip(rows).map(of_series).sum()
    }
}

fn each(
    set: &SeriesSet,
    split: Split,
    of: impl Fn(crate::data::Borders) -> Range<usize>,
) -> Result<SeriesRows> {
    let mut first_error = None;
    let mut found = Vec::with_capacity(set.series.len());
    for series in &set.series {
        match split.borders(series.num_rows(), series.timestamps.as_ref(), 0) {
            Ok(borders) => found.push(of(borders)),
            Err(error) if error.kind() == crate::ErrorKind::InvalidInput => {
                found.push(0..0);
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match first_error {
        Some(error) if found.iter().all(Range::is_empty) => Err(error),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{ReadOptions, Repair, Roles, Table};

    #[test]
    fn parts_have_their_own_rows_and_short_series_none() {
        let mut text = "id,y\n".to_owned();
        for (id, rows) in [("a", 100), ("b", 2), ("c", 50)] {
            (0..rows).for_each(|row| text += &format!("{id},{row}\n"));
        }
        let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
        let roles = Roles { id: Some("id".into()), ..Roles::default() };
        let set = SeriesSet::from_table(&table, &roles, &Repair::default()).unwrap();
        let split = Split::default();
        let test = rows_of_part(&set, split, Part::Test).unwrap();
        assert_eq!(test, [80..100, 0..0, 40..50]);
        let validation = rows_of_part(&set, split, Part::Validation).unwrap();
        assert_eq!(validation, [70..80, 0..0, 35..40]);
        assert_eq!(rows_before_test(&set, split).unwrap(), [0..80, 0..0, 0..40]);
        let trained_on = |with_validation| TrainedOn { split, with_validation };
        assert_eq!(trained_on(false).rows_among(&set, &validation), 0);
        assert_eq!(trained_on(true).rows_among(&set, &validation), 15);
        assert_eq!(trained_on(false).rows_among(&set, &vec![60..80, 0..2, 0..0]), 10);
        assert_eq!(whole_rows(&set), [0..100, 0..2, 0..50]);
        assert!(rows_of_part(&set, Split::Last { rows: 1000 }, Part::Test).is_err());
    }
}
