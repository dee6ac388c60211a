//! A CSV text in blocks of whole records, so that a long file is never in memory as a whole.

use std::io::{self, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};
use memchr::{memchr, memchr_iter, memrchr};

/// A text, unpacked, while it is read.
pub(super) type Unpacked<'a> = Box<dyn Read + Send + 'a>;

/// Opens a text from its beginning; it may be read more than once.
pub(super) type Open<'a> = &'a dyn Fn() -> ptsm_core::Result<Unpacked<'a>>;

/// Bytes of a block: it and its cells stay in the cache of a core.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// The longest record. A quote that is never closed makes one of all that follows.
const LONGEST_RECORD: usize = 1 << 30;

/// The bytes that separate the cells and mark lines which are no records.
#[derive(Debug, Clone, Copy)]
pub(super) struct CsvForm {
    pub(super) delimiter: u8,
    pub(super) comment: Option<u8>,
}

impl CsvForm {
    /// The reader that says what the records of a text are.
    pub(super) fn reader(self, text: &[u8]) -> Reader<&[u8]> {
        ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(false)
            .flexible(true)
            .comment(self.comment)
            .from_reader(text)
    }

    /// Where the last record of a text begins that is not complete; `None` if that is its beginning.
    fn end_of_whole_records(self, text: &[u8]) -> Option<usize> {
        if memchr(b'"', text).is_none() {
            return memrchr(b'\n', text).map(|at| at + 1);
        }
        // Only the reader knows which ends of lines are within quotes.
        let (mut reader, mut record) = (self.reader(text), ByteRecord::new());
        let mut last = 0;
        while reader.read_byte_record(&mut record).is_ok_and(|more| more) {
            last = record.position().map_or(last, csv::Position::byte);
        }
        usize::try_from(last).ok().filter(|&last| last > 0)
    }
}

/// Whole records.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// The line of the file that it begins on, from 1.
    pub(super) line: u64,
}

/// The blocks of a text, one after the other.
pub(super) struct Blocks<'a> {
    reader: Unpacked<'a>,
    form: CsvForm,
    /// Bytes that were read and are in no block yet.
    rest: Vec<u8>,
    line: u64,
    ended: bool,
}

impl<'a> Blocks<'a> {
    /// The blocks after the first `skipped_bytes`, which are `skipped_lines`.
    pub(super) fn new(
        mut reader: Unpacked<'a>,
        form: CsvForm,
        skipped_bytes: usize,
        skipped_lines: u64,
    ) -> io::Result<Self> {
        io::copy(&mut reader.by_ref().take(skipped_bytes as u64), &mut io::sink())?;
        Ok(Self { reader, form, rest: Vec::new(), line: skipped_lines + 1, ended: false })
    }

    /// The next blocks, at most `count` of them; none at the end.
    ///
    /// # Errors
    ///
    /// As [`Blocks::next`].
    pub(super) fn wave(&mut self, count: usize) -> io::Result<Vec<Block>> {
        let mut wave = Vec::with_capacity(count);
        while wave.len() < count
            && let Some(block) = self.next()?
        {
            wave.push(block);
        }
        Ok(wave)
    }

    /// The next block; `None` at the end.
    ///
    /// # Errors
    ///
    /// The reader's; `InvalidData` if a record is longer than a gibibyte.
    pub(super) fn next(&mut self) -> io::Result<Option<Block>> {
        let mut wanted = BLOCK_BYTES;
        loop {
            self.fill(wanted)?;
            let end = match self.ended {
                true => Some(self.rest.len()),
                false => self.form.end_of_whole_records(&self.rest),
            };
            if let Some(end) = end {
                let after = self.rest.split_off(end);
                let bytes = std::mem::replace(&mut self.rest, after);
                let line = self.line;
                self.line += memchr_iter(b'\n', &bytes).count() as u64;
                return Ok((!bytes.is_empty()).then_some(Block { bytes, line }));
            }
            wanted = 2 * self.rest.len();
            if wanted > LONGEST_RECORD {
                let text =
                    format!("the record in line {} has no end (check its quotes)", self.line);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }

    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        let missing = wanted.saturating_sub(self.rest.len());
        self.rest.reserve(missing);
        let read = self.reader.by_ref().take(missing as u64).read_to_end(&mut self.rest)?;
        self.ended = read < missing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_where_records_end() {
        let form = CsvForm { delimiter: b',', comment: None };
        for (text, end) in [
            ("a,b\n1,2\n3", Some(8)),
            ("a,b\n", Some(4)),
            ("a,b", None),
            ("a,\"x\ny\"\n1,\"2\n", Some(8)),
            ("\"x\ny", None),
            // A quote in the middle of a cell is a letter.
            ("5\" pipe,1\n6\" pipe,2\n7", Some(20)),
        ] {
            assert_eq!(form.end_of_whole_records(text.as_bytes()), end, "{text:?}");
        }
    }

    #[test]
    fn blocks_hold_the_text_with_its_lines() {
        let row = |i: usize| {
            if i.is_multiple_of(7) { format!("{i},\"a\nb\"\n") } else { format!("{i},x\n") }
        };
        let text: String = (0..300_000).map(row).collect();
        let form = CsvForm { delimiter: b',', comment: None };
        let mut blocks = Blocks::new(Box::new(text.as_bytes()), form, 0, 4).unwrap();
        let (mut joined, mut count) = (Vec::new(), 0);
        while let Some(block) = blocks.next().unwrap() {
            let before = memchr_iter(b'\n', &joined).count() as u64;
            assert_eq!(block.line, 5 + before);
            assert!(block.bytes.first().is_some_and(u8::is_ascii_digit));
            joined.extend(block.bytes);
            count += 1;
        }
        assert!(joined == text.as_bytes() && count > 2, "{count} blocks");
    }
}
