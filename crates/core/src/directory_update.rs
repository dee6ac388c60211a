//! Changes of a model directory that happen as a whole or not at all.
//!
//! The new files are written into a hidden folder of the directory, with the new checksums and the list
//! of what goes. Renaming that folder to [`COMMIT`] is the moment in which the change happens: before
//! it the directory is the old one, and afterwards the files are moved to their places, by this
//! process or, if that is killed, by the next one that reads or writes the directory.

use std::path::{Component, Path};
use std::time::{Duration, Instant};

use crate::atomic_file::{sweep_temporaries, sync_folder, write_atomically};
use crate::checksums::{CHECKSUM_FILE, Checksums, is_inside};
use crate::directory_lock::DirectoryLock;
use crate::regular_file::read_regular;
use crate::{Error, Result};

/// The folder in which a change is prepared.
const STAGE: &str = ".ptsm-stage";
/// The folder of a change that has happened, as long as files are on the way to their places.
const COMMIT: &str = ".ptsm-commit";
/// What goes, one name a line.
const REMOVED: &str = ".removed";

/// How long a reader waits for a change that another process is completing.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// Times that a directory is read anew because it changed meanwhile.
const ATTEMPTS: usize = 50;

/// What happens to the files that are in a directory already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Names that go.
    pub removed: Vec<String>,
    /// Whether the new files are all that there is from now on: no line of earlier checksums stays.
    pub whole: bool,
    /// Names that stay. They are listed with what they hold if the directory had no checksums yet.
    pub kept: Vec<String>,
}

impl DirectoryLock {
    /// Holds a directory to change it; it is made if it is not there. A change that a killed process
    /// left unfinished is completed first.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be made or written to, or another process holds it.
    pub fn new(dir: &Path) -> Result<Self> {
        let lock = Self::take(dir)?;
        complete(dir)?;
        let _ = std::fs::remove_dir_all(dir.join(STAGE));
        sweep_temporaries(dir);
        Ok(lock)
    }

    /// Changes the directory: `fill` writes new files into the folder that it is given, and says what
    /// happens to the old ones. On an error the directory is as it was.
    ///
    /// # Errors
    ///
    /// Those of `fill`; `Io` if a file cannot be written.
    pub fn change(&self, fill: impl FnOnce(&Path) -> Result<Change>) -> Result<()> {
        let stage = self.dir().join(STAGE);
        let _ = std::fs::remove_dir_all(&stage);
        std::fs::create_dir(&stage).map_err(|e| Error::io(&stage, "cannot be made", e))?;
        let done = fill(&stage).and_then(|change| self.commit(&stage, &change));
        if done.is_err() {
            let _ = std::fs::remove_dir_all(&stage);
        }
        done
    }

    fn commit(&self, stage: &Path, change: &Change) -> Result<()> {
        let dir = self.dir();
        let new = files_of(stage)?;
        let mut sums = match change.whole {
            true => Checksums::default(),
            false => match Checksums::of_dir(dir)? {
                Some(sums) => sums,
                None => sums_of(dir, &change.kept)?,
            },
        };
        change.removed.iter().for_each(|name| sums.remove(name));
        for name in &new {
            if !has_own_sums(stage, name) {
                sums.insert(name, &read_regular(&stage.join(name))?);
            }
        }
        let removed: String = change.removed.iter().map(|name| format!("{name}\n")).collect();
        write_atomically(&stage.join(REMOVED), |out| out.write_all(removed.as_bytes()))?;
        sums.write(stage)?;
        let commit = dir.join(COMMIT);
        std::fs::rename(stage, &commit).map_err(|e| Error::io(dir, "cannot be changed", e))?;
        sync_folder(dir);
        complete(dir)
    }
}

/// Reads a directory with `load`, anew where it was changed meanwhile, so that no file of an old model
/// comes together with one of a new model. A change that a killed process left is completed first.
///
/// # Errors
///
/// Those of `load`; `Io` if an unfinished change cannot be completed.
pub fn read_consistently<T>(dir: &Path, load: impl Fn() -> Result<T>) -> Result<T> {
    for _ in 0..ATTEMPTS {
        settle(dir)?;
        let list = || read_regular(&dir.join(CHECKSUM_FILE)).ok();
        let before = list();
        let loaded = load();
        if before == list() && !dir.join(COMMIT).exists() {
            return loaded;
        }
        std::thread::sleep(PAUSE);
    }
    let text = "is changed all the time by another process: wait until that ends";
    Err(Error::new(crate::ErrorKind::Io, text).at(dir.display().to_string()))
}

