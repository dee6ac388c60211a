//! One stamp that was read, or why it was not.

use super::style::{CalendarStyle, DateOrder};
use crate::civil::SECOND;

/// One stamp that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// What the clock shows, in nanoseconds since 1970-01-01 00:00.
    pub local: i64,
    /// How many seconds the clock is ahead of UTC; `None` where the stamp does not say.
    pub offset: Option<i32>,
    /// How it is written.
    pub style: CalendarStyle,
}

impl Stamp {
    /// The time in UTC; `None` beyond the range of times.
    pub fn instant(&self) -> Option<i64> {
        let offset = i64::from(self.offset.unwrap_or(0)) * SECOND;
        self.local.checked_sub(offset)
    }
}

/// Why a text is not a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotATime {
    /// It does not look like one.
    Unknown,
    /// The order of day and month cannot be told from the column.
    Ambiguous,
    /// It is not of this order of day and month, in which the column is to be read.
    OtherOrder(DateOrder),
    /// It lies outside of the years that nanoseconds can hold.
    OutOfRange,
}

impl std::fmt::Display for NotATime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotATime::Unknown => "is not a timestamp",
            NotATime::Ambiguous => "may have the day or the month first, and no row settles it",
            NotATime::OtherOrder(DateOrder::DayMonthYear) => "is no date with the day first",
            NotATime::OtherOrder(DateOrder::MonthDayYear) => "is no date with the month first",
            NotATime::OtherOrder(DateOrder::YearMonthDay) => "is no date with the year first",
            NotATime::OutOfRange => {
                "lies outside of 1677-09-21 to 2262-04-11, the range of times in nanoseconds"
            }
        })
    }
}
