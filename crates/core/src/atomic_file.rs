//! Files appear whole or not at all: written beside their place, synced, then renamed.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// How the names of temporary files begin and end.
const PREFIX: &str = ".ptsm-";
const SUFFIX: &str = ".tmp";

/// Writes the file `path` through `fill`, so that a reader sees the old file or the whole new one.
///
/// The bytes go to a hidden temporary file in the same folder, which is synced to the disk and
/// then renamed over `path`. If anything fails the temporary file is removed and `path` is as it
/// was. No folder is created.
///
/// # Errors
///
/// `Io`, naming `path`, if the folder does not exist or a write fails.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let cause = io::Error::new(io::ErrorKind::NotFound, "no such folder");
        let message = format!("the folder {} must exist first", folder.display());
        return Err(Error::io(path, message, cause));
    }
    if path.is_dir() {
        let cause = io::Error::new(io::ErrorKind::IsADirectory, "it is a folder");
        return Err(Error::io(path, "cannot be written as a file", cause));
    }
    write_and_rename(path, folder, fill)
        .map_err(|cause| Error::io(path, "cannot be written", cause))
}

fn write_and_rename(
    path: &Path,
    folder: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut temporary = new_temporary(folder)?;
    let mut buffered = BufWriter::with_capacity(1 << 16, temporary.as_file_mut());
    fill(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    // The rename itself is only safe once the folder is on the disk; not every system can sync one.
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Removes the temporary files that killed writers left in `folder`. Only for a folder that nobody
/// else writes to at this moment; what cannot be listed or removed stays.
pub(crate) fn sweep_temporaries(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A temporary file with the permissions of an ordinary new file (`tempfile` makes private ones).
fn new_temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk on fire"))
        })
        .unwrap_err();
        assert!(error.to_string().contains("a.csv: cannot be written"));
        assert!(error.to_string().contains("disk on fire"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named_and_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/a.csv");
        let error = write_atomically(&path, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Io);
        assert!(error.to_string().contains("must exist first"));
        assert!(!folder.path().join("no").exists());
    }

    #[cfg(unix)]
    #[test]
    fn the_new_file_is_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("a");
        let plain = folder.path().join("b");
        write_atomically(&ours, |_| Ok(())).unwrap();
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
