//! Parquet files into a table and back.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::table::{Column, Table, Values};
use super::texts::Texts;
use super::timestamp::{CalendarStyle, NotATime, OffsetStyle, Precision, TimeStyle};
use ptsm_core::{Error, Result};

/// Reads the whole file. Floats, integers, decimals and booleans become numbers, timestamps and
/// dates become times, all else becomes text; null is missing.
pub(super) fn read(path: &Path, source: &str) -> Result<Table> {
    let file = File::open(path).map_err(|cause| Error::io(path, "cannot be read", cause))?;
    let damaged = |cause| {
        let message = "the Parquet file cannot be read";
        Error::input(message).because(cause).at(source)
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
    let schema = Arc::clone(builder.schema());
    let mut columns: Vec<Column> = schema
        .fields()
        .iter()
        .map(|field| Column { name: field.name().clone(), values: empty_values(field.data_type()) })
        .collect();
    for batch in builder.build().map_err(damaged)? {
        let batch = batch.map_err(|cause| {
            let message = "the Parquet file cannot be read";
            Error::input(message).because(cause).at(source)
        })?;
        for (column, array) in columns.iter_mut().zip(batch.columns()) {
            append(column, array).map_err(|error| error.at(source))?;
        }
    }
    if columns.iter().all(|column| column.values.is_empty()) {
        return Err(Error::input("there are no rows").at(source));
    }
    Table::with_source(columns, source.to_owned(), None)
}

/// The kind of column that a stored type becomes, without cells.
fn empty_values(stored: &DataType) -> Values {
    let times = |style| Values::Times { seconds: Vec::new(), style };
    match stored {
        DataType::Timestamp(_, zone) => times(stored_style(zone.is_some(), Precision::Second)),
        DataType::Date32 | DataType::Date64 => times(stored_style(false, Precision::Day)),
        DataType::Boolean | DataType::Null | DataType::Decimal128(..) => {
            Values::Numbers(Vec::new())
        }
        stored if stored.is_numeric() => Values::Numbers(Vec::new()),
        _ => Values::Text(Vec::new()),
    }
}

fn stored_style(zoned: bool, precision: Precision) -> TimeStyle {
    let TimeStyle::Calendar(plain) = TimeStyle::PLAIN else {
        return TimeStyle::PLAIN;
    };
    TimeStyle::Calendar(CalendarStyle {
        between: if zoned { 'T' } else { ' ' },
        offset: if zoned { OffsetStyle::Zulu } else { OffsetStyle::None },
        precision,
        ..plain
    })
}

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
            cells.extend(array.iter().map(|cell| cell.unwrap_or(f64::NAN)));
        }
        Values::Text(cells) => {
            // What cannot be a text (a struct, say) shows its type instead: it is not a channel.
            let Ok(array) = cast(array, &DataType::Utf8) else {
                let shown: Arc<str> = array.data_type().to_string().into();
                cells
                    .extend((0..array.len()).map(|row| array.is_valid(row).then(|| shown.clone())));
                return Ok(());
            };
            let array = downcast::<StringArray>(&array)?;
            let mut texts = Texts::default();
            cells.extend(array.iter().map(|cell| cell.map(|cell| texts.shared(cell))));
        }
        Values::Times { seconds, .. } => {
            let per_second = units_per_second(array.data_type());
            // A date of 32 bits counts days, all others count parts of a second.
            let days = matches!(array.data_type(), DataType::Date32);
            let array = match days {
                true => cast(&converted(&DataType::Int32)?, &DataType::Int64)
                    .map_err(|cause| Error::internal("days do not fit 64 bits").because(cause))?,
                false => converted(&DataType::Int64)?,
            };
            for cell in downcast::<Int64Array>(&array)? {
                seconds.push(match cell {
                    Some(cell) if days => Some(cell * 86_400),
                    Some(cell) if cell % per_second != 0 => {
                        let row = seconds.len() + 1;
                        let message = format!("a time {}", NotATime::SubSecond);
                        return Err(Error::input(message).at(format!("row {row}, {place}")));
                    }
                    cell => cell.map(|cell| cell / per_second),
                });
            }
        }
    }
    Ok(())
}

fn units_per_second(stored: &DataType) -> i64 {
    match stored {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => 1000,
        _ => 1,
    }
}

fn downcast<T: 'static>(array: &ArrayRef) -> Result<&T> {
    let found = array.as_any().downcast_ref::<T>();
    found.ok_or_else(|| Error::internal("a cast column has another type"))
}

/// The bytes of a Parquet file, packed with Snappy, which every reader knows. Times are stored as
/// microseconds, with the zone UTC if their style has an offset.
pub(super) fn to_bytes(table: &Table) -> Result<Vec<u8>> {
    let columns = table.columns().iter().map(|column| {
        // Nullable throughout, so that a column has the same type whether or not a cell is missing.
        (column.name.as_str(), stored(&column.values), true)
    });
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::internal("the table cannot be encoded as Parquet").because(cause)
    };
    let batch = RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| failed(e.into()))?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))
        .map_err(|e| failed(e.into()))?;
    writer.write(&batch).map_err(|e| failed(e.into()))?;
    writer.close().map_err(|e| failed(e.into()))?;
    Ok(bytes)
}

fn stored(values: &Values) -> ArrayRef {
    match values {
        Values::Numbers(cells) => {
            let cells = cells.iter().map(|&cell| (!cell.is_nan()).then_some(cell));
            Arc::new(cells.collect::<Float64Array>())
        }
        Values::Text(cells) => {
            Arc::new(cells.iter().map(Option::as_deref).collect::<StringArray>())
        }
        Values::Times { seconds, style } => {
            let cells = seconds.iter().map(|cell| cell.map(|cell| cell * 1_000_000));
            let array = cells.collect::<TimestampMicrosecondArray>();
            let zoned = match style {
                TimeStyle::Calendar(style) => style.offset != OffsetStyle::None,
                TimeStyle::EpochSeconds | TimeStyle::EpochMilliseconds => true,
                TimeStyle::CompactDate => false,
            };
            Arc::new(if zoned { array.with_timezone("UTC") } else { array })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ReadOptions;
    use arrow::array::{BooleanArray, Date32Array, Float32Array, Int16Array, LargeStringArray};
    use arrow::array::{StructArray, TimestampNanosecondArray};
    use arrow::datatypes::Field;

    fn write(columns: Vec<(&str, ArrayRef)>) -> tempfile::NamedTempFile {
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
        let file = write(vec![
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
    fn what_cannot_be_held_is_refused_with_its_place() {
        let infinite = write(vec![("x", Arc::new(Float32Array::from(vec![1.0, f32::INFINITY])))]);
        let text = open(&infinite).unwrap_err().to_string();
        assert!(text.contains("row 2, column \"x\": an infinite number"), "{text}");
        let fine = write(vec![("t", Arc::new(TimestampNanosecondArray::from(vec![1])))]);
        let text = open(&fine).unwrap_err().to_string();
        assert!(text.contains("row 1, column \"t\": a time is finer than a second"), "{text}");
        let none = write(vec![("x", Arc::new(Float32Array::from(Vec::<f32>::new())))]);
        assert!(open(&none).unwrap_err().to_string().contains("there are no rows"));
        let damaged = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(damaged.path(), b"PAR1 and no more").unwrap();
        let text = open(&damaged).unwrap_err().to_string();
        assert!(text.contains("the Parquet file cannot be read"), "{text}");
    }
}
