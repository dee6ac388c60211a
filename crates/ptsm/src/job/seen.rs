//! Which parts of the data a saved model has learnt from.

use std::path::Path;

use super::choice::Choice;
use crate::Result;
use crate::ensemble::member_dirs;
use crate::model_dir::{ModelDir, read_json};
use crate::record::Record;

/// Whether a member of the model directory was fitted on the validation part, too, so that scores and
/// intervals of that part say nothing of new data. A model without a record is taken not to be.
///
/// # Errors
///
/// `Io` or `InvalidConfig`, naming the file, if the members of an ensemble cannot be listed.
pub fn trained_on_validation(dir: &Path) -> Result<bool> {
    let files = ModelDir::new(dir);
    if read_json::<Choice>(&files.choice())?.is_some_and(|choice| choice.refitted) {
        return Ok(true);
    }
    let mut all = vec![files.clone()];
    if files.is_ensemble() {
        all.extend(member_dirs(dir)?);
    }
    let saw = |files: &ModelDir| {
        let text = std::fs::read_to_string(files.training()).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        Some(record.training.with_validation)
    };
    Ok(all.iter().filter_map(saw).any(|saw| saw))
}
