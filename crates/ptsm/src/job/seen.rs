//! Which parts of the data a saved model has learnt from.

use std::path::Path;

use super::choice::Choice;
use crate::Result;
use crate::ensemble::member_dirs;
use crate::model_dir::{ModelDir, read_json};
use crate::record::Record;
use ptsm_core::read_consistently;

/// Whether a member of the model directory was fitted on the validation part, too, so that scores and
/// intervals of that part say nothing of new data. A model without a record is taken not to be.
///
/// # Errors
///
/// `Io`, `InvalidConfig` or `InvalidWeights`, naming the file, if the members of an ensemble cannot be
/// listed, or a record is damaged.
pub fn trained_on_validation(dir: &Path) -> Result<bool> {
    let files = ModelDir::new(dir);
    if read_json::<Choice>(&files.choice())?.is_some_and(|choice| choice.refitted) {
        return Ok(true);
    }
    let mut all = vec![files.clone()];
    if files.is_ensemble() {
        all.extend(member_dirs(dir)?);
    }
    for files in &all {
        let read = || read_json(&files.training());
        let record: Option<Record> = read_consistently(files.path(), read)?;
        if record.is_some_and(|record| record.training.with_validation) {
            return Ok(true);
        }
    }
    Ok(false)
}
