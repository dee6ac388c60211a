//! The names of columns that tell series apart, and numbers as names of series.

use super::table::number_text;

/// Names, in small letters, of columns that name series.
pub(super) const ID_NAMES: [&str; 8] =
    ["unique_id", "series_id", "item_id", "ts_id", "time_series_id", "series", "item", "id"];
/// Of these, the ones that count also when their cells are numbers.
pub(super) const NUMERIC_ID_NAMES: [&str; 5] =
    ["unique_id", "series_id", "item_id", "ts_id", "time_series_id"];

/// What the name of a column says about series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdName {
    /// Its cells name series, also where they are numbers.
    Certain,
    /// Its cells name series unless they are numbers.
    OfTexts,
}

/// Whether a column of this name is taken for the names of series.
pub(super) fn id_name(name: &str) -> Option<IdName> {
    let is = |wanted: &&str| name.eq_ignore_ascii_case(wanted);
    match ID_NAMES.iter().find(|wanted| is(wanted))? {
        wanted if NUMERIC_ID_NAMES.contains(wanted) => Some(IdName::Certain),
        _ => Some(IdName::OfTexts),
    }
}

/// From here on a floating-point number is no longer exact for whole numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A floating-point number as the name of a series: 1.0 is `1`.
///
/// # Errors
///
/// The text of one, if other numbers are the same in floating point.
pub(super) fn name_of_number(value: f64) -> Result<String, String> {
    if value.abs() >= EXACT {
        return Err(format!("{value:?} names a series inexactly: write it as a text"));
    }
    Ok(number_text(value))
}
