//! Names of the folders of members.

use crate::model_dir::ModelDir;
use crate::{Error, Result};

/// Names for the folders of the `count` members of a new ensemble. None of them exists yet, so that
/// an earlier ensemble stays usable until the new `ensemble.json` is written.
pub(crate) fn new_names(files: &ModelDir, count: usize) -> Vec<String> {
    let taken = files.member_names();
    let free = (0..).map(|number| names(count, number));
    free.into_iter()
        .find(|names| !names.iter().any(|name| taken.contains(name)))
        .unwrap_or_default()
}

/// Names of the members that an interrupted run began; new ones if there was no such run.
pub(crate) fn begun_names(files: &ModelDir, count: usize) -> Vec<String> {
    let taken = files.member_names();
    let begun = (0..=taken.len()).rev().map(|number| names(count, number));
    let begun = begun.into_iter().find(|names| taken.contains(&names[0]));
    begun.unwrap_or_else(|| new_names(files, count))
}

/// `0`, `1`, ... for the first ensemble in a directory; `0-1`, `1-1`, ... for the next one.
fn names(count: usize, ensemble: usize) -> Vec<String> {
    let name = |member: usize| match ensemble {
        0 => member.to_string(),
        _ => format!("{member}-{ensemble}"),
    };
    (0..count).map(name).collect()
}

/// Refuses a name that could lead out of the folder of members.
pub(super) fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        let text = format!("\"{name}\" must consist of letters, digits, - and _");
        return Err(Error::config("members", text));
    }
    Ok(())
}
