//! What is kept of a command that is interrupted, by Ctrl-C or a request to end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ArgMatches;
use ptsm::core::LOCK_FILE;
use ptsm::model_dir::ModelDir;
use ptsm::train::checkpoint_reached;

use crate::asked::is_kept;
use crate::command_line::innermost;
use crate::run_state::{last_checkpoint, quoted};

/// Commands that keep finished parts of their work in the folder of `--out`, and do not repeat them.
const KEEP_PARTS: [&str; 2] = ["benchmark", "tune"];

/// Commands that keep finished parts beside the file of `--out`, and what these are.
const KEEP_PARTIAL: [(&str, &str); 2] = [("backtest", "forecasts"), ("select", "trainings")];

/// Where a command keeps parts of its work.
pub(crate) struct Kept {
    command: String,
    out: Option<PathBuf>,
    /// The folders of `out` that were not there before, the innermost first.
    made: Vec<PathBuf>,
    state: Option<PathBuf>,
    /// Whether it has `--resume`.
    resumes: bool,
    /// The instruction set that was named: a run is resumed with that of its checkpoint.
    isa: Option<String>,
}

/// The last optimiser step of the training in progress.
static STEP: AtomicU64 = AtomicU64::new(0);

/// Notes how far the training in progress is.
pub(crate) fn at_step(step: u64) {
    STEP.store(step, Ordering::Relaxed);
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
        let isa = inner.try_get_one::<String>("isa").ok().flatten().cloned();
        let out = path("out");
        let made = out.as_deref().map(missing).unwrap_or_default();
        let command = command.to_owned();
        Self { command, out, made, state: path("state"), resumes, isa }
    }

    /// What there is of it now, in words.
    pub(crate) fn text(&self) -> String {
        let kept = |path: &Path, how: &str| format!("{} is kept; {how}", path.display());
        if let Some(state) = self.state.as_deref().filter(|state| state.is_file()) {
            return kept(state, "it holds the state of the last save (see --save-every)");
        }
        let Some(out) = self.out.as_deref() else { return "nothing was written".to_owned() };
        let partial = partial_of(out);
        let keeps = |(command, _): &&(&str, &str)| *command == self.command;
        if let Some((_, parts)) = KEEP_PARTIAL.iter().find(keeps)
            && has_parts(&partial)
        {
            return kept(&partial, &format!("the same command resumes from the {parts} in it"));
        }
        if KEEP_PARTS.contains(&self.command.as_str()) && out.is_dir() {
            let how = "the same command continues, and does not repeat what is finished there";
            return kept(out, how);
        }
        if self.resumes && has_checkpoint(&ModelDir::new(out)) {
            let isa = self.isa.as_ref().map_or(String::new(), |isa| format!(" --isa {isa}"));
            let how = match is_kept(out) {
                true => format!("resume with: ptsm {} --resume {}{isa}", self.command, quoted(out)),
                false => "the same command with --resume continues from its checkpoint".to_owned(),
            };
            return format!("{} is kept{}; {how}", out.display(), up_to(out));
        }
        if self.resumes && out.exists() {
            remove_empty(out, &self.made);
            let before = match self.made.is_empty() {
                true => format!("{} is as it was; ", out.display()),
                false => String::new(),
            };
            return format!(
                "nothing of this run is kept, as its first checkpoint was not written yet; {before}the same command starts \
                 anew"
            );
        }
        match out.exists() {
            true => format!("{} is as it was; the same command starts anew", out.display()),
            false => format!("{} was not written; the same command starts anew", out.display()),
        }
    }
}

/// Whether a file of finished parts has any: lines after its first one.
fn has_parts(path: &Path) -> bool {
    let lines = File::open(path).map(|file| BufReader::new(file).split(b'\n').take(2).count());
    lines.is_ok_and(|count| count == 2)
}

/// Where a command keeps finished parts beside its file.
pub(crate) fn partial_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Up to which step a run is kept, in words, and how many steps are done again.
fn up_to(out: &Path) -> String {
    let reached = last_checkpoint(out).and_then(|path| checkpoint_reached(&path).ok());
    let Some(step) = reached.map(|reached| reached.step) else { return String::new() };
    match STEP.load(Ordering::Relaxed).checked_sub(step) {
        Some(0) => format!(" up to step {step}"),
        Some(1) => format!(" up to step {step}, the last one is done again"),
        Some(again) => format!(" up to step {step}, the {again} steps after it are done again"),
        // The checkpoint is that of a training before this one.
        None => ", but for the training in progress, which begins anew".to_owned(),
    }
}

/// Removes what a run left that wrote no checkpoint, where its folder was not there before: locks, what it was asked
/// for, and folders that are empty then.
fn remove_empty(out: &Path, made: &[PathBuf]) {
    if made.is_empty() {
        return;
    }
    let model = ModelDir::new(out);
    let _ = std::fs::remove_file(model.run());
    let members = model.member_names();
    let folders = members.iter().map(|name| model.member(name).path().to_path_buf());
    for folder in folders.chain([out.to_path_buf()]) {
        let _ = std::fs::remove_file(folder.join(LOCK_FILE));
        let _ = std::fs::remove_dir(ModelDir::new(&folder).checkpoints());
        if folder != out {
            let _ = std::fs::remove_dir(&folder);
            // The folder around members, once it is empty.
            let _ = folder.parent().map(std::fs::remove_dir);
        }
    }
    let _ = made.iter().try_for_each(std::fs::remove_dir);
}

/// The folders of a path that are not there, the innermost first.
fn missing(path: &Path) -> Vec<PathBuf> {
    let named = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    named.take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect()
}

/// Whether there is a checkpoint, of a model or of a member.
fn has_checkpoint(dir: &ModelDir) -> bool {
    let of_member = |name: &String| dir.member(name).checkpoint().is_file();
    dir.checkpoint().is_file() || dir.member_names().iter().any(of_member)
}
