//! Keeps in the directory of a run what the run was asked for, see [`asked`](crate::asked).

use std::path::Path;

use crate::global::Global;
use crate::output::message;

/// Keeps it. Where that cannot be written the run continues, and says so even if it is to be quiet: something was lost.
pub(crate) fn keep_asked(global: &Global, out: &Path) {
    if let Err(error) = global.asked.keep(out) {
        message(&format!("--resume will need all options again: {error}"));
    }
}
