//! What a training was asked for. It is kept beside the checkpoints, so that `--resume DIR` needs no other option
//! and can name the one that differs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use ptsm::core::{read_regular, seal, unseal, write_atomically};
use ptsm::model_dir::ModelDir;
use ptsm::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::run_state::is_finished;

/// Options that say where a run is kept and shown, not what it is.
const NOT_OF_THE_RUN: [&str; 4] = ["out", "resume", "overwrite", "plot"];

/// Options that name files, which may have moved since.
const FILES: [&str; 4] = ["data", "recipe", "init", "holidays"];

/// The options of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Version of the command.
    version: String,
    /// `train` or `pretrain`.
    command: String,
    /// By their names, as they were typed; empty for switches.
    options: BTreeMap<String, String>,
}

impl Asked {
    /// The options that were typed for a command that has `--resume`.
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let Some((command, matches)) = resuming(command, matches) else { return Self::default() };
        let of_run = |arg: &&Arg| !NOT_OF_THE_RUN.contains(&arg.get_id().as_str());
        let options = command.get_arguments().filter(of_run).filter(|arg| !arg.is_global_set());
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.get_name().to_owned(),
            options: options.filter_map(|arg| typed(arg, matches)).collect(),
        }
    }

    /// The names of the options.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.options.keys().map(String::as_str)
    }

    /// Keeps it in the directory of the run.
    ///
    /// # Errors
    ///
    /// `Io`, naming the file.
    pub(crate) fn keep(&self, out: &Path) -> Result<()> {
        // The first step may come before the first checkpoint.
        let folder = ModelDir::new(out).checkpoints();
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "cannot be made", e))?;
        let text = serde_json::to_string(self)
            .map_err(|e| Error::internal("options cannot be written").because(e))?;
        let text = seal(&text);
        write_atomically(&ModelDir::new(out).run(), |out| out.write_all(text.as_bytes()))
    }

    /// What is kept in a directory, if something is.
    fn kept(out: &Path) -> Result<Option<Self>> {
        let path = ModelDir::new(out).run();
        if !path.is_file() {
            return Ok(None);
        }
        let place = path.display().to_string();
        let damaged = "is damaged (give the options of the run again, with --out and --resume, after removing it)";
        let text = String::from_utf8(read_regular(&path)?)
            .map_err(|e| Error::input(damaged).because(e).at(place.clone()))?;
        let content =
            unseal(&text).map_err(|e| Error::input(damaged).because(e).at(place.clone()))?;
        serde_json::from_str(content)
            .map(Some)
            .map_err(|e| Error::input(damaged).because(e).at(place))
    }

    /// Refuses an option that was not given then, or with another value.
    fn check(&self, first: &Self, out: &Path) -> Result<()> {
        if self.command != first.command {
            let text = format!("holds a run of ptsm {} (resume it by that)", first.command);
            return Err(Error::config(out.display().to_string(), text));
        }
        for (name, value) in &self.options {
            let then = first.options.get(name);
            let moved = then.is_some_and(|then| FILES.contains(&name.as_str()) && !exists(then));
            if then == Some(value) || moved {
                continue;
            }
            let with = match (value.as_str(), then.map(String::as_str)) {
                ("", _) => "was not given".to_owned(),
                (value, None) => format!("is {value} here, and was not given"),
                (value, Some(then)) => format!("is {value} here, and was {then}"),
            };
            let text = format!(
                "{with} when the run in {place} was started (leave it out to resume; to train on from what it has, \
                 use --init {place} --keep-head and another --out)",
                place = out.display()
            );
            return Err(Error::config(format!("--{name}"), text));
        }
        Ok(())
    }

    /// The command line that resumes the run, with these global options.
    fn command_line(&self, out: &Path, globals: &BTreeMap<String, String>) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["ptsm".into(), self.command.clone().into()];
        let out = BTreeMap::from([("out".to_owned(), out.display().to_string())]);
        for (name, value) in self.options.iter().chain(globals).chain(&out) {
            line.push(match value.as_str() {
                "" => format!("--{name}").into(),
                value => format!("--{name}={value}").into(),
            });
        }
        line.push("--resume".into());
        line
    }
}

