//! The columns of CSV records: of each block, and of all blocks so far.

use super::csv_cells::Cells;
use super::csv_sniff::is_missing;
use super::line_numbers::LineNumbers;
use super::reading::Reading;
use super::table::ReadOptions;
use super::text_cells::TextCells;
use super::text_values::{NumberColumn, is_name_of_digits};

/// How one column is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) reading: Reading,
    /// Whether it holds texts; otherwise numbers, as long as every cell is one.
    pub(super) texts: bool,
}

/// The cells of one column so far.
#[derive(Debug)]
pub(super) enum CsvColumn<'a> {
    Numbers(NumberColumn<'a>),
    Texts(TextCells),
}

/// The columns of some records.
pub(super) struct CsvColumns<'a> {
    pub(super) columns: Vec<CsvColumn<'a>>,
    pub(super) lines: LineNumbers,
    /// Whether some text had a quote.
    pub(super) quoted: bool,
    /// Whether some bytes were not UTF-8.
    pub(super) decoded: bool,
}

impl<'a> CsvColumns<'a> {
    /// The columns of a block: one that does not hold numbers alone holds texts.
    pub(super) fn of(cells: Cells<'_>, plans: &[Plan], options: &'a ReadOptions) -> Self {
        let column = |(column, plan): (usize, &Plan)| {
            let numbers = (!plan.texts).then(|| numbers(&cells, column, plan.reading, options));
            match numbers.flatten() {
                Some(numbers) => CsvColumn::Numbers(numbers),
                None => CsvColumn::Texts(texts(&cells, column, plan.reading, options)),
            }
        };
        let columns = plans.iter().enumerate().map(column).collect();
        let Cells { lines, quoted, decoded, .. } = cells;
        Self { columns, lines, quoted, decoded }
    }

    /// Puts the records of the next block below these; the number of a column that held numbers so far
    /// and does not continue them is returned as an error.
    pub(super) fn append(&mut self, more: CsvColumns<'a>) -> Result<(), usize> {
        for (index, (own, more)) in self.columns.iter_mut().zip(more.columns).enumerate() {
            match (own, more) {
                (CsvColumn::Numbers(own), CsvColumn::Numbers(more)) => {
                    if !own.append(more) {
                        return Err(index);
                    }
                }
                (CsvColumn::Texts(own), CsvColumn::Texts(more)) => own.append(&more),
                _ => return Err(index),
            }
        }
        self.lines.append(&more.lines);
        self.quoted |= more.quoted;
        self.decoded |= more.decoded;
        Ok(())
    }

    /// Which columns hold texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = bool> {
        self.columns.iter().map(|column| matches!(column, CsvColumn::Texts(_)))
    }
}

fn numbers<'a>(
    cells: &Cells<'_>,
    column: usize,
    reading: Reading,
    options: &'a ReadOptions,
) -> Option<NumberColumn<'a>> {
    let mut numbers = NumberColumn::new(options, cells.rows());
    for (row, text) in cells.column(column).enumerate() {
        let is_name = reading == Reading::NameUnlessNumbers && is_name_of_digits(text);
        if is_name || !numbers.push(row, text) {
            return None;
        }
    }
    Some(numbers)
}

fn texts(cells: &Cells<'_>, column: usize, reading: Reading, options: &ReadOptions) -> TextCells {
    let mut texts = TextCells::with_room(cells.rows());
    for text in cells.column(column) {
        let missing = match reading {
            Reading::Name | Reading::NameUnlessNumbers => text.is_empty(),
            Reading::Usual | Reading::Text => is_missing(text, options),
        };
        texts.push((!missing).then_some(text));
    }
    texts
}
