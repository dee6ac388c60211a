//! A table in memory: named columns of numbers, texts or times, from a file and back to one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[cfg(feature = "parquet")]
use super::parquet_file;
use super::timestamp::TimeStyle;
use super::{csv_file, json_file};
use ptsm_core::write_atomically;
use ptsm_core::{Error, Result};

/// Largest text that is read, unpacked: a damaged or hostile archive must not fill the memory.
const MAX_TEXT_BYTES: u64 = 4 << 30;

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
    Times {
        /// Seconds since 1970-01-01 00:00 UTC; `None` = missing.
        seconds: Vec<Option<i64>>,
        /// How they are written.
        style: TimeStyle,
    },
}

impl Values {
    /// Number of cells.
    pub fn len(&self) -> usize {
        match self {
            Values::Numbers(cells) => cells.len(),
            Values::Text(cells) => cells.len(),
            Values::Times { seconds, .. } => seconds.len(),
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
            Values::Times { seconds, style } => {
                seconds[row].map_or_else(String::new, |seconds| style.format(seconds))
            }
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

    /// A column of times in seconds since 1970-01-01 00:00 UTC, written in `style`.
    pub fn times(name: impl Into<String>, seconds: Vec<i64>, style: TimeStyle) -> Self {
        Self {
            name: name.into(),
            values: Values::Times { seconds: seconds.into_iter().map(Some).collect(), style },
        }
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

    /// Reads a CSV file (also packed with gzip) or a Parquet file, told apart by their first
    /// bytes. `options` are for CSV only.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidInput`, with file, line (from 1, the header
    /// counted) and column, if it is not a table of that form.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self> {
        let source = path.display().to_string();
        let failed = |cause| Error::io(path, "cannot be read", cause);
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 4];
        let count = read_up_to(&mut file, &mut magic).map_err(failed)?;
        if &magic[..count] == b"PAR1" {
            return parquet_file::read(path, &source);
        }
        let rest = magic[..count].chain(file);
        let bytes = read_unpacked(rest, &source).map_err(failed)??;
        csv_file::read(&bytes, &source, options)
    }

    /// Reads CSV text from memory, plain or packed with gzip; `source` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`Table::read`].
    pub fn from_csv(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Self> {
        let unpacked = unpacked(bytes, source)?;
        csv_file::read(&unpacked, source, options)
    }

    /// Writes the table as CSV with commas and a header; a missing cell is empty.
    ///
    /// Numbers, texts without an outer space and times read back as the same values.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    pub fn write_csv(&self, out: &mut dyn Write) -> std::io::Result<()> {
        csv_file::write(self, out)
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

/// Writes `table` in the format that the name ends in: `.csv`, `.parquet` or `.json` (an array
/// with one object per row; missing = null). The file appears whole or not at all.
///
/// # Errors
///
/// `InvalidConfig` for another ending, `Io` if the file cannot be written.
pub fn write_table(path: &Path, table: &Table) -> Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => write_atomically(path, |out| csv_file::write(table, out)),
        Some("json") => write_atomically(path, |out| json_file::write(table, out)),
        Some("parquet") => {
            let bytes = parquet_file::to_bytes(table)?;
            write_atomically(path, |out| out.write_all(&bytes))
        }
        _ => Err(Error::config(
            path.display().to_string(),
            "a table is written to a name that ends in .csv, .parquet or .json",
        )),
    }
}

/// Without the feature `parquet` such files are refused.
#[cfg(not(feature = "parquet"))]
mod parquet_file {
    use std::path::Path;

    use ptsm_core::{Error, Result};

    use super::Table;

    fn refused() -> Error {
        Error::input("this build has no Parquet (feature \"parquet\"); use CSV")
    }

    pub(super) fn read(_path: &Path, source: &str) -> Result<Table> {
        Err(refused().at(source))
    }