/// What there is to run of a command line.
pub(crate) enum Completed {
    /// What was typed: it resumes nothing.
    AsTyped,
    /// This line: it resumes a run.
    Line(Vec<OsString>),
    /// Nothing: the run that it resumes is over.
    Finished(Finished),
}

/// A run that is resumed although it is over.
pub(crate) struct Finished {
    pub(crate) out: PathBuf,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

/// The command that began the run in a folder, if that is kept.
pub(crate) fn command_of(out: &Path) -> Option<String> {
    Asked::kept(out).ok().flatten().map(|asked| asked.command)
}

/// Whether there is a record, so that `--resume DIR` is enough.
pub(crate) fn is_kept(out: &Path) -> bool {
    ModelDir::new(out).run().is_file()
}

/// The command line with what the run in the directory of `--resume` was asked for, if it is not over; any other one
/// as it is.
///
/// # Errors
///
/// `InvalidConfig` if there is no such run, or an option is not as it was then.
pub(crate) fn completed(command: &Command, matches: &ArgMatches) -> Result<Completed> {
    let Some((inner_command, inner)) = resuming(command, matches) else {
        return Ok(Completed::AsTyped);
    };
    if inner.value_source("resume") != Some(ValueSource::CommandLine) {
        return Ok(Completed::AsTyped);
    }
    let path = |option: &str| {
        inner.get_raw(option).and_then(|mut values| values.next()).map(PathBuf::from)
    };
    let (resumed, out) = (path("resume"), path("out"));
    if let (Some(resumed), Some(out)) = (&resumed, &out)
        && resumed != out
    {
        let text = format!("is not {}, which is resumed (leave it out)", resumed.display());
        return Err(Error::config("--out", text).at(out.display().to_string()));
    }
    let only_resume = out.is_none();
    let Some(dir) = resumed.or(out) else {
        return Err(Error::config("--resume", "names no run (wanted its folder: --resume DIR)"));
    };
    let given = Asked::of(command, matches);
    let switch = |name: &str| matches!(inner.try_get_one::<bool>(name), Ok(Some(true)));
    let finished = || Finished { out: dir.clone(), json: switch("json"), quiet: switch("quiet") };
    let asked = match Asked::kept(&dir)? {
        Some(first) => {
            given.check(&first, &dir)?;
            if is_finished(&dir) {
                return Ok(Completed::Finished(finished()));
            }
            let mut options = first.options;
            options.extend(given.options);
            Asked { options, ..given }
        }
        None if only_resume && is_finished(&dir) => return Ok(Completed::Finished(finished())),
        None if only_resume => return Err(nothing_to_resume(&dir)),
        None => given,
    };
    let shown =
        inner_command.get_arguments().filter(|arg| arg.is_global_set() || arg.get_id() == "plot");
    let globals = shown.filter_map(|arg| typed(arg, inner)).collect();
    Ok(Completed::Line(asked.command_line(&dir, &globals)))
}

/// The command and its options, if it is one that can be resumed.
fn resuming<'a>(
    command: &'a Command,
    matches: &'a ArgMatches,
) -> Option<(&'a Command, &'a ArgMatches)> {
    let (name, inner) = matches.subcommand()?;
    let command = command.find_subcommand(name)?;
    command.get_arguments().any(|arg| arg.get_id() == "resume").then_some((command, inner))
}

/// Name and value of an option that was typed.
fn typed(arg: &Arg, matches: &ArgMatches) -> Option<(String, String)> {
    let id = arg.get_id().as_str();
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let name = arg.get_long()?.to_owned();
    if !arg.get_action().takes_values() {
        return Some((name, String::new()));
    }
    let values = matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned());
    Some((name, values.collect::<Vec<_>>().join(",")))
}

/// Whether a file or pattern, or a name, still leads somewhere; names of data sets and standard input always do.
fn exists(text: &str) -> bool {
    let path = Path::new(text);
    path.exists() || path.extension().is_none()
}

fn nothing_to_resume(dir: &Path) -> Error {
    let model = ModelDir::new(dir);
    let text = if model.checkpoint().is_file() {
        "does not say what its run was asked for, as it is of an earlier version (give the options of then, \
         with --out and --resume)"
    } else if dir.is_dir() {
        "holds no run to resume (start one with --out)"
    } else {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Error::io(dir, "cannot be read", missing).at("--resume");
    };
    Error::config(dir.display().to_string(), text)
}
