//! CSV text into a table and back.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};

use super::csv_sniff::{Cell, guess_delimiter, looks_like_header, read_cell};
use super::table::{Column, ReadOptions, Table, Values};
use super::texts::Texts;
use ptsm_core::{Error, Result, option};

/// Reads the text in `bytes`; a column is numeric if every cell is a number or missing.
pub(super) fn read(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Table> {
    let text = check_text(bytes).map_err(|error| error.at(source))?;
    let records = Records {
        text,
        delimiter: options.delimiter.unwrap_or_else(|| guess_delimiter(text)),
        source,
    };
    let (names, has_header) = records.names(options)?;
    let numbers = Numbers::read(&records, &names, has_header, options)?;
    numbers.into_table(&records, names, has_header, options)
}

/// Removes the byte-order mark; refuses what is not text in one byte per ASCII letter.
fn check_text(bytes: &[u8]) -> Result<&[u8]> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::input("the text is UTF-16 (save it as UTF-8)"));
    }
    let text = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    if text.trim_ascii().is_empty() {
        return Err(Error::input("the file is empty"));
    }
    if text[..text.len().min(4096)].contains(&0) {
        let message = "this is neither CSV text nor a Parquet file";
        return Err(Error::input(message));
    }
    Ok(text)
}

/// The lines of one file, which can be read more than once.
struct Records<'a> {
    text: &'a [u8],
    delimiter: u8,
    source: &'a str,
}

impl Records<'_> {
    /// Calls `each` with the line number and the cells of every record after the first `skip`,
    /// until it breaks off.
    fn for_each(
        &self,
        skip: usize,
        mut each: impl FnMut(u64, &ByteRecord) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(self.text);
        let mut record = ByteRecord::new();
        let mut lines = LineCounter { text: self.text, byte: 0, line: 1 };
        let (mut number, mut previous) = (0, 0);
        loop {
            let more = reader.read_byte_record(&mut record).map_err(|cause| {
                Error::input("the CSV text is damaged").because(cause).at(self.source)
            })?;
            if !more {
                return Ok(());
            }
            let line = lines.line_of(record.position().map_or(0, csv::Position::byte));
            // The reader skips empty lines; in a file of one column that would lose a row.
            if number > 0 && record.len() == 1 && line > previous + 1 && !self.text.contains(&b'"')
            {
                let message = "the line is empty (write NaN for a missing value)";
                let place = format!("{}: line {}", self.source, previous + 1);
                return Err(Error::input(message).at(place));
            }
            previous = line;
            number += 1;
            if number > skip && each(line, &record)?.is_break() {
                return Ok(());
            }
        }
    }

    /// Names of the columns, and whether they came from the file.
    fn names(&self, options: &ReadOptions) -> Result<(Vec<String>, bool)> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        self.for_each(0, |_, record| {
            rows.push(record.iter().map(clean).map(str_of).collect());
            Ok(if rows.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let Some(first) = rows.first() else {
            return Err(Error::input("the file is empty").at(self.source));
        };
        let second = rows.get(1).map(Vec::as_slice);
        let header = options.header.unwrap_or_else(|| looks_like_header(first, second, options));
        if !header {
            return Ok(((0..first.len()).map(|i| i.to_string()).collect(), false));
        }
        let named = first.iter().enumerate().map(|(index, name)| {
            if name.is_empty() { format!("unnamed {}", index + 1) } else { name.clone() }
        });
        Ok((named.collect(), true))
    }
}

/// Line numbers of rising places in a text. The reader's own count is too low where it left the
/// `\n` of `\r\n`, or an empty line, for the next record.
struct LineCounter<'a> {
    text: &'a [u8],
    byte: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line, from 1, of the first cell at or after `byte`.
    fn line_of(&mut self, byte: u64) -> u64 {
        let place = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let skipped = self.text[place..].iter().take_while(|byte| is_end(byte)).count();
        let place = (place + skipped).max(self.byte);
        let passed = self.text[self.byte..place].iter().filter(|&&byte| byte == b'\n');
        self.line += passed.count() as u64;
        self.byte = place;
        self.line
    }
}

/// Without outer white space.
fn clean(cell: &[u8]) -> &[u8] {
    cell.trim_ascii()
}

/// Bytes that are no UTF-8 become replacement characters.
fn str_of(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}

