//! Why a cell is not a number, and the option that would make it one.

use super::csv_sniff::{Cell, is_boolean, is_missing, read_cell};
use super::number_text::NumberMarks;
use super::reading::Reading;
use super::table::{ReadOptions, Table};
use super::text_cells::TextCells;
use super::thousands::{ThousandsMark, is_space};
use ptsm_core::{Error, option};

/// Currency signs that files write next to numbers.
const CURRENCIES: [char; 8] = ['$', '€', '£', '¥', '₹', '₽', '₩', '¢'];

/// Whether the texts of a column were meant to be numbers: at least half of them are, in some way of
/// writing, or with a sign beside them. A column that is read as texts by its name is not.
pub(super) fn is_mostly_numbers(table: &Table, name: &str, cells: &TextCells) -> bool {
    if Reading::of(name, table.options()) != Reading::Usual {
        return false;
    }
    let texts = cells.iter().flatten();
    let numbers = texts.clone().filter(|text| looks_numeric(text)).count();
    numbers > 0 && 2 * numbers >= texts.count()
}

/// The error of the first cell that keeps a column from being numeric.
pub(super) fn not_a_number(table: &Table, name: &str, cells: &TextCells) -> Error {
    let options = table.options();
    let is_bad = |text: &str| read_cell(text.trim(), options) == Cell::Text;
    let row = cells.words().position(is_bad).and_then(|word| cells.first_row_of(word));
    let Some(row) = row.or_else(|| boolean_among_numbers(cells)) else {
        let message = "is read as texts, not as numbers: it cannot be a channel";
        return Error::input(message).at(format!("{}: column \"{name}\"", table.source()));
    };
    let text = cells.get(row).unwrap_or_default();
    let why = explain(text.trim(), cells, options);
    Error::input(format!("\"{text}\" is not a number ({why})")).at(table.place(row, name))
}

/// The first row with a truth value, in a column that also has numbers.
fn boolean_among_numbers(cells: &TextCells) -> Option<usize> {
    let first = cells.words().position(is_boolean)?;
    cells.first_row_of(first).filter(|_| !cells.words().all(is_boolean))
}

/// What is wrong with the cell, and the way out.
fn explain(text: &str, cells: &TextCells, options: &ReadOptions) -> String {
    if is_boolean(text) {
        return "a truth value among numbers".to_owned();
    }
    let reads = |marks: &NumberMarks| marks.read(text).is_some_and(f64::is_finite);
    let fitting: Vec<NumberMarks> = NumberMarks::ALL.into_iter().filter(reads).collect();
    // Of the ways in which the cell is a number, those first in which every cell is.
    let all = |marks: &&NumberMarks| {
        cells.words().all(|cell| {
            let cell = cell.trim();
            is_missing(cell, options) || marks.read(cell).is_some()
        })
    };
    if let Some(best) = fitting.iter().find(all).or(fitting.first()) {
        return use_marks(*best, &fitting, text, options);
    }
    if let Some(sign) = sign_beside(text) {
        return format!(
            "{sign}: write plain numbers, or name the other channels with {}",
            option("targets", None)
        );
    }
    format!("use {} if it means a missing value", option("missing", Some(text)))
}

/// The options that read the cell.
fn use_marks(
    best: NumberMarks,
    fitting: &[NumberMarks],
    text: &str,
    options: &ReadOptions,
) -> String {
    let decimal_comma = option("decimal_comma", None);
    let in_force = NumberMarks::of(options);
    match (best.decimal_comma, best.thousands) {
        (false, ThousandsMark::Absent) if in_force.decimal_comma => format!(
            "a dot stands for thousands where decimals have a comma, before exactly three digits: \
             leave out {decimal_comma} if decimals have a dot"
        ),
        (false, ThousandsMark::Comma) => {
            let ambiguous = fitting.iter().any(|marks| marks.decimal_comma);
            let other = match ambiguous {
                true => format!(
                    "; {decimal_comma} and {} if {text} is {}",
                    ThousandsMark::Absent.as_option(),
                    text.replacen(',', ".", 1)
                ),
                false => String::new(),
            };
            let instead = match in_force.decimal_comma {
                true => format!(" and leave out {decimal_comma}"),
                false => String::new(),
            };
            format!(
                "a comma before three digits marks thousands: use {}{instead}{other}",
                ThousandsMark::Comma.as_option()
            )
        }
        (true, ThousandsMark::Absent) => {
            format!("use {decimal_comma} if the comma marks decimals")
        }
        (true, ThousandsMark::Dot) => format!(
            "use {decimal_comma} if the comma marks decimals; dots before three digits then mark \
             thousands"
        ),
        (comma, mark) => {
            let comma = if comma { format!("{decimal_comma} and ") } else { String::new() };
            format!("use {comma}{} if the mark stands between thousands", mark.as_option())
        }
    }
}

