//! Timestamps as people write them, and back in the same style.
//!
//! A time is a whole number of nanoseconds since 1970-01-01 00:00. A stamp without an offset is
//! taken as UTC: steps between rows are then what the file says, also where local clocks change.
//!
//! | file | holds |
//! |---|---|
//! | `style.rs`, `names.rs` | [`TimeStyle`]: how stamps are written |
//! | `widen.rs` | styles made one, and made finer |
//! | `stamp.rs`, `scan.rs` | reads one stamp |
//! | `column.rs` | reads a column of stamps, and settles which of two numbers is the day |
//! | `numbers.rs` | reads a column of numbers: epochs, digits alone, Excel's days |

mod column;
mod names;
mod numbers;
mod order;
mod scan;
mod stamp;
mod style;
#[cfg(test)]
mod tests;
mod widen;

pub use names::{Case, NameForm};
pub use scan::parse_timestamp;
pub(super) use scan::{is_time_in_any_order, parse_in_any_order};
pub use stamp::{NotATime, Stamp};
pub use style::{
    CalendarStyle, ClockForm, CompactForm, DateForm, DateOrder, EpochUnit, HalfDays, OffsetForm,
    Precision, TimeStyle,
};

pub(super) use column::{Stamps, parse_column};
pub(super) use numbers::{parse_as, parse_index, parse_numbers};
