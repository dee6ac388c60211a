//! Parquet files into a table and back.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use jiff::tz::TimeZone;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use super::dictionary::DictionaryNumbers;
use super::foreign_code::guarded;
use super::reading::Reading;
use super::table::{Column, ReadOptions, Table, Values};
use super::text_cells::TextCells;
use super::text_values::{placed, values};
use super::time_cells::{Offsets, TimeCells};
use super::timestamp::{
    CalendarStyle, ClockForm, DateForm, DateOrder, NotATime, OffsetForm, Stamp, TimeStyle,
    parse_timestamp,
};
use crate::civil::{DAY, SECOND};
use ptsm_core::{Error, MemoryBudget, Result, bytes_of};

/// Rows that are unpacked at once.
const BATCH_ROWS: usize = 1 << 14;

/// Reads the whole file, packed in any way. Floats, integers, decimals and booleans become numbers,
/// timestamps and dates become times, texts what they would be in a CSV file; null is missing.
pub(super) fn read(path: &Path, source: &str, options: &ReadOptions) -> Result<Table> {
    let open = || File::open(path).map_err(|cause| Error::io(path, "cannot be read", cause));
    let damaged = |cause| unreadable(cause).at(source);
    let load = || ArrowReaderMetadata::load(&open()?, Default::default()).map_err(damaged);
    let metadata = guarded("Parquet", load).map_err(|error| error.at(source))?;
    let metadata = with_texts_once(metadata);
    let rows = usize::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
    // Threads share the columns, since each goes straight to its place.
    let budget = MemoryBudget::new(format!("reading {source}"), "a part of the rows or columns");
    let read = |(number, field): (usize, &FieldRef)| {
        let mut column = StoredColumn::new(field, source, options)?;
        budget.take(bytes_of(&[2, rows]))?;
        column.reserve(rows);
        let only = ProjectionMask::roots(metadata.parquet_schema(), [number]);
        // A file of its own, since readers of one move the same cursor.
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open()?, metadata.clone());
        let builder = builder.with_projection(only).with_batch_size(BATCH_ROWS);
        for batch in builder.build().map_err(damaged)? {
            let batch = batch.map_err(|cause| unreadable(cause.into()).at(source))?;
            if let Values::Text(_) = &column.column.values {
                budget.take(batch.get_array_memory_size() as u64)?;
            }
            column.add(batch.column(0))?;
        }
        column.finish()
    };
    let mut fields: Vec<(usize, &FieldRef)> =
        metadata.schema().fields().iter().enumerate().collect();
    let bytes = column_bytes(&metadata);
    fields.sort_by_key(|&(number, _)| std::cmp::Reverse(bytes[number]));
    let read = |field: (usize, &FieldRef)| {
        let column = guarded("Parquet", || read(field));
        (field.0, column.map_err(|error| within(error, source)))
    };
    let columns = fields.into_par_iter().with_max_len(1).map(read);
    let mut columns: Vec<(usize, Result<Column>)> = columns.collect();
    columns.sort_by_key(|&(number, _)| number);
    let columns = columns.into_iter().map(|(_, column)| column);
    table(columns.collect::<Result<_>>()?, source, options)
}

/// How many bytes each column of the schema takes in the file: the largest is begun first, so that the
/// threads end together.
fn column_bytes(metadata: &ArrowReaderMetadata) -> Vec<i64> {
    let mut bytes = vec![0; metadata.schema().fields().len()];
    for group in metadata.metadata().row_groups() {
        for (leaf, chunk) in group.columns().iter().enumerate() {
            bytes[metadata.parquet_schema().get_column_root_idx(leaf)] += chunk.compressed_size();
        }
    }
    bytes
}

/// The error with its file, where it does not name that yet.
pub(super) fn within(error: Error, source: &str) -> Error {
    match error.place() {
        Some(place) if place.starts_with(source) => error,
        _ => error.at(source),
    }
}

fn unreadable(cause: ParquetError) -> Error {
    Error::input("the Parquet file cannot be read").because(cause)
}

