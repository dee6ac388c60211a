//! What a folder of a run holds: a finished model, a run that was stopped, or both.

use std::path::{Path, PathBuf};

use ptsm::ensemble::member_dirs;
use ptsm::model_dir::{ModelDir, read_json};
use ptsm::record::Record;
use ptsm::train::{Reached, checkpoint_reached};
use ptsm::{Error, Result};

/// Whether a folder holds a model whose training is over, and no later run that is not. A checkpoint that is damaged
/// leaves that open.
pub(crate) fn is_finished(dir: &Path) -> bool {
    let damaged = last_checkpoint(dir).is_some_and(|path| checkpoint_reached(&path).is_err());
    ModelDir::new(dir).is_taken() && !damaged && stopped(dir).is_none()
}

/// How far the run in a folder is that was stopped, if there is one.
pub(crate) fn stopped(dir: &Path) -> Option<Reached> {
    let model = ModelDir::new(dir);
    let of_members = newest(members_in_progress(&model));
    if let Some(path) = of_members {
        return checkpoint_reached(&path).ok();
    }
    if model.is_ensemble() {
        return None;
    }
    let reached = checkpoint_reached(&model.checkpoint()).ok()?;
    match read_json::<Record>(&model.training()).ok().flatten() {
        Some(record) if record.is_finished() && record.history.steps == reached.step => None,
        _ => Some(reached),
    }
}

/// Checkpoints of the members that the model in the folder does not have: those of a run in progress.
fn members_in_progress(model: &ModelDir) -> Vec<PathBuf> {
    let mut described = Vec::new();
    if model.is_ensemble() {
        described = member_dirs(model.path()).unwrap_or_default();
    }
    let mut folders: Vec<ModelDir> =
        model.member_names().iter().map(|name| model.member(name)).collect();
    folders.retain(|folder| !described.contains(folder));
    folders.iter().map(ModelDir::checkpoint).filter(|path| path.is_file()).collect()
}

/// The file that was written last.
pub(crate) fn newest(paths: Vec<PathBuf>) -> Option<PathBuf> {
    let written = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    paths.into_iter().max_by_key(written)
}

/// The checkpoint of the run in a folder, or of the member that it was training.
pub(crate) fn last_checkpoint(dir: &Path) -> Option<PathBuf> {
    let model = ModelDir::new(dir);
    let mut all = members_in_progress(&model);
    all.extend(Some(model.checkpoint()).filter(|path| path.is_file()));
    newest(all)
}

/// A path as a shell takes it for one word.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,=@%:".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Refuses to begin a run, of this command, in a folder that holds a model, or a run that was stopped: beginning anew would
/// throw its checkpoint away.
pub(crate) fn refuse_taken(command: &str, out: &Path) -> Result<()> {
    let resume = || format!("ptsm {command} --resume {}", quoted(out));
    let text = match (ModelDir::new(out).is_taken(), stopped(out)) {
        (false, None) => return Ok(()),
        (true, None) => {
            "holds a model already, which is finished (use --overwrite or another folder)"
                .to_owned()
        }
        (taken, Some(reached)) => format!(
            "holds {}a run that stopped {} ({} resumes it, --overwrite starts anew; or use another folder)",
            if taken { "a model already, of " } else { "" },
            after(&reached),
            resume()
        ),
    };
    Err(Error::config(out.display().to_string(), text))
}

/// Where a run was stopped, in words.
pub(crate) fn after(reached: &Reached) -> String {
    let Reached { step, epochs_done, epochs, .. } = reached;
    match epochs_done {
        0 => format!("in epoch 1 of {epochs}, after step {step}"),
        done => format!("after epoch {done} of {epochs}"),
    }
}
