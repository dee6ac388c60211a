//! The lines before the rows of a CSV file: remarks, `sep=`, the header, a row of units.

use super::csv_sniff::{Cell, count_per_line, guess_delimiter, looks_like_header, read_cell};
use super::table::ReadOptions;
use super::timestamp::{DateOrder, parse_timestamp};
use ptsm_core::{Error, Result, option};

/// The bytes that are tried between cells.
const DELIMITERS: [u8; 4] = *b"|\t;,";

/// Lines in which the end of a text in front of the header is looked for.
const LINES_LOOKED_AT: usize = 60;

/// Where the text of the table begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Preamble {
    /// Bytes in front of it.
    pub(super) bytes: usize,
    /// Lines in front of it.
    pub(super) lines: u64,
    /// The byte between cells, where the file says it.
    pub(super) delimiter: Option<u8>,
    /// What was passed over, for the user.
    pub(super) notes: Vec<String>,
}

impl Preamble {
    /// Finds the first line of the table: after `skip_lines` lines, a line such as `sep=;`, and
    /// lines that begin with `#`. Of these the last one is the header if it has as many cells as
    /// the row below it, which is not one.
    pub(super) fn find(text: &[u8], options: &ReadOptions) -> Result<Self> {
        let mut this = Self::default();
        for _ in 0..options.skip_lines {
            if this.bytes == text.len() {
                let message = format!("has only {} lines", this.lines);
                return Err(Error::config("skip_lines", message));
            }
            this.pass(line_at(text, this.bytes).len());
        }
        let line = line_at(text, this.bytes);
        if let Some(delimiter) = separator(line) {
            this.delimiter = Some(delimiter);
            this.pass(line.len());
        }
        this.pass_remarks(text, options);
        Ok(this)
    }

    fn pass(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.lines += 1;
    }

    fn pass_remarks(&mut self, text: &[u8], options: &ReadOptions) {
        let mut last = None;
        let first = self.lines;
        loop {
            let line = line_at(text, self.bytes);
            if line.first() != Some(&options.comment.unwrap_or(b'#')) {
                break;
            }
            last = Some((self.bytes, line));
            self.pass(line.len());
        }
        let Some((start, line)) = last.filter(|_| options.comment.is_none()) else { return };
        let delimiter = options.delimiter.or(self.delimiter);
        if options.header != Some(false) && is_header(line, &text[self.bytes..], delimiter, options)
        {
            (self.bytes, self.lines) = (start + 1, self.lines - 1);
        }
        if self.lines > first {
            let count = self.lines - first;
            let lines = if count == 1 { "line that begins" } else { "lines that begin" };
            self.notes.push(format!("{count} {lines} with # in front of the header: not read"));
        }
    }
}

/// The line that begins at `start`, with its end.
fn line_at(text: &[u8], start: usize) -> &[u8] {
    let rest = &text[start..];
    let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
    &rest[..end]
}

/// The delimiter of a line such as `sep=;`, as spreadsheets write it.
pub(super) fn separator(line: &[u8]) -> Option<u8> {
    let line = line.trim_ascii_end();
    let line = line.strip_prefix(b"\"").and_then(|l| l.strip_suffix(b"\"")).unwrap_or(line);
    let (word, rest) = line.split_at_checked(4)?;
    match rest {
        _ if !word.eq_ignore_ascii_case(b"sep=") => None,
        // The tabulator was trimmed.
        [] => Some(b'\t'),
        [byte] => Some(*byte),
        _ => None,
    }
}

/// The first lines without those that begin with `comment`: what the delimiter is guessed from.
pub(super) fn without_comments(text: &[u8], comment: Option<u8>) -> Vec<u8> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let rows = lines.filter(|line| comment.is_none() || line.first() != comment.as_ref());
    rows.take(LINES_LOOKED_AT).collect::<Vec<_>>().concat()
}

/// Whether a remark names the columns of the rows below it, which do not name them themselves.
fn is_header(remark: &[u8], rest: &[u8], delimiter: Option<u8>, options: &ReadOptions) -> bool {
    let delimiter = delimiter.unwrap_or_else(|| guess_delimiter(rest));
    let row = |line: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(line);
        let cells = text.split(char::from(delimiter));
        cells.map(|cell| cell.trim().trim_matches('"').to_owned()).collect()
    };
    let names = row(remark.get(1..).unwrap_or_default());
    let first = line_at(rest, 0);
    let (first, second) = (row(first), row(line_at(rest, first.len())));
    names.len() > 1
        && names.len() == first.len()
        && !looks_like_header(&first, Some(&second), options)
        && looks_like_header(&names, Some(&first), options)
}