/// The same file, whose columns of texts are unpacked as dictionaries: a panel has the same texts in
/// thousands of rows.
fn with_texts_once(metadata: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let is_text = |stored: &DataType| {
        matches!(stored, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    };
    let fields = metadata.schema().fields().iter().map(|field| {
        let once = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        match is_text(field.data_type()) {
            true => Arc::new(field.as_ref().clone().with_data_type(once())),
            false => Arc::clone(field),
        }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    // What cannot be unpacked so is unpacked as it is stored.
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options).unwrap_or(metadata)
}

/// A table out of batches of Arrow's columns.
pub(super) fn read_batches(
    schema: &Schema,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    source: &str,
    options: &ReadOptions,
) -> Result<Table> {
    let columns = schema.fields().iter().map(|field| StoredColumn::new(field, source, options));
    let mut columns: Vec<StoredColumn<'_>> = columns.collect::<Result<_>>()?;
    let budget = MemoryBudget::new(format!("reading {source}"), "a part of the rows or columns");
    for batch in batches {
        let batch = batch?;
        // The batch, and its cells in columns that grow.
        budget.take(2 * batch.get_array_memory_size() as u64)?;
        columns
            .iter_mut()
            .zip(batch.columns())
            .try_for_each(|(column, array)| column.add(array))?;
    }
    let columns = columns.into_iter().map(StoredColumn::finish);
    table(columns.collect::<Result<_>>()?, source, options)
}

fn table(columns: Vec<Column>, source: &str, options: &ReadOptions) -> Result<Table> {
    if columns.iter().all(|column| column.values.is_empty()) {
        return Err(Error::input("there are no rows").at(source));
    }
    Ok(Table::with_source(columns, source.to_owned(), None)?.read_with(options, Vec::new()))
}

/// The rows of a stored column so far, before texts that are numbers become such.
struct StoredColumn<'a> {
    column: Column,
    /// What the texts of its dictionary are numbered.
    dictionary: DictionaryNumbers,
    source: &'a str,
    options: &'a ReadOptions,
}

impl<'a> StoredColumn<'a> {
    /// No rows.
    fn new(field: &Field, source: &'a str, options: &'a ReadOptions) -> Result<Self> {
        let at = |error: Error| error.at(format!("{source}: column \"{}\"", field.name()));
        let values = match Reading::of(field.name(), options) {
            Reading::Usual => empty_values(value_type(field.data_type())).map_err(at)?,
            // A text holds every digit; numbers that none of them needs become numbers again.
            _ if is_whole(field.data_type()) => Values::Text(TextCells::default()),
            _ => empty_values(value_type(field.data_type())).map_err(at)?,
        };
        let column = Column { name: field.name().clone(), values };
        Ok(Self { column, dictionary: DictionaryNumbers::default(), source, options })
    }

    /// Room for `rows`, as a file says that it has; where that much cannot be had, the column grows as
    /// the rows come.
    fn reserve(&mut self, rows: usize) {
        let _ = match &mut self.column.values {
            Values::Numbers(cells) => cells.try_reserve_exact(rows),
            Values::Times(cells) => cells.instants.try_reserve_exact(rows),
            Values::Text(cells) => cells.try_reserve(rows),
        };
    }

    /// Puts further rows below these.
    fn add(&mut self, array: &ArrayRef) -> Result<()> {
        let Self { column, source, .. } = self;
        if let Values::Text(cells) = &mut column.values
            && let Some(array) = array.as_dictionary_opt::<Int32Type>()
            && array.values().data_type() == &DataType::Utf8
        {
            self.dictionary.append(array, cells);
            return Ok(());
        }
        let unpacked = value_type(array.data_type());
        let array = cast(array, unpacked).map_err(|cause| {
            let message = format!("{} cannot be read as {unpacked}", array.data_type());
            Error::input(message).because(cause).at(format!("{source}: \"{}\"", column.name))
        })?;
        append(column, &array).map_err(|error| error.at(*source))
    }

    fn finish(self) -> Result<Column> {
        let Self { mut column, source, options, .. } = self;
        if let Values::Text(cells) = column.values {
            let found = values(cells, Reading::of(&column.name, options), options);
            let place = |row| format!("{source}: row {}, column \"{}\"", row + 1, column.name);
            column.values = placed(found, place)?;
        }
        Ok(column)
    }
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

/// Appends stored cells.
fn append(column: &mut Column, array: &ArrayRef) -> Result<()> {
    let place = format!("column \"{}\"", column.name);
    let converted = |target: &DataType| {
        cast(array, target).map_err(|cause| {
            let message = format!("{} cannot be read as {target}", array.data_type());
            Error::input(message).because(cause).at(place.clone())
        })
    };
    match &mut column.values {
        Values::Numbers(cells) => {
            let array = converted(&DataType::Float64)?;
            let array = downcast::<Float64Array>(&array)?;
            match array.null_count() {
                0 => cells.extend_from_slice(array.values()),
                _ => cells.extend(array.iter().map(|cell| cell.unwrap_or(f64::NAN))),
            }
        }
        Values::Text(cells) => {
            // What cannot be a text (a struct, say) shows its type instead: it is not a channel.
            let Ok(array) = cast(array, &DataType::Utf8) else {
                let shown = array.data_type().to_string();
                let cell = |row| array.is_valid(row).then_some(shown.as_str());
                (0..array.len()).for_each(|row| cells.push(cell(row)));
                return Ok(());
            };
            let array = downcast::<StringArray>(&array)?;
            array.iter().for_each(|cell| cells.push(cell));
        }
        Values::Times(cells) => append_times(cells, array, converted)
            .map_err(|(row, error)| error.at(format!("row {row}, {place}")))?,
    }
    Ok(())
}

/// Appends stored times; an error comes with the number of its row, from 1.
fn append_times(
    cells: &mut TimeCells,
    array: &ArrayRef,
    converted: impl Fn(&DataType) -> Result<ArrayRef>,
) -> std::result::Result<(), (usize, Error)> {
    let in_first_row = |error| (cells.instants.len() + 1, error);
    // A date of 32 bits counts days, all others count parts of a second.
    let unit = nanoseconds_per_unit(array.data_type());
    let array = match array.data_type() {
        DataType::Date32 => converted(&DataType::Int32)
            .and_then(|days| {
                let failed = |cause| Error::internal("days do not fit 64 bits").because(cause);
                cast(&days, &DataType::Int64).map_err(failed)
            })
            .map_err(in_first_row)?,
        _ => converted(&DataType::Int64).map_err(in_first_row)?,
    };
    let stored = downcast::<Int64Array>(&array).map_err(in_first_row)?;
    let before = cells.instants.len();
    let nanoseconds = |cell: i64| cell.checked_mul(unit);
    let values = stored.values();
    let in_range = [values.iter().min(), values.iter().max()].into_iter().flatten();
    if stored.null_count() == 0 && in_range.clone().all(|&end| nanoseconds(end).is_some()) {
        cells.instants.extend(values.iter().map(|&cell| cell * unit));
    } else {
        for cell in stored {
            let Some(time) = cell.map_or(Some(TimeCells::MISSING), nanoseconds) else {
                let error = Error::input(format!("a time {}", NotATime::OutOfRange));
                return Err((cells.instants.len() + 1, error));
            };
            cells.instants.push(time);
        }
    }
    let fine = |&time: &i64| time % SECOND != 0 && time != TimeCells::MISSING;
    let new = &cells.instants[before..];
    if unit % SECOND != 0 && new.iter().any(fine) {
        cells.style = cells.style.holding(new.iter().copied().filter(fine));
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

/// Writes a Parquet file, packed with Snappy, which every reader knows. Times are stored as
/// microseconds, with the zone that they have, or UTC if their style has offsets that differ.
pub(super) fn write(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let batch = to_batch(table).map_err(io::Error::other)?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    writer.close()?;
    out.write_all(&bytes)
}

/// The table as Arrow's columns, each of which may miss cells, so that a column has the same type
/// whether or not one is missing.
pub(super) fn to_batch(table: &Table) -> std::result::Result<RecordBatch, ArrowError> {
    let columns =
        table.columns().iter().map(|column| (column.name.as_str(), stored(&column.values), true));
    RecordBatch::try_from_iter_with_nullable(columns)
}

fn stored(values: &Values) -> ArrayRef {
    match values {
        Values::Numbers(cells) => {
            let cells = cells.iter().map(|&cell| (!cell.is_nan()).then_some(cell));
            Arc::new(cells.collect::<Float64Array>())
        }
        Values::Text(cells) => Arc::new(cells.iter().collect::<StringArray>()),
        Values::Times(cells) if cells.style == TimeStyle::Index => {
            Arc::new(cells.iter().collect::<Int64Array>())
        }
        Values::Times(cells) => stored_times(cells),
    }
}

/// In microseconds, which every reader knows; in nanoseconds where some are finer.
fn stored_times(cells: &TimeCells) -> ArrayRef {
    let zone: Option<Arc<str>> = match &cells.offsets {
        Offsets::Zone(zone) => zone.iana_name().map(Arc::from),
        // Days are those of the clock on the wall, so that its distance from UTC is kept.
        Offsets::Fixed(offset) if *offset % 60 == 0 && *offset != 0 => {
            let (sign, minutes) = (if *offset < 0 { '-' } else { '+' }, offset.abs() / 60);
            Some(format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60).into())
        }
        _ => cells.style.has_offset().then(|| Arc::from("UTC")),
    };
    if cells.iter().flatten().all(|time| time % 1000 == 0) {
        let times = cells.iter().map(|time| time.map(|time| time / 1000));
        let array = times.collect::<TimestampMicrosecondArray>();
        return Arc::new(array.with_timezone_opt(zone));
    }
    let array = cells.iter().collect::<TimestampNanosecondArray>();
    Arc::new(array.with_timezone_opt(zone))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Date32Array, DictionaryArray, Float32Array, Int8Array};
    use arrow::array::{Int16Array, LargeStringArray};
    use arrow::array::{StructArray, TimestampNanosecondArray, TimestampSecondArray};

    #[test]
    fn groups_of_rows_are_one_table() {
        let seconds = |row: i64| if row == 9 { 9_500_000_000 } else { row * SECOND };
        let times: Vec<Option<i64>> = (0..10).map(|row| (row != 4).then(|| seconds(row))).collect();
        let texts = (0..10).map(|row| if row % 3 == 1 { None } else { Some(["a", "b"][row % 2]) });
        let columns: [(&str, ArrayRef); 4] = [
            ("ds", Arc::new(times.into_iter().collect::<TimestampNanosecondArray>())),
            ("unique_id", Arc::new(texts.collect::<StringArray>())),
            ("id", Arc::new((0..10).map(|row| Some(7 + row)).collect::<Int64Array>())),
            ("x", Arc::new((0..10).map(|row| (row != 7).then_some(0.5)).collect::<Float64Array>())),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let read = |rows: usize| {
            let file = tempfile::NamedTempFile::new().unwrap();
            let properties =
                WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
            let out = file.reopen().unwrap();
            let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            super::read(file.path(), "t.parquet", &ReadOptions::default()).unwrap()
        };
        let whole = read(100);
        assert_eq!(whole.columns()[0].values.text(9), "1970-01-01 00:00:09.5");
        for rows in [1, 3, 5, 10] {
            assert_eq!(format!("{:?}", read(rows)), format!("{whole:?}"), "groups of {rows} rows");
        }
    }

    fn stored_file(columns: Vec<(&str, ArrayRef)>) -> tempfile::NamedTempFile {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = file.reopen().unwrap();
        let mut writer = ArrowWriter::try_new(out, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    fn open(file: &tempfile::NamedTempFile) -> Result<Table> {
        Table::read(file.path(), &ReadOptions::default())
    }

    #[test]
    fn every_stored_type_becomes_a_number_a_time_or_a_text() {
        let inner = Arc::new(Field::new("y", DataType::Int16, false));
        let nested =
            StructArray::from(vec![(inner, Arc::new(Int16Array::from(vec![1, 2])) as ArrayRef)]);
        let nanos = TimestampNanosecondArray::from(vec![Some(3_600_000_000_000), None]);
        let file = stored_file(vec![
            ("single", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
            ("short", Arc::new(Int16Array::from(vec![-3, 4]))),
            ("flag", Arc::new(BooleanArray::from(vec![true, false]))),
            ("nanos", Arc::new(nanos.with_timezone("UTC"))),
            ("day", Arc::new(Date32Array::from(vec![-1, 0]))),
            ("text", Arc::new(LargeStringArray::from(vec![Some("a"), None]))),
            ("nested", Arc::new(nested)),
        ]);
        let table = open(&file).unwrap();
        let rows = [0, 1].map(|row| {
            let cells = table.columns().iter().map(|column| column.values.text(row));
            cells.take(6).collect::<Vec<_>>().join("|")
        });
        assert_eq!(rows[0], "0.5|-3|1|1970-01-01T01:00:00Z|1969-12-31|a");
        assert_eq!(rows[1], "|4|0||1970-01-01|");
        assert!(matches!(table.columns()[6].values, Values::Text(_)));
        assert!(table.place(1, "text").contains("row 2, column \"text\""));
    }

    #[test]
    fn dictionaries_and_numbers_stored_as_texts_are_numbers() {
        let prices = Float32Array::from(vec![0.5, 1.5]);
        let keys = Int8Array::from(vec![Some(1), None]);
        let coded = DictionaryArray::new(keys, Arc::new(prices));
        let big = Int64Array::from(vec![9_007_199_254_740_993, 9_007_199_254_740_992]);
        let file = stored_file(vec![
            ("coded", Arc::new(coded)),
            ("text", Arc::new(StringArray::from(vec![Some("1.5"), Some("NA")]))),
            ("flag", Arc::new(StringArray::from(vec![Some("True"), Some("False")]))),
            ("unique_id", Arc::new(big.clone())),
            ("id", Arc::new(big)),
            ("series", Arc::new(Int16Array::from(vec![Some(7), None]))),
            ("item", Arc::new(StringArray::from(vec![Some("007"), Some("7")]))),
            ("series_id", Arc::new(StringArray::from(vec![Some("NA"), Some("1.0")]))),
        ]);
        let table = open(&file).unwrap();
        let cells = |row| table.columns().iter().map(|c| c.values.text(row)).collect::<Vec<_>>();
        let big = ["9007199254740993", "9007199254740992"];
        assert_eq!(cells(0), ["1.5", "1.5", "1", big[0], big[0], "7", "007", "NA"]);
        assert_eq!(cells(1), ["", "", "0", big[1], big[1], "", "7", "1.0"]);
        for number in table.columns()[..3].iter().chain([&table.columns()[5]]) {
            assert!(matches!(number.values, Values::Numbers(_)), "{}", number.name);
        }
    }

    #[test]
    fn files_are_read_however_they_are_packed() {
        let batch = to_batch(&Table::new(vec![Column::numbers("x", vec![1.0, 2.0])]).unwrap());
        let batch = batch.unwrap();
        for packed in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::BROTLI(Default::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(Default::default()),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let properties = WriterProperties::builder().set_compression(packed).build();
            let out = file.reopen().unwrap();
            let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            assert_eq!(open(&file).unwrap().num_rows(), 2, "{packed:?}");
        }
    }

    #[test]
    fn zones_and_fractions_of_a_second_are_kept() {
        let berlin = TimestampNanosecondArray::from(vec![
            1_698_530_400_000_000_000,
            1_698_616_800_000_000_000,
        ]);
        let ahead = TimestampSecondArray::from(vec![0, 60]);
        let file = stored_file(vec![
            ("berlin", Arc::new(berlin.with_timezone("Europe/Berlin"))),
            ("ahead", Arc::new(ahead.with_timezone("+05:30"))),
            ("fine", Arc::new(TimestampNanosecondArray::from(vec![1_000_000, 100_000_001]))),
        ]);
        let table = open(&file).unwrap();
        let text = |column: usize, row| table.columns()[column].values.text(row);
        assert_eq!(text(0, 0), "2023-10-29T00:00:00+02:00");
        assert_eq!(text(0, 1), "2023-10-29T23:00:00+01:00");
        assert_eq!(text(1, 1), "1970-01-01T05:31:00+05:30");
        assert_eq!(text(2, 1), "1970-01-01 00:00:00.100000001");
        let mut bytes = Vec::new();
        write(&table, &mut bytes).unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let back = open(&file).unwrap();
        assert_eq!(back.columns()[0], table.columns()[0]);
        assert_eq!(back.columns()[2], table.columns()[2]);
    }

    #[test]
    fn what_cannot_be_held_is_refused_with_its_place() {
        let infinite =
            stored_file(vec![("x", Arc::new(Float32Array::from(vec![1.0, f32::INFINITY])))]);
        let text = open(&infinite).unwrap_err().to_string();
        assert!(text.contains("row 2, column \"x\": an infinite number"), "{text}");
        let far = stored_file(vec![("t", Arc::new(TimestampSecondArray::from(vec![0, 1 << 40])))]);
        let text = open(&far).unwrap_err().to_string();
        assert!(text.contains("row 2, column \"t\": a time lies outside of 1677"), "{text}");
        let nowhere = TimestampSecondArray::from(vec![0]).with_timezone("Mars/Base");
        let text = open(&stored_file(vec![("t", Arc::new(nowhere))])).unwrap_err().to_string();
        assert!(text.contains("column \"t\": the time zone \"Mars/Base\" is not known"), "{text}");
        let none = stored_file(vec![("x", Arc::new(Float32Array::from(Vec::<f32>::new())))]);
        assert!(open(&none).unwrap_err().to_string().contains("there are no rows"));
        let damaged = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(damaged.path(), b"PAR1\0 and no more").unwrap();
        let text = open(&damaged).unwrap_err().to_string();
        assert!(text.contains("the Parquet file cannot be read"), "{text}");
    }
}
