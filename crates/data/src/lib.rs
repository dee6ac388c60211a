//! From files to batches: the only place that sees NaN.

#[cfg(feature = "parquet")]
mod arrow_file;
mod cases;
mod catalog;
mod csv_file;
mod csv_sniff;
#[cfg(feature = "download")]
mod download;
mod file_set;
mod foreign;
mod formats;
mod frequency;
mod id_name;
mod json_file;
mod json_rows;
mod label_coding;
mod labelled;
mod labelled_files;
mod moments;
mod not_a_number;
mod number_text;
#[cfg(feature = "parquet")]
mod parquet_file;
mod part;
mod preamble;
mod prepare;
mod reading;
mod repair;
mod roles;
mod row_reader;
mod series;
mod split;
mod standard;
mod table;
mod text_file;
mod text_values;
mod texts;
mod thousands;
mod timestamp;
mod ts_file;
mod window;

pub use cases::PreparedCases;
pub use catalog::{CATALOG, DATA_DIR_VARIABLE, Dataset, EMBEDDED, EMBEDDED_NAME};
pub use formats::write_table;
pub use frequency::Frequency;
pub use label_coding::LabelCoding;
pub use labelled::{LabelledSet, Labels};
pub use labelled_files::LabelOptions;
pub use part::Part;
pub use prepare::{Prepared, prepare};
pub use ptsm_core::{Batch, BatchShape, Transform};
pub use repair::{Duplicates, Grid, MissingShare, Repair, RepairReport};
pub use roles::{IgnoredColumn, NO_COLUMN, Roles};
pub use row_reader::{RowColumns, RowReader};
pub use series::{Series, SeriesSet};
pub use split::{Borders, Split};
pub use standard::{ChannelScale, SeriesScale, Standardiser};
pub use table::{Column, ReadOptions, Table, Values};
pub use thousands::ThousandsMark;
pub use timestamp::{
    CalendarStyle, DateOrder, NotATime, OffsetStyle, Precision, TimeStyle, parse_timestamp,
};
pub use window::{PreparedSeries, Segment, WindowSet, WindowShape};

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
