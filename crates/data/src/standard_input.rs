//! Data from the standard input, which is read once and kept, since some commands look at a table twice.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use super::text_file::read_within;
use ptsm_core::{Error, MemoryBudget, Result};

/// The path that means the standard input; a file of this name is `./-`.
pub const STANDARD_INPUT: &str = "-";

/// What it is called in messages.
pub(super) const NAME: &str = "standard input";

/// What was read of it.
static HELD: OnceLock<Vec<u8>> = OnceLock::new();

/// Whether a path means the standard input.
pub fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// What data at a path are called: the name of the file without its folders, or `standard input`; empty for a path
/// without a name, such as `..`.
pub fn source_name(path: &Path) -> String {
    match is_standard_input(path) {
        true => NAME.to_owned(),
        false => path.file_name().map_or(String::new(), |name| OsStr::to_string_lossy(name).into()),
    }
}

/// All bytes of the standard input.
pub(super) fn bytes() -> Result<&'static [u8]> {
    if let Some(held) = HELD.get() {
        return Ok(held);
    }
    let budget = MemoryBudget::new("reading the standard input", "a file");
    let read = read_within(&budget, std::io::stdin().lock())
        .map_err(|cause| Error::io(Path::new(NAME), "cannot be read", cause))??;
    if read.is_empty() {
        let text = "holds nothing (give it rows: `cat load.csv | ...`, or name a file)";
        return Err(Error::input(text).at(NAME));
    }
    Ok(HELD.get_or_init(|| read))
}

/// A file with these bytes, for formats that are read from files alone; it is removed when it is dropped.
pub(super) fn spooled(bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let failed = |cause| Error::io(&std::env::temp_dir(), "cannot be written", cause);
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.flush()).map_err(failed)?;
    Ok(file)
}
