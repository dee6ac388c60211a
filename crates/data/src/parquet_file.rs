//! Parquet files into a table and back.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::properties::WriterProperties;
use rayon::prelude::*;

use super::foreign_code::guarded;
use super::stored_column::{EndedPart, StoredColumn, StoredPart};
use super::table::{Column, ReadOptions, Table, Values};
use super::table_parts::TableParts;
use super::time_cells::{Offsets, TimeCells};
use super::timestamp::TimeStyle;
use ptsm_core::{Error, MemoryBudget, Result, bytes_of};

/// Rows that are unpacked at once.
const BATCH_ROWS: usize = 1 << 14;

/// Rows of a group that is written, at least, where tables come one after the other.
const GROUP_ROWS: usize = 1 << 17;

/// Reads the whole file, packed in any way. Floats, integers, decimals and booleans become numbers,
/// timestamps and dates become times, texts what they would be in a CSV file; null is missing.
pub(super) fn read(path: &Path, source: &str, options: &ReadOptions) -> Result<Table> {
    let open = || File::open(path).map_err(|cause| Error::io(path, "cannot be read", cause));
    let damaged = |cause| unreadable(cause).at(source);
    let load = || ArrowReaderMetadata::load(&open()?, Default::default()).map_err(damaged);
    let metadata = guarded("Parquet", load).map_err(|error| error.at(source))?;
    let metadata = with_texts_once(metadata);
    let fields = metadata.schema().fields().iter();
    let columns = fields.map(|field| StoredColumn::new(field, source, options));
    let mut columns: Vec<StoredColumn<'_>> = columns.collect::<Result<_>>()?;
    let budget = MemoryBudget::new(format!("reading {source}"), "a part of the rows or columns");
    let pieces = pieces(&metadata, &mut columns, &budget)?;
    let read = |piece: Piece<'_>| {
        let (number, column) = (piece.number, piece.column);
        let ended = guarded("Parquet", || piece.read(&metadata, &open, &budget));
        (number, column, ended.map_err(|error| within(error, source)))
    };
    let mut ended: Vec<(usize, usize, Result<EndedPart>)> =
        pieces.into_par_iter().with_max_len(1).map(read).collect();
    // In the order of columns and rows, so that the first error is told.
    ended.sort_by_key(|&(number, ..)| number);
    for (_, column, part) in ended {
        columns[column].take(part?);
    }
    let finish = |column| guarded("Parquet", || StoredColumn::finish(column));
    let columns: Vec<Result<Column>> = columns.into_par_iter().map(finish).collect();
    let columns = columns.into_iter().map(|column| column.map_err(|error| within(error, source)));
    table(columns.collect::<Result<_>>()?, source, options)
}

/// Cells that a Parquet file in memory says it has.
pub(super) fn num_cells(bytes: &[u8]) -> Result<u64> {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let damaged = |cause| unreadable(cause);
    let load = || ArrowReaderMetadata::load(&bytes, Default::default()).map_err(damaged);
    let metadata = guarded("Parquet", load)?;
    let file = metadata.metadata().file_metadata();
    let columns = file.schema_descr().num_columns() as u64;
    Ok(u64::try_from(file.num_rows()).unwrap_or(u64::MAX).saturating_mul(columns))
}

/// What the threads share, the largest first: they end together, and what a large one needed is there for
/// the others.
fn pieces<'c>(
    metadata: &ArrowReaderMetadata,
    columns: &'c mut [StoredColumn<'_>],
    budget: &MemoryBudget,
) -> Result<Vec<Piece<'c>>> {
    let mut pieces = Vec::new();
    for (column, stored) in columns.iter_mut().enumerate() {
        // Parts of texts are put together at the end, so that there are few of them.
        let of_a_thread = if stored.is_text() { 1 } else { PIECES_OF_A_THREAD };
        let shares = shares(metadata, column, of_a_thread * rayon::current_num_threads());
        let rows: Vec<usize> = shares.iter().map(|groups| rows_of(metadata, groups)).collect();
        budget.take(bytes_of(&[2, rows.iter().sum()]))?;
        for (part, groups) in stored.parts(&rows)?.into_iter().zip(shares) {
            pieces.push(Piece { number: pieces.len(), column, groups, part });
        }
    }
    pieces.sort_by_key(|piece| {
        let groups = &metadata.metadata().row_groups()[piece.groups.clone()];
        let work = groups.iter().map(|group| work(metadata, group, |root| root == piece.column));
        std::cmp::Reverse(work.sum::<i64>())
    });
    Ok(pieces)
}

/// Groups of rows of one column, which one thread reads.
struct Piece<'a> {
    /// Its place among all, by column and rows.
    number: usize,
    column: usize,
    groups: Range<usize>,
    part: StoredPart<'a>,
}

impl Piece<'_> {
    fn read(
        self,
        metadata: &ArrowReaderMetadata,
        open: &(dyn Fn() -> Result<File> + Sync),
        budget: &MemoryBudget,
    ) -> Result<EndedPart> {
        let Self { column, groups, mut part, .. } = self;
        // Group by group: rows of two groups have no dictionary in common.
        for group in groups {
            let only = ProjectionMask::roots(metadata.parquet_schema(), [column]);
            // A file of its own, since readers of one move the same cursor.
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(open()?, metadata.clone());
            let builder = builder.with_projection(only).with_row_groups(vec![group]);
            for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)? {
                let batch = batch.map_err(|cause| unreadable(cause.into()))?;
                if part.is_text() {
                    budget.take(batch.get_array_memory_size() as u64)?;
                }
                part.add(batch.column(0))?;
            }
        }
        part.end()
    }
}

