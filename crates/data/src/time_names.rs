//! Names of columns that hold times, or number the rows.

/// Names that say a time; spaces, hyphens and points count as `_`.
const TIMES: [&str; 32] = [
    "date",
    "time",
    "datetime",
    "date_time",
    "timestamp",
    "time_stamp",
    "ds",
    "ts",
    "epoch",
    "epoch_s",
    "epoch_ms",
    "epoch_us",
    "epoch_ns",
    "unix",
    "unixtime",
    "unix_time",
    "unix_timestamp",
    "unix_ms",
    "timestamp_s",
    "timestamp_ms",
    "timestamp_us",
    "timestamp_ns",
    "time_ms",
    "ts_ms",
    "utc",
    "utc_time",
    "utc_timestamp",
    "datetime_utc",
    "timestamp_utc",
    "date_utc",
    "time_utc",
    "open_time",
];

/// Names that say an index of time.
const INDICES: [&str; 5] = ["time_idx", "time_index", "timeidx", "time_step", "timestep"];

/// Names that may say an index, if the numbers are one.
const MAYBE_INDICES: [&str; 17] = [
    "index",
    "idx",
    "t",
    "step",
    "year",
    "quarter",
    "month",
    "week",
    "day",
    "hour",
    "minute",
    "period",
    "tick",
    "row",
    "row_number",
    "obs",
    "observation",
];

/// What the name of a column says about times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// It holds the times.
    Time,
    /// It holds some times: those of the rows, or others.
    SomeTime,
    /// It holds the index of the rows.
    Index,
    /// It may hold the index of the rows.
    MaybeIndex,
    /// It is what a data frame calls the numbers of its rows.
    RowNumbers,
    /// Nothing.
    Other,
}

/// What a name says.
pub(super) fn named(name: &str) -> Named {
    let lower = plain(name);
    let is = |list: &[&str]| list.contains(&lower.as_str());
    let ends = ["_time", "_date", "_timestamp", "_datetime", "_utc", "_at"];
    let starts = ["date_", "time_", "datetime_", "timestamp_"];
    match () {
        () if is(&TIMES) => Named::Time,
        () if is(&INDICES) => Named::Index,
        () if is(&MAYBE_INDICES) => Named::MaybeIndex,
        () if lower.starts_with("unnamed") || lower.starts_with("__index_level_") => {
            Named::RowNumbers
        }
        () if lower == "level_0" => Named::RowNumbers,
        () if ends.iter().any(|end| lower.ends_with(end)) => Named::SomeTime,
        () if starts.iter().any(|start| lower.starts_with(start)) => Named::SomeTime,
        () => Named::Other,
    }
}

/// The parts of a date that have columns of their own, where one of them is the year.
pub(super) fn parts_of_a_date<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    const PARTS: [&str; 7] = ["year", "quarter", "month", "week", "day", "hour", "minute"];
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| Some((PARTS.iter().position(|part| plain(name) == *part)?, name)))
        .collect();
    found.sort_unstable();
    let is_spread = found.len() > 1 && found[0].0 == 0;
    if is_spread { found.into_iter().map(|(_, name)| name).collect() } else { Vec::new() }
}

/// In small letters, with `_` between words, without what is in brackets.
fn plain(name: &str) -> String {
    let name = name.split(['(', '[']).next().unwrap_or_default().trim();
    let lower =
        |c: char| if matches!(c, ' ' | '-' | '.' | '/') { '_' } else { c.to_ascii_lowercase() };
    name.chars().map(lower).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_letters() {
        for (name, wanted) in [
            ("Date", Named::Time),
            ("Date Time", Named::Time),
            ("timestamp (UTC)", Named::Time),
            ("open_time", Named::Time),
            ("close_time", Named::SomeTime),
            ("Time_Idx", Named::Index),
            ("t", Named::MaybeIndex),
            ("Unnamed: 0", Named::RowNumbers),
            ("unnamed 1", Named::RowNumbers),
            ("__index_level_0__", Named::RowNumbers),
            ("load", Named::Other),
            ("candidate", Named::Other),
        ] {
            assert_eq!(named(name), wanted, "{name}");
        }
        assert_eq!(parts_of_a_date(["y", "Month", "year"].into_iter()), ["year", "Month"]);
        assert!(parts_of_a_date(["month", "day"].into_iter()).is_empty());
    }
}
