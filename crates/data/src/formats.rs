//! Tables from files and into files: which formats there are, and who reads and writes each.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ptsm_core::write_atomically;
use ptsm_core::{Error, Result};

use super::csv_blocks::{Open, Unpacked};
use super::file_set::{FileSet, stacked};
use super::foreign::{may_be_text, refusal};
use super::standard_input;
use super::table::{ReadOptions, Table};
use super::table_parts::{Begin, write_whole};
use super::text_file::{read_unpacked, read_up_to, unpacked, unpacking};
#[cfg(feature = "parquet")]
use super::{arrow_file, parquet_file};
use super::{csv_file, csv_writer, json_file};

/// A file format: how it is recognised, read and written.
struct Format {
    /// Endings of the names of such files, in small letters.
    endings: &'static [&'static str],
    /// Whether a file that begins with these bytes is of this format.
    starts: fn(&[u8]) -> bool,
    read: Reader,
    begin: Begin,
}

/// Who reads a format; the text is the name of the file for messages.
#[derive(Clone, Copy)]
enum Reader {
    /// From the file itself.
    File(fn(&Path, &str, &ReadOptions) -> Result<Table>),
    /// From its text, unpacked, a block at a time.
    Text(fn(Open<'_>, &str, &ReadOptions) -> Result<Table>),
    /// From its bytes, unpacked.
    Bytes(fn(&[u8], &str, &ReadOptions) -> Result<Table>),
}

/// The formats, in the order in which they are tried; what no other is, is CSV.
const FORMATS: [Format; 5] = [
    Format {
        endings: &["parquet", "pq"],
        starts: |bytes| bytes.starts_with(b"PAR1") && !may_be_text(bytes),
        read: Reader::File(parquet_file::read),
        begin: parquet_file::begin,
    },
    Format {
        endings: &["arrow", "feather", "ipc"],
        starts: arrow_file::starts,
        read: Reader::File(arrow_file::read),
        begin: arrow_file::begin,
    },
    Format {
        endings: &["json"],
        starts: json_file::starts,
        read: Reader::Bytes(json_file::read),
        begin: json_file::begin,
    },
    Format {
        endings: &["jsonl", "ndjson"],
        // Recognised and read with JSON: only the whole text tells them apart.
        starts: |_| false,
        read: Reader::Bytes(json_file::read),
        begin: json_file::begin_lines,
    },
    Format {
        endings: &["csv", "txt", "tsv"],
        starts: |_| true,
        read: Reader::Text(csv_file::read),
        begin: csv_writer::begin,
    },
];

/// Bytes by which a format is recognised.
const FIRST_BYTES: usize = 64;

fn format_of(bytes: &[u8]) -> &'static Format {
    FORMATS.iter().find(|format| (format.starts)(bytes)).unwrap_or(&FORMATS[FORMATS.len() - 1])
}

/// Whether a file of this name, in a folder of tables, is one of them.
fn is_table_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    FORMATS.iter().any(|format| format.endings.contains(&ending))
}

impl Table {
    /// Reads a file: CSV, JSON (an array of rows, an object of columns, or one row a line), each
    /// also packed with gzip or zstd, Parquet or Arrow (Feather), distinguished by their first
    /// bytes. Of a folder all its tables are read, of a pattern such as `in/*.parquet` all files
    /// that fit it: one below the other, by name, with the same columns. Folders called
    /// `column=value` on the way to a file become columns of texts. The path `-` is the standard input
    /// ([`STANDARD_INPUT`](crate::STANDARD_INPUT)).
    ///
    /// # Errors
    ///
    /// `Io` if a file cannot be read; `InvalidInput`, with file, line (from 1, the header counted)
    /// and column, if it is not a table, or not the same as the others.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self> {
        if standard_input::is_standard_input(path) {
            return Self::from_bytes(standard_input::bytes()?, standard_input::NAME, options);
        }
        match FileSet::of(path, is_table_name)? {
            Some(set) => stacked(&set, options, read_file),
            None => read_file(path, options),
        }
    }

    /// Whether [`Table::read`] finds something to read there: a file, a folder with tables, or a
    /// pattern that files fit.
    pub fn is_at(path: &Path) -> bool {
        if standard_input::is_standard_input(path) {
            return true;
        }
        match FileSet::of(path, is_table_name) {
            Ok(Some(_)) => true,
            Ok(None) => path.is_file(),
            Err(_) => false,
        }
    }

    /// Reads a table of any of these formats from memory; `source` names it in messages. Parquet and Arrow go through a
    /// temporary file.
    ///
    /// # Errors
    ///
    /// As [`Table::read`].
    pub fn from_bytes(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Self> {
        table_of(bytes, source, options)
    }

    /// Reads CSV text from memory, plain or packed with gzip or zstd; `source` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`Table::read`].
    pub fn from_csv(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Self> {
        let unpacked = unpacked(bytes, source)?;
        csv_file::read(&|| Ok(Box::new(unpacked.as_slice())), source, options)
    }

    /// Writes the table as CSV with commas and a header; a missing cell is empty.
    ///
    /// Numbers, texts without an outer space and times read back as the same values.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    pub fn write_csv(&self, out: &mut dyn Write) -> std::io::Result<()> {
        write_whole(csv_writer::begin, self, out)
    }
}

