//! The columns of Arrow, as files hold them, into the cells of a table.

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit};
use jiff::tz::TimeZone;

use super::dictionary::DictionaryNumbers;
use super::reading::Reading;
use super::table::{Column, ReadOptions, Values};
use super::text_cells::TextCells;
use super::text_values::{placed, values};
use super::time_cells::{Offsets, TimeCells};
use super::timestamp::{
    CalendarStyle, ClockForm, DateForm, DateOrder, NotATime, OffsetForm, Stamp, TimeStyle,
    parse_timestamp,
};
use crate::civil::{DAY, SECOND};
use ptsm_core::{Error, Result};

/// Rows whose place is had without asking. To ask is to take it and to give it back, after which less
/// memory that is given back later goes to the system.
const CERTAIN_ROWS: usize = 1 << 27;

/// The rows of a stored column so far, before texts that are numbers become such.
pub(super) struct StoredColumn<'a> {
    name: &'a str,
    values: Values,
    /// What the texts of its dictionary are numbered.
    dictionary: DictionaryNumbers,
    source: &'a str,
    options: &'a ReadOptions,
}

impl<'a> StoredColumn<'a> {
    /// No rows.
    pub(super) fn new(field: &'a Field, source: &'a str, options: &'a ReadOptions) -> Result<Self> {
        let at = |error: Error| error.at(format!("{source}: column \"{}\"", field.name()));
        let values = match Reading::of(field.name(), options) {
            Reading::Usual => empty_values(value_type(field.data_type())).map_err(at)?,
            // A text holds every digit; numbers that none of them needs become numbers again.
            _ if is_whole(field.data_type()) => Values::Text(TextCells::default()),
            _ => empty_values(value_type(field.data_type())).map_err(at)?,
        };
        let dictionary = DictionaryNumbers::default();
        Ok(Self { name: field.name(), values, dictionary, source, options })
    }

    /// Puts further rows below these.
    pub(super) fn add(&mut self, array: &ArrayRef) -> Result<()> {
        let before = self.values.len();
        let rows = before + array.len();
        let cells = match &mut self.values {
            Values::Numbers(cells) => {
                cells.resize(rows, f64::NAN);
                Cells::Numbers(&mut cells[before..])
            }
            Values::Times(cells) => {
                cells.instants.resize(rows, TimeCells::MISSING);
                Cells::Times(&mut cells.instants[before..], &mut cells.style)
            }
            Values::Text(cells) => Cells::Text(cells, &mut self.dictionary),
        };
        cells.fill(array, self.name, before).map_err(|error| error.at(self.source))
    }

    /// Whether its rows are texts so far.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(_))
    }

    /// Gives a column without rows as many as its parts have together, and a part for each of `rows`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if that many rows cannot be: the file only says that it has them.
    pub(super) fn parts(&mut self, rows: &[usize]) -> Result<Vec<StoredPart<'_>>> {
        let all = rows.iter().fold(0, |all: usize, &rows| all.saturating_add(rows));
        if all > CERTAIN_ROWS {
            Vec::<f64>::new().try_reserve_exact(all).map_err(|cause| {
                let message = format!("the file says that it has {all} rows, too many to be held");
                Error::input(message).because(cause).at(self.source)
            })?;
        }
        let mut parts = Vec::with_capacity(rows.len());
        let mut first = 0;
        let mut add = |kind, rows: usize| {
            let (name, source) = (self.name, self.source);
            parts.push(StoredPart { name, source, first, filled: 0, rows, kind });
            first += rows;
        };
        match &mut self.values {
            Values::Numbers(cells) => {
                *cells = vec![0.0; all];
                let mut rest = cells.as_mut_slice();
                for &rows in rows {
                    let (own, others) = rest.split_at_mut(rows);
                    add(PartCells::Numbers(own), rows);
                    rest = others;
                }
            }
            Values::Times(TimeCells { instants, style, .. }) => {
                *instants = vec![0; all];
                let mut rest = instants.as_mut_slice();
                for &rows in rows {
                    let (own, others) = rest.split_at_mut(rows);
                    add(PartCells::Times(own, *style), rows);
                    rest = others;
                }
            }
            Values::Text(_) => rows.iter().for_each(|&rows| {
                add(
                    PartCells::Text(TextCells::with_room(rows), DictionaryNumbers::default()),
                    rows,
                );
            }),
        }
        Ok(parts)
    }

    /// Takes what a part does not write to its place, in the order of the parts.
    pub(super) fn take(&mut self, part: EndedPart) {
        match (&mut self.values, part) {
            (Values::Text(cells), EndedPart::Text(more)) if cells.is_empty() => *cells = more,
            (Values::Text(cells), EndedPart::Text(more)) => cells.append(&more),
            (Values::Times(cells), EndedPart::Times(style)) => {
                cells.style = cells.style.merge(style);
            }
            _ => {}
        }
    }

    /// The column, whose texts are numbers where those of a CSV file would be.
    pub(super) fn finish(self) -> Result<Column> {
        let Self { name, mut values, source, options, .. } = self;
        if let Values::Text(cells) = values {
            let found = self::values(cells, Reading::of(name, options), options);
            values = placed(found, |row| format!("{source}: row {}, column \"{name}\"", row + 1))?;
        }
        Ok(Column { name: name.to_owned(), values })
    }
}

