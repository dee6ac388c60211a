//! How the order of day, month and year is written.

use std::fmt;
use std::str::FromStr;

use super::style::DateOrder;
use ptsm_core::{Error, Result};

const NAMES: [(DateOrder, &str); 3] = [
    (DateOrder::DayMonthYear, "day-first"),
    (DateOrder::MonthDayYear, "month-first"),
    (DateOrder::YearMonthDay, "year-first"),
];

impl DateOrder {
    /// Every order.
    pub(crate) const ALL: [DateOrder; 3] =
        [DateOrder::MonthDayYear, DateOrder::DayMonthYear, DateOrder::YearMonthDay];
}

impl fmt::Display for DateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(order, _)| order == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for DateOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(order, _)| *order);
        found.ok_or_else(|| {
            let names = NAMES.map(|(_, name)| name).join(", ");
            Error::config("dates", format!("\"{text}\" is not one of {names}"))
        })
    }
}

impl TryFrom<String> for DateOrder {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<DateOrder> for String {
    fn from(order: DateOrder) -> Self {
        order.to_string()
    }
}
