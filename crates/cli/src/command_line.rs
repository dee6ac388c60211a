//! What was given on a command line, whatever its command is.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::run_state::quoted;

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

/// The command line as it may be typed again, with quotes where the shell needs them.
pub(crate) fn typed_again() -> String {
    let words: Vec<String> = given().iter().skip(1).map(|word| quoted(Path::new(word))).collect();
    format!("ptsm {}", words.join(" "))
}

/// The value of an option as it was typed, where the command line is one of `command`.
pub(crate) fn given_to(command: &str, option: &str) -> Option<String> {
    let words = given();
    let mut words = words.into_iter().skip_while(|word| word != command);
    while let Some(word) = words.next() {
        match word.strip_prefix("--").and_then(|word| word.strip_prefix(option)) {
            Some("") => return words.next(),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
}

/// The innermost command of a command line, such as `add` of `heads add`, and its options.
pub(crate) fn innermost(matches: &ArgMatches) -> (&str, &ArgMatches) {
    let (mut name, mut inner) = ("", matches);
    while let Some((further_name, further)) = inner.subcommand() {
        (name, inner) = (further_name, further);
    }
    (name, inner)
}
