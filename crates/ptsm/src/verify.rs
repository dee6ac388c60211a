//! Whether the files of a model directory are those that were written, and how changes by hand are
//! accepted.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model_dir::ModelDir;
use crate::model_writer::ModelWriter;
use crate::train::check_checkpoint;
use crate::{Error, ErrorKind, Result};
use ptsm_core::{CHECKSUM_FILE, Checksums, option, read_consistently, read_regular, unseal};

/// What was found of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileState {
    /// It is what was written.
    Sound,
    /// It has other contents: damage, or a change by hand.
    Changed,
    /// It is gone.
    Missing,
    /// It is a file of a model directory that nobody listed.
    Unlisted,
}

impl FileState {
    /// The state as a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Unlisted => "unlisted",
        }
    }
}

/// A file of a model directory that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedFile {
    /// Its path.
    pub path: PathBuf,
    /// What was found.
    pub state: FileState,
}

/// Looks at every file of a model directory, of its members and of its checkpoint.
///
/// # Errors
///
/// `InvalidConfig` if the directory or a member has no checksums; `InvalidWeights` if the checksums
/// themselves are damaged; `Io` if something cannot be read.
pub fn verify(dir: &Path) -> Result<Vec<VerifiedFile>> {
    let mut found = read_consistently(dir, || verify_one(&ModelDir::new(dir)))?;
    for member in members(&ModelDir::new(dir)) {
        found.extend(verify(member.path())?);
    }
    Ok(found)
}

fn verify_one(dir: &ModelDir) -> Result<Vec<VerifiedFile>> {
    let Some(sums) = Checksums::of_dir(dir.path())? else {
        return Err(without_sums(dir.path()));
    };
    let mut found = Vec::new();
    let mut add = |path: PathBuf, state| found.push(VerifiedFile { path, state });
    for name in sums.names() {
        let path = dir.path().join(name);
        let state = match path.symlink_metadata() {
            Err(_) => FileState::Missing,
            Ok(_) if sums.fits(name, &read_regular(&path)?) => FileState::Sound,
            Ok(_) => FileState::Changed,
        };
        add(path, state);
    }
    for name in dir.files().iter().filter(|name| !sums.lists(name)) {
        add(dir.path().join(name), FileState::Unlisted);
    }
    if dir.checkpoint().exists() {
        let state = match check_checkpoint(&dir.checkpoint()) {
            Ok(()) => FileState::Sound,
            Err(error) if error.kind() == ErrorKind::InvalidWeights => FileState::Changed,
            Err(error) => return Err(error),
        };
        add(dir.checkpoint(), state);
    }
    if dir.run().exists() {
        let text = String::from_utf8(read_regular(&dir.run())?);
        let sound = text.is_ok_and(|text| unseal(&text).is_ok());
        add(dir.run(), if sound { FileState::Sound } else { FileState::Changed });
    }
    Ok(found)
}

fn without_sums(dir: &Path) -> Error {
    let shown = dir.display();
    if !dir.is_dir() {
        return Error::config(shown.to_string(), "is no folder, wanted a model directory");
    }
    let accept = option("accept", None);
    let text = format!(
        "has no {CHECKSUM_FILE}, so nothing says what its files should be (ptsm verify {shown} {accept} lists \
         them as they are)"
    );
    Error::config(shown.to_string(), text)
}

/// The members' directories.
fn members(dir: &ModelDir) -> Vec<ModelDir> {
    let mut names = dir.own_member_names();
    names.sort();
    let members = names.iter().map(|name| dir.member(name));
    members.filter(|member| !member.files().is_empty()).collect()
}

/// Lists the files of a model directory and of its members as they are, whatever was listed before.
///
/// # Errors
///
/// `InvalidConfig` if there is no file of a model; `Io` if something cannot be read or written, or
/// another process writes there.
pub fn accept(dir: &Path) -> Result<()> {
    let dir = ModelDir::new(dir);
    if dir.files().is_empty() {
        let text = "holds no file of a model, so there is nothing to accept";
        return Err(Error::config(dir.path().display().to_string(), text));
    }
    members(&dir).iter().try_for_each(|member| accept(member.path()))?;
    let writer = ModelWriter::existing(&dir)?;
    let mut sums = Checksums::default();
    for name in writer.dir().files() {
        sums.insert(&name, &read_regular(&dir.path().join(&name))?);
    }
    sums.write(dir.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ptsm_core::seal;

    fn states(dir: &Path) -> Vec<(String, FileState)> {
        let name = |path: &Path| path.strip_prefix(dir).unwrap().display().to_string();
        let found = verify(dir).unwrap().into_iter();
        found.map(|file| (name(&file.path), file.state)).collect()
    }

    #[test]
    fn every_kind_of_change_is_found_and_can_be_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ModelDir::new(folder.path());
        let member = dir.member("0");
        std::fs::create_dir_all(member.path()).unwrap();
        let names = ["calibration.json", "config.json", "training.json"];
        for name in names {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::write(member.ridge(), "r").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let error = verify(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no SHA256SUMS") && error.contains("accept"), "{error}");
        accept(dir.path()).unwrap();
        let sound = |name: &str| (name.to_owned(), FileState::Sound);
        let wanted = [&names[..], &["members/0/ridge.json"]].concat();
        assert_eq!(states(dir.path()), wanted.iter().map(|name| sound(name)).collect::<Vec<_>>());

        std::fs::write(dir.config(), "edited").unwrap();
        std::fs::remove_file(dir.training()).unwrap();
        std::fs::write(dir.choice(), "new").unwrap();
        std::fs::write(member.ridge(), "s").unwrap();
        std::fs::create_dir(dir.checkpoints()).unwrap();
        std::fs::write(dir.checkpoint(), "no checkpoint").unwrap();
        std::fs::write(dir.run(), seal("{}").replace("{}", "[]")).unwrap();
        let found = states(dir.path());
        let wanted = [
            ("calibration.json", FileState::Sound),
            ("config.json", FileState::Changed),
            ("training.json", FileState::Missing),
            ("choice.json", FileState::Unlisted),
            ("checkpoints/last.safetensors", FileState::Changed),
            ("checkpoints/run.json", FileState::Changed),
            ("members/0/ridge.json", FileState::Changed),
        ];
        assert_eq!(found, wanted.map(|(name, state)| (name.to_owned(), state)));
        dir.remove_checkpoints().unwrap();
        accept(dir.path()).unwrap();
        assert!(states(dir.path()).iter().all(|(_, state)| *state == FileState::Sound));
    }

    #[test]
    fn a_folder_without_a_model_is_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        assert!(accept(folder.path()).unwrap_err().to_string().contains("no file of a model"));
        let error = verify(&folder.path().join("no")).unwrap_err().to_string();
        assert!(error.contains("is no folder"), "{error}");
    }
}
