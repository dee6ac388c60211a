//! From files to batches: the only place that sees NaN.

mod batch;
mod csv_file;
mod csv_sniff;
mod json_file;
mod parquet_file;
mod table;
mod timestamp;
mod window;

pub use batch::Batch;
pub use table::{Column, ReadOptions, Table, Values, write_table};
pub use timestamp::{
    CalendarStyle, DateOrder, NotATime, OffsetStyle, Precision, TimeStyle, parse_timestamp,
};
pub use window::{PreparedSeries, Segment, WindowSet, WindowShape};