    pub(super) fn to_bytes(_table: &Table) -> Result<Vec<u8>> {
        Err(refused())
    }
}

fn read_up_to(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// The whole text of a file, unpacked where it is gzip data.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let source = path.display().to_string();
    let failed = |cause| Error::io(path, "cannot be read", cause);
    let file = File::open(path).map_err(failed)?;
    let bytes = read_unpacked(file, &source).map_err(failed)??;
    String::from_utf8(bytes)
        .map_err(|e| Error::input("is not text in UTF-8").because(e.utf8_error()).at(source))
}

/// The bytes of a file in memory, unpacked where they are gzip data.
pub(super) fn unpacked(bytes: &[u8], source: &str) -> Result<Vec<u8>> {
    read_unpacked(bytes, source)
        .map_err(|cause| Error::input("the gzip data are damaged").because(cause).at(source))?
}

/// All bytes, unpacked if they start as gzip does. The outer error is the reader's, the inner one
/// says that there is too much.
fn read_unpacked(mut reader: impl Read, source: &str) -> std::io::Result<Result<Vec<u8>>> {
    let mut magic = [0; 2];
    let count = read_up_to(&mut reader, &mut magic)?;
    let whole = magic[..count].chain(reader);
    let mut bytes = Vec::new();
    if magic == [0x1f, 0x8b] {
        let mut unpacked = flate2::read::MultiGzDecoder::new(whole).take(MAX_TEXT_BYTES + 1);
        unpacked.read_to_end(&mut bytes)?;
    } else {
        whole.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        let limit = MAX_TEXT_BYTES >> 30;
        let message = format!("the text is larger than {limit} GiB (use a Parquet file)");
        return Ok(Err(Error::input(message).at(source)));
    }
    Ok(Ok(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        Table::new(vec![
            Column::times("time", vec![0, 3600], TimeStyle::PLAIN),
            Column::text("id", vec!["a,b".to_owned(), "\"q\"\nline".to_owned()]),
            Column::numbers("x", vec![0.1 + 0.2, f64::NAN]),
        ])
        .unwrap()
    }

    #[test]
    fn every_format_is_chosen_by_the_ending_and_holds_the_values() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t.csv", "t.PARQUET"] {
            let path = folder.path().join(name);
            write_table(&path, &sample()).unwrap();
            let back = Table::read(&path, &ReadOptions::default()).unwrap();
            let x = &back.column("x").unwrap().values;
            assert_eq!(x.text(0), "0.30000000000000004", "{name}");
            assert_eq!(x.text(1), "", "{name}");
            let id = &back.column("id").unwrap().values;
            assert_eq!(id, &sample().columns()[1].values, "{name}");
            let time = &back.column("time").unwrap().values;
            assert_eq!(time.text(1), "1970-01-01 01:00:00", "{name}");
        }
        let path = folder.path().join("t.json");
        write_table(&path, &sample()).unwrap();
        let rows: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(rows[0]["x"].as_f64(), Some(0.1 + 0.2));
        assert!(rows[1]["x"].is_null());
        assert_eq!(rows[1]["id"], "\"q\"\nline");
        assert_eq!(rows[1]["time"], "1970-01-01 01:00:00");
    }

    #[test]
    fn another_ending_is_refused() {
        let error = write_table(Path::new("t.xlsx"), &sample()).unwrap_err();
        assert!(error.to_string().contains(".csv, .parquet or .json"));
    }

    #[test]
    fn impossible_tables_are_refused() {
        let x = |cells: Vec<f64>| Column::numbers("x", cells);
        for (columns, wanted) in [
            (vec![], "there is no column"),
            (vec![x(vec![]), x(vec![])], "columns 1 and 2 are both called \"x\""),
            (
                vec![x(vec![]), Column::numbers("y", vec![1.0])],
                "column \"y\" has 1 rows, the first has 0",
            ),
            (vec![x(vec![1.0, f64::INFINITY])], "row 2, column \"x\": an infinite"),
        ] {
            let text = Table::new(columns).unwrap_err().to_string();
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn singles_keep_their_short_form() {
        let column = Column::singles("x", &[0.1, f32::NAN, 1e-30]);
        assert_eq!(column.values.text(0), "0.1");
        assert_eq!(column.values.text(1), "");
        assert_eq!(column.values.text(2), "1e-30");
    }
}
