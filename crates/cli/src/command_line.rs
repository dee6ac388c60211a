//! What was given on a command line, whatever its command is.

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

/// The innermost command of a command line, such as `add` of `heads add`, and its options.
pub(crate) fn innermost(matches: &ArgMatches) -> (&str, &ArgMatches) {
    let (mut name, mut inner) = ("", matches);
    while let Some((further_name, further)) = inner.subcommand() {
        (name, inner) = (further_name, further);
    }
    (name, inner)
}
