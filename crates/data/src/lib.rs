//! From files to batches: the only place that sees NaN.

#[cfg(feature = "parquet")]
mod arrow_batches;
#[cfg(feature = "parquet")]
mod arrow_file;
mod calendar;
mod calendar_feature;
mod cases;
mod catalog;
mod choice;
mod civil;
mod covariates;
mod csv_blocks;
mod csv_cells;
mod csv_columns;
mod csv_file;
mod csv_header;
mod csv_sniff;
mod csv_writer;
mod dictionary;
#[cfg(feature = "download")]
mod download;
mod effects;
mod file_set;
mod foreign;
mod foreign_code;
mod formats;
mod id_name;
mod json_file;
mod json_rows;
mod label_coding;
mod labelled;
mod labelled_files;
mod line_numbers;
mod moments;
mod not_a_number;
mod number_text;
mod outliers;
#[cfg(feature = "parquet")]
mod parquet_file;
mod part;
mod plan;
mod possible_id;
mod preamble;
mod prepare;
mod raw_series;
mod reading;
mod repair;
mod resample;
mod resample_rows;
mod roles;
mod round_rows;
mod rounding;
mod row_reader;
mod season;
mod series;
mod split;
mod standard;
mod standard_input;
mod steps;
#[cfg(feature = "parquet")]
mod stored_column;
#[cfg(feature = "parquet")]
mod stored_size;
mod table;
mod table_parts;
mod table_rows;
mod text_cells;
mod text_file;
mod text_values;
mod thousands;
mod time_cells;
mod time_column;
mod time_names;
mod time_rules;
mod times;
mod timestamp;
mod ts_file;
mod wanted_column;
mod window;
mod zone;

pub use calendar::{Anchor, Calendar, Frequency, Holidays, usual_horizon};
pub use calendar_feature::CalendarFeature;
pub use cases::PreparedCases;
pub use catalog::{CATALOG, DATA_DIR_VARIABLE, Dataset, EMBEDDED, EMBEDDED_NAME};
pub use covariates::Covariates;
pub use effects::CovariateEffects;
pub use foreign_code::is_foreign_code;
pub use formats::{TableFormat, table_files, write_table, write_tables};
pub use label_coding::LabelCoding;
pub use labelled::{LabelledSet, Labels};
pub use labelled_files::LabelOptions;
pub use outliers::Outlier;
pub use part::Part;
pub use plan::Plan;
pub use prepare::{Prepared, prepare, prepare_for_scores};
pub use ptsm_core::{Batch, BatchShape, Transform};
pub use repair::{Duplicates, Grid, MissingShare, ModelTimes, Repair, RepairReport, Resampled};
pub use resample::{Resample, Rule};
pub use roles::{IgnoredColumn, NO_COLUMN, Roles};
pub use rounding::Rounding;
pub use row_reader::{RowColumns, RowReader, renamed_column};
pub use series::{Series, SeriesSet};
pub use split::{Borders, Split};
pub use standard::{ChannelScale, SeriesScale, Standardiser};
pub use standard_input::{STANDARD_INPUT, is_standard_input, source_name};
#[cfg(feature = "parquet")]
pub use stored_size::check_stored;
pub use table::{Column, ReadOptions, Table, Values};
pub use text_cells::TextCells;
pub use thousands::ThousandsMark;
pub use time_cells::{Offsets, TimeCells};
pub use time_rules::TimeRules;
pub use times::Times;
pub use timestamp::{
    CalendarStyle, Case, ClockForm, CompactForm, DateForm, DateOrder, EpochUnit, HalfDays,
    NameForm, NotATime, OffsetForm, Precision, Stamp, TimeStyle, parse_timestamp,
};
pub use window::{PreparedSeries, Segment, WindowSet, WindowShape};
pub use zone::{Clock, Zone};

/// The examples of the crate's README are compiled and run by the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
