//! Files that are read as a whole: regular ones, no larger than the memory.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use crate::memory::require_memory;
use crate::{Error, Result};

/// Opens a regular file and says what it is. A pipe or a device, of which nobody knows when it ends,
/// is refused before it is opened.
///
/// # Errors
///
/// `Io` if it is not there, is no file, or cannot be read.
pub(crate) fn open_regular(path: &Path) -> Result<(File, Metadata)> {
    let failed = |cause| Error::io(path, "cannot be read", cause);
    // Opening a pipe waits for a writer, so its kind is asked first.
    check_regular(path, &std::fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_regular(path, &metadata)?;
    Ok((file, metadata))
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = kind(metadata);
    let cause = io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}"));
    Err(Error::io(path, "is not a regular file, which is wanted here", cause))
}

/// What a path is that is no regular file, with an article.
pub(crate) fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    "no file"
}

/// The bytes of a regular file.
///
/// # Errors
///
/// `Io` if it is not there, is a pipe, a device or a folder, or cannot be read; `OutOfMemory` if it is
/// larger than the memory.
pub fn read_regular(path: &Path) -> Result<Vec<u8>> {
    let (file, metadata) = open_regular(path)?;
    let size = metadata.len();
    require_memory("reading the file", size, "a machine with more memory")
        .map_err(|e| e.at(path.display().to_string()))?;
    let mut bytes = Vec::new();
    // A file that grows meanwhile is read up to its size.
    let read = bytes
        .try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))
        .map_err(io::Error::other)
        .and_then(|()| file.take(size).read_to_end(&mut bytes));
    read.map_err(|cause| Error::io(path, "cannot be read", cause))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_file_is_read_and_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read_regular(&path).unwrap(), b"abc");
        let error = read_regular(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("it is a folder"), "{error}");
        assert!(read_regular(&folder.path().join("no")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_sockets_are_refused_at_once() {
        let error = read_regular(Path::new("/dev/zero")).unwrap_err();
        assert!(error.to_string().contains("it is a device"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = read_regular(&path).unwrap_err();
        assert!(error.to_string().contains("it is a socket"), "{error}");
    }
}
