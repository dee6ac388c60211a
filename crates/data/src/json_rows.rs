//! The rows of a JSON text into columns, one after the other, without holding the text's values.

use std::collections::HashMap;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use super::id_name::name_of_number;
use super::line_numbers::LineNumbers;
use super::reading::Reading;
use super::table::{Column, ReadOptions, Table, Values, number_text};
use super::text_cells::TextCells;
use super::text_values::{is_name_of_digits, placed, values};
use super::timestamp::is_time_in_any_order;
use ptsm_core::{Error, ErrorKind, Result, require_memory};

/// For how many missing cells the memory is asked for at first.
const FIRST_ASKED: usize = 1 << 20;

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
        let may_name = self.reading == Reading::NameUnlessNumbers;
        match (cell, &mut self.texts) {
            (Cell::Missing, _) => self.fill(self.len() + 1),
            // More digits than a number holds are a name.
            (Cell::Whole(value), None) if may_name && is_name_of_digits(&digits(value)) => {
                self.push_text(&digits(value));
            }
            (Cell::Whole(value), None) => self.numbers.push(value as f64),
            (Cell::Number(value), None) => self.numbers.push(value),
            (Cell::Whole(value), Some(_)) => self.push_text(&digits(value)),
            (Cell::Number(value), Some(_)) if self.reading == Reading::Name => {
                self.push_text(&name_of_number(value)?);
            }
            (Cell::Number(value), Some(_)) => self.push_text(&number_text(value)),
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

fn digits(value: i128) -> String {
    value.to_string()
}

/// The rows so far, column by column.
pub(super) struct Rows<'a> {
    options: &'a ReadOptions,
    columns: Vec<Cells>,
    by_name: HashMap<String, usize>,
    rows: usize,
    /// Where the next cell is looked for first: rows mostly name their cells in one order.
    next: usize,
    room: Room,
}

/// How many cells there are and may be.
struct Room {
    cells: usize,
    most: usize,
    /// Those among them that no row gave, and for how many of these the memory was asked for; the text
    /// pays for the others.
    missing: usize,
    asked: usize,
    /// Why there are no more.
    refused: Option<Error>,
}

impl Room {
    /// Counts `missing` cells and `given` ones before they are made.
    fn take(&mut self, missing: usize, given: usize) -> std::result::Result<(), String> {
        self.missing = self.missing.saturating_add(missing);
        self.cells = self.cells.saturating_add(missing).saturating_add(given);
        self.check().map_err(|error| {
            let text = error.to_string();
            self.refused = Some(error);
            text
        })
    }

    fn check(&mut self) -> Result<()> {
        let Self { cells, most, missing, asked, .. } = *self;
        if cells > most {
            let text = format!(
                "the rows and the names in them make more than {most} cells (send fewer rows, or \
                 rows that name the same columns)"
            );
            return Err(Error::new(ErrorKind::OutOfMemory, text));
        }
        if missing <= asked {
            return Ok(());
        }
        self.asked = missing.saturating_add(missing / 8).max(FIRST_ASKED);
        let bytes = ((self.asked - asked) as u64).saturating_mul(8);
        require_memory("the cells that rows do not name", bytes, "rows that name the same columns")
    }
}

impl<'a> Rows<'a> {
    pub(super) fn new(options: &'a ReadOptions) -> Self {
        let most = options.most_cells.unwrap_or(usize::MAX);
        let room = Room { cells: 0, most, missing: 0, asked: 0, refused: None };
        Self { options, columns: Vec::new(), by_name: HashMap::new(), rows: 0, next: 0, room }
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
        let len = self.column(name).len();
        if len > rows {
            return Err(format!("\"{name}\" comes twice in one row"));
        }
        self.room.take(rows - len, 1)?;
        let column = &mut self.columns[self.next - 1];
        column.fill(rows);
        column.push(cell)
    }

    /// Columns that the row does not name are made longer when one does, or at the end: were it done
    /// here, rows that each name another column would take the time of rows x columns.
    fn end_row(&mut self) {
        (self.rows, self.next) = (self.rows + 1, 0);
    }

    /// Ends a table whose rows came one after the other: every column gets a cell for each row.
    pub(super) fn end_rows(&mut self) -> Result<()> {
        let rows = self.rows;
        let missing = self.columns.iter().map(|column| rows - column.len());
        let missing = missing.fold(0, usize::saturating_add);
        if self.room.take(missing, 0).is_err() {
            return Err(self.refusal().unwrap_or_else(|| Error::internal("cells without a limit")));
        }
        self.columns.iter_mut().for_each(|column| column.fill(rows));
        Ok(())
    }

    /// Why cells were refused, if that was the reason; the text itself is no worse for it.
    pub(super) fn refusal(&mut self) -> Option<Error> {
        self.room.refused.take()
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
        Table::with_source(columns, source.to_owned(), lines)
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
