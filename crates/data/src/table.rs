//! A table in memory: named columns of numbers, texts or times, from a file and back to one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::time_cells::{Offsets, TimeCells};
use super::timestamp::TimeStyle;
use ptsm_core::{Error, Result};

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
    /// Whether 1,5 is one and a half.
    pub decimal_comma: bool,
}

/// The cells of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Numbers; NaN = missing; never infinite.
    Numbers(Vec<f64>),
    /// Texts; `None` = missing. Equal texts of one column may share their memory.
    Text(Vec<Option<Arc<str>>>),
    /// Times, and how they are written.
    Times(TimeCells),
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

    /// The cell of `row` as text, as it is written to a CSV file; empty = missing.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn text(&self, row: usize) -> String {
        match self {
            Values::Numbers(cells) => number_text(cells[row]),
            Values::Text(cells) => cells[row].as_deref().unwrap_or_default().to_owned(),
            Values::Times(cells) => cells.text(row),
        }
    }
}

/// The shortest text that reads back as the same number; empty for NaN.
fn number_text(value: f64) -> String {
    if value.is_nan() {
        String::new()
    } else if value.fract() == 0.0 && value.abs() < 1e15 {
        format!("{value}")
    } else {
        // Debug, unlike Display, writes 1e-300 with an exponent.
        format!("{value:?}")
    }
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
        let cells = cells.into_iter().map(|cell| Some(cell.into())).collect();
        Self { name: name.into(), values: Values::Text(cells) }
    }

    /// A column of texts that come several times in a row: each with how often.
    pub fn repeated_texts<'a>(
        name: impl Into<String>,
        texts: impl IntoIterator<Item = (&'a str, usize)>,
    ) -> Self {
        let mut cells: Vec<Option<Arc<str>>> = Vec::new();
        for (text, count) in texts {
            cells.resize(cells.len() + count, Some(Arc::from(text)));
        }
        Self { name: name.into(), values: Values::Text(cells) }
    }

    /// A column of times in nanoseconds since 1970-01-01 00:00 UTC, written in `style`.
    pub fn times(name: impl Into<String>, instants: Vec<i64>, style: TimeStyle) -> Self {
        let instants = instants.into_iter().map(Some).collect();
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
    lines: Option<Vec<u64>>,
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
        lines: Option<Vec<u64>>,
    ) -> Result<Self> {
        let table = Self { columns, source, lines };
        table.check().map_err(|error| error.at(&table.source))?;
        Ok(table)
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
        self.columns.iter().find(|column| column.name == name)
    }

    /// File name, or what else the table came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where a cell is, for a message: `data.csv: line 7, column "load"`.
    pub fn place(&self, row: usize, column: &str) -> String {
        format!("{}: {}", self.source, self.place_in_source(row, column))
    }

    fn place_in_source(&self, row: usize, column: &str) -> String {
        format!("{}, column \"{column}\"", self.row_name(row))
    }

    /// `line 7` of a text file, otherwise `row 6`.
    pub(super) fn row_name(&self, row: usize) -> String {
        match &self.lines {
            Some(lines) => format!("line {}", lines[row]),
            None => format!("row {}", row + 1),
        }
    }
}
