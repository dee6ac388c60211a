//! Options that are numbers: lengths of time with a unit; and `nan` and infinities refused, for no option of any command
//! wants one.

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

/// Seconds from `30m`, `2h`, `90s` or a number of seconds.
pub(crate) fn seconds(text: &str) -> std::result::Result<f64, String> {
    let units = [("h", 3600.0), ("m", 60.0), ("s", 1.0), ("", 1.0)];
    let found = units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * factor)
    });
    found
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .ok_or_else(|| format!("\"{text}\" is no time (wanted 30m, 2h or 90s)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        assert_eq!(seconds("30m"), Ok(1800.0));
        assert_eq!(seconds("1.5h"), Ok(5400.0));
        assert_eq!(seconds("90"), Ok(90.0));
        for text in ["", "m", "0s", "-1m", "1 day"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