/// Waits until a change is complete, or completes it for a process that was killed.
fn settle(dir: &Path) -> Result<()> {
    let began = Instant::now();
    while dir.join(COMMIT).exists() {
        match DirectoryLock::try_take(dir) {
            Ok(Some(_lock)) => complete(dir)?,
            Ok(None) if began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Ok(None) => break,
            Err(error) => {
                let text = "holds a change that was not completed, which takes a process that may \
                            write there (run ptsm verify as its owner)";
                return Err(Error::new(error.kind(), text)
                    .at(dir.display().to_string())
                    .because(error));
            }
        }
    }
    Ok(())
}

/// Moves the files of a change to their places; may be repeated at any point. The caller holds the
/// directory.
fn complete(dir: &Path) -> Result<()> {
    let commit = dir.join(COMMIT);
    if !commit.is_dir() {
        return Ok(());
    }
    if let Ok(removed) = std::fs::read_to_string(commit.join(REMOVED)) {
        removed.lines().filter(|name| is_inside(name)).try_for_each(|name| remove(dir, name))?;
    }
    // The checksums come last: with them the directory is the new one.
    let mut names = files_of(&commit)?;
    names.push(CHECKSUM_FILE.to_owned());
    for name in &names {
        refuse_links(dir, name)?;
        let (from, to) = (commit.join(name), dir.join(name));
        if from.symlink_metadata().is_err() {
            continue;
        }
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot be made", e))?;
        }
        std::fs::rename(&from, &to).map_err(|e| Error::io(&to, "cannot be replaced", e))?;
    }
    sync_folder(dir);
    std::fs::remove_dir_all(&commit).map_err(|e| Error::io(&commit, "cannot be removed", e))?;
    sync_folder(dir);
    Ok(())
}

/// Removes a file or a folder, and the folder that it was in if nothing else is there.
fn remove(dir: &Path, name: &str) -> Result<()> {
    refuse_links(dir, name)?;
    let path = dir.join(name);
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(&path),
        Ok(_) => std::fs::remove_file(&path),
        Err(_) => Ok(()),
    };
    removed.map_err(|e| Error::io(&path, "cannot be removed", e))?;
    if let Some(folder) = path.parent().filter(|folder| *folder != dir) {
        // Only an empty folder can be removed so.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(())
}

/// Refuses a name that leads out of the directory through a folder that is a link: a directory from
/// somebody else must not reach files outside of it.
fn refuse_links(dir: &Path, name: &str) -> Result<()> {
    let folders = Path::new(name).ancestors().skip(1);
    let mut folders = folders.map(|folder| dir.join(folder)).filter(|folder| folder != dir);
    match folders.find(|folder| folder.symlink_metadata().is_ok_and(|found| found.is_symlink())) {
        None => Ok(()),
        Some(link) => {
            let cause = std::io::Error::other("it is a symbolic link");
            Err(Error::io(&link, "must be a folder of the model directory itself", cause))
        }
    }
}

/// The checksums of these files of a directory.
fn sums_of(dir: &Path, names: &[String]) -> Result<Checksums> {
    let mut sums = Checksums::default();
    for name in names {
        sums.insert(name, &read_regular(&dir.join(name))?);
    }
    Ok(sums)
}

/// Whether a folder between `dir` and the file has checksums of its own.
fn has_own_sums(dir: &Path, name: &str) -> bool {
    let folders = Path::new(name).ancestors().skip(1);
    let mut folders = folders.filter(|folder| !folder.as_os_str().is_empty());
    folders.any(|folder| dir.join(folder).join(CHECKSUM_FILE).is_file())
}

/// Names of the files below a folder, ascending, without the list of what goes and its checksums.
fn files_of(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    collect(folder, Path::new(""), &mut found)?;
    found.retain(|name| name != REMOVED && name != CHECKSUM_FILE);
    found.sort();
    Ok(found)
}

fn collect(root: &Path, below: &Path, found: &mut Vec<String>) -> Result<()> {
    let folder = root.join(below);
    let failed = |e| Error::io(&folder, "cannot be listed", e);
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = below.join(entry.file_name());
        match entry.file_type().map_err(failed)?.is_dir() {
            true => collect(root, &name, found)?,
            false => found.push(with_slashes(&name)),
        }
    }
    Ok(())
}

/// A relative path with `/` between its parts, on every system.
fn with_slashes(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Lists every file of a folder that belongs to nobody else yet, such as one that was just filled.
///
/// # Errors
///
/// `Io` if a file cannot be read or the list not be written.
pub fn list_all(folder: &Path) -> Result<()> {
    sums_of(folder, &files_of(folder)?)?.write(folder)
}

#[cfg(test)]
mod tests;
