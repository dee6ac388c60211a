//! A table in memory: named columns of numbers, texts or times, from a file and back to one.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::line_numbers::LineNumbers;
use super::text_cells::TextCells;
use super::thousands::ThousandsMark;
use super::time_cells::{Offsets, TimeCells};
use super::timestamp::TimeStyle;
use ptsm_core::{Error, Note, Result};

/// How a text file is read; the default finds everything out by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadOptions {
    /// The byte between cells; `None` tries comma, semicolon, tab and bar.
    pub delimiter: Option<u8>,
    /// Whether the first line names the columns; `None` decides by its cells.
    pub header: Option<bool>,
    /// Texts that mean "missing", besides the usual ones (empty, NaN, NA, null, -, ...).
    pub missing: Vec<String>,
    /// Whether 1,5 is one and a half. A dot is then the mark of thousands, or refused.
    pub decimal_comma: bool,
    /// The separator of thousands; `None` = none, and a column is refused whose decimals may
    /// be thousands (`1.000` beside `994`).
    pub thousands: Option<ThousandsMark>,
    /// Lines in front of the header that are passed over.
    pub skip_lines: usize,
    /// The byte that begins a line which is no row; `None` = none but `#` in front of the header.
    pub comment: Option<u8>,
    /// Columns whose cells name series and are kept to the letter: `007`, `1.0`, `NA`. Those that
    /// are called `unique_id`, `series_id`, `item_id`, `ts_id` or `time_series_id` are so anyway.
    pub id_columns: Vec<String>,
    /// Columns, in any letter case, whose cells are texts even where all of them are numbers.
    pub text_columns: Vec<String>,
    /// Cells at most, those that a row does not name among them, of JSON whose rows name their cells;
    /// more are refused (`OutOfMemory`) before they are made. `None` = as many as memory holds.
    #[serde(skip)]
    pub most_cells: Option<usize>,
}

/// The cells of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Numbers; NaN = missing; never infinite.
    Numbers(Vec<f64>),
    /// Texts, each of which may be missing.
    Text(TextCells),
    /// Times, and how they are written.
    Times(TimeCells),
}

impl ReadOptions {
    /// The numbers among the texts that mean "missing". They mean every cell of their value, however
    /// it is written: `-9999` a cell of `-9999.0` too, and a number of a Parquet file.
    pub(super) fn missing_numbers(&self) -> Vec<f64> {
        self.missing.iter().filter_map(|text| text.trim().parse().ok()).collect()
    }
}

impl Values {
    /// Number of cells.
    pub fn len(&self) -> usize {
        match self {
            Values::Numbers(cells) => cells.len(),
            Values::Text(cells) => cells.len(),
            Values::Times(cells) => cells.instants.len(),
        }
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the cells are, for a message.
    fn kind(&self) -> &'static str {
        match self {
            Values::Numbers(_) => "numbers",
            Values::Text(_) => "texts",
            Values::Times(_) => "times",
        }
    }

    /// Puts `more` cells below these; `false` if they are of another kind. A column that misses
    /// every cell is of any kind.
    fn append(&mut self, more: Values) -> bool {
        let all_missing = |values: &Values| matches!(values, Values::Numbers(cells) if cells.iter().all(|cell| cell.is_nan()));
        if all_missing(self) && !matches!(more, Values::Numbers(_)) {
            let rows = self.len();
            *self = match &more {
                Values::Times(cells) => {
                    let instants = vec![TimeCells::MISSING; rows];
                    Values::Times(TimeCells {
                        instants,
                        offsets: Offsets::Fixed(0),
                        ..cells.clone()
                    })
                }
                _ => {
                    let mut cells = TextCells::default();
                    cells.push_times(None, rows);
                    Values::Text(cells)
                }
            };
        }
        let (missing, count) = (all_missing(&more), more.len());
        match (self, more) {
            (Values::Numbers(cells), Values::Numbers(more)) => cells.extend(more),
            (Values::Text(cells), Values::Text(more)) => cells.append(&more),
            (Values::Times(cells), Values::Times(more)) => return cells.append(more),
            (Values::Text(cells), _) if missing => cells.push_times(None, count),
            (Values::Times(cells), _) if missing => {
                let offsets = Offsets::Fixed(0);
                let instants = vec![TimeCells::MISSING; count];
                let more = TimeCells { instants, offsets, style: cells.style };
                return cells.append(more);
            }
            _ => return false,
        }
        true
    }

