//! CSV text into a table and back.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use csv::{ByteRecord, ReaderBuilder};

use super::csv_sniff::{DELIMITERS, guess_delimiter, is_missing, looks_like_header};
use super::preamble::{Preamble, is_units, way_out, without_comments};
use super::reading::Reading;
use super::table::{Column, ReadOptions, Table, Values};
use super::text_file::{decoded, without_mark};
use super::text_values::{NumberColumn, is_name_of_digits, placed};
use super::texts::Texts;
use ptsm_core::{Error, Note, Result};

/// Reads the text in `bytes`; a column is numeric if every cell is a number or missing.
pub(super) fn read(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Table> {
    let (text, mut notes) = check_text(bytes).map_err(|error| error.at(source))?;
    let preamble = Preamble::find(text.as_bytes(), options).map_err(|error| error.at(source))?;
    let text = &text.as_bytes()[preamble.bytes..];
    let said = options.delimiter.or(preamble.delimiter);
    let guess = || guess_delimiter(&without_comments(text, options.comment));
    let records = Records {
        text,
        lines_before: preamble.lines,
        delimiter: said.unwrap_or_else(guess),
        comment: options.comment,
        source,
    };
    notes.extend(preamble.notes);
    let header = Header::read(&records, options)?;
    notes.extend(header.units.clone());
    let columns = Columns::read(&records, &header, options)?;
    Ok(columns.into_table(&records, header, options)?.read_with(options, notes))
}

/// The text without a byte-order mark, in UTF-8, and what was assumed; refuses what is no text.
fn check_text(bytes: &[u8]) -> Result<(Cow<'_, str>, Vec<Note>)> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::input("the text is UTF-16 (save it as UTF-8)"));
    }
    let text = without_mark(bytes);
    if text.trim_ascii().is_empty() {
        return Err(Error::input("the file is empty"));
    }
    if text[..text.len().min(4096)].contains(&0) {
        let message = "this is neither text nor a file of a format that is read (CSV, JSON, \
                       Parquet, Arrow)";
        return Err(Error::input(message));
    }
    Ok(decoded(text))
}

/// The lines of one file, which can be read more than once.
struct Records<'a> {
    text: &'a [u8],
    /// Lines of the file in front of the text.
    lines_before: u64,
    delimiter: u8,
    comment: Option<u8>,
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
            .comment(self.comment)
            .from_reader(self.text);
        let mut record = ByteRecord::new();
        let mut lines = LineCounter { text: self.text, byte: 0, line: self.lines_before + 1 };
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
            let lost = number > 0 && record.len() == 1 && line > previous + 1;
            if lost && self.comment.is_none() && !self.text.contains(&b'"') {
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
}

/// The names of the columns, and the records in front of the first row.
struct Header {
    names: Vec<String>,
    records: usize,
    /// Note for the user about a row of units that was passed over.
    units: Option<Note>,
}