/// Whether `cells`, between the header and `next`, are units and not values: texts alone, above
/// numbers or times.
pub(super) fn is_units(cells: &[String], next: &[String], options: &ReadOptions) -> bool {
    let is_text = |cell: &String| {
        read_cell(cell, options) == Cell::Text
            && parse_timestamp(cell, DateOrder::MonthDayYear).is_err()
            && parse_timestamp(cell, DateOrder::DayMonthYear).is_err()
    };
    let is_unit = |cell: &String| {
        let digits = cell.contains(|c: char| c.is_ascii_digit());
        let inner = cell.trim_start_matches(['[', '(']);
        let letter = inner.starts_with(|c: char| c.is_alphabetic() || c == '°');
        is_text(cell) && (letter || !digits)
    };
    let is_empty = |cell: &String| read_cell(cell, options) == Cell::Missing;
    let pairs = || cells.iter().zip(next);
    let is_time = |cell: &String| parse_timestamp(cell, DateOrder::MonthDayYear).is_ok();
    // A single text above numbers is more likely a cell that cannot be read.
    let sure = next.iter().any(is_time) || (cells.len() > 1 && cells.iter().all(is_unit));
    sure && cells.len() == next.len()
        && pairs().any(|(cell, _)| is_unit(cell))
        && pairs().all(|(cell, below)| {
            is_empty(cell) || (is_unit(cell) && !is_text(below) && !is_empty(below))
        })
}

/// The way out for lines of different width: the lines in front of the header, if there are some.
pub(super) fn way_out(text: &[u8]) -> String {
    match lines_before_header(text) {
        Some(lines) => {
            let skip = option("skip_lines", Some(&lines.to_string()));
            format!("use {skip} if the first lines are no part of the table")
        }
        None => "check the delimiter and quotes".to_owned(),
    }
}

/// The number of lines from which on all have equally many cells, if it is not 0.
fn lines_before_header(text: &[u8]) -> Option<usize> {
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').take(LINES_LOOKED_AT).collect();
    // The last one may be cut off, or empty.
    let lines = &lines[..lines.len() - 1];
    let counts: Vec<[usize; 4]> = lines
        .iter()
        .map(|line| count_per_line(line, DELIMITERS).first().copied().unwrap_or_default())
        .collect();
    let last = counts.last()?;
    let starts = (0..DELIMITERS.len()).filter(|&d| last[d] > 0).map(|d| {
        counts.len() - counts.iter().rev().take_while(|count| count[d] == last[d]).count()
    });
    starts.min().filter(|&start| start > 0 && counts.len() - start >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> (String, Option<u8>, u64) {
        let found = Preamble::find(text.as_bytes(), &ReadOptions::default()).unwrap();
        (text[found.bytes..].to_owned(), found.delimiter, found.lines)
    }

    #[test]
    fn separators_and_remarks_are_passed_over() {
        for (text, rest, delimiter, lines) in [
            ("a,b\n1,2\n", "a,b\n1,2\n", None, 0),
            ("sep=;\na;b\n", "a;b\n", Some(b';'), 1),
            ("\"SEP=,\"\r\na,b\n", "a,b\n", Some(b','), 1),
            ("sep=\t\r\na\tb\n", "a\tb\n", Some(b'\t'), 1),
            ("# x\n# units: kW\na,b\n1,2\n", "a,b\n1,2\n", None, 2),
            ("sep=;\n# x\na;b\n1;2\n", "a;b\n1;2\n", Some(b';'), 2),
            ("# x\n#a,b\n1,2\n2,3\n", "a,b\n1,2\n2,3\n", None, 1),
            ("#a,b\n1,2\n2,3\n", "a,b\n1,2\n2,3\n", None, 0),
            ("separate\n1\n", "separate\n1\n", None, 0),
        ] {
            assert_eq!(find(text), (rest.to_owned(), delimiter, lines), "{text:?}");
        }
        let options = ReadOptions { skip_lines: 2, ..ReadOptions::default() };
        let found = Preamble::find(b"Station 7\n\na,b\n", &options).unwrap();
        assert_eq!((found.bytes, found.lines), (11, 2));
        let error = Preamble::find(b"a\n", &options).unwrap_err().to_string();
        assert!(error.contains("skip_lines: has only 1 lines"), "{error}");
    }

    #[test]
    fn a_row_of_units_is_text_above_values() {
        let options = ReadOptions::default();
        let row = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        for (cells, next, units) in [
            (",kW", "2024-01-01,5", true),
            ("UTC,kW", "2024-01-01,5", true),
            ("-,m/s", "2024-01-01,5", true),
            ("[UTC],m3", "2024-01-01,5", true),
            ("°C,%", "3,5", true),
            ("$5,1.5-", "3,5", false),
            ("(5),x", "3,5", false),
            ("UTC,kW", "2024-01-01,", false),
            ("A,2024-01-01,", "A,2024-01-02,3", false),
            ("A,", "B,3", false),
            ("n.a.", "3", false),
            ("n.a.,", "3,4", false),
            (",", "2024-01-01,5", false),
            ("5,kW", "6,7", false),
        ] {
            assert_eq!(is_units(&row(cells), &row(next), &options), units, "{cells}");
        }
    }

    #[test]
    fn the_lines_in_front_of_the_header_are_counted() {
        let text = "Station: 12, North\nheight 5\n\ndate;a;b\n1;2;3\n4;5;6\n7;8;9\n";
        assert_eq!(lines_before_header(text.as_bytes()), Some(3));
        assert_eq!(lines_before_header(b"a,b\n1,2\n3,4\n5\n"), None);
        assert_eq!(lines_before_header(b"a,b\n1,2\n"), None);
    }
}
