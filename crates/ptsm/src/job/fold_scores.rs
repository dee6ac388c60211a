//! The scores of the folds that a selection has finished, in a file, so that one that was stopped can be resumed.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Result;
use crate::sealed_lines::{Job, SealedLines};

/// Score and loss of one setting on one held-out fold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct FoldScore {
    /// Accuracy, or RMSE in data units.
    pub(super) score: f64,
    /// Cross entropy of a classifier, RMSE of a regression.
    pub(super) loss: f64,
}

/// One line.
#[derive(Serialize, Deserialize)]
struct Line {
    setting: Map<String, Value>,
    fold: usize,
    #[serde(flatten)]
    found: FoldScore,
}

/// The file, open for more scores, held by this process alone.
pub struct FoldScores {
    lines: SealedLines,
    found: HashMap<(String, usize), FoldScore>,
}

impl FoldScores {
    /// Opens the file, or makes it, for the selection that `what` describes: [`super::CaseSearch::described`].
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if it is of another selection, or another process writes into it; `Io` if it cannot be read or
    /// written.
    pub fn open(path: &Path, what: &str) -> Result<Self> {
        let mut found = HashMap::new();
        let lines = SealedLines::open(path, &Job { name: "selection", what }, &mut |_, line| {
            let line = serde_json::from_str::<Line>(line);
            line.map(|line| found.insert((key(&line.setting), line.fold), line.found)).is_ok()
        })?;
        Ok(Self { lines, found })
    }

    /// Trainings that are finished.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether no training is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The scores of a setting on a fold, if they are there.
    pub(super) fn get(&self, setting: &Map<String, Value>, fold: usize) -> Option<FoldScore> {
        self.found.get(&(key(setting), fold)).copied()
    }

    /// Adds the scores of a setting on a fold. Those that are not finite cannot be written as JSON: that training is
    /// repeated.
    pub(super) fn push(
        &mut self,
        setting: &Map<String, Value>,
        fold: usize,
        found: FoldScore,
    ) -> Result<()> {
        if found.score.is_finite() && found.loss.is_finite() {
            self.lines.push(&Line { setting: setting.clone(), fold, found })?;
            self.found.insert((key(setting), fold), found);
        }
        Ok(())
    }

    /// Removes the file, when all that it was for is written.
    ///
    /// # Errors
    ///
    /// `Io` if it cannot be removed.
    pub fn remove(self) -> Result<()> {
        self.lines.remove()
    }
}

/// A setting as text: its fields are in the order of the search.
fn key(setting: &Map<String, Value>) -> String {
    Value::Object(setting.clone()).to_string()
}
