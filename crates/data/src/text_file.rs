//! The text of a file, unpacked where it is gzip data, with a limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ptsm_core::{Error, Result};

/// Largest text that is read, unpacked: a damaged or hostile archive must not fill the memory.
const MAX_TEXT_BYTES: u64 = 4 << 30;

pub(super) fn read_up_to(reader: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// The whole text of a file, unpacked where it is gzip data.
pub(super) fn read_text(path: &Path) -> Result<String> {
    let source = path.display().to_string();
    let failed = |cause| Error::io(path, "cannot be read", cause);
    let file = File::open(path).map_err(failed)?;
    let bytes = read_unpacked(file, &source).map_err(failed)??;
    String::from_utf8(bytes)
        .map_err(|e| Error::input("is not text in UTF-8").because(e.utf8_error()).at(source))
}

/// The bytes of a file in memory, unpacked where they are gzip data.
pub(super) fn unpacked(bytes: &[u8], source: &str) -> Result<Vec<u8>> {
    read_unpacked(bytes, source)
        .map_err(|cause| Error::input("the gzip data are damaged").because(cause).at(source))?
}

/// All bytes, unpacked if they start as gzip does. The outer error is the reader's, the inner one
/// says that there is too much.
pub(super) fn read_unpacked(
    mut reader: impl Read,
    source: &str,
) -> std::io::Result<Result<Vec<u8>>> {
    let mut magic = [0; 2];
    let count = read_up_to(&mut reader, &mut magic)?;
    let whole = magic[..count].chain(reader);
    let mut bytes = Vec::new();
    if magic == [0x1f, 0x8b] {
        let mut unpacked = flate2::read::MultiGzDecoder::new(whole).take(MAX_TEXT_BYTES + 1);
        unpacked.read_to_end(&mut bytes)?;
    } else {
        whole.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        let limit = MAX_TEXT_BYTES >> 30;
        let message = format!("the text is larger than {limit} GiB (use a Parquet file)");
        return Ok(Err(Error::input(message).at(source)));
    }
    Ok(Ok(bytes))
}
