//! A model directory as bytes: what is pickled, and written again elsewhere.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use ptsm::core::{CHECKSUM_FILE, read_consistently, read_regular};
use ptsm::model_dir::ModelDir;
use ptsm::model_writer::ModelWriter;
use ptsm::{Error, Result};

/// The files of a model directory by their names below it, members of an ensemble included; checkpoints and files of the
/// user are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Files(pub(crate) BTreeMap<String, Vec<u8>>);

impl Files {
    /// Reads the files of a directory.
    pub(crate) fn of_dir(dir: &Path) -> Result<Self> {
        read_consistently(dir, || {
            let mut found = BTreeMap::new();
            collect(&ModelDir::new(dir), "", &mut found)?;
            if found.is_empty() {
                let text = "holds no model (a folder of ptsm train, of save_pretrained, or of Hugging Face)";
                let place = dir.display().to_string();
                return Err(match dir.is_dir() {
                    true => Error::new(ptsm::ErrorKind::Io, text).at(place),
                    false => Error::io(dir, "cannot be read", std::io::ErrorKind::NotFound.into()),
                });
            }
            Ok(Self(found))
        })
    }

    /// Writes them into an empty folder of ours.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        self.0.iter().try_for_each(|(name, bytes)| write(dir, name, bytes))
    }

    /// Makes a directory this model, as a whole or not at all; one that holds a model is replaced if `overwrite` is set.
    pub(crate) fn save(&self, dir: &Path, overwrite: bool) -> Result<()> {
        let files = ModelDir::new(dir);
        if !overwrite && files.is_taken() {
            let text = "holds a model already (`overwrite=True` replaces it)";
            return Err(Error::config(dir.display().to_string(), text));
        }
        ModelWriter::new(&files)?.replace(|staged| {
            // The list of checksums of the whole is made anew; members have their own.
            let all = self.0.iter().filter(|(name, _)| *name != CHECKSUM_FILE);
            all.into_iter().try_for_each(|(name, bytes)| write(staged.path(), name, bytes))?;
            Ok(staged.member_names())
        })
    }

    /// Runs `of_dir` on a temporary folder that holds the files.
    pub(crate) fn in_folder<T>(&self, of_dir: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let folder = temporary()?;
        self.write(folder.path())?;
        of_dir(folder.path())
    }
}

/// A temporary folder.
pub(crate) fn temporary() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("ptsm-")
        .tempdir()
        .map_err(|e| Error::io(&std::env::temp_dir(), "cannot be written", e))
}

fn collect(dir: &ModelDir, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let mut names = dir.files();
    if dir.path().join(CHECKSUM_FILE).is_file() {
        names.push(CHECKSUM_FILE.to_owned());
    }
    for name in names {
        let bytes = read_regular(&dir.path().join(&name))?;
        found.insert(format!("{prefix}{name}"), bytes);
    }
    if dir.is_ensemble() {
        for member in dir.member_names() {
            collect(&dir.member(&member), &format!("{prefix}members/{member}/"), found)?;
        }
    }
    Ok(())
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.is_empty() || !Path::new(name).components().all(inside) {
        return Err(Error::input(format!("\"{name}\" is no file of a model directory")));
    }
    let path = dir.join(name);
    let failed = |e| Error::io(&path, "cannot be written", e);
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(failed)?;
    std::fs::write(&path, bytes).map_err(failed)
}