/// Some rows of a stored column, which one thread reads.
pub(super) struct StoredPart<'a> {
    name: &'a str,
    source: &'a str,
    /// The row of the table that it begins with.
    first: usize,
    /// Rows that have been read, of how many.
    filled: usize,
    rows: usize,
    kind: PartCells<'a>,
}

enum PartCells<'a> {
    Numbers(&'a mut [f64]),
    Times(&'a mut [i64], TimeStyle),
    Text(TextCells, DictionaryNumbers),
}

/// What is left of a part when its rows have been read.
pub(super) enum EndedPart {
    Numbers,
    Times(TimeStyle),
    Text(TextCells),
}

impl StoredPart<'_> {
    /// Whether its rows are texts.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, PartCells::Text(..))
    }

    /// Reads further rows of the part.
    pub(super) fn add(&mut self, array: &ArrayRef) -> Result<()> {
        let Self { name, source, first, filled, rows, kind } = self;
        let place = *filled..*filled + array.len();
        if place.end > *rows {
            return Err(other_length(source));
        }
        let cells = match kind {
            PartCells::Numbers(cells) => Cells::Numbers(&mut cells[place.clone()]),
            PartCells::Times(cells, style) => Cells::Times(&mut cells[place.clone()], style),
            PartCells::Text(cells, dictionary) => Cells::Text(cells, dictionary),
        };
        *filled = place.end;
        cells.fill(array, name, *first + place.start).map_err(|error| error.at(*source))
    }

    /// Ends the part, all of whose rows must have been read.
    pub(super) fn end(self) -> Result<EndedPart> {
        if self.filled != self.rows {
            return Err(other_length(self.source));
        }
        Ok(match self.kind {
            PartCells::Numbers(_) => EndedPart::Numbers,
            PartCells::Times(_, style) => EndedPart::Times(style),
            PartCells::Text(cells, _) => EndedPart::Text(cells),
        })
    }
}

fn other_length(source: &str) -> Error {
    Error::input("the file is damaged: a column has more or fewer rows than it says").at(source)
}

/// Where some stored rows go.
enum Cells<'a> {
    Numbers(&'a mut [f64]),
    Times(&'a mut [i64], &'a mut TimeStyle),
    Text(&'a mut TextCells, &'a mut DictionaryNumbers),
}

