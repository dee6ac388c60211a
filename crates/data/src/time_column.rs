//! The column of times: which one it is, and its cells.

use std::borrow::Cow;

use super::table::{Column, Table, Values};
use super::table_rows::TableRows;
use super::time_cells::Offsets;
use super::time_names::{Named, named, parts_of_a_date};
use super::timestamp::{
    DateOrder, NotATime, Stamps, TimeStyle, is_time_in_any_order, parse_as, parse_column,
    parse_in_any_order, parse_index, parse_numbers, parse_timestamp,
};
use super::wanted_column::wanted_column;
use ptsm_core::{Error, Result, option};

/// The times of the rows.
#[derive(Debug)]
pub(super) struct TimeColumn<'a> {
    pub(super) name: String,
    /// In nanoseconds since 1970-01-01 00:00 UTC; whole numbers for an index.
    pub(super) instants: Instants<'a>,
    pub(super) offsets: Offsets,
    pub(super) style: TimeStyle,
    /// Which of day and month comes first, where a cell alone does not say it.
    pub(super) order: Option<DateOrder>,
}

/// The times of rows.
#[derive(Debug)]
pub(super) enum Instants<'a> {
    /// Of each row.
    Rows(Cow<'a, [i64]>),
    /// Of each different text, and the number of the text of each row: series of a panel mostly have
    /// the same times.
    Texts { of_text: Vec<i64>, of_row: &'a [u32] },
}

impl Instants<'_> {
    /// Those of some rows.
    pub(super) fn of(&self, rows: &TableRows) -> Vec<i64> {
        match (self, rows) {
            (Self::Rows(instants), rows) => rows.of(instants),
            (Self::Texts { of_text, of_row }, TableRows::Run(rows)) => {
                of_row[rows.clone()].iter().map(|&text| of_text[text as usize]).collect()
            }
            (Self::Texts { of_text, of_row }, TableRows::List(rows)) => {
                rows.iter().map(|&row| of_text[of_row[row as usize] as usize]).collect()
            }
        }
    }
}

/// What is known when the times are looked for.
#[derive(Clone, Copy)]
pub(super) struct Search<'t, 'a> {
    pub(super) table: &'t Table,
    /// The name, if somebody gave one; `Some(None)` = there are no times.
    pub(super) given: Option<Option<&'a str>>,
    /// The column that names the series, and the number of the series of each row.
    pub(super) id: Option<(&'a str, &'a [u32])>,
    pub(super) targets: Option<&'a [String]>,
    /// Which of day and month comes first.
    pub(super) dates: Option<DateOrder>,
    /// How a model's times were written: numbers are read so if they can be.
    pub(super) style: Option<TimeStyle>,
}

