//! A column of times: when, how far from UTC, and how it is written.

use jiff::tz::TimeZone;

use super::timestamp::TimeStyle;
use super::zone::Zone;

/// The cells of a column of times.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeCells {
    /// Nanoseconds since 1970-01-01 00:00 UTC, or whole numbers where the style is an index; `None` =
    /// missing.
    pub instants: Vec<Option<i64>>,
    /// How far the clocks of the rows are ahead of UTC.
    pub offsets: Offsets,
    /// How they are written.
    pub style: TimeStyle,
}

/// How far the clocks of a column are ahead of UTC.
#[derive(Debug, Clone, PartialEq)]
pub enum Offsets {
    /// All rows the same, in seconds; 0 also where stamps do not say.
    Fixed(i32),
    /// Each row, in seconds.
    Rows(Vec<i32>),
    /// As a time zone says.
    Zone(TimeZone),
}

impl Offsets {
    /// Of each row, or one for all.
    pub(super) fn of(mut rows: Vec<i32>) -> Self {
        match rows.as_slice() {
            [] => Offsets::Fixed(0),
            [one] => Offsets::Fixed(*one),
            _ => Offsets::Rows(std::mem::take(&mut rows)),
        }
    }
}

impl TimeCells {
    /// Seconds that the clock of a row is ahead of UTC.
    pub(super) fn offset(&self, row: usize) -> i32 {
        match &self.offsets {
            Offsets::Fixed(offset) => *offset,
            Offsets::Rows(rows) => rows[row],
            Offsets::Zone(zone) => {
                let zone = Zone::Named(zone.clone());
                self.instants[row].map_or(0, |instant| zone.offset_at(instant))
            }
        }
    }

    /// The cell of a row as text; empty = missing.
    pub(super) fn text(&self, row: usize) -> String {
        let Some(instant) = self.instants[row] else { return String::new() };
        let offset = self.offset(row);
        self.style.format(Zone::Fixed(offset).local(instant), offset)
    }
}
