//! The cells of a block of CSV records.

use std::borrow::Cow;

use csv::ByteRecord;
use memchr::{memchr, memchr_iter, memchr2_iter};

use super::csv_blocks::{Block, CsvForm};
use super::line_numbers::LineNumbers;
use super::text_file::decoded;

/// The cells of the records of one block, all of which have as many.
pub(super) struct Cells<'a> {
    text: Cow<'a, str>,
    /// Where each cell is in the text: record by record.
    spans: Vec<Span>,
    width: usize,
    /// Of each record.
    pub(super) lines: LineNumbers,
    /// Records that were passed over.
    pub(super) skipped: usize,
    /// Whether there is a quote in the block.
    pub(super) quoted: bool,
    /// Whether some bytes were not UTF-8, and were read as Windows-1252.
    pub(super) decoded: bool,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

/// A record that has not as many cells as the header.
#[derive(Debug, PartialEq)]
pub(super) struct Ragged {
    pub(super) line: u64,
    pub(super) cells: usize,
}

impl<'a> Cells<'a> {
    /// Finds the cells of every record after the first `skip`.
    pub(super) fn read(
        block: &'a Block,
        form: CsvForm,
        width: usize,
        skip: usize,
    ) -> Result<Self, Ragged> {
        let (text, decoded) = decoded(&block.bytes);
        let bytes = text.as_bytes();
        let quoted = memchr(b'"', bytes).is_some();
        let is_end = |at: usize| bytes.get(at + 1) == Some(&b'\n');
        let plain = !quoted && memchr_iter(b'\r', bytes).all(is_end);
        let lines = LineNumbers::default();
        let mut this = Self {
            text: Cow::Borrowed(""),
            spans: Vec::with_capacity(bytes.len() / 8),
            width,
            lines,
            skipped: 0,
            quoted,
            decoded,
        };
        if plain {
            this.split_lines(bytes, block.line, form, skip)?;
            this.text = text;
        } else {
            this.text = this.split_records(bytes, block.line, form, skip)?.into();
        }
        Ok(this)
    }

    /// Number of records.
    pub(super) fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The cells of a column, without outer white space.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = &str> {
        self.spans.iter().skip(column).step_by(self.width).map(|span| {
            let cell = &self.text[span.start as usize..span.end as usize];
            let outer = |byte: Option<&u8>| byte.is_some_and(|&byte| byte <= b' ' || byte >= 0x7f);
            let bytes = cell.as_bytes();
            if outer(bytes.first()) || outer(bytes.last()) { cell.trim() } else { cell }
        })
    }

    /// Ends a record whose cells begin at the span `first`.
    fn end_record(&mut self, first: usize, line: u64, skip: usize) -> Result<(), Ragged> {
        if self.skipped < skip {
            self.skipped += 1;
            self.spans.truncate(first);
            return Ok(());
        }
        let cells = self.spans.len() - first;
        if cells != self.width {
            return Err(Ragged { line, cells });
        }
        self.lines.push(line);
        Ok(())
    }

    /// The records of a text without quotes: its lines.
    fn split_lines(
        &mut self,
        text: &[u8],
        mut line: u64,
        form: CsvForm,
        skip: usize,
    ) -> Result<(), Ragged> {
        let (mut start, mut first) = (0, 0);
        let mut comment = text.first().copied() == form.comment && form.comment.is_some();
        let span = |start: usize, end: usize| Span { start: start as u32, end: end as u32 };
        let last_end = (text.last() != Some(&b'\n')).then_some(text.len());
        for at in memchr2_iter(form.delimiter, b'\n', text).chain(last_end) {
            if text.get(at) == Some(&form.delimiter) {
                if !comment {
                    self.spans.push(span(start, at));
                    start = at + 1;
                }
                continue;
            }
            let end = if at > start && text[at - 1] == b'\r' { at - 1 } else { at };
            // An empty line is no record.
            if !comment && (end > start || self.spans.len() > first) {
                self.spans.push(span(start, end));
                self.end_record(first, line, skip)?;
            }
            (start, first, line) = (at + 1, self.spans.len(), line + 1);
            comment = form.comment.is_some() && text.get(start).copied() == form.comment;
        }
        Ok(())
    }

