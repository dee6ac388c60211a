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

/// The probability of an interval from a share (`0.8`) or per cent (`80`, `80%`): above 1 it is per cent.
pub(crate) fn level(text: &str) -> std::result::Result<f64, String> {
    let bad =
        || format!("\"{text}\" is no level (wanted a share such as 0.8, or per cent such as 80)");
    let (digits, percent) = match text.trim().strip_suffix('%') {
        Some(digits) => (digits.trim(), true),
        None => (text.trim(), false),
    };
    let number: f64 = digits.parse().map_err(|_| bad())?;
    match number {
        number if percent || number > 1.0 => Ok(number / 100.0),
        1.0 => Err("1 may be 1 % or the whole (write 1% or 0.01)".to_owned()),
        number => Ok(number),
    }
}

/// Seconds from `30m` or `30min`, `2h`, `90s`, or a number without a unit, which is one of seconds.
pub(crate) fn seconds(text: &str) -> std::result::Result<f64, String> {
    let units = [("h", 3600.0), ("min", 60.0), ("m", 60.0), ("s", 1.0), ("", 1.0)];
    let found = units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * factor)
    });
    found.filter(|seconds| seconds.is_finite() && *seconds > 0.0).ok_or_else(|| {
        format!("\"{text}\" is no time (wanted 30m, 2h, 90s or a number of seconds)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_shares_or_per_cent() {
        for (text, wanted) in
            [("0.8", 0.8), ("80", 0.8), ("95%", 0.95), ("97.5", 0.975), ("1%", 0.01)]
        {
            assert_eq!(level(text), Ok(wanted), "{text}");
        }
        for text in ["1", "", "x", "%"] {
            assert!(level(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        assert_eq!(seconds("30m"), Ok(1800.0));
        assert_eq!(seconds("30min"), Ok(1800.0));
        assert_eq!(seconds("1.5h"), Ok(5400.0));
        assert_eq!(seconds("90"), Ok(90.0));
        for text in ["", "m", "0s", "-1m", "1 day"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
