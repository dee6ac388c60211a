//! Keeps in the directory of a run what the run was asked for, see [`asked`](crate::asked).

use std::path::Path;

use crate::global::Global;
use crate::output::remark;

/// Keeps it. Where that cannot be written the run continues.
pub(crate) fn keep_asked(global: &Global, out: &Path) {
    if let Err(error) = global.asked.keep(out) {
        remark(global, &format!("--resume will need all options again: {error}"));
    }
}
