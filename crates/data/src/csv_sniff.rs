//! Guesses what a CSV file does not say: the byte between cells, and whether the first line names
//! the columns; and reads single cells.

use super::number_text::NumberMarks;
use super::table::ReadOptions;
use super::timestamp::is_time_in_any_order;

/// Texts that mean "missing" in every file, in any letter case.
const USUAL_MISSING: [&str; 11] =
    ["", "nan", "na", "n/a", "#n/a", "null", "none", "nil", "-", "--", "?"];

/// The bytes that are tried between cells.
pub(super) const DELIMITERS: [u8; 4] = *b"|\t;,";

/// Lines that the delimiter is guessed from.
const SNIFFED_LINES: usize = 20;

/// What one cell holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    /// A finite number.
    Number(f64),
    /// An infinity, or a number beyond the range of f64.
    Infinite,
    Missing,
    Text,
}

/// Reads one cell; `text` has no space around it. `true` is 1 and `false` is 0, in any letter case.
pub(super) fn read_cell(text: &str, options: &ReadOptions) -> Cell {
    if is_listed(text, options) {
        return Cell::Missing;
    }
    match NumberMarks::of(options).read(text) {
        Some(number) if number.is_finite() => Cell::Number(number),
        Some(number) if number.is_infinite() => Cell::Infinite,
        _ if is_usual_missing(text) => Cell::Missing,
        // NaN with a sign.
        Some(_) => Cell::Missing,
        None if is_boolean(text) => Cell::Number(f64::from(text.len() == "true".len())),
        None => Cell::Text,
    }
}

/// Whether the cell is neither a number nor missing nor a time.
pub(super) fn is_plain_text(text: &str, options: &ReadOptions) -> bool {
    read_cell(text, options) == Cell::Text && !is_time_in_any_order(text)
}

/// Whether the cell is `true` or `false`, in any letter case.
pub(super) fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

/// Whether the text means "missing".
pub(super) fn is_missing(text: &str, options: &ReadOptions) -> bool {
    is_listed(text, options) || is_usual_missing(text)
}

fn is_listed(text: &str, options: &ReadOptions) -> bool {
    options.missing.iter().any(|missing| missing == text)
}

/// Whether the text means "missing" in every file.
pub(super) fn is_usual_missing(text: &str) -> bool {
    let longest = "#n/a".len();
    text.len() <= longest && USUAL_MISSING.iter().any(|usual| text.eq_ignore_ascii_case(usual))
}

/// The most likely byte between cells: it occurs equally often in every line. Of several, the most
/// frequent one; of equally frequent ones, the comma.
pub(super) fn guess_delimiter(bytes: &[u8]) -> u8 {
    let lines = count_per_line(bytes);
    let Some(first) = lines.first() else {
        return b',';
    };
    let equal = |index: &usize| lines.iter().all(|line| line[*index] == first[*index]);
    let found = (0..DELIMITERS.len()).filter(|&index| first[index] > 0);
    // `max_by_key` gives the last of equals.
    let best = found.clone().filter(equal).max_by_key(|&index| first[index]);
    // No such byte: the rows are ragged, which is reported later; the header decides.
    let best = best.or_else(|| found.max_by_key(|&index| first[index]));
    best.map_or(b',', |index| DELIMITERS[index])
}

/// How often each delimiter occurs outside quotes in each of the first lines that is not empty.
pub(super) fn count_per_line(bytes: &[u8]) -> Vec<[usize; 4]> {
    let mut lines = Vec::new();
    let mut counts = [0; 4];
    let (mut quoted, mut empty) = (false, true);
    for &byte in bytes {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                if !empty {
                    lines.push(counts);
                }
                if lines.len() == SNIFFED_LINES {
                    return lines;
                }
                (counts, empty) = ([0; 4], true);
                continue;
            }
            b'\r' => continue,
            _ if !quoted => {
                if let Some(index) = DELIMITERS.iter().position(|&c| c == byte) {
                    counts[index] += 1;
                }
            }
            _ => {}
        }
        empty = false;
    }
    if !empty {
        lines.push(counts);
    }
    lines
}

/// Whether `first` names the columns of the rows that start with `second`.
///
/// It does if one of its cells is a text where the next line has a number, a time or nothing; or
/// if it holds only texts.
pub(super) fn looks_like_header(
    first: &[String],
    second: Option<&[String]>,
    options: &ReadOptions,
) -> bool {
    let is_text = |cell: &String| is_plain_text(cell, options);
    let names_values = second.is_some_and(|second| {
        let mut pairs = first.iter().zip(second);
        pairs.any(|(name, cell)| is_text(name) && !is_text(cell))
    });
    names_values || first.iter().all(is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbers_missing_or_text() {
        let mut options =
            ReadOptions { missing: vec!["-9999".to_owned()], ..ReadOptions::default() };
        for (text, cell) in [
            ("1", Cell::Number(1.0)),
            ("-.5e3", Cell::Number(-500.0)),
            ("+2", Cell::Number(2.0)),
            ("0.1", Cell::Number(0.1)),
            ("-9999", Cell::Missing),
            ("-9999.0", Cell::Number(-9999.0)),
            ("NaN", Cell::Missing),
            ("-nan", Cell::Missing),
            ("N/A", Cell::Missing),
            ("-", Cell::Missing),
            ("inf", Cell::Infinite),
            ("-Infinity", Cell::Infinite),
            ("1e999", Cell::Infinite),
            ("1,5", Cell::Text),
            ("abc", Cell::Text),
            ("True", Cell::Number(1.0)),
            ("FALSE", Cell::Number(0.0)),
            ("\u{2212}3", Cell::Number(-3.0)),
            ("5-", Cell::Text),
            ("5 %", Cell::Text),
        ] {
            assert_eq!(read_cell(text, &options), cell, "{text}");
        }
        options.decimal_comma = true;
        assert_eq!(read_cell("1,5", &options), Cell::Number(1.5));
    }

    #[test]
    fn the_delimiter_occurs_equally_often_in_every_line() {
        for (text, delimiter) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2\n", b';'),
            ("a;b\n1,5;2,5\n", b';'),
            ("a;b,c\n1;2,3\n", b','),
            ("a\tb, c\n1\t2\n", b'\t'),
            ("a|b\n1|2", b'|'),
            ("a\n1\n", b','),
            ("\"x;y\",b\n1,2\n", b','),
            ("a,b,c\n1,2\n", b','),
            ("", b','),
        ] {
            assert_eq!(guess_delimiter(text.as_bytes()), delimiter, "{text:?}");
        }
    }

    #[test]
    fn a_header_is_text_over_values() {
        let options = ReadOptions::default();
        let row = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        for (first, second, header) in [
            ("date,0,1,OT", Some("1990/1/1 0:00,1,2,3"), true),
            ("0.78,1.6", Some("0.79,1.7"), false),
            ("a,b", Some("x,y"), true),
            ("EWR,2013-01-01,1", Some("EWR,2013-01-02,2"), false),
            ("2013-01-01,1", Some("2013-01-02,2"), false),
            ("31/01/2013 00:00,1", Some("31/01/2013 01:00,2"), false),
            ("12/31/2013,1", Some("01/01/2014,2"), false),
            ("13-01-31,1", Some("13-02-01,2"), false),
            ("date,1", Some("31/01/2013,2"), true),
            ("x,y", None, true),
            ("a,1", Some(",2"), true),
        ] {
            let second = second.map(row);
            let got = looks_like_header(&row(first), second.as_deref(), &options);
            assert_eq!(got, header, "{first}");
        }
    }
}
