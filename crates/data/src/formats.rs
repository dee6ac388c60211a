//! Tables from files and into files: which format a file has, and who reads and writes it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use ptsm_core::write_atomically;
use ptsm_core::{Error, Result};

#[cfg(feature = "parquet")]
use super::parquet_file;
use super::table::{ReadOptions, Table};
use super::text_file::{read_unpacked, read_up_to, unpacked};
use super::{csv_file, json_file};

impl Table {
    /// Reads a CSV file (also packed with gzip) or a Parquet file, distinguished by
    /// their first bytes. `options` are for CSV only.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidInput`, with file, line (from 1, the header
    /// counted) and column, if it is not a table of that form.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self> {
        let source = path.display().to_string();
        let failed = |cause| Error::io(path, "cannot be read", cause);
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 4];
        let count = read_up_to(&mut file, &mut magic).map_err(failed)?;
        if &magic[..count] == b"PAR1" {
            return parquet_file::read(path, &source);
        }
        let rest = magic[..count].chain(file);
        let bytes = read_unpacked(rest, &source).map_err(failed)??;
        csv_file::read(&bytes, &source, options)
    }

    /// Reads CSV text from memory, plain or packed with gzip; `source` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`Table::read`].
    pub fn from_csv(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Self> {
        let unpacked = unpacked(bytes, source)?;
        csv_file::read(&unpacked, source, options)
    }

    /// Writes the table as CSV with commas and a header; a missing cell is empty.
    ///
    /// Numbers, texts without an outer space and times read back as the same values.
    ///
    /// # Errors
    ///
    /// What `out` reports.
    pub fn write_csv(&self, out: &mut dyn Write) -> std::io::Result<()> {
        csv_file::write(self, out)
    }
}

/// Writes `table` in the format that the name ends in: `.csv`, `.parquet` or `.json` (an array
/// with one object per row; missing = null). The file appears whole or not at all.
///
/// # Errors
///
/// `InvalidConfig` for another ending, `Io` if the file cannot be written.
pub fn write_table(path: &Path, table: &Table) -> Result<()> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => write_atomically(path, |out| csv_file::write(table, out)),
        Some("json") => write_atomically(path, |out| json_file::write(table, out)),
        Some("parquet") => {
            let bytes = parquet_file::to_bytes(table)?;
            write_atomically(path, |out| out.write_all(&bytes))
        }
        _ => Err(Error::config(
            path.display().to_string(),
            "a table is written to a name that ends in .csv, .parquet or .json",
        )),
    }
}

/// Without the feature `parquet` such files are refused.
#[cfg(not(feature = "parquet"))]
mod parquet_file {
    use std::path::Path;

    use ptsm_core::{Error, Result};

    use super::super::table::Table;

    fn refused() -> Error {
        Error::input("this build has no Parquet (feature \"parquet\"); use CSV")
    }

    pub(super) fn read(_path: &Path, source: &str) -> Result<Table> {
        Err(refused().at(source))
    }

    pub(super) fn to_bytes(_table: &Table) -> Result<Vec<u8>> {
        Err(refused())
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
        for name in ["t.csv", "t.PARQUET"] {
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
    fn another_ending_is_refused() {
        let error = write_table(Path::new("t.xlsx"), &sample()).unwrap_err();
        assert!(error.to_string().contains(".csv, .parquet or .json"));
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
