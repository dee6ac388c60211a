//! From files to batches: the only place that sees NaN.

mod batch;
mod window;

pub use batch::Batch;
pub use window::{PreparedSeries, Segment, WindowSet, WindowShape};
