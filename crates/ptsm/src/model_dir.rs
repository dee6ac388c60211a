//! [`ModelDir`]: the name of every file in a model directory, and which of them are stale once a
//! new model is saved.
//!
//! | name | what | belongs to |
//! |---|---|---|
//! | `config.json`, `model.safetensors` | one model, as Hugging Face writes it | |
//! | `preprocessor.json` | how data become windows | the model or the ensemble |
//! | `training.json`, `joint_training.json` | settings and history of training | the weights |
//! | `checkpoints/`, `validation.jsonl` | the state of a run, and what it was asked for; its scores on the way | the run |
//! | `choice.json` | how the default forecaster was chosen | the model or the ensemble |
//! | `calibration.json`, `score-*.json` | widths of intervals; scores | the weights |
//! | `heads/NAME.*` | further heads | the weights of the backbone |
//! | `ensemble.json`, `members/NAME/` | an ensemble of models, in place of one | |
//! | `SHA256SUMS` | checksums of all these files but those of members, which have their own, and of checkpoints | the directory |
//! | `members/NAME/ridge.json` | a ridge regression, on values or on logarithms, that is a member | the ensemble |
//! | `members/NAME-zero-shot/` | a network that was trained on other series and is a member | the ensemble |

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::train::{CHECKPOINT_FILE, CHECKPOINT_FOLDER};
use crate::{Error, Result};
use ptsm_core::{
    CONFIG_FILE, ENSEMBLE_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE, read_listed_text, write_listed,
};

const PREPROCESSOR: &str = "preprocessor.json";
const TRAINING: &str = "training.json";
const VALIDATION: &str = "validation.jsonl";
const JOINT_TRAINING: &str = "joint_training.json";
const RUN: &str = "run.json";
const RIDGE: &str = "ridge.json";
const CHOICE: &str = "choice.json";
const CALIBRATION: &str = "calibration.json";
const MEMBERS: &str = "members";
const HEADS: &str = "heads";
/// Ends of the names of members that are ridge regressions, and networks for any series; those of other networks
/// are numbers.
pub(crate) const RIDGE_MEMBER: &str = "-ridge";
pub(crate) const ZERO_SHOT_MEMBER: &str = "-zero-shot";
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

    /// Those of [`ModelDir::member_names`] that have a name that we give to members.
    pub(crate) fn own_member_names(&self) -> Vec<String> {
        let ours = |name: &String| {
            let kinds = [RIDGE_MEMBER, ZERO_SHOT_MEMBER];
            let number = kinds.iter().find_map(|kind| name.strip_suffix(kind)).unwrap_or(name);
            !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '-')
        };
        let mut names = self.member_names();
        names.retain(ours);
        names
    }

    /// What the folder of a member is called below the directory.
    pub(crate) fn member_folder(name: &str) -> String {
        format!("{MEMBERS}/{name}")
    }

    /// Names of the files of the model that are there, those of members and checkpoints left out: the
    /// files that have a line in `SHA256SUMS`. What else is in the directory is the user's.
    pub fn files(&self) -> Vec<String> {
        let names = |folder: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let files = entries.filter(|entry| !entry.path().is_dir());
            files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let mut found = names(&self.path);
        found.retain(|name| is_ours(name));
        let heads = names(&self.heads()).into_iter();
        let heads = heads.filter(|name| name.ends_with(".json") || name.ends_with(".safetensors"));
        found.extend(heads.map(|name| format!("{HEADS}/{name}")));
        found.sort();
        found
    }

    /// The folder of further heads.
    pub fn heads(&self) -> PathBuf {
        self.path.join(HEADS)
    }

    /// A file of a further head.
    pub fn head(&self, name: &str, file: HeadFile) -> PathBuf {
        self.heads().join(file.name_for(name))
    }

    /// What a file of a further head is called below the directory.
    pub(crate) fn head_file(name: &str, file: HeadFile) -> String {
        format!("{HEADS}/{}", file.name_for(name))
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINT_FOLDER)
    }

    /// The checkpoint that a run is resumed from.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT_FILE)
    }

    /// What a program asked of the run in progress, so that it can be resumed without being asked again: text that
    /// [`seal`](ptsm_core::seal) made, which is the program's own.
    pub fn run(&self) -> PathBuf {
        self.checkpoints().join(RUN)
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

    /// Removes the checkpoints of a run that is over.
    ///
    /// # Errors
    ///
    /// `Io`, naming the folder.
    pub fn remove_checkpoints(&self) -> Result<()> {
        let path = self.checkpoints();
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(&path, "cannot be removed", e))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a file of this name in a model directory is one of the model's.
fn is_ours(name: &str) -> bool {
    let files = [
        CONFIG_FILE,
        WEIGHTS_FILE,
        WEIGHTS_INDEX_FILE,
        PREPROCESSOR,
        TRAINING,
        JOINT_TRAINING,
        RIDGE,
        CHOICE,
        CALIBRATION,
        ENSEMBLE_FILE,
    ];
    // Weights in several files, as Hugging Face writes them.
    let shard = name.starts_with("model-") && name.ends_with(".safetensors");
    files.contains(&name) || shard || (name.starts_with(SCORE[0]) && name.ends_with(SCORE[1]))
}

/// Reads a JSON file that [`write_json`] wrote; `None` if there is no such file.
///
/// # Errors
///
/// `Io` if it cannot be read, `InvalidWeights` if it is not what the checksums of its directory say,
/// `InvalidConfig` if it holds something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = read_listed_text(path)? else { return Ok(None) };
    let bad = "is damaged or of another version (remove it to have it made again)";
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::config(path.display().to_string(), bad).because(e))
}

/// Writes a JSON file, whole or not at all, and renews its line where its directory has checksums.
///
/// # Errors
///
/// `Io`, naming the file.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| {
        Error::internal("cannot be written as JSON").at(path.display().to_string()).because(e)
    })?;
    write_listed(path, (text + "\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

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
