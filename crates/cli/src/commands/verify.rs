//! `ptsm verify`: whether the files of a model directory are those that were written.

use std::path::PathBuf;

use ptsm::verify::{FileState, accept, verify};
use ptsm::{Error, ErrorKind, Result};
use serde_json::json;

use crate::global::Global;
use crate::output::answer;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Take the files as they are from now on, after a change by hand
    #[arg(long)]
    accept: bool,
}

/// Checks, or accepts, and lists every file.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    if args.accept {
        accept(&args.dir)?;
    }
    let files = verify(&args.dir)?;
    let bad: Vec<_> = files.iter().filter(|file| file.state != FileState::Sound).collect();
    let mut text = String::new();
    for file in &files {
        text += &format!("{:8}  {}\n", file.state.name(), file.path.display());
    }
    answer(global, &json!({"sound": bad.is_empty(), "files": files}), &text)?;
    let Some(first) = bad.first() else { return Ok(()) };
    let text = format!(
        "{} of {} files are not what was written, such as {} ({}): restore them, or take them as they are \
         with --accept",
        bad.len(),
        files.len(),
        first.path.display(),
        first.state.name()
    );
    Err(Error::new(ErrorKind::InvalidWeights, text).at(args.dir.display().to_string()))
}
