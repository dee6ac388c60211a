//! Refuses, before any work, to write over what a command reads, over a file of a model, or twice to one
//! place. The options are distinguished by their names, so every command is covered.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use ptsm::core::{CHECKSUM_FILE, Checksums};
use ptsm::data::table_files;
use ptsm::{Error, Result};

use crate::command_line::innermost;

/// Options that name a file which is written.
const WRITTEN: [&str; 7] = ["out", "plot", "report", "outputs", "state", "onnx", "save"];

/// Options and arguments that name what is read.
const READ: [&str; 19] = [
    "api_key_file",
    "folder",
    "data",
    "calibration",
    "detector",
    "future",
    "file",
    "like",
    "test",
    "input",
    "inputs",
    "holidays",
    "recipe",
    "space",
    "suite",
    "path",
    "a",
    "b",
    "verify_data",
];

/// Checks the paths of a command line.
pub(crate) fn check(matches: &ArgMatches) -> Result<()> {
    let (_, command) = innermost(matches);
    let written: Vec<(&str, PathBuf)> = given(command, &WRITTEN);
    for (number, (option, path)) in written.iter().enumerate() {
        if let Some((other, _)) = written[..number].iter().find(|(_, other)| is_same(path, other)) {
            let text = format!("{} is written by --{other} already", path.display());
            return Err(Error::config(format!("--{option}"), text));
        }
        check_one(command, option, path)?;
    }
    Ok(())
}

fn check_one(command: &ArgMatches, option: &str, path: &Path) -> Result<()> {
    if !path.is_file() {
        return Ok(()); // A folder, or nothing yet; other kinds are refused where they are written.
    }
    for (read, source) in given(command, &READ) {
        if table_files(&source).iter().any(|source| is_same(path, source)) {
            let text = format!(
                "{} is what is read ({read}): it would be written over (use another name)",
                path.display()
            );
            return Err(Error::config(format!("--{option}"), text));
        }
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let sums = Checksums::of_dir(folder.unwrap_or(Path::new("."))).ok().flatten();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match sums.is_some_and(|sums| sums.lists(&name) || name == CHECKSUM_FILE) {
        true => {
            let text = format!("{} is a file of a model (use another name)", path.display());
            Err(Error::config(format!("--{option}"), text))
        }
        false => Ok(()),
    }
}

/// The values of these options, each with its option.
fn given<'a>(command: &ArgMatches, options: &[&'a str]) -> Vec<(&'a str, PathBuf)> {
    let mut found = Vec::new();
    for option in options {
        let values = command.try_get_raw(option).ok().flatten();
        found.extend(values.into_iter().flatten().map(|value| (*option, PathBuf::from(value))));
    }
    found
}

/// Whether two paths lead to one file.
fn is_same(a: &Path, b: &Path) -> bool {
    let (Ok(one), Ok(other)) = (a.metadata(), b.metadata()) else {
        return a == b;
    };
    is_same_file(&one, &other, || a.canonicalize().ok() == b.canonicalize().ok())
}

#[cfg(unix)]
fn is_same_file(one: &Metadata, other: &Metadata, _by_name: impl Fn() -> bool) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same_file(_one: &Metadata, _other: &Metadata, by_name: impl Fn() -> bool) -> bool {
    by_name()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Options that name files and are not in the lists: `pretrain --validate` reads FILE:STEPS.
    const OTHERS: [&str; 1] = ["validate"];

    #[test]
    fn every_option_that_names_a_file_is_known_to_be_read_or_written() {
        let command = crate::args::Args::command();
        let mut commands: Vec<&clap::Command> = vec![&command];
        let mut found = 0;
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands());
            for argument in command.get_arguments() {
                let names = argument.get_value_names().unwrap_or_default();
                if names.iter().any(|name| name.contains("FILE")) {
                    let id = argument.get_id().as_str();
                    let known = [&WRITTEN[..], &READ, &OTHERS].concat().contains(&id);
                    assert!(known, "{id} of {}", command.get_name());
                    found += 1;
                }
            }
        }
        assert!(found > 20, "{found}");
    }
}
