//! [`DirectoryLock`]: at most one writer in a directory at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Name of the file that is locked. It is removed when its writer ends; one that a killed writer left
/// is no longer locked, and is used again.
pub const LOCK_FILE: &str = ".ptsm-lock";

/// How long another writer is waited for: short updates pass, a training does not.
const PATIENCE: Duration = Duration::from_secs(2);

const PAUSE: Duration = Duration::from_millis(20);

/// The hold of one writer on a directory; dropping it lets the next one in.
///
/// The lock is the system's advisory lock on a file in the directory, so it ends with the process, in
/// whatever way that ends. On file systems without locks there is none.
#[derive(Debug)]
pub struct DirectoryLock {
    dir: PathBuf,
    /// Folders that were made for it, the innermost first: they go with it if nothing was written into them.
    made: Vec<PathBuf>,
    /// Locked as long as it is open.
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if it is not there, and holds it. Another writer is waited for, for two
    /// seconds.
    ///
    /// # Errors
    ///
    /// `Io` if the directory cannot be made or written to, or another writer holds it, naming that
    /// one's process.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let began = Instant::now();
        loop {
            let made = missing(dir);
            // Each time, since the holder before may have removed a folder that it had made.
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
            match Self::try_take(dir)? {
                Some(mut lock) => {
                    lock.made = made;
                    return Ok(lock);
                }
                None if began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                None => return Err(held(dir)),
            }
        }
    }

    /// As [`DirectoryLock::take`], of a directory that is there, without waiting; `None` if another
    /// writer holds it.
    pub(crate) fn try_take(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(LOCK_FILE);
        let failed = |e| Error::io(dir, "cannot be written to", e);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // The holder before may have removed the file between opening and locking it.
        if !is_at(&file, &path) {
            return Ok(None);
        }
        let said = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        said.map_err(failed)?;
        Ok(Some(Self { dir: dir.to_path_buf(), made: Vec::new(), _file: file }))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // While it is locked still, so that nobody else's file is removed.
        let _ = std::fs::remove_file(self.dir.join(LOCK_FILE));
        // A folder that is not empty stays.
        let _ = self.made.iter().try_for_each(std::fs::remove_dir);
    }
}

/// The folders of a path that are not there, the innermost first.
fn missing(dir: &Path) -> Vec<PathBuf> {
    let named = dir.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    named.take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect()
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// An open file cannot be removed there.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

fn held(dir: &Path) -> Error {
    let mut process = String::new();
    let read =
        File::open(dir.join(LOCK_FILE)).map(|file| file.take(20).read_to_string(&mut process));
    let process = match (read, process.trim().parse::<u32>()) {
        (Ok(Ok(_)), Ok(process)) => format!(" (process {process})"),
        _ => String::new(),
    };
    let text = format!(
        "another ptsm{process} is writing there: wait until it ends, or use another folder"
    );
    Error::new(crate::ErrorKind::Io, text).at(dir.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let first = DirectoryLock::take(&dir).unwrap();
        let error = DirectoryLock::take(&dir).unwrap_err().to_string();
        let process = format!("process {}", std::process::id());
        assert!(error.contains("another ptsm") && error.contains(&process), "{error}");
        drop(first);
        assert!(!dir.exists(), "nothing was written into it");
        std::fs::create_dir(&dir).unwrap();
        // What a killed writer leaves.
        std::fs::write(dir.join(LOCK_FILE), "1").unwrap();
        drop(DirectoryLock::take(&dir).unwrap());
        assert!(dir.exists() && !dir.join(LOCK_FILE).exists());
        let inner = folder.path().join("a/b");
        let lock = DirectoryLock::take(&inner).unwrap();
        std::fs::write(inner.join("x"), "kept").unwrap();
        drop(lock);
        assert!(inner.join("x").exists());
    }

    #[test]
    fn of_many_writers_each_comes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        let lock = DirectoryLock::take(folder.path()).unwrap();
                        let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        assert_eq!(others, 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