    /// The cell of `row` as text, as it is written to a CSV file; empty = missing.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn text(&self, row: usize) -> String {
        let mut text = String::new();
        self.push_text(row, &mut text);
        text
    }

    /// As [`Values::text`], at the end of `out`.
    pub(super) fn push_text(&self, row: usize, out: &mut String) {
        match self {
            Values::Numbers(cells) => push_number(cells[row], out),
            Values::Text(cells) => out.push_str(cells.get(row).unwrap_or_default()),
            Values::Times(cells) => out.push_str(&cells.text(row)),
        }
    }
}

/// The shortest text that reads back as the same number; empty for NaN.
pub(super) fn number_text(value: f64) -> String {
    let mut text = String::new();
    push_number(value, &mut text);
    text
}

fn push_number(value: f64, out: &mut String) {
    let size = value.abs();
    let written = if value.is_nan() {
        Ok(())
    } else if value.fract() == 0.0 && size < 1e15 {
        write!(out, "{value}")
    } else if (1e-4..1e9).contains(&size) && value.to_bits().trailing_zeros() < 13 {
        // The same text as below, in less time. Only halfway between two shortest texts the two may
        // differ, where numbers of this size end in more zeros.
        out.push_str(zmij::Buffer::new().format_finite(value));
        Ok(())
    } else {
        // Debug, unlike Display, writes 1e-300 with an exponent.
        write!(out, "{value:?}")
    };
    written.expect("a string takes any text");
}

/// A named column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name, unique in the table.
    pub name: String,
    /// Its cells.
    pub values: Values,
}

impl Column {
    /// A column of numbers; NaN = missing.
    pub fn numbers(name: impl Into<String>, cells: Vec<f64>) -> Self {
        Self { name: name.into(), values: Values::Numbers(cells) }
    }

    /// A column of single-precision numbers, each as the number that its shortest decimal form
    /// names: 0.1 stays 0.1 instead of 0.10000000149011612. NaN = missing.
    pub fn singles(name: impl Into<String>, cells: &[f32]) -> Self {
        let widen = |cell: &f32| {
            let text = format!("{cell:?}");
            text.parse().expect("a formatted number reads back")
        };
        Self::numbers(name, cells.iter().map(widen).collect())
    }

    /// A column of texts.
    pub fn text(name: impl Into<String>, cells: Vec<String>) -> Self {
        let cells = cells.into_iter().map(Some).collect();
        Self { name: name.into(), values: Values::Text(cells) }
    }

    /// A column of texts that come several times in a row: each with how often.
    pub fn repeated_texts<'a>(
        name: impl Into<String>,
        texts: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Self {
        let mut cells = TextCells::default();
        texts.into_iter().for_each(|(text, count)| cells.push_times(Some(text), count));
        Self { name: name.into(), values: Values::Text(cells) }
    }

    /// A column of times in nanoseconds since 1970-01-01 00:00 UTC, written in `style`.
    pub fn times(name: impl Into<String>, instants: Vec<i64>, style: TimeStyle) -> Self {
        let cells = TimeCells { instants, offsets: Offsets::Fixed(0), style };
        Self { name: name.into(), values: Values::Times(cells) }
    }
}

/// Columns of equal length, with unique names.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    /// File name, or what else the table came from; in front of messages.
    source: String,
    /// The line of the file that each row began on, from 1; `None` where a file has no lines.
    lines: Option<LineNumbers>,
    /// Of a table from several files, the first row and the name of each.
    parts: Vec<(usize, String)>,
    /// How its cells were read.
    options: ReadOptions,
    /// What was assumed in reading, for the user, each once.
    notes: Vec<Note>,
}

/// A letter that could not be read.
const REPLACED: char = '\u{fffd}';

/// Whether `name` is `known` but for letters that could not be read.
fn fits(name: &str, known: &str) -> bool {
    let same = |(a, b): (char, char)| a == b || (a == REPLACED && !b.is_ascii());
    name.chars().count() == known.chars().count() && name.chars().zip(known.chars()).all(same)
}

impl Table {
    /// A table that did not come from a file.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no column, lengths differ, a name comes twice or a number is
    /// infinite.
    pub fn new(columns: Vec<Column>) -> Result<Self> {
        Self::with_source(columns, "table".to_owned(), None)
    }

    pub(super) fn with_source(
        columns: Vec<Column>,
        source: String,
        lines: Option<LineNumbers>,
    ) -> Result<Self> {
        let (parts, options, notes) = (Vec::new(), ReadOptions::default(), Vec::new());
        let table = Self { columns, source, lines, parts, options, notes };
        table.check().map_err(|error| error.at(&table.source))?;
        Ok(table)
    }

