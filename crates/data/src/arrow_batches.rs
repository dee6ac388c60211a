//! Arrow's batches in memory into a table, and a table into a batch: what other programs hand over and take.

use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchReader};

use super::foreign_code::guarded;
use super::parquet_file::{read_batches, to_batch, within};
use super::table::{ReadOptions, Table};
use ptsm_core::{Error, Result};

impl Table {
    /// Reads all batches of `reader`, with the rules of a Parquet file: floats, integers, decimals and booleans become
    /// numbers, timestamps and dates become times, texts what they would be in a CSV file; null is missing. `source` is
    /// what messages call the table.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a batch cannot be read, a column cannot be used, or there is no row; `OutOfMemory`.
    pub fn from_batches(
        reader: impl RecordBatchReader,
        source: &str,
        options: &ReadOptions,
    ) -> Result<Self> {
        let schema = reader.schema();
        let damaged = |cause: ArrowError| Error::input("the batches cannot be read").because(cause);
        let batches = reader.map(|batch| batch.map_err(damaged));
        let read = || read_batches(&schema, batches, source, options);
        guarded("Arrow", read).map_err(|error| within(error, source))
    }

    /// The table as one batch, as it is written to a Parquet file: numbers as Float64, texts as Utf8, times as
    /// timestamps in microseconds (nanoseconds where some are finer) or, for an index, as Int64. A missing cell is null.
    ///
    /// # Errors
    ///
    /// `Internal` if the columns do not make a batch.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        to_batch(self).map_err(|e| Error::internal("a table makes no batch").because(e))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::table::Column;
    use arrow::array::{
        ArrayRef, DictionaryArray, Float32Array, LargeStringArray, StringViewArray,
    };
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};
    use arrow::record_batch::RecordBatchIterator;

    fn read(columns: Vec<(&str, ArrayRef)>) -> Result<Table> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let schema = batch.schema();
        let halves = [batch.slice(0, 1), batch.slice(1, batch.num_rows() - 1)];
        let reader = RecordBatchIterator::new(halves.map(Ok), schema);
        Table::from_batches(reader, "frame", &ReadOptions::default())
    }

    #[test]
    fn texts_of_every_layout_are_the_same_texts() {
        let texts = ["a", "b", "a"];
        let layouts: [ArrayRef; 3] = [
            Arc::new(LargeStringArray::from_iter_values(texts)),
            Arc::new(StringViewArray::from_iter_values(texts)),
            Arc::new(texts.into_iter().collect::<DictionaryArray<Int32Type>>()),
        ];
        let wanted = Column::text("id", texts.map(str::to_owned).to_vec());
        for layout in layouts {
            let numbers: ArrayRef = Arc::new(Float32Array::from(vec![0.5, 1.0, 2.0]));
            let table = read(vec![("id", layout), ("x", numbers)]).unwrap();
            assert_eq!(table.columns()[0], wanted);
            assert_eq!(table.columns()[1].values.text(1), "1");
        }
    }

    #[test]
    fn a_table_comes_back_from_its_batch() {
        let ids = Column::text("id", vec!["a".to_owned(), "b".to_owned()]);
        let table = Table::new(vec![ids, Column::numbers("x", vec![0.1, f64::NAN])]).unwrap();
        let batch = table.to_batch().unwrap();
        let reader = RecordBatchIterator::new([Ok(batch.clone())], batch.schema());
        let back = Table::from_batches(reader, "frame", &ReadOptions::default()).unwrap();
        assert_eq!(back.columns()[0], table.columns()[0]);
        assert_eq!(back.columns()[1].values.text(0), "0.1");
        assert_eq!(back.columns()[1].values.text(1), "");
    }

    #[test]
    fn a_reader_that_fails_is_an_error_of_the_table() {
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Float64, true)]));
        let broken = ArrowError::ExternalError("torn".into());
        let reader = RecordBatchIterator::new([Err(broken)], schema);
        let error = Table::from_batches(reader, "frame", &ReadOptions::default()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("frame: the batches cannot be read") && text.contains("torn"),
            "{text}"
        );
    }
}
