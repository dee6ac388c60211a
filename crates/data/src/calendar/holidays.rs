//! Working days on which a series has no rows.

use std::path::Path;
use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::civil::{date, date_of_day, day_number, is_weekday};
use crate::timestamp::{is_time_in_any_order, parse_unambiguous};
use ptsm_core::{Error, Result};

/// Dates that steps of working days pass over, besides Saturdays and Sundays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Holidays {
    /// Days since 1970-01-01, rising.
    days: Arc<[i64]>,
    /// Those from Monday to Friday.
    working: Arc<[i64]>,
}

impl Holidays {
    /// The dates of a list, in any order; those on weekends do not matter to steps of working days.
    pub fn new(dates: impl IntoIterator<Item = Date>) -> Self {
        let mut days: Vec<i64> = dates.into_iter().map(day_number).collect();
        days.sort_unstable();
        days.dedup();
        let working = days.iter().copied().filter(|&day| is_weekday(day)).collect();
        Self { days: days.into(), working }
    }

    /// Reads a text file with one date a line, such as 2024-12-25; what follows a comma, and lines
    /// that are empty or start with `#`, are passed over, and so is a first line without a date.
    /// Dates such as 25/12/2024 have the order of day and month that fits all of them.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be read; `InvalidInput`, naming the line, if one is no date, or if several
    /// orders fit all and give other dates.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
        let (mut numbers, mut cells) = (Vec::new(), Vec::new());
        for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
            let cell = line.split([',', ';', '\t']).next().unwrap_or_default();
            let cell = cell.trim().trim_matches('"');
            let is_header = number == 1 && !is_time_in_any_order(cell);
            if !(cell.is_empty() || cell.starts_with('#') || is_header) {
                numbers.push(number);
                cells.push(cell);
            }
        }
        let dates = parse_unambiguous(&cells).map_err(|(index, why)| {
            let place = format!("{}: line {}", path.display(), numbers[index]);
            let cell = cells[index];
            let text = format!("\"{cell}\" {why} (write one date a line, as 2024-12-25)");
            Error::input(text).at(place)
        })?;
        Ok(Self::new(dates.iter().map(|stamp| date(stamp.local))))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Whether a day, counted from 1970-01-01, is one of them.
    pub(crate) fn contains(&self, day: i64) -> bool {
        self.days.binary_search(&day).is_ok()
    }

    /// Number of the dates in front of a day that are no weekend.
    pub(super) fn before(&self, day: i64) -> i64 {
        self.working.partition_point(|&holiday| holiday < day) as i64
    }
}

impl TryFrom<Vec<String>> for Holidays {
    type Error = String;

    fn try_from(dates: Vec<String>) -> std::result::Result<Self, String> {
        let date = |text: &String| text.parse().map_err(|_| format!("\"{text}\" is no date"));
        dates.iter().map(date).collect::<std::result::Result<Vec<Date>, String>>().map(Self::new)
    }
}

impl From<Holidays> for Vec<String> {
    fn from(holidays: Holidays) -> Self {
        let dates = holidays.days.iter().filter_map(|&day| date_of_day(day));
        dates.map(|date| date.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_dates_is_read_and_a_bad_line_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "date,name\n2024-12-25,\"Christmas\"\n# x\n\n2024-12-28\n")
            .unwrap();
        let got = Holidays::read(file.path()).unwrap();
        let dates = [Date::constant(2024, 12, 28), Date::constant(2024, 12, 25)];
        assert_eq!(got, Holidays::new(dates));
        // The 28th is a Saturday.
        let days = dates.map(day_number);
        assert!(days.iter().all(|&day| got.contains(day)) && !got.contains(days[0] + 1));
        assert_eq!(got.before(days[0] + 1), 1);
        let json = serde_json::to_string(&got).unwrap();
        assert_eq!(json, "[\"2024-12-25\",\"2024-12-28\"]");
        assert_eq!(serde_json::from_str::<Holidays>(&json).unwrap(), got);
        for text in ["01/05/2024\n25/12/2024\n", "05/01/2024\n12/25/2024\n"] {
            std::fs::write(file.path(), text).unwrap();
            let wanted = [Date::constant(2024, 5, 1), Date::constant(2024, 12, 25)];
            assert_eq!(Holidays::read(file.path()).unwrap(), Holidays::new(wanted), "{text}");
        }
        std::fs::write(file.path(), "01/01/2024\n05/01/2024\n").unwrap();
        let error = Holidays::read(file.path()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("the day or the month"), "{error}");
        std::fs::write(file.path(), "2024-12-25\nsoon\n").unwrap();
        let error = Holidays::read(file.path()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("\"soon\""), "{error}");
    }
}