impl<'t> Search<'t, '_> {
    /// Finds and reads the times; `None` if there are none.
    pub(super) fn find(&self) -> Result<Option<TimeColumn<'t>>> {
        let column = match self.given {
            Some(None) => return Ok(None),
            Some(Some(name)) => wanted_column(self.table, name, "timestamp")?,
            None => match self.detect()? {
                Some(column) => column,
                None => return Ok(None),
            },
        };
        self.read(column).map(Some)
    }

    /// The first column that holds times; if there is none, one that holds an index; if there is
    /// none, one that has the name of a time, so that its first bad cell is an error.
    fn detect(&self) -> Result<Option<&'t Column>> {
        let free = |column: &&Column| {
            self.id.is_none_or(|(id, _)| id != column.name)
                && self.targets.is_none_or(|targets| !targets.contains(&column.name))
        };
        let columns = || self.table.columns().iter().filter(free);
        if let Some(column) = columns().find(|column| self.holds_times(column)) {
            let clock = columns().find(|other| other.name != column.name && shows_clock(other));
            return match clock.filter(|_| is_date_alone(column)) {
                Some(clock) => Err(self.spread_over(&[&column.name, &clock.name])),
                None => Ok(Some(column)),
            };
        }
        let spread = parts_of_a_date(columns().filter(is_numeric).map(|c| c.name.as_str()));
        let index = columns().find(|column| self.holds_index(column));
        let index =
            index.filter(|column| named(&column.name) != Named::MaybeIndex || spread.is_empty());
        if index.is_some() {
            return Ok(index);
        }
        if let Some(column) = columns().find(|column| is_called_a_time(column)) {
            return Ok(Some(column));
        }
        if !spread.is_empty() {
            return Err(self.spread_over(&spread));
        }
        Ok(None)
    }

    /// Whether the column is taken for the times: a text column by its first cell, so that a later
    /// cell that is no time is an error and not an ignored column.
    fn holds_times(&self, column: &Column) -> bool {
        match &column.values {
            Values::Times(_) => true,
            Values::Text(cells) => cells.words().next().is_some_and(is_time_in_any_order),
            Values::Numbers(cells) => {
                let name = named(&column.name);
                let seen: Vec<f64> = cells.iter().copied().filter(|cell| !cell.is_nan()).collect();
                match name {
                    Named::Time => parse_numbers(&seen, says_date(&column.name)).is_ok(),
                    // Other times than those of the rows neither rise nor are complete.
                    Named::SomeTime => {
                        parse_numbers(cells, false).is_ok() && self.is_monotone(cells)
                    }
                    _ => false,
                }
            }
        }
    }

    /// Whether the column is taken for an index: by its name, or by a name and its numbers.
    fn holds_index(&self, column: &Column) -> bool {
        let Values::Numbers(cells) = &column.values else { return false };
        if parse_index(cells).is_err() {
            return false;
        }
        match named(&column.name) {
            Named::Time | Named::Index => true,
            // Repeated years mean several series, which a text column may name.
            Named::MaybeIndex if column.name.eq_ignore_ascii_case("year") => {
                self.is_monotone(cells) || (self.id.is_none() && self.has_repeated_text())
            }
            Named::MaybeIndex => self.counts_rows(cells),
            _ => false,
        }
    }

    fn has_repeated_text(&self) -> bool {
        self.table.columns().iter().any(|column| {
            let Values::Text(cells) = &column.values else { return false };
            cells.words().len() < cells.iter().flatten().count()
        })
    }

    /// Differences between neighbouring rows of one series.
    fn differences(&self, cells: &[f64]) -> Vec<f64> {
        let mut last: Vec<Option<f64>> = vec![None];
        let mut differences = Vec::new();
        for (row, &cell) in cells.iter().enumerate() {
            let series = self.id.map_or(0, |(_, of_row)| of_row[row] as usize);
            if last.len() <= series {
                last.resize(series + 1, None);
            }
            if let Some(before) = last[series].replace(cell) {
                differences.push(cell - before);
            }
        }
        differences
    }

    /// Whether numbers rise, or fall, throughout every series.
    fn is_monotone(&self, cells: &[f64]) -> bool {
        let differences = self.differences(cells);
        let all = |test: fn(&f64) -> bool| differences.iter().all(test);
        all(|d| *d > 0.0) || all(|d| *d < 0.0)
    }

    /// Whether whole numbers rise in every series, mostly by one step.
    fn counts_rows(&self, cells: &[f64]) -> bool {
        let differences = self.differences(cells);
        let Some(&step) = differences.first() else { return false };
        let steps = differences.iter().filter(|&&d| d == step).count();
        cells.len() > 2
            && parse_index(cells).is_ok()
            && differences.iter().all(|&d| d > 0.0)
            && 2 * steps >= differences.len()
    }

    /// 0, 1, 2, ... or 1, 2, 3, ... however few.
    fn counts_from_start(&self, cells: &[f64]) -> bool {
        matches!(cells.first(), Some(0.0 | 1.0))
            && self.differences(cells).iter().all(|&difference| difference == 1.0)
    }

    /// Why a column of numbers is no channel, if it is none: a data frame's own numbers of its rows, an
    /// index beside the times, or other times.
    pub(super) fn no_channel(&self, name: &str, cells: &[f64]) -> Option<&'static str> {
        let is = match named(name) {
            Named::RowNumbers => self.numbers_rows(cells),
            Named::MaybeIndex if name.eq_ignore_ascii_case("index") => {
                self.counts_rows(cells) || self.counts_from_start(cells)
            }
            Named::Index | Named::MaybeIndex => self.counts_rows(cells),
            Named::Time => return Some("it has the name of a time"),
            Named::SomeTime | Named::Other => false,
        };
        is.then_some("it numbers the rows")
    }

    /// Whole numbers that rise, start again, or come once each.
    fn numbers_rows(&self, cells: &[f64]) -> bool {
        let smallest = cells.iter().copied().fold(f64::INFINITY, f64::min);
        let starts_again = |pair: &[f64]| pair[1] > pair[0] || pair[1] == smallest;
        let once = || {
            let mut sorted = cells.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted.windows(2).all(|pair| pair[0] < pair[1])
        };
        parse_index(cells).is_ok()
            && smallest >= 0.0
            && (self.is_monotone(cells) || cells.windows(2).all(starts_again) || once())
    }

    fn spread_over(&self, names: &[&str]) -> Error {
        let none = option("timestamp", Some("none"));
        let message = format!(
            "the time is spread over the columns {} (write it into one column, such as 2016-07-31 \
             08:00, or use {none} to number the rows)",
            names.join(", ")
        );
        Error::input(message).at(self.table.source())
    }

    fn read(&self, column: &'t Column) -> Result<TimeColumn<'t>> {
        let name = &column.name;
        let missing = match &column.values {
            Values::Numbers(cells) => cells.iter().position(|cell| cell.is_nan()),
            Values::Text(cells) => cells.first_missing(),
            Values::Times(cells) => cells.iter().position(|cell| cell.is_none()),
        };
        let none = option("timestamp", Some("none"));
        if let Some(row) = missing {
            let message = format!(
                "the timestamp is missing (remove the row, or use {none} to number the rows)"
            );
            return Err(Error::input(message).at(self.table.place(row, name)));
        }
        let column_of = |instants, offsets, style| TimeColumn {
            name: name.clone(),
            instants,
            offsets,
            style,
            order: None,
        };
        let read = match &column.values {
            Values::Numbers(cells) => self.read_numbers(name, cells).map(|(instants, style)| {
                column_of(Instants::Rows(instants.into()), Offsets::Fixed(0), style)
            }),
            Values::Text(cells) => match parse_column(cells.words(), self.dates) {
                Ok(Stamps { instants, offsets, style, order }) => {
                    let of_row = cells.numbers().unwrap_or_default();
                    let instants = Instants::Texts { of_text: instants, of_row };
                    let offsets = Offsets::of_texts(offsets, of_row);
                    Ok(TimeColumn { order, ..column_of(instants, offsets, style) })
                }
                Err((word, why)) => Err((cells.first_row_of(word).unwrap_or_default(), why)),
            },
            Values::Times(cells) => {
                let instants = Instants::Rows(Cow::Borrowed(&cells.instants));
                Ok(column_of(instants, cells.offsets.clone(), cells.style))
            }
        };
        read.map_err(|(row, why)| {
            let cell = column.values.text(row);
            let way_out = way_out(why);
            Error::input(format!("\"{cell}\" {why} ({way_out})")).at(self.table.place(row, name))
        })
    }

    /// As the model's times were written, if that fits; as dates; as an index.
    fn read_numbers(
        &self,
        name: &str,
        cells: &[f64],
    ) -> std::result::Result<(Vec<i64>, TimeStyle), (usize, NotATime)> {
        if let Some(style) = self.style
            && let Ok(times) = parse_as(cells, style)
        {
            return Ok((times, style));
        }
        let read = parse_numbers(cells, says_date(name));
        read.or_else(|error| parse_index(cells).map_err(|index| error.max_by_row(index)))
    }
}