fn read_file(path: &Path, options: &ReadOptions) -> Result<Table> {
    let source = path.display().to_string();
    let failed = |cause| Error::io(path, "cannot be read", cause);
    let mut file = File::open(path).map_err(failed)?;
    let mut first = [0; FIRST_BYTES];
    let count = read_up_to(&mut file, &mut first).map_err(failed)?;
    let refused = |bytes: &[u8]| refuse_foreign(bytes, &source);
    refused(&first[..count])?;
    if let Reader::File(read) = format_of(&first[..count]).read {
        return read(path, &source, options);
    }
    // A pipe can be read once only.
    let is_file = file.metadata().map_err(failed)?.is_file();
    let held = match is_file {
        true => Vec::new(),
        false => read_unpacked(first[..count].chain(file), &source).map_err(failed)??,
    };
    let open = || -> Result<Unpacked<'_>> {
        if !is_file {
            return Ok(Box::new(held.as_slice()));
        }
        let file = File::open(path).map_err(failed)?;
        unpacking(file).map_err(failed)?.map_err(|error| error.at(&source))
    };
    let mut first = [0; FIRST_BYTES];
    let count = read_up_to(&mut open()?, &mut first).map_err(failed)?;
    refused(&first[..count])?;
    match format_of(&first[..count]).read {
        Reader::Text(read) => read(&open, &source, options),
        Reader::Bytes(read) if is_file => {
            let file = File::open(path).map_err(failed)?;
            read(&read_unpacked(file, &source).map_err(failed)??, &source, options)
        }
        Reader::Bytes(read) => read(&held, &source, options),
        Reader::File(_) => Err(packed_whole(&source)),
    }
}

/// Refuses what begins like a file of a format that is not read.
fn refuse_foreign(bytes: &[u8], source: &str) -> Result<()> {
    match refusal(bytes) {
        Some(text) => Err(Error::input(text).at(source)),
        None => Ok(()),
    }
}

fn packed_whole(source: &str) -> Error {
    let message = "a Parquet or Arrow file that is packed as a whole (unpack it first)";
    Error::input(message).at(source)
}

fn table_of(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Table> {
    let first = |bytes: &[u8]| bytes[..bytes.len().min(FIRST_BYTES)].to_vec();
    refuse_foreign(&first(bytes), source)?;
    if let Reader::File(read) = format_of(&first(bytes)).read {
        return read(standard_input::spooled(bytes)?.path(), source, options);
    }
    let unpacked = unpacked(bytes, source)?;
    refuse_foreign(&first(&unpacked), source)?;
    match format_of(&first(&unpacked)).read {
        Reader::Text(read) => read(&|| Ok(Box::new(unpacked.as_slice())), source, options),
        Reader::Bytes(read) => read(&unpacked, source, options),
        Reader::File(_) => Err(packed_whole(source)),
    }
}

/// A format that a table has in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableFormat {
    /// CSV with commas and a header.
    Csv,
    /// An array with one object for each row.
    Json,
    /// Parquet.
    Parquet,
    /// A stream of Arrow's IPC format.
    ArrowStream,
}