/// First pass: the numeric columns, and which columns are not.
struct Numbers {
    /// Cells per column; only valid where `is_text` is false.
    cells: Vec<Vec<f64>>,
    is_text: Vec<bool>,
    /// Row and text of the first infinite cell of each column.
    infinite: Vec<Option<(usize, String)>>,
    lines: Vec<u64>,
}

impl Numbers {
    fn read(
        records: &Records<'_>,
        names: &[String],
        has_header: bool,
        options: &ReadOptions,
    ) -> Result<Self> {
        let width = names.len();
        let mut this = Self {
            cells: vec![Vec::new(); width],
            is_text: vec![false; width],
            infinite: vec![None; width],
            lines: Vec::new(),
        };
        records.for_each(usize::from(has_header), |line, record| {
            if record.len() != width {
                let message = format!(
                    "{} cells where the first line has {width} (check the delimiter and quotes)",
                    record.len()
                );
                return Err(Error::input(message).at(format!("{}: line {line}", records.source)));
            }
            for (column, cell) in record.iter().map(clean).enumerate() {
                this.push(column, cell, options);
            }
            this.lines.push(line);
            Ok(ControlFlow::Continue(()))
        })?;
        if this.lines.is_empty() {
            let message = "there are no rows after the header";
            return Err(Error::input(message).at(records.source));
        }
        Ok(this)
    }

    fn push(&mut self, column: usize, cell: &[u8], options: &ReadOptions) {
        if self.is_text[column] {
            return;
        }
        let text = std::str::from_utf8(cell).ok();
        let value = match text.map_or(Cell::Text, |text| read_cell(text, options)) {
            Cell::Number(number) => number,
            Cell::Missing => f64::NAN,
            Cell::Text => {
                self.is_text[column] = true;
                self.cells[column] = Vec::new();
                return;
            }
            Cell::Infinite => {
                self.infinite[column].get_or_insert((self.lines.len(), str_of(cell)));
                f64::NAN
            }
        };
        self.cells[column].push(value);
    }

