//! What the beginning of a CSV file says: where its table begins, what is between cells, and the names
//! of the columns.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use csv::ByteRecord;
use memchr::{memchr_iter, memrchr};

use super::csv_blocks::{BLOCK_BYTES, CsvForm, Open};
use super::csv_cells::LineCounter;
use super::csv_sniff::{guess_delimiter, looks_like_header};
use super::preamble::{LINES_LOOKED_AT, Preamble, is_units, way_out, without_comments};
use super::table::ReadOptions;
use super::text_file::{decoded, without_mark};
use ptsm_core::{Error, Note, Result};

/// How the records of a file are read.
pub(super) struct Layout {
    pub(super) form: CsvForm,
    /// Bytes and lines in front of the table.
    pub(super) bytes_before: usize,
    pub(super) lines_before: u64,
    pub(super) header: Header,
    /// What to do about rows that are not as wide as the header.
    pub(super) ragged_way_out: String,
    /// What was assumed, for the user.
    pub(super) notes: Vec<Note>,
}

/// The names of the columns, and the records in front of the first row.
pub(super) struct Header {
    pub(super) names: Vec<String>,
    pub(super) records: usize,
    /// The line of the last of these records.
    pub(super) line: Option<u64>,
    /// Note for the user about a row of units that was passed over.
    units: Option<Note>,
}

impl Layout {
    /// Looks at the first lines.
    pub(super) fn find(open: Open<'_>, source: &str, options: &ReadOptions) -> Result<Self> {
        let failed = |cause| Error::io(Path::new(source), "cannot be read", cause);
        let lines = options.skip_lines.saturating_add(LINES_LOOKED_AT);
        let start = beginning(&mut open()?, lines).map_err(failed)?;
        let mark = start.len() - without_mark(&start).len();
        let text = check_text(&start[mark..]).map_err(|error| error.at(source))?;
        let preamble = Preamble::find(&start[mark..], options).map_err(|error| error.at(source))?;
        let bytes_before = mark + preamble.bytes;
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[preamble.bytes..]),
            Cow::Owned(_) => decoded(&start[bytes_before..]).0,
        };
        let rows = text.as_bytes();
        let guess = || guess_delimiter(&without_comments(rows, options.comment));
        let said = options.delimiter.or(preamble.delimiter);
        let form = CsvForm { delimiter: said.unwrap_or_else(guess), comment: options.comment };
        let header = Header::read(rows, form, preamble.lines + 1, options);
        let header = header.map_err(|error| error.at(source))?;
        let mut notes = preamble.notes;
        notes.extend(header.units.clone());
        Ok(Self {
            form,
            bytes_before,
            lines_before: preamble.lines,
            header,
            ragged_way_out: way_out(rows, preamble.lines, options),
            notes,
        })
    }
}

/// The beginning of a text: a block, or as many lines if they are longer; all of it if it is short, else
/// up to the end of a line.
fn beginning(reader: &mut dyn Read, lines: usize) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    loop {
        let wanted = start.len().max(BLOCK_BYTES);
        let read = reader.take(wanted as u64).read_to_end(&mut start)?;
        if read < wanted {
            return Ok(start);
        }
        let found = memchr_iter(b'\n', &start).take(lines).count();
        if found == lines {
            let end = memrchr(b'\n', &start).map_or(start.len(), |at| at + 1);
            start.truncate(end);
            return Ok(start);
        }
    }
}

/// The text in UTF-8; refuses what is no text.
fn check_text(text: &[u8]) -> Result<Cow<'_, str>> {
    if text.starts_with(&[0xff, 0xfe]) || text.starts_with(&[0xfe, 0xff]) {
        return Err(Error::input("the text is UTF-16 (save it as UTF-8)"));
    }
    if text.trim_ascii().is_empty() {
        return Err(Error::input("the file is empty"));
    }
    if text[..text.len().min(4096)].contains(&0) {
        let message = "this is neither text nor a file of a format that is read (CSV, JSON, \
                       Parquet, Arrow)";
        return Err(Error::input(message));
    }
    Ok(decoded(text).0)
}

impl Header {
    fn read(text: &[u8], form: CsvForm, line: u64, options: &ReadOptions) -> Result<Self> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut lines = Vec::new();
        let mut counter = LineCounter::new(text, form, line);
        let (mut reader, mut record) = (form.reader(text), ByteRecord::new());
        while rows.len() < 3 && reader.read_byte_record(&mut record).is_ok_and(|more| more) {
            let cell = |cell| std::str::from_utf8(cell).unwrap_or_default().trim().to_owned();
            rows.push(record.iter().map(cell).collect());
            lines.push(counter.line_of(record.position().map_or(0, csv::Position::byte)));
        }
        let Some(first) = rows.first() else {
            return Err(Error::input("the file is empty"));
        };
        let second = rows.get(1).map(Vec::as_slice);
        let header = options.header.unwrap_or_else(|| looks_like_header(first, second, options));
        if !header {
            let names = (0..first.len()).map(|i| i.to_string()).collect();
            return Ok(Self { names, records: 0, line: None, units: None });
        }
        let named = first.iter().enumerate().map(|(index, name)| {
            if name.is_empty() { format!("unnamed {}", index + 1) } else { name.clone() }
        });
        let units = match &rows[1..] {
            [cells, next] if is_units(cells, next, options) => {
                let units = cells.join(" ");
                let units = units.trim();
                let text = format!("the row below the header holds units and is not read: {units}");
                Some(Note::from(text))
            }
            _ => None,
        };
        let records = 1 + usize::from(units.is_some());
        Ok(Self { names: named.collect(), records, line: Some(lines[records - 1]), units })
    }
}
