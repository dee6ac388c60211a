//! Reads a stream of rows: CSV with a header, or one JSON object a line.

use std::io::{BufRead, Read};

use serde_json::{Map, Value};

use super::csv_sniff::{Cell, guess_delimiter, read_cell};
use super::id_name::name_of_number;
use super::preamble::separator;
use super::roles::NO_COLUMN;
use super::table::ReadOptions;
use super::time_rules::TimeRules;
use super::timestamp::{DateOrder, TimeStyle, parse_as, parse_numbers, parse_timestamp};
use super::wanted_column::name_list;
use super::zone::{Clock, Shown, Zone};
use crate::civil::SECOND;
use ptsm_core::{Error, Result, option};

/// The longest line of a stream: one without an end must not fill the memory.
const LONGEST_LINE: u64 = 64 << 20;

/// Reads the channels and the time of a model out of lines of text.
///
/// The first line decides: an object in braces is JSON, anything else the header of a CSV. Cells
/// that hold line ends are not read. A channel that an object lacks, or that is null, is missing.
/// Lines in front of the header, comments and files without a header are treated as in a table.
pub struct RowReader<R> {
    input: R,
    channels: Vec<String>,
    timestamp: Option<String>,
    id: Option<String>,
    options: ReadOptions,
    /// Numbers that mean a missing value.
    missing: Vec<f64>,
    rules: TimeRules,
    form: Form,
    /// The line in work, and a first line that is a row already.
    line: String,
    waiting: bool,
    /// Its number, from 1.
    number: u64,
    /// Whether a first object had the keys that it should have.
    checked: bool,
    /// How the last time was written, and how far its clock is ahead of UTC, in seconds.
    last: Option<Written>,
    /// The series of the row that was read last.
    series: String,
}

/// The byte-order mark that may be in front of the first line.
const MARK: char = '\u{feff}';

/// How a time was written.
#[derive(Debug, Clone, Copy)]
struct Written {
    style: TimeStyle,
    /// What its clock showed, rounded.
    shown: Shown,
}

/// Which columns of a row are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowColumns {
    /// Names of the channels, in the order in which their values are given.
    pub channels: Vec<String>,
    /// The column of times; `None` if rows have none.
    pub timestamp: Option<String>,
    /// The column that names the series of a row; `None` if all rows are of one.
    pub id: Option<String>,
}

/// How lines are written.
enum Form {
    Json,
    Csv {
        delimiter: u8,
        /// Columns of the header.
        width: usize,
        /// Which column holds each channel.
        columns: Vec<usize>,
        /// Which column holds the time.
        time: Option<usize>,
        /// Which column names the series.
        id: Option<usize>,
    },
}

impl<R: BufRead> RowReader<R> {
    /// Reads the first line, which says how all are written. `None` if there is no line.
    ///
    /// # Errors
    ///
    /// `Io`; `InvalidInput` if the header lacks a channel or the column of times, naming it.
    pub fn new(
        input: R,
        columns: RowColumns,
        options: &ReadOptions,
        rules: &TimeRules,
    ) -> Result<Option<Self>> {
        let RowColumns { channels, timestamp, id } = columns;
        let mut reader = Self {
            input,
            channels,
            timestamp,
            id,
            options: options.clone(),
            missing: options.missing_numbers(),
            rules: rules.clone(),
            form: Form::Json,
            line: String::new(),
            waiting: false,
            number: 0,
            checked: false,
            last: None,
            series: String::new(),
        };
        Ok(reader.begin()?.then_some(reader))
    }

    /// Finds out how lines are written; `false` if there is none.
    fn begin(&mut self) -> Result<bool> {
        for passed in 0..self.options.skip_lines {
            if !self.any_line()? {
                return Err(Error::config("skip_lines", format!("has only {passed} lines")));
            }
        }
        if !self.next_line()? {
            return Ok(false);
        }
        if let Some(delimiter) = separator(self.line.as_bytes()) {
            self.options.delimiter.get_or_insert(delimiter);
            if !self.next_line()? {
                return Ok(false);
            }
        }
        let Some(remark) = self.pass_remarks()? else { return Ok(false) };
        if self.line.trim_start().starts_with('{') {
            let of_csv = [
                ("no_header", self.options.header == Some(false)),
                ("delimiter", self.options.delimiter.is_some()),
            ];
            if let Some((field, _)) = of_csv.iter().find(|(_, given)| *given) {
                let text = "is for CSV, and the first line is a JSON object (leave it out)";
                return Err(Error::config(*field, text));
            }
            self.waiting = true;
        } else {
            self.form = self.read_header(&remark)?;
        }
        Ok(true)
    }