/// Of two refusals, the one of the later row.
trait LaterRow {
    fn max_by_row(self, other: Self) -> Self;
}

impl LaterRow for (usize, NotATime) {
    fn max_by_row(self, other: Self) -> Self {
        if other.0 > self.0 { other } else { self }
    }
}

fn way_out(why: NotATime) -> String {
    let none = option("timestamp", Some("none"));
    let dates = |order| option("dates", Some(order));
    match why {
        NotATime::Ambiguous => {
            let (day, month) = (dates("day-first"), dates("month-first"));
            format!("use {day} or {month}, or write dates as 2016-07-31")
        }
        NotATime::OtherOrder(DateOrder::DayMonthYear) => format!("use {}", dates("month-first")),
        NotATime::OtherOrder(_) => format!("use {}", dates("day-first")),
        NotATime::Unknown => {
            format!(
                "write it in a form such as 2016-07-31 08:00:00, or use {none} to number the rows"
            )
        }
        NotATime::OutOfRange => format!("use {none} to number the rows"),
    }
}

/// A text column of dates without a time of day.
fn is_date_alone(column: &Column) -> bool {
    let Values::Text(cells) = &column.values else { return false };
    let stamp = cells.words().next();
    let stamp = stamp.and_then(|cell| parse_in_any_order(cell).ok());
    stamp.is_some_and(|stamp| stamp.style.time.is_none())
}

/// A column with the name of a time that holds times of day: 08:00.
fn shows_clock(column: &Column) -> bool {
    let Values::Text(cells) = &column.values else { return false };
    let is_clock = |cell: &str| {
        parse_timestamp(&format!("2000-01-01 {cell}"), DateOrder::YearMonthDay).is_ok()
    };
    matches!(named(&column.name), Named::Time | Named::SomeTime | Named::MaybeIndex)
        && cells.words().next().is_some_and(is_clock)
}

fn is_numeric(column: &&Column) -> bool {
    matches!(column.values, Values::Numbers(_))
}

/// A column whose name says that it holds the times, and which holds something.
fn is_called_a_time(column: &Column) -> bool {
    let name = named(&column.name);
    match &column.values {
        Values::Times(_) => true,
        Values::Numbers(cells) => {
            matches!(name, Named::Time | Named::Index) && cells.iter().any(|cell| !cell.is_nan())
        }
        Values::Text(cells) => match cells.words().next() {
            None => false,
            Some(cell) => {
                let digits = cell.bytes().any(|byte| byte.is_ascii_digit());
                matches!(name, Named::Time | Named::Index) || (name == Named::SomeTime && digits)
            }
        },
    }
}

/// Whether small numbers under this name may be Excel's days.
fn says_date(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.contains("date") || lower.contains("time")
}