impl Table {
    /// The table in this format.
    ///
    /// # Errors
    ///
    /// `Internal` if it cannot be written; `InvalidInput` from a build without Parquet and Arrow.
    pub fn to_bytes(&self, format: TableFormat) -> Result<Vec<u8>> {
        let failed = |cause| Error::internal("a table cannot be written").because(cause);
        let begin: Begin = match format {
            TableFormat::Csv => csv_writer::begin,
            TableFormat::Json => json_file::begin,
            TableFormat::Parquet => parquet_file::begin,
            TableFormat::ArrowStream => return arrow_file::stream(self).map_err(failed),
        };
        let mut bytes = Vec::new();
        write_whole(begin, self, &mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}

/// Writes `table` in the format that the name ends in: `.csv`, `.parquet`, `.json` (an array with
/// one object per row; missing = null), `.jsonl` (one object a line), `.arrow` or `.feather`. The
/// file appears whole or not at all.
///
/// # Errors
///
/// `InvalidConfig` for another ending, `Io` if the file cannot be written.
pub fn write_table(path: &Path, table: &Table) -> Result<()> {
    let format = written_format(path)?;
    write_atomically(path, |out| write_whole(format.begin, table, out))
}

/// As [`write_table`], of tables with the same columns that come one after the other: each is written when
/// `fill` gives it to the function that it is called with, so that memory holds one at a time.
///
/// # Errors
///
/// As [`write_table`], and what `fill` returns; the file is as it was then.
pub fn write_tables(
    path: &Path,
    fill: impl FnOnce(&mut dyn FnMut(&Table) -> Result<()>) -> Result<()>,
) -> Result<()> {
    let format = written_format(path)?;
    let mut failure = None;
    let written = write_atomically(path, |out| {
        let mut parts = (format.begin)(out);
        let failed = |cause| Error::io(path, "cannot be written", cause);
        match fill(&mut |table| parts.push(table).map_err(failed)) {
            Ok(()) => parts.finish(),
            Err(error) => {
                failure = Some(error);
                Err(io::Error::other("what was to be written was not there"))
            }
        }
    });
    failure.map_or(written, Err)
}

/// The format that a name ends in.
///
/// # Errors
///
/// `InvalidConfig` for another ending.
fn written_format(path: &Path) -> Result<&'static Format> {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    let format = FORMATS.iter().find(|format| {
        let written = format.endings.iter().filter(|ending| !matches!(**ending, "txt" | "tsv"));
        written.into_iter().any(|known| ending.as_deref() == Some(known))
    });
    format.ok_or_else(|| {
        let text = "a table is written to a name that ends in .csv, .parquet, .arrow, .feather, .json or \
                    .jsonl";
        Error::config(path.display().to_string(), text)
    })
}

/// The files that [`Table::read`] reads for a path: the file itself, those of a folder, or those that a
/// pattern fits; the path alone where there is nothing to read.
pub fn table_files(path: &Path) -> Vec<PathBuf> {
    match FileSet::of(path, is_table_name) {
        Ok(Some(set)) => set.into_paths(),
        _ => vec![path.to_path_buf()],
    }
}

/// Without the feature `parquet` such files are refused.
#[cfg(not(feature = "parquet"))]
mod parquet_file {
    use std::io::{self, Write};
    use std::path::Path;

    use ptsm_core::{Error, Result};

    use super::super::table::{ReadOptions, Table};
    use super::super::table_parts::TableParts;

    pub(super) const REFUSED: &str =
        "this build has no Parquet and Arrow (feature \"parquet\"); use CSV";

    pub(super) fn read(_path: &Path, source: &str, _options: &ReadOptions) -> Result<Table> {
        Err(Error::input(REFUSED).at(source))
    }

    pub(super) fn begin<'a>(_out: &'a mut dyn Write) -> Box<dyn TableParts + 'a> {
        Box::new(Refused)
    }

    struct Refused;

    impl TableParts for Refused {
        fn push(&mut self, _table: &Table) -> io::Result<()> {
            Err(io::Error::other(REFUSED))
        }

        fn finish(self: Box<Self>) -> io::Result<()> {
            Ok(())
        }
    }
}

/// Without the feature `parquet` such files are refused.
#[cfg(not(feature = "parquet"))]
mod arrow_file {
    pub(super) use super::parquet_file::{begin, read};

    pub(super) fn stream(_table: &super::Table) -> std::io::Result<Vec<u8>> {
        Err(std::io::Error::other(super::parquet_file::REFUSED))
    }