    /// Passes over lines that begin with `#` in front of the header; gives the last of them without
    /// its mark. `None` if no line follows.
    fn pass_remarks(&mut self) -> Result<Option<String>> {
        let mut last = String::new();
        while let Some(remark) = self.line.trim_start_matches(MARK).strip_prefix('#') {
            last = remark.to_owned();
            if !self.next_line()? {
                return Ok(None);
            }
        }
        Ok(Some(last))
    }

    /// Times on the clock of the rules as text, in the style of the rows; `None` before a row had a
    /// time.
    pub fn time_texts(&self, times: &[i64]) -> Option<Vec<String>> {
        let Written { style, shown: Shown { offset, .. } } = self.last?;
        if style == TimeStyle::Index {
            return Some(times.iter().map(i64::to_string).collect());
        }
        let zone = Zone::Fixed(offset);
        let local = |&time: &i64| zone.both(time, self.rules.clock).1;
        let style = style.holding(times.iter().map(local));
        Some(times.iter().map(|time| style.format(local(time), offset)).collect())
    }

    /// The series of the row that was read last; empty where all rows are of one.
    pub fn series(&self) -> &str {
        &self.series
    }

    /// Number of the line that was read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.number
    }

    /// Reads one row into `values` (`[C]`, NaN = missing); its time on the clock of the rules, if it
    /// has one. `None` at the end. A row that cannot be read is passed over by the next call.
    ///
    /// # Errors
    ///
    /// `Io`; `InvalidInput`, naming line and column.
    pub fn next_row(&mut self, values: &mut Vec<f64>) -> Result<Option<Option<i64>>> {
        if !std::mem::take(&mut self.waiting) && !self.next_line()? {
            return Ok(None);
        }
        values.clear();
        let line = std::mem::take(&mut self.line);
        let time = match self.form {
            Form::Json => self.json_row(&line, values),
            Form::Csv { .. } => self.csv_row(&line, values),
        };
        self.line = line;
        let time = time.map_err(|e| e.at(format!("line {}", self.number)))?;
        if let Some((_, written)) = time {
            self.last = Some(written);
        }
        Ok(Some(time.map(|(time, _)| time)))
    }

    /// The next line that is neither empty nor a comment.
    fn next_line(&mut self) -> Result<bool> {
        while self.any_line()? {
            let comment = self.options.comment;
            let is_comment = comment.is_some() && self.line.as_bytes().first() == comment.as_ref();
            if !is_comment && !self.line.trim().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next line of any kind.
    fn any_line(&mut self) -> Result<bool> {
        self.line.clear();
        self.number += 1;
        let place = || format!("line {}", self.number);
        let read =
            self.input.by_ref().take(LONGEST_LINE).read_line(&mut self.line).map_err(|e| {
                Error::new(ptsm_core::ErrorKind::Io, "cannot be read").at(place()).because(e)
            })?;
        if read as u64 == LONGEST_LINE && !self.line.ends_with('\n') {
            let text = format!("is longer than {} MiB, so it is no row", LONGEST_LINE >> 20);
            return Err(Error::input(text).at(place()));
        }
        Ok(read > 0)
    }

    /// Finds the columns in the line, or in the remark above it if that names them all.
    fn read_header(&mut self, remark: &str) -> Result<Form> {
        let line = self.line.trim_start_matches(MARK).trim_end();
        let delimiter = self.options.delimiter.unwrap_or_else(|| guess_delimiter(line.as_bytes()));
        let mut names = split(line, delimiter);
        let wanted = || self.channels.iter().chain(&self.timestamp).chain(&self.id);
        let above = split(remark.trim_end(), delimiter);
        if self.options.header == Some(false) {
            names = (0..names.len()).map(|number| number.to_string()).collect();
            self.waiting = true;
        } else if above.len() == names.len() && wanted().all(|name| above.contains(name)) {
            names = above;
            self.waiting = true;
        }
        let find = |name: &String| names.iter().position(|known| known == name);
        let channel = |name: &String| find(name).ok_or_else(|| lacks_channel(name, &names));
        let role = |field: &str, name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => match find(name) {
                None => Err(renamed_column(field, name, &names)),
                found => Ok(found),
            },
        };
        let columns = || {
            Ok(Form::Csv {
                delimiter,
                width: names.len(),
                columns: self.channels.iter().map(channel).collect::<Result<_>>()?,
                time: role("timestamp", &self.timestamp)?,
                id: role("id", &self.id)?,
            })
        };
        columns().map_err(|e: Error| e.at(format!("line {}", self.number)))
    }

    fn csv_row(&mut self, line: &str, values: &mut Vec<f64>) -> Result<Option<(i64, Written)>> {
        let Form::Csv { delimiter, width, columns, time, id } = &self.form else {
            return Err(Error::internal("a line of JSON was taken for CSV"));
        };
        let line = line.trim_end_matches(['\n', '\r']);
        let cells = split(line, *delimiter);
        if cells.len() != *width {
            let text = format!("has {} cells, the header has {width}", cells.len());
            return Err(Error::input(text));
        }
        for (name, &column) in self.channels.iter().zip(columns) {
            values.push(self.number(&cells[column], name)?);
        }
        let time = time.map(|column| self.time(&cells[column])).transpose()?;
        if let Some(id) = *id {
            self.name_series(&cells[id])?;
        }
        Ok(time)
    }

    /// Takes the cell that names the series of a row.
    fn name_series(&mut self, cell: &str) -> Result<()> {
        if cell.is_empty() {
            let column = self.id.as_deref().unwrap_or_default();
            let text = "the name of the series is missing";
            return Err(Error::input(text).at(format!("column \"{column}\"")));
        }
        cell.clone_into(&mut self.series);
        Ok(())
    }

    fn json_row(&mut self, line: &str, values: &mut Vec<f64>) -> Result<Option<(i64, Written)>> {
        let fields: Map<String, Value> =
            serde_json::from_str(line).map_err(|e| Error::input("is no JSON object").because(e))?;
        for name in &self.channels {
            values.push(match fields.get(name) {
                None | Some(Value::Null) => f64::NAN,
                Some(Value::Number(number)) => self.seen(number.as_f64().unwrap_or(f64::NAN)),
                Some(Value::String(text)) => self.number(text, name)?,
                Some(other) => {
                    let text = format!("is {other}, wanted a number or null");
                    return Err(Error::input(text).at(format!("\"{name}\"")));
                }
            });
        }
        self.check_keys(&fields)?;
        if let Some(id) = &self.id {
            let name = match fields.get(id) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number_name(number)
                    .map_err(|text| Error::input(text).at(format!("\"{id}\"")))?,
                Some(other) => other.to_string(),
            };
            self.name_series(&name)?;
        }
        let Some(name) = &self.timestamp else { return Ok(None) };
        match fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => self.time(text).map(Some),
            Some(other) => self.time(&other.to_string()).map(Some),
        }
    }

    /// Refuses a first object without the model's columns of times and of series: they have other
    /// names, or every row would fail for a reason that does not say so.
    fn check_keys(&mut self, fields: &Map<String, Value>) -> Result<()> {
        if std::mem::replace(&mut self.checked, true) {
            return Ok(());
        }
        for (field, name) in [("timestamp", &self.timestamp), ("id", &self.id)] {
            if let Some(name) = name.as_ref().filter(|name| !fields.contains_key(*name)) {
                let keys: Vec<&String> = fields.keys().collect();
                return Err(renamed_column(field, name, &keys));
            }
        }
        Ok(())
    }

    /// A number of a row; NaN if it means a missing value.
    fn seen(&self, number: f64) -> f64 {
        if self.missing.contains(&number) { f64::NAN } else { number }
    }

    fn number(&self, cell: &str, name: &str) -> Result<f64> {
        match read_cell(cell.trim(), &self.options) {
            Cell::Number(number) => Ok(self.seen(number)),
            Cell::Missing => Ok(f64::NAN),
            Cell::Infinite | Cell::Text => {
                let text = format!(
                    "\"{cell}\" is not a finite number (use {} if it means a missing value)",
                    option("missing", Some(cell))
                );
                Err(Error::input(text).at(format!("column \"{name}\"")))
            }
        }
    }

    fn time(&self, cell: &str) -> Result<(i64, Written)> {
        let order = self.rules.order.unwrap_or(DateOrder::YearMonthDay);
        let written = match parse_timestamp(cell, order) {
            Ok(stamp) => {
                let shown = Shown { local: stamp.local, offset: stamp.offset.unwrap_or(0) };
                Written { style: TimeStyle::Calendar(stamp.style), shown }
            }
            Err(why) => self.number_time(cell).ok_or_else(|| {
                let name = self.timestamp.as_deref().unwrap_or_default();
                let dates = option("dates", None);
                let text = format!("\"{cell}\" {why} (see {dates} for the order of dates)");
                Error::input(text).at(format!("column \"{name}\""))
            })?,
        };
        self.on_clock(written)
    }

    /// A number as a time: as those of the model were written, or as it looks.
    fn number_time(&self, cell: &str) -> Option<Written> {
        let number = [cell.trim().parse::<f64>().ok()?];
        let saved =
            self.rules.style.and_then(|style| Some((parse_as(&number, style).ok()?, style)));
        let (times, style) = saved.or_else(|| parse_numbers(&number, false).ok())?;
        Some(Written { style, shown: Shown { local: times[0], offset: 0 } })
    }

    /// Rounds a time, where the model's were, and puts it on the clock of the rules.
    fn on_clock(&self, mut written: Written) -> Result<(i64, Written)> {
        if written.style == TimeStyle::Index {
            return Ok((written.shown.local, written));
        }
        if let Some(rounding) = self.rules.round {
            let move_by = rounding.correction(written.shown.local).ok_or_else(|| {
                Error::input(format!("the time is further from the grid than {rounding} allows"))
            })?;
            written.shown.local = written.shown.local.saturating_add(move_by);
        }
        let Shown { local, offset } = written.shown;
        if self.rules.clock == Clock::Utc {
            return Ok((local.saturating_sub(i64::from(offset) * SECOND), written));
        }
        if let Some(last) = self.last {
            written.shown.local = written.shown.after(last.shown);
        }
        Ok((written.shown.local, written))
    }
}

