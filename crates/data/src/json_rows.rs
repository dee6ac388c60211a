//! The rows of a JSON text into columns, one after the other, without holding the text's values.

use std::collections::HashMap;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use super::line_numbers::LineNumbers;
use super::reading::Reading;
use super::table::{Column, ReadOptions, Table, Values, number_text};
use super::text_cells::TextCells;
use super::text_values::{placed, values};
use super::timestamp::is_time_in_any_order;
use ptsm_core::{Error, Result};

/// From here on a floating-point number is no longer exact for whole numbers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// One cell of a JSON table.
pub(super) enum Cell {
    Missing,
    Boolean(bool),
    Whole(i128),
    Number(f64),
    Text(String),
    /// An array or an object, which is no cell.
    Nested(&'static str),
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text, true, false or null")
    }

    fn visit_unit<E>(self) -> std::result::Result<Cell, E> {
        Ok(Cell::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Cell, E> {
        Ok(Cell::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Cell, E> {
        Ok(Cell::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Cell, E> {
        Ok(Cell::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Cell, E> {
        Ok(Cell::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Cell, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Cell, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested("an object"))
    }
}

/// The cells of one column so far: numbers until a text comes.
struct Cells {
    name: String,
    reading: Reading,
    numbers: Vec<f64>,
    texts: Option<TextCells>,
}

impl Cells {
    fn new(name: &str, options: &ReadOptions) -> Self {
        let reading = Reading::of(name, options);
        let texts = matches!(reading, Reading::Name | Reading::Text).then(TextCells::default);
        Self { name: name.to_owned(), reading, numbers: Vec::new(), texts }
    }

    fn len(&self) -> usize {
        self.texts.as_ref().map_or(self.numbers.len(), TextCells::len)
    }

    fn fill(&mut self, rows: usize) {
        match &mut self.texts {
            Some(texts) => texts.push_times(None, rows - texts.len()),
            None => self.numbers.resize(rows, f64::NAN),
        }
    }

    fn push(&mut self, cell: Cell) -> std::result::Result<(), String> {
        match (cell, &mut self.texts) {
            (Cell::Missing, _) => self.fill(self.len() + 1),
            (Cell::Whole(value), None) => self.numbers.push(value as f64),
            (Cell::Number(value), None) => self.numbers.push(value),
            (Cell::Whole(value), Some(_)) => self.push_text(&value.to_string()),
            (Cell::Number(value), Some(_)) => {
                if self.reading == Reading::Name && value.abs() >= EXACT {
                    return Err(format!("{value:?} names a series inexactly: write it as a text"));
                }
                self.push_text(&number_text(value));
            }
            (Cell::Boolean(value), _) => self.push_text(if value { "true" } else { "false" }),
            (Cell::Text(text), _) => self.push_text(&text),
            (Cell::Nested(what), _) => self.push_text(what),
        }
        Ok(())
    }

    fn push_text(&mut self, text: &str) {
        let numbers = &self.numbers;
        let texts = self.texts.get_or_insert_with(|| {
            let text = |x: &f64| (!x.is_nan()).then(|| number_text(*x));
            numbers.iter().map(text).collect()
        });
        texts.push(Some(text));
    }
}

/// The rows so far, column by column.
pub(super) struct Rows<'a> {
    options: &'a ReadOptions,
    columns: Vec<Cells>,
    by_name: HashMap<String, usize>,
    rows: usize,
    /// Where the next cell is looked for first: rows mostly name their cells in one order.
    next: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(options: &'a ReadOptions) -> Self {
        Self { options, columns: Vec::new(), by_name: HashMap::new(), rows: 0, next: 0 }
    }

    fn column(&mut self, name: &str) -> &mut Cells {
        let next = self.columns.get(self.next).filter(|column| column.name == name);
        let index = match next.map(|_| self.next).or_else(|| self.by_name.get(name).copied()) {
            Some(index) => index,
            None => {
                self.columns.push(Cells::new(name, self.options));
                self.by_name.insert(name.to_owned(), self.columns.len() - 1);
                self.columns.len() - 1
            }
        };
        self.next = index + 1;
        &mut self.columns[index]
    }

    fn push(&mut self, name: &str, cell: Cell) -> std::result::Result<(), String> {
        let rows = self.rows;
        let column = self.column(name);
        if column.len() > rows {
            return Err(format!("\"{name}\" comes twice in one row"));
        }
        column.fill(rows);
        column.push(cell)
    }

    fn end_row(&mut self) {
        (self.rows, self.next) = (self.rows + 1, 0);
        let rows = self.rows;
        self.columns.iter_mut().filter(|column| column.len() < rows).for_each(|c| c.fill(rows));
    }

    /// One more cell of the column called `name`, where columns come one after the other.
    pub(super) fn push_below(&mut self, name: &str, cell: Cell) -> Result<()> {
        self.column(name).push(cell).map_err(|text| Error::input(text).at(format!("\"{name}\"")))
    }

    /// The labels of rows as a column: `date` where they are times, else `index`.
    pub(super) fn push_labels(&mut self, labels: Vec<String>) -> Result<()> {
        let epoch = |label: &String| label.parse::<f64>().is_ok_and(|x| x.abs() >= 1e9);
        let times = |label: &String| epoch(label) || is_time_in_any_order(label);
        let name = if labels.iter().all(times) { "date" } else { "index" };
        if self.by_name.contains_key(name) {
            return Ok(());
        }
        labels.into_iter().try_for_each(|label| self.push_below(name, Cell::Text(label)))
    }

    /// Ends a table whose columns came one after the other.
    pub(super) fn end_columns(&mut self) -> Result<()> {
        self.rows = self.columns.first().map_or(0, Cells::len);
        Ok(())
    }

    /// The table; `lines` says on which line each row is.
    pub(super) fn into_table(self, source: &str, lines: Option<LineNumbers>) -> Result<Table> {
        if self.rows == 0 {
            return Err(Error::input("there are no rows").at(source));
        }
        let mut columns = Vec::with_capacity(self.columns.len());
        for Cells { name, reading, numbers, texts } in self.columns {
            let place = |row: usize| match &lines {
                Some(lines) => format!("{source}: line {}, column \"{name}\"", lines.line(row)),
                None => format!("{source}: row {}, column \"{name}\"", row + 1),
            };
            let values = match texts {
                Some(texts) => placed(values(texts, reading, self.options), place)?,
                None => Values::Numbers(numbers),
            };
            columns.push(Column { name, values });
        }
        let table = Table::with_source(columns, source.to_owned(), lines)?;
        Ok(table.read_with(self.options, Vec::new()))
    }
}

/// Reads one row: an object, or an array of cells, whose columns are numbered from 0.
pub(super) struct RowSeed<'r, 'a>(pub(super) &'r mut Rows<'a>);

impl<'de> DeserializeSeed<'de> for RowSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row: an object such as {\"time\": \"2024-01-01\", \"x\": 1.5}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let cell = map.next_value()?;
            self.0.push(&name, cell).map_err(A::Error::custom)?;
        }
        self.0.end_row();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let mut index = 0;
        while let Some(cell) = seq.next_element()? {
            self.0.push(&index.to_string(), cell).map_err(A::Error::custom)?;
            index += 1;
        }
        self.0.end_row();
        Ok(())
    }
}

/// Reads an array of rows.
pub(super) struct RowsSeed<'r, 'a>(pub(super) &'r mut Rows<'a>);

impl<'de> DeserializeSeed<'de> for RowsSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while seq.next_element_seed(RowSeed(&mut *self.0))?.is_some() {}
        Ok(())
    }
}
