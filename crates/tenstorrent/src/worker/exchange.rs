//! Memory that we share with a worker: inputs and outputs of runs go through it, not through the pipe.
//!
//! It is a file that we read and write and the worker maps, in a folder that is kept in memory where there is one. It has no name
//! any more as soon as the worker has opened it, so that nothing is left of it when either side ends.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ptsm_core::{Error, Result};
use tempfile::NamedTempFile;

/// Where files are kept in memory, on Linux.
const IN_MEMORY: &str = "/dev/shm";

/// The shared file.
#[derive(Debug)]
pub(super) struct Exchange {
    file: File,
    /// Its name, until the worker has opened it.
    named: Option<NamedTempFile>,
    folder: PathBuf,
    bytes: u64,
}

impl Exchange {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// `Io` if no folder takes it.
    pub(super) fn new() -> Result<Self> {
        let folders = [PathBuf::from(IN_MEMORY), std::env::temp_dir()];
        let create = |folder: &PathBuf| {
            let named = tempfile::Builder::new().prefix("ptsm-exchange-").tempfile_in(folder)?;
            let file = named.reopen()?;
            Ok::<_, std::io::Error>(Self {
                file,
                named: Some(named),
                folder: folder.clone(),
                bytes: 0,
            })
        };
        let [first, second] = folders.each_ref().map(create);
        let text = "no file can be made here to share with the worker";
        first.or(second).map_err(|e| Error::io(&folders[1], text, e))
    }

    /// Its path, before [`Exchange::unlink`].
    pub(super) fn path(&self) -> Option<&Path> {
        self.named.as_ref().map(NamedTempFile::path)
    }

    /// Removes its name; the worker has it open.
    pub(super) fn unlink(&mut self) {
        self.named = None;
    }

    /// Writes `inputs` at its beginning, and makes it long enough for `outputs` bytes after them; its length.
    ///
    /// # Errors
    ///
    /// `Io` if the memory is full.
    pub(super) fn write(&mut self, inputs: &[u8], outputs: usize) -> Result<u64> {
        let wanted = (inputs.len() + outputs) as u64;
        self.try_write(inputs, wanted).map_err(|e| {
            let text = format!("{wanted} bytes cannot be shared with the worker here");
            Error::io(&self.folder, text, e)
        })?;
        Ok(self.bytes)
    }

    fn try_write(&mut self, inputs: &[u8], wanted: u64) -> std::io::Result<()> {
        if wanted > self.bytes {
            // Pages are taken now, where a full folder is an error; in a mapping it would be the end of the worker.
            self.file.seek(SeekFrom::Start(self.bytes))?;
            let page = [0; 1 << 16];
            while self.bytes < wanted {
                self.file.write_all(&page)?;
                self.bytes += page.len() as u64;
            }
        }
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(inputs)
    }

    /// The bytes from `start` on.
    ///
    /// # Errors
    ///
    /// `Io` if they cannot be read.
    pub(super) fn read(&mut self, start: usize, out: &mut [u8]) -> Result<()> {
        let read = self.file.seek(SeekFrom::Start(start as u64));
        read.and_then(|_| self.file.read_exact(out))
            .map_err(|e| Error::io(&self.folder, "what the worker wrote cannot be read", e))
    }
}
