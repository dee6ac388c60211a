//! The names of columns that tell series apart.

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