    pub(super) fn starts(bytes: &[u8]) -> bool {
        let is_file = bytes.starts_with(b"ARROW1") && !super::may_be_text(bytes);
        is_file || bytes.starts_with(&[0xff; 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::civil::HOUR;
    use crate::{Column, TimeStyle};

    fn sample() -> Table {
        Table::new(vec![
            Column::times("time", vec![0, HOUR], TimeStyle::PLAIN),
            Column::text("id", vec!["a,b".to_owned(), "\"q\"\nline".to_owned()]),
            Column::numbers("x", vec![0.1 + 0.2, f64::NAN]),
        ])
        .unwrap()
    }

    #[test]
    fn every_format_is_chosen_by_the_ending_and_holds_the_values() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t.csv", "t.PARQUET", "t.arrow", "t.Feather", "t.json", "t.jsonl", "t.ndjson"]
        {
            let path = folder.path().join(name);
            write_table(&path, &sample()).unwrap();
            let back = Table::read(&path, &ReadOptions::default()).unwrap();
            let x = &back.column("x").unwrap().values;
            assert_eq!(x.text(0), "0.30000000000000004", "{name}");
            assert_eq!(x.text(1), "", "{name}");
            let id = &back.column("id").unwrap().values;
            assert_eq!(id, &sample().columns()[1].values, "{name}");
            let time = &back.column("time").unwrap().values;
            assert_eq!(time.text(1), "1970-01-01 01:00:00", "{name}");
        }
        let path = folder.path().join("t.json");
        write_table(&path, &sample()).unwrap();
        let rows: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(rows[0]["x"].as_f64(), Some(0.1 + 0.2));
        assert!(rows[1]["x"].is_null());
        assert_eq!(rows[1]["id"], "\"q\"\nline");
        assert_eq!(rows[1]["time"], "1970-01-01 01:00:00");
    }

    #[test]
    fn tables_one_after_the_other_are_one_table() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["t.csv", "t.parquet", "t.arrow", "t.json", "t.jsonl"] {
            let path = folder.path().join(name);
            let push_twice = |push: &mut dyn FnMut(&Table) -> Result<()>| {
                push(&sample())?;
                push(&sample())
            };
            write_tables(&path, push_twice).unwrap();
            let back = Table::read(&path, &ReadOptions::default()).unwrap();
            assert_eq!(back.num_rows(), 4, "{name}");
            assert_eq!(back.column("x").unwrap().values.text(2), "0.30000000000000004", "{name}");
            // One table alone has the bytes of `write_table`.
            write_tables(&path, |push| push(&sample())).unwrap();
            let alone = std::fs::read(&path).unwrap();
            write_table(&path, &sample()).unwrap();
            assert!(std::fs::read(&path).unwrap() == alone, "{name}");
            // What fails on the way leaves the file as it was.
            let failing = write_tables(&path, |push| {
                push(&sample())?;
                Err(Error::input("stopped"))
            });
            assert_eq!(failing.unwrap_err().to_string(), "stopped");
            assert!(std::fs::read(&path).unwrap() == alone, "{name}");
        }
    }

    #[test]
    fn a_format_that_is_not_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Table::read(&path, &ReadOptions::default()).unwrap_err().to_string()
        };
        assert!(refused("t.xlsx", b"PK\x03\x04\0\0").contains("t.xlsx: this is an Excel"));
        let text = refused("t.csv", b"a,b\0\n");
        assert!(text.contains("neither text nor a file of a format"), "{text}");
        let mut packed = Vec::new();
        let mut encoder = flate2::write::GzEncoder::new(&mut packed, Default::default());
        encoder.write_all(b"PAR1\0 xyz").unwrap();
        encoder.finish().unwrap();
        assert!(refused("t.parquet.gz", &packed).contains("unpack it first"));
    }

    #[test]
    fn another_ending_is_refused() {
        let error = write_table(Path::new("t.xlsx"), &sample()).unwrap_err();
        assert!(error.to_string().contains(".csv, .parquet, .arrow"));
    }

    #[test]
    fn impossible_tables_are_refused() {
        let x = |cells: Vec<f64>| Column::numbers("x", cells);
        for (columns, wanted) in [
            (vec![], "there is no column"),
            (vec![x(vec![]), x(vec![])], "columns 1 and 2 are both called \"x\""),
            (
                vec![x(vec![]), Column::numbers("y", vec![1.0])],
                "column \"y\" has 1 rows, the first has 0",
            ),
            (vec![x(vec![1.0, f64::INFINITY])], "row 2, column \"x\": an infinite"),
        ] {
            let text = Table::new(columns).unwrap_err().to_string();
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn singles_keep_their_short_form() {
        let column = Column::singles("x", &[0.1, f32::NAN, 1e-30]);
        assert_eq!(column.values.text(0), "0.1");
        assert_eq!(column.values.text(1), "");
        assert_eq!(column.values.text(2), "1e-30");
    }
}
