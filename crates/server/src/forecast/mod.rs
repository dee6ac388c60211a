//! What every protocol asks for, and its answer.
//!
//! | file | holds |
//! |---|---|
//! | `request.rs` | a request and its answer |
//! | `rows.rs` | tables out of bodies, within limits |
//! | `open.rs` | series of a table as a model reads them |
//! | `prepare.rs` | a request as series, with all that is checked before it waits |
//! | `run.rs` | pieces of a request through the engine |

mod open;
mod prepare;
mod request;
mod rows;
mod run;

pub(crate) use open::open;
pub(crate) use request::{Answer, Input, Request, Times};
pub(crate) use rows::{Media, Rows, TableSource};
pub(crate) use run::{beside, forecast, label};
