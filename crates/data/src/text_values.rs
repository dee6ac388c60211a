//! Converts the text cells of a column to numbers or truth values, or keeps them as texts.

use super::csv_sniff::{Cell, is_boolean, is_missing, read_cell};
use super::number_text::{DecimalMarks, NumberMarks, short_number};
use super::reading::Reading;
use super::table::{ReadOptions, Values};
use super::text_cells::TextCells;
use super::thousands::ThousandsMark;
use ptsm_core::{Error, Result, option};

/// Digits that a number does not hold as they are written: with a zero in front, or too many. They
/// are a name.
pub(super) fn is_name_of_digits(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    let padded = digits.len() == text.len() && text.len() > 1 && text.starts_with('0');
    is_whole && (padded || digits.len() > 15)
}

/// The values of a column whose cells are texts, as a CSV file's would be read; an error comes with
/// its row.
pub(super) fn values(
    cells: TextCells,
    reading: Reading,
    options: &ReadOptions,
) -> std::result::Result<Values, (usize, Error)> {
    match reading {
        Reading::Name => {
            return Ok(Values::Text(cells.kept(|cell| !cell.is_empty())));
        }
        Reading::Usual => {
            if let Some(numbers) = numbers(&cells, options)? {
                return Ok(Values::Numbers(numbers));
            }
        }
        Reading::NameUnlessNumbers => {
            let names = cells.words().any(|cell| is_name_of_digits(cell.trim()));
            return match if names { None } else { numbers(&cells, options)? } {
                Some(numbers) => Ok(Values::Numbers(numbers)),
                None => values(cells, Reading::Name, options),
            };
        }
        Reading::Text => {}
    }
    Ok(Values::Text(cells.kept(|cell| !is_missing(cell.trim(), options))))
}

/// The cells as numbers if each is one, or missing, or if each is a truth value.
fn numbers(
    cells: &TextCells,
    options: &ReadOptions,
) -> std::result::Result<Option<Vec<f64>>, (usize, Error)> {
    let mut column = NumberColumn::new(options, cells.len());
    for (row, cell) in cells.iter().enumerate() {
        if !column.push(row, cell.unwrap_or_default().trim()) {
            return Ok(None);
        }
    }
    column.finish().map(Some)
}

/// The numbers of a column so far.
#[derive(Debug, Clone)]
pub(super) struct NumberColumn<'a> {
    cells: Vec<f64>,
    options: &'a ReadOptions,
    /// Whether numbers are written as in most files.
    plain: bool,
    marks: Option<DecimalMarks>,
    decimal: u8,
    /// Whether the cells are truth values; `None` before the first that is there.
    booleans: Option<bool>,
    /// Row and text of the first infinite cell.
    infinite: Option<(usize, String)>,
    /// The text of the cell in doubt.
    doubtful: String,
}

impl<'a> NumberColumn<'a> {
    /// No cell, with room for `rows` of them.
    pub(super) fn new(options: &'a ReadOptions, rows: usize) -> Self {
        let marks = NumberMarks::of(options);
        Self {
            cells: Vec::with_capacity(rows),
            plain: marks.is_plain() && options.missing.is_empty(),
            options,
            marks: options.thousands.is_none().then(DecimalMarks::default),
            decimal: if marks.decimal_comma { b',' } else { b'.' },
            booleans: None,
            infinite: None,
            doubtful: String::new(),
        }
    }

    /// Takes a cell without outer spaces; `false` if it is neither a number nor missing, or a truth
    /// value among numbers.
    pub(super) fn push(&mut self, row: usize, text: &str) -> bool {
        if self.plain
            && self.booleans == Some(false)
            && let Some(number) = short_number(text.as_bytes())
        {
            self.see(row, text);
            self.cells.push(number);
            return true;
        }
        let number = match read_cell(text, self.options) {
            Cell::Number(number) => number,
            Cell::Missing => {
                self.cells.push(f64::NAN);
                return true;
            }
            Cell::Infinite => {
                self.infinite.get_or_insert_with(|| (row, text.to_owned()));
                f64::NAN
            }
            Cell::Text => return false,
        };
        let boolean = is_boolean(text);
        if *self.booleans.get_or_insert(boolean) != boolean {
            return false;
        }
        self.see(row, text);
        self.cells.push(number);
        true
    }

    fn see(&mut self, row: usize, text: &str) {
        let Some(marks) = &mut self.marks else { return };
        let before = marks.padded_row();
        marks.see(row, text, self.decimal);
        if before.is_none() && marks.padded_row().is_some() {
            text.clone_into(&mut self.doubtful);
        }
    }