/// Pieces of work that each thread has, so that all end together.
const PIECES_OF_A_THREAD: usize = 4;

/// The groups of rows of a column in pieces, none of which is much more work than that of all columns
/// divided by `pieces`.
fn shares(metadata: &ArrowReaderMetadata, column: usize, pieces: usize) -> Vec<Range<usize>> {
    let groups = metadata.metadata().row_groups();
    let all: i64 = groups.iter().map(|group| work(metadata, group, |_| true)).sum();
    let most = all / i64::try_from(pieces).unwrap_or(i64::MAX);
    let mut shares = Vec::new();
    let (mut start, mut sum) = (0, 0);
    for (number, group) in groups.iter().enumerate() {
        sum += work(metadata, group, |root| root == column);
        if sum >= most {
            shares.push(start..number + 1);
            (start, sum) = (number + 1, 0);
        }
    }
    if start < groups.len() {
        shares.push(start..groups.len());
    }
    shares
}

/// What reading some columns of a group costs. Unpacking a byte takes about half as long as a row does
/// otherwise.
fn work(
    metadata: &ArrowReaderMetadata,
    group: &RowGroupMetaData,
    is_wanted: impl Fn(usize) -> bool,
) -> i64 {
    let root = |leaf| metadata.parquet_schema().get_column_root_idx(leaf);
    let leaves = group.columns().iter().enumerate().filter(|(leaf, _)| is_wanted(root(*leaf)));
    leaves.map(|(_, chunk)| chunk.compressed_size() + 2 * group.num_rows()).sum()
}

/// Rows of some groups, as the file says.
fn rows_of(metadata: &ArrowReaderMetadata, groups: &Range<usize>) -> usize {
    let groups = &metadata.metadata().row_groups()[groups.clone()];
    groups.iter().map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).sum()
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

/// Begins a Parquet file, packed with Snappy, which every reader knows. Times are stored as
/// microseconds, with the zone that they have, or UTC if their style has offsets that differ.
pub(super) fn begin<'a>(out: &'a mut dyn Write) -> Box<dyn TableParts + 'a> {
    Box::new(ParquetParts { out, begun: None })
}

/// A Parquet file that is being written.
struct ParquetParts<'a> {
    out: &'a mut dyn Write,
    /// Its memory is emptied after every group of rows; `None` before the first table.
    begun: Option<BegunFile>,
}

/// A writer into memory, and the types of its columns.
struct BegunFile {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
}

impl TableParts for ParquetParts<'_> {
    fn push(&mut self, table: &Table) -> io::Result<()> {
        let mut batch = to_batch(table).map_err(io::Error::other)?;
        let BegunFile { writer, .. } = match &mut self.begun {
            Some(begun) => {
                batch = like(&batch, &begun.schema).map_err(io::Error::other)?;
                begun
            }
            None => {
                let packed = WriterProperties::builder().set_compression(Compression::SNAPPY);
                let (schema, properties) = (batch.schema(), Some(packed.build()));
                let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), properties)?;
                self.begun.insert(BegunFile { writer, schema })
            }
        };
        writer.write(&batch)?;
        if writer.in_progress_rows() >= GROUP_ROWS {
            writer.flush()?;
            writer.sync()?;
            self.out.write_all(writer.inner())?;
            writer.inner_mut().clear();
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        match self.begun {
            Some(begun) => self.out.write_all(&begun.writer.into_inner()?),
            None => Ok(()),
        }
    }
}

/// The columns of a batch in the types of an earlier one: times of later rows may be an hour further from
/// UTC.
pub(super) fn like(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> std::result::Result<RecordBatch, ArrowError> {
    if batch.schema() == *schema {
        return Ok(batch.clone());
    }
    let cast = |(column, field): (&ArrayRef, &Arc<Field>)| {
        let (from, to) = (column.data_type(), field.data_type());
        let coarser = matches!(
            (from, to),
            (DataType::Timestamp(TimeUnit::Nanosecond, _), DataType::Timestamp(unit, _))
                if *unit != TimeUnit::Nanosecond
        );
        if coarser {
            let text = format!("times of column \"{}\" are finer in later rows", field.name());
            return Err(ArrowError::CastError(text));
        }
        arrow::compute::cast(column, to)
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(cast);
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<std::result::Result<_, _>>()?)
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
    use crate::civil::SECOND;
    use arrow::array::{BooleanArray, Date32Array, DictionaryArray, Float32Array, Int8Array};
    use arrow::array::{Int16Array, LargeStringArray};
    use arrow::array::{StructArray, TimestampNanosecondArray, TimestampSecondArray};
    use arrow::datatypes::Field;

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
        for (rows, threads) in [1, 3, 5, 10].into_iter().flat_map(|rows| [(rows, 1), (rows, 3)]) {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let read = pool.install(|| read(rows));
            assert_eq!(format!("{read:?}"), format!("{whole:?}"), "groups of {rows} rows");
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
        crate::table_parts::write_whole(begin, &table, &mut bytes).unwrap();
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
