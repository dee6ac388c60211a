//! From files to batches: the only place that sees NaN.

mod cases;
mod catalog;
mod csv_file;
mod csv_sniff;
#[cfg(feature = "download")]
mod download;
mod frequency;
mod json_file;
mod label_coding;
mod labelled;
#[cfg(feature = "parquet")]
mod parquet_file;
mod prepare;
mod repair;
mod roles;
mod row_reader;
mod series;
mod split;
mod standard;
mod table;
mod texts;
mod timestamp;
mod ts_file;
mod window;

pub use cases::PreparedCases;
pub use catalog::{CATALOG, DATA_DIR_VARIABLE, Dataset, EMBEDDED, EMBEDDED_NAME};
pub use frequency::Frequency;
pub use label_coding::LabelCoding;
pub use labelled::{LabelOptions, LabelledSet, Labels};
pub use prepare::{Prepared, prepare};
pub use ptsm_core::{Batch, Transform};
pub use repair::{Duplicates, Grid, IgnoredColumn, MissingShare, Repair, RepairReport};
pub use roles::{NO_COLUMN, Roles};
pub use row_reader::{RowColumns, RowReader};
pub use series::{Series, SeriesSet};
pub use split::{Borders, Split};
pub use standard::Standardiser;
pub use table::{Column, ReadOptions, Table, Values, write_table};
pub use timestamp::{
    CalendarStyle, DateOrder, NotATime, OffsetStyle, Precision, TimeStyle, parse_timestamp,
};
pub use window::{PreparedSeries, Segment, WindowSet, WindowShape};
