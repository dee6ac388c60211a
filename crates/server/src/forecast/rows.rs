//! Tables out of bodies, within limits that are checked before anything is unpacked.

use bytes::Bytes;
use ptsm::data::{ReadOptions, Table, TableFormat, check_stored};
use ptsm::{Error, ErrorKind};

use crate::failure::{Answered, Code, Failure};
use crate::limits::Limits;

/// A form of tables, in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    Csv,
    Arrow,
    Parquet,
}

impl Media {
    pub(crate) const ALL: [Media; 4] = [Media::Json, Media::Csv, Media::Arrow, Media::Parquet];

    /// The name in `Content-Type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// How a table is written so.
    pub(crate) fn format(self) -> TableFormat {
        match self {
            Self::Json => TableFormat::Json,
            Self::Csv => TableFormat::Csv,
            Self::Arrow => TableFormat::ArrowStream,
            Self::Parquet => TableFormat::Parquet,
        }
    }

    /// Whether a body begins as this form does.
    fn fits(self, bytes: &[u8]) -> bool {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        let packed = [&b"\x1f\x8b"[..], b"\x28\xb5\x2f\xfd"].iter().any(|m| bytes.starts_with(m));
        let parquet = bytes.starts_with(b"PAR1");
        let arrow = bytes.starts_with(&[0xff; 4]) || bytes.starts_with(b"ARROW1");
        match self {
            Self::Json => text.starts_with(b"[") || text.starts_with(b"{"),
            Self::Csv => !packed && !parquet && !arrow,
            Self::Arrow => arrow,
            Self::Parquet => parquet,
        }
    }
}

/// A table that is not read yet.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// What messages call it.
    pub(crate) name: &'static str,
    pub(crate) media: Media,
    pub(crate) bytes: Bytes,
}

impl Rows {
    /// Reads the table.
    pub(crate) fn read(&self, options: &ReadOptions, limits: &Limits) -> Answered<Table> {
        let Self { name, media, bytes } = self;
        if bytes.trim_ascii().is_empty() {
            return Err(Failure::unusable(format!("{name}: there are no rows")));
        }
        if !media.fits(bytes) {
            let text = format!("{name} does not begin as {} does (send it unpacked)", media.name());
            return Err(Failure::new(Code::MediaType, text));
        }
        if matches!(media, Media::Json | Media::Csv) {
            let separators = |&&byte: &&u8| matches!(byte, b',' | b';' | b'\t' | b'\n');
            limit("cells", bytes.iter().filter(separators).count(), limits.cells)?;
        } else {
            check_stored(bytes, limits.cells).map_err(too_large)?;
        }
        // Gaps that rows leave by naming other columns are counted before they are made.
        let options = ReadOptions { most_cells: Some(limits.cells), ..options.clone() };
        let table = Table::from_bytes(bytes, name, &options).map_err(too_large)?;
        limit("rows", table.num_rows(), limits.rows)?;
        limit("columns", table.columns().len(), limits.channels + 2)?;
        limit("cells", table.num_rows() * table.columns().len(), limits.cells)?;
        Ok(table)
    }
}

/// What takes more memory than there may be is the request's.
fn too_large(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::OutOfMemory => Failure::new(Code::TooLarge, error.to_string()),
        _ => Failure::from(error),
    }
}

/// Where the rows of a request are.
pub(crate) enum TableSource {
    /// In a body.
    Body(Rows),
    /// In a table that a protocol made.
    Held(Box<Table>),
}

impl TableSource {
    /// About how many bytes they take.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Body(rows) => rows.bytes.len(),
            Self::Held(table) => 8 * table.num_rows() * table.columns().len(),
        }
    }

    pub(super) fn read(&self, options: &ReadOptions, limits: &Limits) -> Answered<Table> {
        match self {
            Self::Body(rows) => rows.read(options, limits),
            Self::Held(table) => {
                limit("rows", table.num_rows(), limits.rows)?;
                Ok(table.as_ref().clone())
            }
        }
    }
}

/// Refuses more than there may be.
pub(super) fn limit(what: &str, count: usize, most: usize) -> Answered<()> {
    match count > most {
        true => {
            let text = format!("{count} {what}: at most {most} are taken (send several requests)");
            Err(Failure::new(Code::TooLarge, text))
        }
        false => Ok(()),
    }
}
