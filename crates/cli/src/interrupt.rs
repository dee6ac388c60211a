//! What is kept of a command that is interrupted, by Ctrl-C or a request to end.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use ptsm::model_dir::ModelDir;

use crate::asked::is_kept;
use crate::command_line::innermost;

/// Commands that keep finished parts of their work in the folder of `--out`, and do not repeat them.
const KEEP_PARTS: [&str; 2] = ["benchmark", "tune"];

/// Where a command keeps parts of its work.
pub(crate) struct Kept {
    command: String,
    out: Option<PathBuf>,
    state: Option<PathBuf>,
    /// Whether it has `--resume`.
    resumes: bool,
}

impl Kept {
    /// That of a command line.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let (command, inner) = innermost(matches);
        let path = |option: &str| {
            let value = inner.try_get_raw(option).ok().flatten()?.next()?;
            Some(PathBuf::from(value))
        };
        let resumes = inner.try_contains_id("resume").is_ok();
        Self { command: command.to_owned(), out: path("out"), state: path("state"), resumes }
    }

    /// What there is of it now, in words.
    pub(crate) fn text(&self) -> String {
        let kept = |path: &Path, how: &str| format!("{} is kept; {how}", path.display());
        if let Some(state) = self.state.as_deref().filter(|state| state.is_file()) {
            return kept(state, "it holds the state of the last save (see --save-every)");
        }
        let Some(out) = self.out.as_deref() else { return "nothing was written".to_owned() };
        let partial = partial_of(out);
        if self.command == "backtest" && partial.is_file() {
            return kept(&partial, "the same command goes on from the forecasts in it");
        }
        if KEEP_PARTS.contains(&self.command.as_str()) && out.is_dir() {
            let how = "the same command continues, and does not repeat what is finished there";
            return kept(out, how);
        }
        if self.resumes && has_checkpoint(&ModelDir::new(out)) {
            let how = match is_kept(out) {
                true => format!("resume with: ptsm {} --resume {}", self.command, quoted(out)),
                false => "the same command with --resume continues from its checkpoint".to_owned(),
            };
            return kept(out, &how);
        }
        match out.exists() {
            true => format!("{} is as it was; the same command starts anew", out.display()),
            false => format!("{} was not written; the same command starts anew", out.display()),
        }
    }
}

/// Where a backtest keeps finished forecasts beside its file.
pub(crate) fn partial_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// A path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,=@%:".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Whether there is a checkpoint, of a model or of a member.
fn has_checkpoint(dir: &ModelDir) -> bool {
    let of_member = |name: &String| dir.member(name).checkpoint().is_file();
    dir.checkpoint().is_file() || dir.member_names().iter().any(of_member)
}
