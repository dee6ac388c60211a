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

    /// Puts `more` cells below these, each with its own distance from UTC; `false` if one column
    /// counts and the other has dates. Dates are written in the form of the first.
    pub(super) fn append(&mut self, more: TimeCells) -> bool {
        let is_index = |cells: &TimeCells| cells.style == TimeStyle::Index;
        if is_index(self) != is_index(&more) {
            return false;
        }
        let local = |(row, instant): (usize, &Option<i64>)| {
            instant.map(|instant| Zone::Fixed(more.offset(row)).local(instant))
        };
        let local: Vec<i64> = more.instants.iter().enumerate().filter_map(local).collect();
        self.style = self.style.holding(local);
        if self.offsets != more.offsets {
            let all = |cells: &TimeCells| {
                (0..cells.instants.len()).map(|row| cells.offset(row)).collect::<Vec<_>>()
            };
            self.offsets = Offsets::Rows([all(self), all(&more)].concat());
        } else if let (Offsets::Rows(rows), Offsets::Rows(others)) =
            (&mut self.offsets, more.offsets)
        {
            rows.extend(others);
        }
        self.instants.extend(more.instants);
        true
    }

    /// The cell of a row as text; empty = missing.
    pub(super) fn text(&self, row: usize) -> String {
        let Some(instant) = self.instants[row] else { return String::new() };
        let offset = self.offset(row);
        self.style.format(Zone::Fixed(offset).local(instant), offset)
    }
}
