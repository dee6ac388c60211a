//! A column of times: when, how far from UTC, and how it is written.

use jiff::tz::TimeZone;

use super::timestamp::TimeStyle;
use super::zone::Zone;

/// The cells of a column of times.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeCells {
    /// Nanoseconds since 1970-01-01 00:00 UTC, or whole numbers where the style is an index;
    /// [`TimeCells::MISSING`] = missing.
    pub instants: Vec<i64>,
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
    /// Those of texts, or one for all, where each row has one of the texts.
    pub(super) fn of_texts(texts: Vec<i32>, of_row: &[u32]) -> Self {
        match texts.as_slice() {
            [] => Offsets::Fixed(0),
            [one] => Offsets::Fixed(*one),
            _ => Offsets::Rows(of_row.iter().map(|&text| texts[text as usize]).collect()),
        }
    }
}

impl TimeCells {
    /// Stands for a missing time; no other time is so early.
    pub const MISSING: i64 = i64::MIN;

    /// The time of a row; `None` = missing.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn get(&self, row: usize) -> Option<i64> {
        Some(self.instants[row]).filter(|&instant| instant != Self::MISSING)
    }

    /// The time of each row; `None` = missing.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<i64>> {
        self.instants.iter().map(|&instant| Some(instant).filter(|&i| i != Self::MISSING))
    }

    /// Seconds that the clock of a row is ahead of UTC.
    pub(super) fn offset(&self, row: usize) -> i32 {
        match &self.offsets {
            Offsets::Fixed(offset) => *offset,
            Offsets::Rows(rows) => rows[row],
            Offsets::Zone(zone) => {
                let zone = Zone::Named(zone.clone());
                self.get(row).map_or(0, |instant| zone.offset_at(instant))
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
        let second = 1_000_000_000;
        let local = |(row, instant): (usize, Option<i64>)| {
            instant.map(|instant| instant + second * i64::from(more.offset(row)))
        };
        let local: Vec<i64> = more.iter().enumerate().filter_map(local).collect();
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
        let Some(instant) = self.get(row) else { return String::new() };
        let offset = self.offset(row);
        self.style.format(Zone::Fixed(offset).local(instant), offset)
    }
}
