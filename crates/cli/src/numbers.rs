//! Refuses options that are numbers and yet none: `nan`, and infinities. No option wants one, so this
//! holds for every command.

use std::any::TypeId;

use clap::{ArgMatches, Command};
use ptsm::{Error, Result};

/// Checks every option of the command line whose values are real numbers.
pub(crate) fn check(command: &Command, matches: &ArgMatches) -> Result<()> {
    if let Some((name, inner)) = matches.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        return check(command, inner);
    }
    for option in command.get_arguments() {
        if option.get_value_parser().type_id() != TypeId::of::<f64>() {
            continue;
        }
        let id = option.get_id().as_str();
        let Ok(Some(mut values)) = matches.try_get_many::<f64>(id) else { continue };
        if let Some(bad) = values.find(|value| !value.is_finite()) {
            let name = option.get_long().map_or(id.to_owned(), |long| format!("--{long}"));
            return Err(Error::config(name, format!("{bad} is no finite number")));
        }
    }
    Ok(())
}