/// The sign next to a number that makes its cell unreadable.
fn sign_beside(text: &str) -> Option<&'static str> {
    let inner = |rest: &str| {
        let rest = rest.trim_matches(is_space);
        NumberMarks::ALL.iter().any(|marks| marks.read(rest).is_some_and(f64::is_finite))
    };
    let (minus, unsigned) = match text.strip_prefix(['-', '\u{2212}', '\u{2013}']) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let bracketed = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let trailing = text.strip_suffix(['-', '\u{2212}', '\u{2013}']);
    let percent = text.strip_suffix(['%', '\u{2030}']);
    let currency = unsigned.strip_prefix(CURRENCIES).or_else(|| text.strip_suffix(CURRENCIES));
    if percent.is_some_and(inner) {
        Some("a percent sign")
    } else if currency.is_some_and(inner) {
        Some("a currency sign")
    } else if trailing.is_some_and(inner) {
        Some("a minus after the number")
    } else if bracketed.is_some_and(inner) {
        Some("brackets around the number")
    } else if minus && unsigned.len() + 1 < text.len() && inner(unsigned) {
        Some("a space after the minus")
    } else {
        None
    }
}

/// A number in some way of writing, or one with a sign beside it.
fn looks_numeric(text: &str) -> bool {
    let text = text.trim();
    NumberMarks::ALL.iter().any(|marks| marks.read(text).is_some()) || sign_beside(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Column, Repair, Roles, SeriesSet};

    fn refusal(cells: &[&str], options: &ReadOptions) -> String {
        let quoted: String = cells.iter().map(|cell| format!("\"{cell}\"\n")).collect();
        let table = Table::from_csv(format!("y\n{quoted}").as_bytes(), "t.csv", options);
        let table = table.map_err(|error| error.to_string());
        let set = table.and_then(|table| {
            let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default());
            set.map_err(|error| error.to_string())
        });
        set.err().unwrap_or_else(|| panic!("{cells:?} is read")).replace('`', "")
    }

    #[test]
    fn the_message_names_the_option_that_reads_the_column() {
        let plain = ReadOptions::default();
        let comma = ReadOptions { decimal_comma: true, ..ReadOptions::default() };
        for (cells, options, says) in [
            (&["500", "1,001"][..], &plain, "line 3, column \"y\": \"1,001\" is not a number"),
            (&["500", "1,001"], &plain, "marks thousands: use thousands = ','; decimal_comma"),
            (&["10,000.50", "5"], &plain, "use thousands = ',')"),
            (&["1,000,000", "5"], &plain, "use thousands = ',')"),
            (&["1,5", "2,001"], &plain, "use decimal_comma if the comma marks decimals)"),
            (&["0,123", "0,5"], &plain, "use decimal_comma"),
            (&["10.000,00", "5"], &plain, "use decimal_comma if the comma marks decimals; dots"),
            (&["1.000.000", "5"], &plain, "use decimal_comma"),
            (&["1 000", "5"], &plain, "use thousands = ' ' if the mark stands between thousands"),
            (&["1\u{a0}000,5", "5"], &plain, "use decimal_comma and thousands = ' ' if"),
            (&["1'000.5", "5"], &plain, "use thousands = \"'\" if"),
            (&["$5", "$6"], &plain, "a currency sign"),
            (&["-€1,234.50", "5 €"], &plain, "a currency sign"),
            (&["5 %", "6%"], &plain, "a percent sign"),
            (&["5-", "6"], &plain, "a minus after the number"),
            (&["(5)", "6"], &plain, "brackets around"),
            (&["- 5", "6"], &plain, "a space after the minus"),
            (&["True", "1"], &plain, "a truth value among numbers"),
            (&["1.5", "2.5"], &comma, "leave out decimal_comma if decimals have a dot"),
            (&["994", "1.5"], &comma, "before exactly three digits"),
            (&["10,000.00", "5"], &comma, "use thousands = ',' and leave out decimal_comma)"),
            (&["broken", "5"], &plain, "use missing = broken if it means"),
        ] {
            let text = refusal(cells, options);
            assert!(text.contains(says), "{cells:?}: {text} lacks {says}");
        }
    }

    #[test]
    fn what_is_no_number_is_passed_over() {
        for cell in ["2024.01.05", "01.02.2024", "5-7", "a5", "%", "$", "1,00,000", "1.2.3"] {
            assert!(!looks_numeric(cell), "{cell}");
        }
        let ids = Column::text("site", vec!["007".to_owned(), "8".to_owned()]);
        let table = Table::new(vec![ids, Column::numbers("y", vec![1.0, 2.0])]).unwrap();
        let options = ReadOptions { id_columns: vec!["site".into()], ..ReadOptions::default() };
        let table = table.read_with(&options, Vec::new());
        let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
        assert_eq!(set.channels, ["y"]);
    }
}