    /// The records as CSV's rules have it; gives the text of the cells.
    fn split_records(
        &mut self,
        text: &[u8],
        line: u64,
        form: CsvForm,
        skip: usize,
    ) -> Result<String, Ragged> {
        let (mut reader, mut record) = (form.reader(text), ByteRecord::new());
        let mut lines = LineCounter::new(text, form, line);
        let mut cells = String::with_capacity(text.len());
        while reader.read_byte_record(&mut record).is_ok_and(|more| more) {
            let line = lines.line_of(record.position().map_or(0, csv::Position::byte));
            // A comment without an end of line is taken for an empty record.
            if lines.byte == text.len() && record.as_slice().is_empty() {
                break;
            }
            let first = self.spans.len();
            for cell in &record {
                let start = cells.len() as u32;
                cells.push_str(std::str::from_utf8(cell).unwrap_or_default());
                self.spans.push(Span { start, end: cells.len() as u32 });
            }
            self.end_record(first, line, skip)?;
        }
        Ok(cells)
    }
}

/// Line numbers of rising places in a text. The reader's own count is too low where it left the
/// `\n` of `\r\n`, an empty line or a comment for the next record.
pub(super) struct LineCounter<'a> {
    text: &'a [u8],
    comment: Option<u8>,
    byte: usize,
    line: u64,
}

impl<'a> LineCounter<'a> {
    /// Counts from the `line` that the text begins on.
    pub(super) fn new(text: &'a [u8], form: CsvForm, line: u64) -> Self {
        Self { text, comment: form.comment, byte: 0, line }
    }

    /// The line of the record that the reader found at `byte`.
    pub(super) fn line_of(&mut self, byte: u64) -> u64 {
        let mut place = usize::try_from(byte).unwrap_or(usize::MAX).min(self.text.len());
        loop {
            match self.text.get(place) {
                Some(b'\r' | b'\n') => place += 1,
                Some(byte) if Some(*byte) == self.comment => {
                    let line = &self.text[place..];
                    place += memchr(b'\n', line).unwrap_or(line.len());
                }
                _ => break,
            }
        }
        let place = place.max(self.byte);
        self.line += memchr_iter(b'\n', &self.text[self.byte..place]).count() as u64;
        self.byte = place;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(text: &str) -> Block {
        Block { bytes: text.as_bytes().to_vec(), line: 1 }
    }

    /// Line and cells of each record.
    fn shown(cells: &Cells<'_>) -> Vec<String> {
        let columns: Vec<Vec<&str>> = (0..cells.width).map(|c| cells.column(c).collect()).collect();
        let row = |row: usize| columns.iter().map(|column| column[row]).collect::<Vec<_>>();
        (0..cells.rows()).map(|r| format!("{}: {:?}", cells.lines.line(r), row(r))).collect()
    }

    fn read(text: &str, form: CsvForm, width: usize, skip: usize) -> Result<Vec<String>, Ragged> {
        Cells::read(&block(text), form, width, skip).map(|cells| shown(&cells))
    }

    /// The same by the reader alone.
    fn plainly(
        text: &str,
        form: CsvForm,
        width: usize,
        skip: usize,
    ) -> Result<Vec<String>, Ragged> {
        let empty = block("");
        let mut cells = Cells::read(&empty, form, width, 0)?;
        cells.text = cells.split_records(text.as_bytes(), 1, form, skip)?.into();
        Ok(shown(&cells))
    }

    proptest! {
        #[test]
        fn lines_are_split_as_the_reader_splits_records(
            pieces in prop::collection::vec("[ab#, é]{0,3}|,|\n|\r\n|1,2\n", 0..40),
            comment in prop::option::of(Just(b'#')),
            width in 1usize..4,
            skip in 0usize..3,
        ) {
            let (text, form) = (pieces.concat(), CsvForm { delimiter: b',', comment });
            let fast = read(&text, form, width, skip);
            prop_assert_eq!(fast, plainly(&text, form, width, skip), "{:?}", text);
        }
    }

    #[test]
    fn quotes_and_lone_carriage_returns_are_left_to_the_reader() {
        let form = CsvForm { delimiter: b',', comment: None };
        let found = read("a,\"x\ny\"\r\nb,\"\"\"\"\n", form, 2, 0).unwrap();
        assert_eq!(found, ["1: [\"a\", \"x\\ny\"]", "3: [\"b\", \"\\\"\"]"]);
        assert_eq!(read("a,b\r1,2\r", form, 2, 1).unwrap(), ["1: [\"1\", \"2\"]"]);
        assert_eq!(read("a,b\n1,2,3\n", form, 2, 0), Err(Ragged { line: 2, cells: 3 }));
    }
}
