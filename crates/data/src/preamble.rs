//! The lines before the rows of a CSV file: remarks, `sep=`, the header, a row of units.

use super::csv_sniff::{
    Cell, DELIMITERS, count_per_line, guess_delimiter, is_plain_text, looks_like_header, read_cell,
};
use super::table::ReadOptions;
use super::timestamp::is_time_in_any_order;
use ptsm_core::{Error, Note, Result, option};

/// Lines in which the end of a text in front of the header is looked for.
pub(super) const LINES_LOOKED_AT: usize = 60;

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
    pub(super) notes: Vec<Note>,
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
        let (mut last, mut count) = (None, 0);
        loop {
            let line = line_at(text, self.bytes);
            match line.first() {
                Some(b'#') => {
                    last = Some((self.bytes, self.lines, line));
                    count += 1;
                }
                Some(byte) if options.comment == Some(*byte) => {}
                _ => break,
            }
            self.pass(line.len());
        }
        // Lines that the user calls remarks are no header and no news.
        let Some((start, lines, line)) = last.filter(|_| options.comment != Some(b'#')) else {
            return;
        };
        let delimiter = options.delimiter.or(self.delimiter);
        if options.header != Some(false) && is_header(line, &text[self.bytes..], delimiter, options)
        {
            (self.bytes, self.lines) = (start + 1, lines);
            count -= 1;
        }
        if count > 0 {
            let lines = if count == 1 { "line that begins" } else { "lines that begin" };
            let note = format!("{count} {lines} with # in front of the header: not read");
            self.notes.push(note.into());
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
    let row = |line: &[u8]| cells_of(line, delimiter);
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
    let is_text = |cell: &String| is_plain_text(cell, options);
    let is_unit = |cell: &String| {
        let digits = cell.contains(|c: char| c.is_ascii_digit());
        let inner = cell.trim_start_matches(['[', '(']);
        let letter = inner.starts_with(|c: char| c.is_alphabetic() || c == '°');
        is_text(cell) && (letter || !digits)
    };
    let is_empty = |cell: &String| read_cell(cell, options) == Cell::Missing;
    let pairs = || cells.iter().zip(next);
    let is_time = |cell: &String| is_time_in_any_order(cell);
    // A single text above numbers is more likely a cell that cannot be read.
    let sure = next.iter().any(is_time) || (cells.len() > 1 && cells.iter().all(is_unit));
    sure && cells.len() == next.len()
        && pairs().any(|(cell, _)| is_unit(cell))
        && pairs().all(|(cell, below)| {
            is_empty(cell) || (is_unit(cell) && !is_text(below) && !is_empty(below))
        })
}

/// The way out for lines of different width: the lines in front of the header, if there are some.
/// `text` begins after `passed` lines of the file.
pub(super) fn way_out(text: &[u8], passed: u64, options: &ReadOptions) -> String {
    match lines_before_header(text, options) {
        Some(lines) => {
            let skip = option("skip_lines", Some(&(passed + lines as u64).to_string()));
            format!("use {skip} if the first lines are no part of the table")
        }
        None => "check the delimiter and quotes".to_owned(),
    }
}

/// The number of lines from which on all have equally many cells, if it is not 0; more, where the
/// first of these do not name the columns and a later one does.
fn lines_before_header(text: &[u8], options: &ReadOptions) -> Option<usize> {
    let lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').take(LINES_LOOKED_AT).collect();
    // The last one may be cut off, or empty; remarks may be anywhere.
    let (_, lines) = lines.split_last()?;
    let is_remark = |line: &[u8]| line.first().is_some_and(|&byte| options.comment == Some(byte));
    let count = |line: &&[u8]| match is_remark(line) {
        true => None,
        false => Some(count_per_line(line).first().copied().unwrap_or_default()),
    };
    let counts: Vec<Option<[usize; 4]>> = lines.iter().map(count).collect();
    let last = (*counts.iter().rev().find(|count| count.is_some())?)?;
    // Where the first line has as many cells as the last ones, a row between is short or long.
    let first = counts.iter().flatten().next();
    let usable = |&d: &usize| {
        last[d] > 0
            && first.is_none_or(|first| first[d] != last[d])
            && options.delimiter.is_none_or(|b| b == DELIMITERS[d])
    };
    let start_of = |d: usize| {
        let same = |count: &&Option<[usize; 4]>| count.is_none_or(|count| count[d] == last[d]);
        counts.len() - counts.iter().rev().take_while(same).count()
    };
    let starts: Vec<(usize, usize)> =
        (0..DELIMITERS.len()).filter(usable).map(|d| (start_of(d), d)).collect();
    // A header settles which delimiter is meant, where several occur equally often in every line.
    let named = starts.iter().filter(|(start, _)| *start > 0).filter_map(|&(start, d)| {
        let header = header_among(&lines[start..], DELIMITERS[d], options)?;
        Some(start + header)
    });
    let found = named.min().or_else(|| starts.iter().map(|(start, _)| *start).min());
    found.filter(|&start| start > 0 && counts.len() - start >= 3)
}