/// A number as the name of a series, as a table of JSON has it: 1.0 is 1.
fn number_name(number: &serde_json::Number) -> std::result::Result<String, String> {
    match number.as_f64() {
        Some(value) if number.is_f64() => name_of_number(value),
        _ => Ok(number.to_string()),
    }
}

/// The error of a header that lacks a channel.
fn lacks_channel(name: &str, columns: &[String]) -> Error {
    let text = format!(
        "the header has no column \"{name}\", only {} (the first line must name the columns, as that of the training data \
         does, or be a JSON object)",
        name_list(columns)
    );
    Error::input(text)
}

/// The error of rows that lack the model's column of times (`field` is `timestamp`) or of series
/// (`id`), with the names that they have.
pub fn renamed_column(field: &str, name: &str, columns: &[impl AsRef<str>]) -> Error {
    let (what, without) = match field {
        "timestamp" => ("times", "to number the rows"),
        _ => ("names of the series", "if the rows are one series"),
    };
    let text = format!(
        "there is no column \"{name}\", which held the {what} in training (use {} if it has another \
         name, or {} {without}); the columns are {}",
        option(field, Some("NAME")),
        option(field, Some(NO_COLUMN)),
        name_list(columns)
    );
    Error::input(text)
}

/// The cells of one line, without the space around them.
fn split(line: &str, delimiter: u8) -> Vec<String> {
    if !line.contains('"') {
        let cells = line.split(char::from(delimiter));
        return cells.map(|cell| cell.trim().to_owned()).collect();
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .from_reader(line.as_bytes());
    let record = reader.records().next().and_then(std::result::Result::ok).unwrap_or_default();
    record.iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
#[path = "row_reader_tests.rs"]
mod tests;