    /// Puts the cells of `more` below these; `false` if one column holds truth values and the other
    /// numbers.
    pub(super) fn append(&mut self, more: NumberColumn<'a>) -> bool {
        if self.booleans.is_some() && more.booleans.is_some() && self.booleans != more.booleans {
            return false;
        }
        let rows = self.cells.len();
        self.booleans = self.booleans.or(more.booleans);
        if let Some((row, text)) = more.infinite {
            self.infinite.get_or_insert((rows + row, text));
        }
        if let (Some(marks), Some(others)) = (&mut self.marks, &more.marks) {
            if marks.padded_row().is_none() {
                self.doubtful = more.doubtful;
            }
            marks.add(others, rows);
        }
        self.cells.extend_from_slice(&more.cells);
        true
    }

    /// The numbers; an error comes with its row.
    pub(super) fn finish(self) -> std::result::Result<Vec<f64>, (usize, Error)> {
        if let Some((row, text)) = self.infinite {
            let message = format!(
                "\"{text}\" is not a finite number (use {} if it means a missing value)",
                option("missing", Some(&text))
            );
            return Err((row, Error::input(message)));
        }
        if let Some(row) = self.marks.as_ref().and_then(DecimalMarks::doubtful) {
            return Err((row, doubt(&self.doubtful, self.decimal)));
        }
        Ok(self.cells)
    }
}

fn doubt(text: &str, decimal: u8) -> Error {
    let (mark, name, instead) = match decimal {
        b',' => {
            let instead = format!(" in place of {}", option("decimal_comma", None));
            (ThousandsMark::Comma, "comma", instead)
        }
        _ => (ThousandsMark::Dot, "dot", String::new()),
    };
    Error::input(format!(
        "the column holds \"{text}\" and whole numbers below 1000, and three digits follow every \
         {name} in it: it may separate thousands (use {}{instead} if it does, {} if it marks decimals)",
        mark.as_option(),
        ThousandsMark::Absent.as_option()
    ))
}

/// Names the place of an error that came with its row.
pub(super) fn placed<T>(
    result: std::result::Result<T, (usize, Error)>,
    place: impl FnOnce(usize) -> String,
) -> Result<T> {
    result.map_err(|(row, error)| error.at(place(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cells: &[&str], reading: Reading, options: &ReadOptions) -> Values {
        let cells = cells.iter().copied().map(Some).collect();
        values(cells, reading, options).unwrap()
    }

    fn texts(cells: &[&str], reading: Reading) -> Vec<String> {
        let values = read(cells, reading, &ReadOptions::default());
        (0..values.len()).map(|row| values.text(row)).collect()
    }

    #[test]
    fn texts_that_are_numbers_or_truth_values_become_numbers() {
        let options = ReadOptions::default();
        let is_number =
            |cells: &[&str]| matches!(read(cells, Reading::Usual, &options), Values::Numbers(_));
        assert!(is_number(&["1", " 2.5", "", "NA", "\u{2212}3"]));
        assert!(is_number(&["True", "FALSE", "", "true"]));
        assert_eq!(texts(&["True", "false", "NA"], Reading::Usual), ["1", "0", ""]);
        for cells in [&["1", "x"][..], &["True", "1"], &["1", "false"], &["yes", "no"]] {
            assert!(!is_number(cells), "{cells:?}");
        }
    }

    #[test]
    fn names_are_kept_to_the_letter() {
        let names = ["007", "7", "1.0", "NA", "9007199254740993", "True"];
        assert_eq!(texts(&names, Reading::Name), names);
        assert_eq!(texts(&names, Reading::Text)[3], "");
        for name in ["007", "9007199254740993", "-9007199254740993"] {
            assert!(is_name_of_digits(name), "{name}");
        }
        for number in ["7", "0", "-007", "1.0", "0.5", "1e3", ""] {
            assert!(!is_name_of_digits(number), "{number}");
        }
        assert_eq!(texts(&["007", "NA"], Reading::NameUnlessNumbers), ["007", "NA"]);
        assert_eq!(texts(&["a", "NA"], Reading::NameUnlessNumbers), ["a", "NA"]);
        assert_eq!(texts(&["1.50", "NA"], Reading::NameUnlessNumbers), ["1.5", ""]);
    }

    #[test]
    fn infinite_and_doubtful_cells_are_errors_with_their_row() {
        let options = ReadOptions::default();
        let error = |cells: &[&str], options: &ReadOptions| {
            let cells = cells.iter().copied().map(Some).collect();
            values(cells, Reading::Usual, options).unwrap_err()
        };
        let (row, text) = error(&["1", "-inf"], &options);
        assert!(row == 1 && text.to_string().contains("\"-inf\" is not a finite number"), "{text}");
        let (row, text) = error(&["994", "1.000"], &options);
        assert!(row == 1 && text.to_string().contains("thousands"), "{text}");
        let comma = ReadOptions { decimal_comma: true, ..ReadOptions::default() };
        let (_, text) = error(&["994", "1,000"], &comma);
        assert!(text.to_string().contains("comma"), "{text}");
    }
}