impl Header {
    fn read(records: &Records<'_>, options: &ReadOptions) -> Result<Self> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        records.for_each(0, |_, record| {
            rows.push(record.iter().map(text_of).map(str::to_owned).collect());
            Ok(if rows.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let Some(first) = rows.first() else {
            return Err(Error::input("the file is empty").at(records.source));
        };
        let second = rows.get(1).map(Vec::as_slice);
        let header = options.header.unwrap_or_else(|| looks_like_header(first, second, options));
        if !header {
            let names = (0..first.len()).map(|i| i.to_string()).collect();
            return Ok(Self { names, records: 0, units: None });
        }
        let named = first.iter().enumerate().map(|(index, name)| {
            if name.is_empty() { format!("unnamed {}", index + 1) } else { name.clone() }
        });
        let units = match &rows[1..] {
            [cells, next] if is_units(cells, next, options) => {
                let units = cells.join(" ");
                let units = units.trim();
                Some(
                    format!("the row below the header holds units and is not read: {units}").into(),
                )
            }
            _ => None,
        };
        Ok(Self { names: named.collect(), records: 1 + usize::from(units.is_some()), units })
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

/// The text of a cell, without outer white space.
fn text_of(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default().trim()
}

/// First pass: the numeric columns, and which columns are not.
struct Columns<'a> {
    /// `None` = texts.
    numbers: Vec<Option<NumberColumn<'a>>>,
    readings: Vec<Reading>,
    lines: Vec<u64>,
}

impl<'a> Columns<'a> {
    fn read(records: &Records<'_>, header: &Header, options: &'a ReadOptions) -> Result<Self> {
        let width = header.names.len();
        let readings: Vec<_> = header.names.iter().map(|n| Reading::of(n, options)).collect();
        let numbers = readings.iter().map(|reading| match reading {
            Reading::Usual | Reading::NameUnlessNumbers => Some(NumberColumn::new(options)),
            Reading::Text | Reading::Name => None,
        });
        let mut this = Self { numbers: numbers.collect(), readings, lines: Vec::new() };
        records.for_each(header.records, |line, record| {
            if record.len() != width {
                let message = format!(
                    "{} cells where the first line has {width} ({})",
                    record.len(),
                    way_out(records.text, records.lines_before, options)
                );
                return Err(Error::input(message).at(format!("{}: line {line}", records.source)));
            }
            for (column, cell) in record.iter().enumerate() {
                this.push(column, cell);
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

    fn push(&mut self, column: usize, cell: &[u8]) {
        let Some(numbers) = &mut self.numbers[column] else { return };
        let text = text_of(cell);
        let is_name =
            self.readings[column] == Reading::NameUnlessNumbers && is_name_of_digits(text);
        if is_name || !numbers.push(self.lines.len(), text) {
            self.numbers[column] = None;
        }
    }

    /// Second pass, if there are texts: their cells.
    fn into_table(
        mut self,
        records: &Records<'_>,
        header: Header,
        options: &ReadOptions,
    ) -> Result<Table> {
        let texts = self.texts(records, &header, options)?;
        let mut columns = Vec::with_capacity(texts.len());
        let numbers = std::mem::take(&mut self.numbers);
        for ((name, numbers), texts) in header.names.into_iter().zip(numbers).zip(texts) {
            let values = match numbers {
                None => Values::Text(texts),
                Some(numbers) => Values::Numbers(placed(numbers.finish(), |row| {
                    format!("{}: line {}, column \"{name}\"", records.source, self.lines[row])
                })?),
            };
            columns.push(Column { name, values });
        }
        Table::with_source(columns, records.source.to_owned(), Some(self.lines))
    }

    /// Per column, the cells if they are texts, else nothing.
    fn texts(
        &self,
        records: &Records<'_>,
        header: &Header,
        options: &ReadOptions,
    ) -> Result<Vec<Vec<Option<Arc<str>>>>> {
        let is_text: Vec<bool> = self.numbers.iter().map(Option::is_none).collect();
        let room = |is_text: &bool| Vec::with_capacity(if *is_text { self.lines.len() } else { 0 });
        let mut texts: Vec<Vec<Option<Arc<str>>>> = is_text.iter().map(room).collect();
        if !is_text.contains(&true) {
            return Ok(texts);
        }
        let mut known: Vec<Texts> = is_text.iter().map(|_| Texts::default()).collect();
        records.for_each(header.records, |_, record| {
            for (column, cell) in record.iter().enumerate().filter(|(column, _)| is_text[*column]) {
                let text = text_of(cell);
                let missing = match self.readings[column] {
                    Reading::Name | Reading::NameUnlessNumbers => text.is_empty(),
                    Reading::Usual | Reading::Text => is_missing(text, options),
                };
                texts[column].push((!missing).then(|| known[column].shared(text)));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(texts)
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
        let special = |c: char| {
            matches!(c, '"' | '\n' | '\r') || DELIMITERS.iter().any(|&byte| char::from(byte) == c)
        };
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
    fn bytes_that_are_no_utf8_are_letters_of_latin_1() {
        let got = read(b"date,W/m\xb2,\n2020-01-01,1,2\n", "t.csv", &ReadOptions::default());
        assert_eq!(names(&got.unwrap()), ["date", "W/m²", "unnamed 3"]);
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
            ..ReadOptions::default()
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
            (b"a,b\0\n", "neither text nor a file of a format"),
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