    /// Second pass, if there are texts: their cells.
    fn into_table(
        self,
        records: &Records<'_>,
        names: Vec<String>,
        has_header: bool,
        options: &ReadOptions,
    ) -> Result<Table> {
        for (column, found) in self.infinite.iter().enumerate() {
            if let (Some((row, text)), false) = (found, self.is_text[column]) {
                let place = format!(
                    "{}: line {}, column \"{}\"",
                    records.source, self.lines[*row], names[column]
                );
                let message = format!(
                    "\"{text}\" is not a finite number (use {} if it means a missing value)",
                    option("missing", Some(text))
                );
                return Err(Error::input(message).at(place));
            }
        }
        let room = |is_text: &bool| Vec::with_capacity(if *is_text { self.lines.len() } else { 0 });
        let mut texts: Vec<Vec<Option<Arc<str>>>> = self.is_text.iter().map(room).collect();
        let mut known: Vec<Texts> = names.iter().map(|_| Texts::default()).collect();
        if self.is_text.contains(&true) {
            records.for_each(usize::from(has_header), |_, record| {
                for (column, cell) in record.iter().map(clean).enumerate() {
                    if self.is_text[column] {
                        let text = String::from_utf8_lossy(cell);
                        let missing = read_cell(&text, options) == Cell::Missing;
                        texts[column].push((!missing).then(|| known[column].shared(&text)));
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let columns = names.into_iter().zip(self.cells).zip(texts).zip(&self.is_text);
        let columns = columns.map(|(((name, numbers), texts), is_text)| Column {
            name,
            values: if *is_text { Values::Text(texts) } else { Values::Numbers(numbers) },
        });
        Table::with_source(columns.collect(), records.source.to_owned(), Some(self.lines))
    }
}

/// Writes `table` with a header, commas and `\n`.
pub(super) fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let names = table.columns().iter().map(|column| column.name.clone());
    write_line(names, out)?;
    for row in 0..table.num_rows() {
        let cells = table.columns().iter().map(|column| column.values.text(row));
        write_line(cells, out)?;
    }
    Ok(())
}

fn write_line(cells: impl ExactSizeIterator<Item = String>, out: &mut dyn Write) -> io::Result<()> {
    let alone = cells.len() == 1;
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        // Also what a reader may take for the delimiter; and an empty line is no row.
        let special = |c: char| matches!(c, ',' | ';' | '\t' | '|' | '"' | '\n' | '\r');
        if cell.contains(special) || (alone && cell.is_empty()) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        read(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
    }

    fn names(table: &Table) -> Vec<&str> {
        table.columns().iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn marks_line_ends_quotes_and_a_missing_last_newline_do_not_matter() {
        let plain = table("date,x y\n2020-01-01,1.5\n2020-01-02,\n");
        for text in [
            "\u{feff}date,x y\n2020-01-01,1.5\n2020-01-02,\n",
            "date,x y\r\n2020-01-01,1.5\r\n2020-01-02,NA\r\n",
            "date;x y\n2020-01-01; 1.5\n2020-01-02;null",
            "\"date\"\t\"x y\"\n\n2020-01-01\t\"1.5\"\n2020-01-02\t-",
        ] {
            let got = table(text);
            assert_eq!(names(&got), names(&plain), "{text:?}");
            let x = &got.columns()[1].values;
            assert_eq!((x.text(0), x.text(1)), ("1.5".to_owned(), String::new()), "{text:?}");
            assert_eq!(got.columns()[0], plain.columns()[0], "{text:?}");
        }
    }

    #[test]
    fn columns_without_a_header_are_numbered() {
        let got = table("1,2\n3,4\n");
        assert_eq!(names(&got), ["0", "1"]);
        assert_eq!(got.num_rows(), 2);
        assert_eq!(got.place(1, "0"), "t.csv: line 2, column \"0\"");
        let options = ReadOptions { header: Some(true), ..ReadOptions::default() };
        let got = read(b"1,2\n3,4\n", "t.csv", &options).unwrap();
        assert_eq!(names(&got), ["1", "2"]);
    }

    #[test]
    fn bytes_that_are_no_utf8_in_the_header_are_replaced() {
        let got = read(b"date,W/m\xb2,\n2020-01-01,1,2\n", "t.csv", &ReadOptions::default());
        assert_eq!(names(&got.unwrap()), ["date", "W/m\u{fffd}", "unnamed 3"]);
    }

    #[test]
    fn numbers_are_read_exactly() {
        let got = table("x\n0.1\n5.827000141143799\n1e-320\n-0.0\n");
        let Values::Numbers(cells) = &got.columns()[0].values else {
            panic!("not numeric");
        };
        let wanted: [f64; 4] = [0.1, 5.827000141143799, 1e-320, -0.0];
        let bits = |cells: &[f64]| cells.iter().map(|c| c.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(cells), bits(&wanted));
    }

    #[test]
    fn options_override_what_is_found_out() {
        let options = ReadOptions {
            delimiter: Some(b':'),
            header: Some(false),
            missing: vec!["-1".to_owned()],
            decimal_comma: true,
        };
        let got = read(b"1,5:-1\n", "t.csv", &options).unwrap();
        assert_eq!(got.columns()[0].values.text(0), "1.5");
        assert_eq!(got.columns()[1].values.text(0), "");
    }

    #[test]
    fn bad_text_is_refused_with_its_place() {
        for (text, wanted) in [
            (&b""[..], "t.csv: the file is empty"),
            (b"\n \r\n", "t.csv: the file is empty"),
            (b"a,b\n", "t.csv: there are no rows after the header"),
            (b"a,b\n1,2\n3\n", "t.csv: line 3: 1 cells where the first line has 2"),
            (b"a,b\n1,2\n\n3,4,5\n", "t.csv: line 4: 3 cells"),
            (b"a,b\n1,2\ninf,3\n", "line 3, column \"a\": \"inf\" is not a finite number"),
            (b"a,b\n1,1e400\n", "line 2, column \"b\": \"1e400\" is not a finite"),
            (b"a,a\n1,2\n", "columns 1 and 2 are both called \"a\""),
            (b"x\n1\n\n2\n", "t.csv: line 3: the line is empty (write NaN"),
            (b"\xff\xfea\0", "UTF-16 (save it as UTF-8)"),
            (b"a,b\0\n", "neither CSV text nor a Parquet file"),
        ] {
            let error = read(text, "t.csv", &ReadOptions::default()).unwrap_err();
            assert_eq!(error.kind(), ptsm_core::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(wanted), "{error} lacks {wanted}");
        }
    }

    #[test]
    fn a_column_of_one_empty_cell_keeps_its_row() {
        let wanted = Table::new(vec![Column::numbers("x", vec![1.0, f64::NAN, 2.0])]).unwrap();
        let mut text = Vec::new();
        write(&wanted, &mut text).unwrap();
        let back = read(&text, "t.csv", &ReadOptions::default()).unwrap();
        assert_eq!(back.num_rows(), 3);
    }
}