impl Cells<'_> {
    /// Puts the rows of `array`, of the column `name`, in their place; `first` is the number of the first
    /// of them in the table, from 0.
    fn fill(self, array: &ArrayRef, name: &str, first: usize) -> Result<()> {
        let place = format!("column \"{name}\"");
        if let Self::Text(cells, dictionary) = self {
            return push_texts(array, cells, dictionary).map_err(|error| error.at(place));
        }
        let array = converted(array, value_type(array.data_type())).map_err(|e| e.at(&place))?;
        match self {
            Self::Numbers(cells) => fill_numbers(&array, cells).map_err(|error| error.at(place)),
            Self::Times(cells, style) => fill_times(&array, cells, style)
                .map_err(|(row, error)| error.at(format!("row {}, {place}", first + row + 1))),
            Self::Text(..) => Ok(()),
        }
    }
}

fn converted(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    cast(array, target).map_err(|cause| {
        Error::input(format!("{} cannot be read as {target}", array.data_type())).because(cause)
    })
}

/// Whole numbers, which a text holds exactly.
fn is_whole(stored: &DataType) -> bool {
    value_type(stored).is_integer()
}

/// The type of the values of a dictionary or of runs; any other type is its own.
fn value_type(stored: &DataType) -> &DataType {
    match stored {
        DataType::Dictionary(_, values) => value_type(values),
        DataType::RunEndEncoded(_, values) => value_type(values.data_type()),
        other => other,
    }
}

/// The kind of column that a stored type becomes, without cells.
fn empty_values(stored: &DataType) -> Result<Values> {
    let times = |offsets, style| Values::Times(TimeCells { instants: Vec::new(), offsets, style });
    Ok(match stored {
        DataType::Timestamp(_, None) => times(Offsets::Fixed(0), TimeStyle::PLAIN),
        DataType::Timestamp(_, Some(zone)) => {
            let offsets = offsets_of(zone)?;
            let form = match &offsets {
                Offsets::Fixed(0) => OffsetForm::Zulu,
                _ => OffsetForm::Signed { space: false, colon: true, minutes: true },
            };
            let clock = ClockForm { between: 'T', ..ClockForm::PLAIN };
            times(offsets, style(Some(clock), form))
        }
        DataType::Date32 | DataType::Date64 => {
            times(Offsets::Fixed(0), style(None, OffsetForm::None))
        }
        DataType::Boolean | DataType::Null | DataType::Decimal128(..) => {
            Values::Numbers(Vec::new())
        }
        stored if stored.is_numeric() => Values::Numbers(Vec::new()),
        _ => Values::Text(TextCells::default()),
    })
}

fn style(time: Option<ClockForm>, offset: OffsetForm) -> TimeStyle {
    TimeStyle::Calendar(CalendarStyle { date: DateForm::ISO, time, offset })
}

/// The zone of a stored timestamp: `UTC`, `+02:00` or a name such as `Europe/Berlin`.
fn offsets_of(zone: &str) -> Result<Offsets> {
    if matches!(zone, "UTC" | "Z" | "Etc/UTC" | "GMT") {
        return Ok(Offsets::Fixed(0));
    }
    let stamp = parse_timestamp(&format!("2000-01-01 00:00{zone}"), DateOrder::YearMonthDay);
    if let Ok(Stamp { offset: Some(offset), .. }) = stamp {
        return Ok(Offsets::Fixed(offset));
    }
    TimeZone::get(zone).map(Offsets::Zone).map_err(|cause| {
        Error::input(format!("the time zone \"{zone}\" is not known")).because(cause)
    })
}

fn fill_numbers(array: &ArrayRef, cells: &mut [f64]) -> Result<()> {
    let array = converted(array, &DataType::Float64)?;
    let array = downcast::<Float64Array>(&array)?;
    match array.null_count() {
        0 => cells.copy_from_slice(array.values()),
        _ => {
            let numbers = array.iter().map(|cell| cell.unwrap_or(f64::NAN));
            cells.iter_mut().zip(numbers).for_each(|(cell, number)| *cell = number);
        }
    }
    Ok(())
}

