//! [`ModelDir`]: the name of every file in a model directory, and which of them are stale once a
//! new model is saved.
//!
//! | name | what | belongs to |
//! |---|---|---|
//! | `config.json`, `model.safetensors` | one model, as Hugging Face writes it | |
//! | `preprocessor.json` | how data become windows | the model or the ensemble |
//! | `training.json`, `joint_training.json` | settings and history of training | the weights |
//! | `checkpoints/`, `validation.jsonl` | the state of a run; its scores on the way | the run |
//! | `choice.json` | how the default forecaster was chosen | the model or the ensemble |
//! | `calibration.json`, `score-*.json` | widths of intervals; scores | the weights |
//! | `heads/NAME.*` | further heads | the weights of the backbone |
//! | `ensemble.json`, `members/NAME/` | an ensemble of models, in place of one | |
//! | `members/NAME/ridge.json` | a ridge regression that is a member | the ensemble |

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::train::{CHECKPOINT_FILE, CHECKPOINT_FOLDER};
use crate::{Error, Result};
use ptsm_core::{CONFIG_FILE, ENSEMBLE_FILE, WEIGHTS_FILE, write_atomically};

const PREPROCESSOR: &str = "preprocessor.json";
const TRAINING: &str = "training.json";
const VALIDATION: &str = "validation.jsonl";
const JOINT_TRAINING: &str = "joint_training.json";
const RIDGE: &str = "ridge.json";
const CHOICE: &str = "choice.json";
const CALIBRATION: &str = "calibration.json";
const MEMBERS: &str = "members";
const HEADS: &str = "heads";
/// Beginning and end of the names of score files.
const SCORE: [&str; 2] = ["score-", ".json"];

/// The files of one further head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFile {
    /// Its `config.json`.
    Config,
    /// Its own weights.
    Weights,
    /// How its outputs become labels or forecasts.
    Preprocessor,
}

impl HeadFile {
    /// All of them; the weights come last, because a head exists only once they are written.
    pub const ALL: [HeadFile; 3] = [HeadFile::Config, HeadFile::Preprocessor, HeadFile::Weights];

    /// Name of the file of the head `name` in the folder of heads.
    pub fn name_for(self, name: &str) -> String {
        let ending = match self {
            HeadFile::Config => "json",
            HeadFile::Weights => "safetensors",
            HeadFile::Preprocessor => "preprocessor.json",
        };
        format!("{name}.{ending}")
    }
}

/// The path of a model directory; the directory need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDir {
    path: PathBuf,
}

