//! Data from the standard input, which is read once and kept, since some commands look at a table twice.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Mutex;

use ptsm_core::{Error, Result};

/// The path that means the standard input; a file of this name is `./-`.
pub const STANDARD_INPUT: &str = "-";

/// What it is called in messages.
pub(super) const NAME: &str = "standard input";

/// What was read of it.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Whether a path means the standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// All bytes of the standard input.
pub(super) fn bytes() -> Result<Vec<u8>> {
    let mut held = HELD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(held) = &*held {
        return Ok(held.clone());
    }
    let mut read = Vec::new();
    let failed = |cause| Error::io(Path::new(NAME), "cannot be read", cause);
    std::io::stdin().lock().read_to_end(&mut read).map_err(failed)?;
    if read.is_empty() {
        let text = "holds nothing (give it rows: `cat load.csv | ...`, or name a file)";
        return Err(Error::input(text).at(NAME));
    }
    *held = Some(read.clone());
    Ok(read)
}

/// A file with these bytes, for formats that are read from files alone; it is removed when it is dropped.
pub(super) fn spooled(bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let failed = |cause| Error::io(&std::env::temp_dir(), "cannot be written", cause);
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.flush()).map_err(failed)?;
    Ok(file)
}