    /// The same table with what is known about its reading.
    pub(super) fn read_with(mut self, options: &ReadOptions, notes: Vec<Note>) -> Self {
        let missing = options.missing_numbers();
        for column in self.columns.iter_mut().filter(|_| !missing.is_empty()) {
            if let Values::Numbers(cells) = &mut column.values {
                let cells = cells.iter_mut().filter(|cell| missing.contains(cell));
                cells.for_each(|cell| *cell = f64::NAN);
            }
        }
        self.options = options.clone();
        self.notes = notes;
        self
    }

    /// How its cells were read.
    pub(super) fn options(&self) -> &ReadOptions {
        &self.options
    }

    /// What was assumed in reading it, a sentence each: nothing where the file was plain.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The same table with one more column, unless it has one of that name.
    pub(super) fn with_column(mut self, column: Column) -> Self {
        if self.column(&column.name).is_none() {
            self.columns.push(column);
        }
        self
    }

    /// The same table under another name, for a table of several files.
    pub(super) fn first_of(mut self, source: &str) -> Self {
        self.parts = vec![(0, std::mem::replace(&mut self.source, source.to_owned()))];
        self
    }

    /// Puts the rows of a table from another file below these.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming file and column, if it has other columns.
    pub(super) fn append(&mut self, other: Table) -> Result<()> {
        let rows = self.num_rows();
        let differs = |message: String| Err(Error::input(message).at(&other.source));
        let first = &self.parts.first().map_or(&self.source, |part| &part.1).clone();
        if let Some(new) = other.columns.iter().find(|c| self.column(&c.name).is_none()) {
            return differs(format!("the column \"{}\" is not in {first}", new.name));
        }
        let mut others: BTreeMap<String, Values> =
            other.columns.into_iter().map(|column| (column.name, column.values)).collect();
        for Column { name, values } in &mut self.columns {
            let Some(more) = others.remove(name) else {
                return differs(format!("there is no column \"{name}\", which {first} has"));
            };
            let (own, its) = (values.kind(), more.kind());
            if !values.append(more) {
                return differs(format!(
                    "column \"{name}\" holds {its}, in {first} it holds {own}"
                ));
            }
        }
        self.parts.push((rows, other.source));
        self.lines = match (self.lines.take(), other.lines) {
            (Some(mut lines), Some(more)) => {
                lines.append(&more);
                Some(lines)
            }
            _ => None,
        };
        // The same of many files is told once.
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let Some(first) = self.columns.first() else {
            return Err(Error::input("there is no column"));
        };
        let rows = first.values.len();
        let mut seen = BTreeMap::new();
        for (number, column) in (1..).zip(&self.columns) {
            let Column { name, values } = column;
            if values.len() != rows {
                let got = values.len();
                let message = format!("column \"{name}\" has {got} rows, the first has {rows}");
                return Err(Error::input(message));
            }
            if let Some(earlier) = seen.insert(name, number) {
                return Err(Error::input(format!(
                    "columns {earlier} and {number} are both called \"{name}\" (rename one)"
                )));
            }
            if let Values::Numbers(cells) = values
                && let Some(row) = cells.iter().position(|cell| cell.is_infinite())
            {
                let message = "an infinite number (write an empty cell if it is missing)";
                return Err(Error::input(message).at(self.place_in_source(row, name)));
            }
        }
        Ok(())
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.columns[0].values.len()
    }

    /// The columns, in file order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        let found = self.columns.iter().find(|column| column.name == name);
        found.or_else(|| {
            // Earlier versions wrote this character for a letter that was not UTF-8.
            name.contains(REPLACED).then(|| self.columns.iter().find(|c| fits(name, &c.name)))?
        })
    }

    /// File name, or what else the table came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The number of files that its rows came from; 1 also where they came from none.
    pub fn num_files(&self) -> usize {
        self.parts.len().max(1)
    }

    /// Where a cell is, for a message: `data.csv: line 7, column "load"`.
    pub fn place(&self, row: usize, column: &str) -> String {
        format!("{}: {}", self.source_of(row), self.place_in_source(row, column))
    }

    fn place_in_source(&self, row: usize, column: &str) -> String {
        format!("{}, column \"{column}\"", self.row_name(row))
    }

    /// `line 7` of a text file, otherwise `row 6`.
    pub(super) fn row_name(&self, row: usize) -> String {
        match &self.lines {
            Some(lines) => format!("line {}", lines.line(row)),
            None => format!("row {}", row + 1 - self.part_of(row).map_or(0, |part| part.0)),
        }
    }

    /// The file that a row came from.
    fn source_of(&self, row: usize) -> &str {
        self.part_of(row).map_or(&self.source, |part| &part.1)
    }

    fn part_of(&self, row: usize) -> Option<&(usize, String)> {
        self.parts[..self.parts.partition_point(|part| part.0 <= row)].last()
    }
}