/// Which of the first lines holds texts alone, with a number or a time below one of them.
fn header_among(lines: &[&[u8]], delimiter: u8, options: &ReadOptions) -> Option<usize> {
    const LOOKED_AT: usize = 8;
    let names = |pair: &[&[u8]]| {
        let (names, values) = (cells_of(pair[0], delimiter), cells_of(pair[1], delimiter));
        let is_text = |cell: &String| is_plain_text(cell, options);
        let is_missing = |cell: &String| read_cell(cell, options) == Cell::Missing;
        let mut pairs = names.iter().zip(&values);
        names.iter().all(|name| is_text(name) || is_missing(name))
            && pairs.any(|(name, cell)| is_text(name) && !is_text(cell) && !is_missing(cell))
    };
    lines.windows(2).take(LOOKED_AT).position(names)
}

/// The cells of a line, as far as they can be told without the lines around it.
fn cells_of(line: &[u8], delimiter: u8) -> Vec<String> {
    let text = String::from_utf8_lossy(line);
    let cells = text.split(char::from(delimiter));
    cells.map(|cell| cell.trim().trim_matches('"').to_owned()).collect()
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
            ("UTC,", "31/01/2024,5", true),
            ("31/01/2024,kW", "01/02/2024,5", false),
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
        let count = |text: &str| lines_before_header(text.as_bytes(), &ReadOptions::default());
        // A short row among whole ones: no line in front is passed over.
        assert_eq!(count("a,b\n1,2\n3\n4,5\n6,7\n8,9\n"), None);
        assert_eq!(count(text), Some(3));
        assert_eq!(count("a,b\n1,2\n3,4\n5\n"), None);
        assert_eq!(count("a,b\n1,2\n"), None);
        // Lines in front of the header that have as many cells as the rows.
        let rows = "date;x\n2024-01-01;1,5\n2024-01-02;2,5\n2024-01-03;3,5\n";
        assert_eq!(count(&format!("Data\nStation;12\nHeight;5 m\n{rows}")), Some(3));
        // The comma of the decimals is in every line.
        let rows = "date;load, kW\n31/01/2024;1,5\n01/02/2024;2,5\n02/02/2024;3,5\n";
        assert_eq!(count(&format!("North, 12\n{rows}")), Some(1));
        let options = ReadOptions { comment: Some(b'%'), ..ReadOptions::default() };
        let text = "Station\na,b\n1,2\n% x\n3,4\n5,6\n";
        assert_eq!(lines_before_header(text.as_bytes(), &options), Some(1));
    }

    #[test]
    fn the_proposed_number_of_lines_counts_those_that_were_passed_over() {
        let rows = "a,b\n1,2\n3,4\n5,6\n";
        let skip = |skip_lines| ReadOptions { skip_lines, ..ReadOptions::default() };
        for (text, options, wanted) in [
            (format!("Station: 12\nHeight: 5 m\n\n{rows}"), skip(0), 3),
            (format!("Station: 12\nHeight: 5 m\n\n{rows}"), skip(1), 3),
            (format!("# station 12\nHeight: 5 m\n{rows}"), skip(0), 2),
            (format!("sep=,\nHeight: 5 m\n\n{rows}"), skip(0), 3),
        ] {
            let read = |options| crate::Table::from_csv(text.as_bytes(), "t", options);
            let error = read(&options).unwrap_err().to_string();
            assert!(error.contains(&format!("`skip_lines = {wanted}`")), "{text:?}: {error}");
            let got = read(&skip(wanted)).unwrap();
            assert_eq!((got.num_rows(), got.columns()[1].name.as_str()), (3, "b"), "{text:?}");
        }
    }

    #[test]
    fn remarks_with_a_byte_of_their_own_leave_those_with_a_hash_remarks() {
        let options = ReadOptions { comment: Some(b';'), ..ReadOptions::default() };
        for (text, note) in [
            ("# x\n; y\na,b\n1,2\n; z\n3,4\n", 1),
            ("; y\n# x\na,b\n1,2\n; z\n3,4\n", 1),
            ("#a,b\n; y\n1,2\n3,4\n", 0),
            ("; y\n#a,b\n1,2\n3,4\n", 0),
        ] {
            let got = crate::Table::from_csv(text.as_bytes(), "t", &options).unwrap();
            assert_eq!((got.num_rows(), got.columns()[1].name.as_str()), (2, "b"), "{text:?}");
            assert_eq!(got.notes().len(), note, "{text:?}");
            assert!(got.place(1, "b").starts_with("t: line"), "{text:?}");
        }
    }
}
