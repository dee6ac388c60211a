//! Arrow's own files (also called Feather) and streams into a table, and a table into such a file.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::{FileWriter, StreamWriter};

use super::foreign::may_be_text;
use super::foreign_code::guarded;
use super::parquet_file::{like, read_batches, to_batch, within};
use super::table::{ReadOptions, Table};
use super::table_parts::TableParts;
use ptsm_core::{Error, Result};

/// How a file begins, and how a stream does.
const FILE: &[u8] = b"ARROW1";
const STREAM: &[u8] = &[0xff; 4];

/// Whether these are the first bytes of a file or a stream of Arrow.
pub(super) fn starts(bytes: &[u8]) -> bool {
    (bytes.starts_with(FILE) && !may_be_text(bytes)) || bytes.starts_with(STREAM)
}

/// Reads the whole file, as a Parquet file is read.
pub(super) fn read(path: &Path, source: &str, options: &ReadOptions) -> Result<Table> {
    let open = || File::open(path).map_err(|cause| Error::io(path, "cannot be read", cause));
    let damaged =
        |cause: ArrowError| Error::input("the Arrow file cannot be read").because(cause).at(source);
    let mut magic = [0; 6];
    super::text_file::read_up_to(&mut open()?, &mut magic)
        .map_err(|cause| Error::io(path, "cannot be read", cause))?;
    let file = BufReader::new(open()?);
    let read = || {
        if magic == FILE {
            let reader = FileReader::try_new(file, None).map_err(damaged)?;
            let schema = reader.schema();
            return read_batches(&schema, reader.map(|b| b.map_err(damaged)), source, options);
        }
        let reader = StreamReader::try_new(file, None).map_err(damaged)?;
        let schema = reader.schema();
        read_batches(&schema, reader.map(|b| b.map_err(damaged)), source, options)
    };
    guarded("Arrow", read).map_err(|error| within(error, source))
}

/// Begins an Arrow file, not packed, which every reader knows.
pub(super) fn begin<'a>(out: &'a mut dyn Write) -> Box<dyn TableParts + 'a> {
    Box::new(ArrowParts { out: Some(out), writer: None })
}

/// An Arrow file that is being written.
struct ArrowParts<'a> {
    /// Until the first table.
    out: Option<&'a mut dyn Write>,
    writer: Option<FileWriter<&'a mut dyn Write>>,
}

/// The table as a stream of Arrow's batches, not packed.
pub(super) fn stream(table: &Table) -> io::Result<Vec<u8>> {
    let write = || {
        let batch = to_batch(table)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    write().map_err(|cause: ArrowError| io::Error::other(cause))
}

impl TableParts for ArrowParts<'_> {
    fn push(&mut self, table: &Table) -> io::Result<()> {
        let failed = |cause: ArrowError| io::Error::other(cause);
        let batch = to_batch(table).map_err(failed)?;
        if let Some(out) = self.out.take() {
            self.writer = Some(FileWriter::try_new(out, &batch.schema()).map_err(failed)?);
        }
        let Some(writer) = &mut self.writer else {
            return Err(io::Error::other("a file that could not be begun"));
        };
        let batch = like(&batch, writer.schema()).map_err(failed)?;
        writer.write(&batch).map_err(failed)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        match self.writer {
            Some(mut writer) => writer.finish().map_err(io::Error::other),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::IpcWriteOptions;

    fn sample() -> Table {
        let ids = Column::text("id", vec!["a".to_owned(), "b".to_owned()]);
        Table::new(vec![ids, Column::numbers("x", vec![0.1, f64::NAN])]).unwrap()
    }

    fn read_back(bytes: &[u8]) -> Result<Table> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Table::read(file.path(), &ReadOptions::default())
    }

    #[test]
    fn files_and_streams_are_read_packed_or_not() {
        let batch = to_batch(&sample()).unwrap();
        for packing in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let options = || IpcWriteOptions::default().try_with_compression(packing).unwrap();
            let (mut file, mut stream) = (Vec::new(), Vec::new());
            let mut writer =
                FileWriter::try_new_with_options(&mut file, &batch.schema(), options()).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
            let mut writer =
                StreamWriter::try_new_with_options(&mut stream, &batch.schema(), options())
                    .unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
            drop(writer);
            for bytes in [file, stream] {
                let table = read_back(&bytes).unwrap();
                assert_eq!(table.columns()[0], sample().columns()[0]);
                assert_eq!(table.columns()[1].values.text(0), "0.1");
                assert_eq!(table.columns()[1].values.text(1), "");
            }
        }
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let text = read_back(b"ARROW1\0\0 and no more").unwrap_err().to_string();
        assert!(text.contains("the Arrow file cannot be read"), "{text}");
    }
}
