//! Files appear whole or not at all: written beside their place, synced, then renamed.
//!
//! What is at the path is respected: a symbolic link is followed, so that its target is replaced and
//! the link stays; a file that is replaced keeps its mode and, where that is allowed, its owner; a
//! pipe, a socket or a device is refused. A new file gets the mode that the umask leaves. Other hard
//! links to a replaced file keep the old contents.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::regular_file::kind;
use crate::{Error, Result};

/// How the names of temporary files begin and end.
const PREFIX: &str = ".ptsm-";
const SUFFIX: &str = ".tmp";

/// Links that are followed, one after the other.
const MAX_LINKS: usize = 40;

/// Age from which a temporary file that nobody holds is left over. A writer holds its own from the
/// moment after it is made.
const LEFT_OVER: Duration = Duration::from_secs(2);

/// Writes the file `path` through `fill`, so that a reader sees the old file or the whole new one.
///
/// The bytes go to a hidden temporary file in the same folder, which is synced to the disk and
/// then renamed over `path`. If anything fails the temporary file is removed and `path` is as it
/// was. No folder is created. Of a symbolic link the target is written.
///
/// # Errors
///
/// `Io`, naming `path`, if the folder does not exist, a write fails, or `path` is a folder, a pipe, a
/// socket or a device.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let failed = |cause| Error::io(path, "cannot be written", cause);
    let target = target(path).map_err(failed)?;
    let folder = folder_of(&target);
    if !folder.is_dir() {
        let cause = io::Error::new(io::ErrorKind::NotFound, "no such folder");
        let message = format!("the folder {} must exist first", folder.display());
        return Err(Error::io(path, message, cause));
    }
    if let Ok(metadata) = target.metadata()
        && !metadata.is_file()
    {
        let cause =
            io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}", kind(&metadata)));
        return Err(Error::io(path, "cannot be written as a file", cause));
    }
    write_and_rename(&target, folder, fill).map_err(failed)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The path that is written: what a link leads to, whether that exists or not.
fn target(path: &Path) -> io::Result<Cow<'_, Path>> {
    let mut target = Cow::Borrowed(path);
    for _ in 0..MAX_LINKS {
        match target.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => {
                target = Cow::Owned(folder_of(&target).join(target.read_link()?));
            }
            _ => return Ok(target),
        }
    }
    Err(io::Error::other("too many symbolic links, one after the other"))
}

fn write_and_rename(
    path: &Path,
    folder: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    sweep_once(folder);
    let mut temporary = new_temporary(folder)?;
    // So that nobody sweeps it away; where files cannot be locked, nobody sweeps.
    let _ = temporary.as_file().try_lock();
    let mut buffered = BufWriter::with_capacity(1 << 16, temporary.as_file_mut());
    fill(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    keep_access(path, temporary.as_file())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    sync_folder(folder);
    Ok(())
}

/// Gives the new file the mode and the owner of the one that it replaces, if there is one.
fn keep_access(path: &Path, new: &File) -> io::Result<()> {
    let Ok(old) = path.metadata() else { return Ok(()) };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let own = new.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            // Only root may give files away; the mode is kept in any case.
            let _ = fchown(new, Some(old.uid()), Some(old.gid()));
        }
    }
    new.set_permissions(old.permissions())
}

/// Puts a renaming in `folder` onto the disk; not every system can sync a folder.
pub(crate) fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Sweeps a folder when this process first writes a file into it.
fn sweep_once(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let is_first = {
        let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
        swept.insert(folder.to_owned())
    };
    // Outside the lock: a folder that is slow to list holds up nobody else.
    if is_first {
        sweep_temporaries(folder);
    }
}

/// Removes the temporary files that killed writers left in `folder`; those of writers that live are
/// not touched, nor is what cannot be listed or removed.
pub(crate) fn sweep_temporaries(folder: &Path) {
    sweep(folder, LEFT_OVER);
}

/// As [`sweep_temporaries`], of a folder that nobody else begins to write to at this moment.
pub(crate) fn sweep_own(folder: &Path) {
    sweep(folder, Duration::ZERO);
}

fn sweep(folder: &Path, least_age: Duration) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX)
            && name.ends_with(SUFFIX)
            && is_left_over(&entry.path(), least_age)
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_left_over(path: &Path, least_age: Duration) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let Some(file) = is_file.then(|| File::open(path).ok()).flatten() else { return false };
    let age = file.metadata().and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
    matches!(age, Ok(Ok(age)) if age >= least_age) && file.try_lock().is_ok()
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

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for mode in [0o600, 0o444, 0o640] {
            write_atomically(&path, |_| Ok(())).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            write_atomically(&path, |file| file.write_all(b"new")).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode, "{mode:o}");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_target_is_written() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let file = other.path().join("file");
        // The last link leads to nothing yet.
        symlink("two", &one).unwrap();
        symlink(&file, &two).unwrap();
        for text in ["new", "newer"] {
            write_atomically(&one, |out| out.write_all(text.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        for link in [&one, &two] {
            assert!(link.symlink_metadata().unwrap().is_symlink());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        let round = folder.path().join("round");
        symlink("round", &round).unwrap();
        let error = write_atomically(&round, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("too many symbolic links"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for (path, kind) in [
            (path.as_path(), "it is a socket"),
            (folder.path(), "it is a folder"),
            (Path::new("/dev/null"), "it is a device"),
        ] {
            let error = write_atomically(path, |_| Ok(())).unwrap_err().to_string();
            assert!(error.contains(kind), "{error}");
        }
        use std::os::unix::fs::FileTypeExt;
        assert!(path.symlink_metadata().unwrap().file_type().is_socket());
    }

    #[test]
    fn only_what_a_dead_writer_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let long_ago = std::time::SystemTime::now() - 2 * LEFT_OVER;
        let make = |name: &str, age| {
            let file = File::create(folder.path().join(name)).unwrap();
            if age {
                file.set_modified(long_ago).unwrap();
            }
            file
        };
        drop(make(".ptsm-left.tmp", true));
        drop(make(".ptsm-new.tmp", false));
        drop(make("mine.tmp", true));
        let held = make(".ptsm-held.tmp", true);
        held.try_lock().unwrap();
        sweep_temporaries(folder.path());
        let kept = |name: &str| folder.path().join(name).exists();
        assert!(!kept(".ptsm-left.tmp"));
        assert!(kept(".ptsm-new.tmp") && kept("mine.tmp") && kept(".ptsm-held.tmp"));
        sweep_own(folder.path());
        assert!(!kept(".ptsm-new.tmp") && kept("mine.tmp") && kept(".ptsm-held.tmp"));
    }

    #[test]
    fn the_first_write_into_a_folder_sweeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".ptsm-left.tmp");
        let file = File::create(&left).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * LEFT_OVER).unwrap();
        drop(file);
        write_atomically(&folder.path().join("a.csv"), |file| file.write_all(b"a")).unwrap();
        assert!(!left.exists());
    }
}
