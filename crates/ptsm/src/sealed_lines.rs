//! Finished parts of a long job, in a file of lines, so that a job that was killed can be resumed.
//!
//! A line is JSON with a checksum ([`ptsm_core::seal`]): the first says which job it is, each other one is a part. A
//! line that was cut off, and what follows it, is dropped. Numbers are written so that they read back as the same bits.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ptsm_core::{seal, unseal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A job whose parts are kept.
pub(crate) struct Job<'a> {
    /// What it is, as a noun.
    pub(crate) name: &'a str,
    /// Everything that its parts depend on.
    pub(crate) what: &'a str,
}

/// The file, open for more lines, held by this process alone.
pub(crate) struct SealedLines {
    path: PathBuf,
    file: File,
}

impl SealedLines {
    /// Opens the file, or makes it; `found` gets the start and the content of each sound part, and says whether it is
    /// one: the first that is not and all parts after it are dropped.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is of another job, or another process writes into it; `Io` if it cannot be read or
    /// written.
    pub(crate) fn open(
        path: &Path,
        job: &Job<'_>,
        found: &mut dyn FnMut(u64, &str) -> bool,
    ) -> Result<Self> {
        let failed = |cause| Error::io(path, "cannot be written", cause);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(failed)?;
        if file.try_lock().is_err() {
            let name = job.name;
            let text =
                format!("another {name} writes into it (wait for that, or give another out)");
            return Err(Error::config(path.display().to_string(), text));
        }
        let mut lines = Self { path: path.to_owned(), file };
        let end = lines.scan(job, found)?;
        lines.file.set_len(end).map_err(failed)?;
        if end == 0 {
            lines.push(&job.what)?;
        }
        Ok(lines)
    }

    /// Reads all lines; returns where the sound ones end.
    fn scan(&self, job: &Job<'_>, found: &mut dyn FnMut(u64, &str) -> bool) -> Result<u64> {
        let failed = |cause| Error::io(&self.path, "cannot be read", cause);
        let mut reader = BufReader::new(&self.file);
        let (mut end, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).map_err(failed)? as u64;
            let Some(content) = std::str::from_utf8(&line).ok().and_then(|text| unseal(text).ok())
            else {
                return Ok(end);
            };
            if end == 0 {
                if serde_json::from_str::<String>(content).ok().as_deref() != Some(job.what) {
                    let text = format!(
                        "holds parts of another {}: of other data, models or options (remove it, or give another out)",
                        job.name
                    );
                    return Err(Error::config(self.path.display().to_string(), text));
                }
            } else if !found(end, content) {
                return Ok(end);
            }
            end += count;
        }
    }

    /// The part that begins at `start`.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be read, `InvalidInput` if it is damaged.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, start: u64) -> Result<T> {
        let failed = |cause| Error::io(&self.path, "cannot be read", cause);
        self.file.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut line = Vec::new();
        BufReader::new(&self.file).read_until(b'\n', &mut line).map_err(failed)?;
        let damaged = || Error::input("is damaged").at(self.path.display().to_string());
        let text = std::str::from_utf8(&line).map_err(|e| damaged().because(e))?;
        serde_json::from_str(unseal(text)?).map_err(|e| damaged().because(e))
    }

    /// Adds a part; returns where it begins.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be written.
    pub(crate) fn push(&mut self, part: &impl Serialize) -> Result<u64> {
        let content = serde_json::to_string(part)
            .map_err(|e| Error::internal("a part of a job cannot be written as JSON").because(e))?;
        let failed = |cause| Error::io(&self.path, "cannot be written", cause);
        let start = self.file.seek(SeekFrom::End(0)).map_err(failed)?;
        self.file.write_all(seal(&content).as_bytes()).map_err(failed)?;
        Ok(start)
    }

    /// Removes the file, when all that it was for is written.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be removed.
    pub(crate) fn remove(self) -> Result<()> {
        let Self { path, file } = self;
        drop(file);
        std::fs::remove_file(&path).map_err(|cause| Error::io(&path, "cannot be removed", cause))
    }
}