fn push_texts(
    array: &ArrayRef,
    cells: &mut TextCells,
    dictionary: &mut DictionaryNumbers,
) -> Result<()> {
    if let Some(array) = array.as_dictionary_opt::<Int32Type>()
        && array.values().data_type() == &DataType::Utf8
    {
        dictionary.append(array, cells);
        return Ok(());
    }
    let array = converted(array, value_type(array.data_type()))?;
    // What cannot be a text (a struct, say) shows its type instead: it is not a channel.
    let Ok(texts) = cast(&array, &DataType::Utf8) else {
        let shown = array.data_type().to_string();
        let cell = |row| array.is_valid(row).then_some(shown.as_str());
        (0..array.len()).for_each(|row| cells.push(cell(row)));
        return Ok(());
    };
    downcast::<StringArray>(&texts)?.iter().for_each(|cell| cells.push(cell));
    Ok(())
}

/// Puts stored times in their place, and makes the style fine enough for them; an error comes with the
/// number of its row among them.
fn fill_times(
    array: &ArrayRef,
    cells: &mut [i64],
    style: &mut TimeStyle,
) -> std::result::Result<(), (usize, Error)> {
    let in_first_row = |error| (0, error);
    // A date of 32 bits counts days, all others count parts of a second.
    let unit = nanoseconds_per_unit(array.data_type());
    let array = match array.data_type() {
        DataType::Date32 => converted(array, &DataType::Int32)
            .and_then(|days| converted(&days, &DataType::Int64))
            .map_err(in_first_row)?,
        _ => converted(array, &DataType::Int64).map_err(in_first_row)?,
    };
    let stored = downcast::<Int64Array>(&array).map_err(in_first_row)?;
    let nanoseconds = |cell: i64| cell.checked_mul(unit);
    let values = stored.values();
    let ends = [values.iter().min(), values.iter().max()].into_iter().flatten();
    if stored.null_count() == 0 && ends.into_iter().all(|&end| nanoseconds(end).is_some()) {
        cells.iter_mut().zip(values).for_each(|(cell, &time)| *cell = time * unit);
    } else {
        for (row, (cell, time)) in cells.iter_mut().zip(stored).enumerate() {
            *cell = time
                .map_or(Some(TimeCells::MISSING), nanoseconds)
                .ok_or_else(|| (row, Error::input(format!("a time {}", NotATime::OutOfRange))))?;
        }
    }
    let fine = |&time: &i64| time % SECOND != 0 && time != TimeCells::MISSING;
    if unit % SECOND != 0 && cells.iter().any(fine) {
        *style = style.holding(cells.iter().copied().filter(fine));
    }
    Ok(())
}

fn nanoseconds_per_unit(stored: &DataType) -> i64 {
    match stored {
        DataType::Date32 => DAY,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1000,
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1_000_000,
        _ => SECOND,
    }
}

fn downcast<T: 'static>(array: &ArrayRef) -> Result<&T> {
    let found = array.as_any().downcast_ref::<T>();
    found.ok_or_else(|| Error::internal("a cast column has another type"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn rows(count: usize) -> ArrayRef {
        Arc::new(Float64Array::from(vec![0.5; count]))
    }

    #[test]
    fn a_part_has_as_many_rows_as_the_file_says() {
        let (field, options) = (Field::new("x", DataType::Float64, true), ReadOptions::default());
        let mut column = StoredColumn::new(&field, "t.parquet", &options).unwrap();
        let mut parts = column.parts(&[2, 3]).unwrap();
        let (mut long, mut short) = (parts.remove(0), parts.remove(0));
        long.add(&rows(2)).unwrap();
        let text = long.add(&rows(1)).unwrap_err().to_string();
        assert!(text.starts_with("t.parquet: the file is damaged"), "{text}");
        long.end().unwrap();
        short.add(&rows(2)).unwrap();
        assert!(short.end().is_err());
        assert_eq!(column.finish().unwrap().values.text(4), "0");
        let mut column = StoredColumn::new(&field, "t.parquet", &options).unwrap();
        let text = column.parts(&[usize::MAX, 7]).map(|_| ()).unwrap_err().to_string();
        assert!(text.contains("too many to be held"), "{text}");
    }
}
