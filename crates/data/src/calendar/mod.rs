//! Which times a series has: its step, and what the step needs to know of the calendar.
//!
//! | file | holds |
//! |---|---|
//! | `frequency.rs` | [`Frequency`]: the step, and how it is written |
//! | `anchor.rs` | [`Anchor`]: the days of the month that a series keeps to |
//! | `holidays.rs` | [`Holidays`]: working days without rows |
//! | `series_calendar.rs` | [`Calendar`]: steps forward and steps between, for one series |
//! | `detect.rs` | finds the step and the anchors of rows |

mod anchor;
mod detect;
mod frequency;
mod holidays;
mod series_calendar;

pub use anchor::Anchor;
pub(crate) use detect::{anchor, common_distance, detect};
pub(crate) use frequency::length_text;
pub use frequency::{Frequency, usual_horizon};
pub use holidays::Holidays;
pub use series_calendar::Calendar;