impl ModelDir {
    /// The directory at `path`; no file is touched.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.json`.
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG_FILE)
    }

    /// `model.safetensors`.
    pub fn weights(&self) -> PathBuf {
        self.path.join(WEIGHTS_FILE)
    }

    /// `preprocessor.json`.
    pub fn preprocessor(&self) -> PathBuf {
        self.path.join(PREPROCESSOR)
    }

    /// `training.json`.
    pub fn training(&self) -> PathBuf {
        self.path.join(TRAINING)
    }

    /// `validation.jsonl`.
    pub fn validation(&self) -> PathBuf {
        self.path.join(VALIDATION)
    }

    /// `joint_training.json`.
    pub fn joint_training(&self) -> PathBuf {
        self.path.join(JOINT_TRAINING)
    }

    /// `ridge.json`.
    pub fn ridge(&self) -> PathBuf {
        self.path.join(RIDGE)
    }

    /// `choice.json`.
    pub fn choice(&self) -> PathBuf {
        self.path.join(CHOICE)
    }

    /// `calibration.json`.
    pub fn calibration(&self) -> PathBuf {
        self.path.join(CALIBRATION)
    }

    /// `ensemble.json`.
    pub fn ensemble(&self) -> PathBuf {
        self.path.join(ENSEMBLE_FILE)
    }

    /// The model directory of a member of an ensemble.
    pub fn member(&self, name: &str) -> ModelDir {
        Self::new(self.path.join(MEMBERS).join(name))
    }

    /// Names of the members' folders that are there, described or not.
    pub fn member_names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path.join(MEMBERS)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Removes the folders of members that are not in `names`, and the folder of them all if nothing is
    /// left in it. What has no name that we give to members is not touched.
    ///
    /// # Errors
    ///
    /// `Io`, naming what cannot be removed.
    pub fn keep_members(&self, names: &[String]) -> Result<()> {
        let mut others = self.member_names();
        let ours = |name: &String| {
            let number = name.trim_end_matches("-ridge");
            !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '-')
        };
        others.retain(|name| !names.contains(name) && ours(name));
        others.iter().try_for_each(|name| remove(self.member(name).path()))?;
        // Only an empty folder can be removed so.
        let _ = std::fs::remove_dir(self.path.join(MEMBERS));
        Ok(())
    }

    /// The folder of further heads.
    pub fn heads(&self) -> PathBuf {
        self.path.join(HEADS)
    }

    /// A file of a further head.
    pub fn head(&self, name: &str, file: HeadFile) -> PathBuf {
        self.heads().join(file.name_for(name))
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINT_FOLDER)
    }

    /// The checkpoint that a run is resumed from.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT_FILE)
    }

    /// The kept score of a part of the data.
    pub fn score(&self, part: &str) -> PathBuf {
        let [start, end] = SCORE;
        self.path.join(format!("{start}{part}{end}"))
    }

    /// Whether it is an ensemble.
    pub fn is_ensemble(&self) -> bool {
        self.ensemble().is_file()
    }

    /// Whether it holds a model or an ensemble.
    pub fn is_taken(&self) -> bool {
        self.weights().exists() || self.ensemble().exists()
    }

    /// Creates the directory and checks that files can be written, before hours of training.
    ///
    /// # Errors
    ///
    /// `Io`, naming the directory.
    pub fn check_writable(&self) -> Result<()> {
        let dir = &self.path;
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
        let probe = tempfile::NamedTempFile::new_in(dir);
        probe.map(|_| ()).map_err(|e| Error::io(dir, "cannot be written to", e))
    }

    /// Removes the files that belong to the earlier weights; called before new weights are written,
    /// so that no stale file is ever attributed to them.
    ///
    /// # Errors
    ///
    /// `Io`, naming what cannot be removed.
    pub fn remove_stale(&self) -> Result<()> {
        let stale = [self.calibration(), self.training(), self.joint_training(), self.choice()];
        for path in stale {
            remove(&path)?;
        }
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(SCORE[0]) && name.ends_with(SCORE[1]) {
                remove(&entry.path())?;
            }
        }
        remove(&self.heads())
    }

    /// Removes an earlier ensemble once a single model is written: a directory holds one or the other.
    ///
    /// # Errors
    ///
    /// `Io`, naming what cannot be removed.
    pub fn remove_ensemble(&self) -> Result<()> {
        if self.is_ensemble() {
            remove(&self.ensemble())?;
            self.keep_members(&[])?;
        }
        Ok(())
    }

    /// Removes an earlier single model once `ensemble.json` is written.
    ///
    /// # Errors
    ///
    /// `Io`, naming what cannot be removed.
    pub fn remove_model(&self) -> Result<()> {
        remove(&self.config())?;
        remove(&self.weights())
    }

    /// Removes the checkpoints of a run that is over.
    ///
    /// # Errors
    ///
    /// `Io`, naming the folder.
    pub fn remove_checkpoints(&self) -> Result<()> {
        remove(&self.checkpoints())
    }
}

/// Removes a file, or a folder with all its contents; it need not exist.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false if path.exists() => std::fs::remove_file(path),
        false => return Ok(()),
    };
    removed.map_err(|e| Error::io(path, "cannot be removed", e))
}

/// Reads a JSON file that [`write_json`] wrote; `None` if there is no such file.
///
/// # Errors
///
/// `Io` if it cannot be read, `InvalidConfig` if it holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
    let bad = "is damaged or of another version (remove it to have it made again)";
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::config(path.display().to_string(), bad).because(e))
}

/// Writes a JSON file, whole or not at all.
///
/// # Errors
///
/// `Io`, naming the file.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| {
        Error::internal("cannot be written as JSON").at(path.display().to_string()).because(e)
    })?;
    write_atomically(path, |out| {
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_model_leaves_nothing_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let dir = ModelDir::new(folder.path());
        assert!(!dir.is_taken());
        std::fs::create_dir_all(dir.heads()).unwrap();
        std::fs::create_dir_all(dir.member("0").path()).unwrap();
        let stale = [
            dir.calibration(),
            dir.training(),
            dir.joint_training(),
            dir.choice(),
            dir.score("test"),
            dir.head("quantiles", HeadFile::Weights),
        ];
        let kept = [dir.config(), dir.weights(), dir.preprocessor(), folder.path().join("notes")];
        let others = [dir.ensemble(), dir.member("0").config()];
        let foreign = folder.path().join("members/people.csv");
        std::fs::write(&foreign, "x").unwrap();
        for path in stale.iter().chain(&kept).chain(&others) {
            std::fs::write(path, "x").unwrap();
        }
        assert!(dir.is_taken() && dir.is_ensemble());
        dir.remove_stale().unwrap();
        assert!(stale.iter().all(|path| !path.exists()));
        assert!(kept.iter().chain(&others).all(|path| path.exists()));
        dir.remove_ensemble().unwrap();
        assert!(others.iter().all(|path| !path.exists()));
        assert!(kept.iter().chain([&foreign]).all(|path| path.exists()));
        dir.remove_stale().unwrap();
        dir.remove_ensemble().unwrap();
    }

    #[test]
    fn a_file_of_ours_is_read_as_it_was_written_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2]));
        let error = read_json::<String>(&path).unwrap_err().to_string();
        assert!(error.contains("x.json") && error.contains("remove it"), "{error}");
    }
}
