//! What was given on a command line, whatever its command is.

use std::ffi::OsString;
use std::sync::{Mutex, PoisonError};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// The options that were typed, by their long names.
pub(crate) fn typed(command: &Command, matches: &ArgMatches) -> Vec<String> {
    if let Some((name, inner)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        return typed(command, inner);
    }
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let options = command.get_arguments().filter(|arg| given(arg.get_id().as_str()));
    options.filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

/// The words of the command line that runs; those of the process are another program's where the command is inside
/// one.
static GIVEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the words of a command line for reports.
pub(crate) fn remember(line: &[OsString]) {
    let words = line.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    *GIVEN.lock().unwrap_or_else(PoisonError::into_inner) = words;
}

/// The words of the command line, the name of the command first.
pub(crate) fn given() -> Vec<String> {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The innermost command of a command line, such as `add` of `heads add`, and its options.
pub(crate) fn innermost(matches: &ArgMatches) -> (&str, &ArgMatches) {
    let (mut name, mut inner) = ("", matches);
    while let Some((further_name, further)) = inner.subcommand() {
        (name, inner) = (further_name, further);
    }
    (name, inner)
}
