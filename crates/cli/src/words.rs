//! Options whose values are some words: help lists them, and a word that is none of them is answered with the nearest.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A number with what it counts: `1 seed`, `1,024 seeds`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {what}{s}", grouped(count as u64))
}

/// A number with a comma in front of every three digits: `1,154,832`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A parser of these words, each of which is the text of a `T`.
pub(crate) fn words<T>(
    words: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T>
where
    T: FromStr + Clone + Send + Sync + 'static,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

/// A parser of these words, each of which is a `T` in a recipe.
pub(crate) fn recipe_words<T>(
    words: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(Value::from(word)))
}

#[cfg(test)]
mod tests {
    use clap::builder::{PossibleValue, ValueParser};
    use clap::{Arg, Command, CommandFactory};

    /// The words of an option.
    fn listed(parser: &ValueParser) -> Vec<PossibleValue> {
        parser.possible_values().into_iter().flatten().collect()
    }

    fn visit(command: &Command, each: &mut impl FnMut(&Command, &Arg)) {
        command.get_arguments().for_each(|arg| each(command, arg));
        command.get_subcommands().for_each(|inner| visit(inner, each));
    }

    #[test]
    fn what_is_counted_is_one_or_several() {
        assert_eq!(super::counted(1, "seed"), "1 seed");
        assert_eq!(super::counted(0, "seed"), "0 seeds");
        assert_eq!(super::counted(1_154_832, "point"), "1,154,832 points");
        assert_eq!(super::grouped(999), "999");
    }

    #[test]
    fn every_word_that_help_lists_is_taken() {
        let mut found = 0;
        visit(&crate::args::Args::command(), &mut |command, arg| {
            let (Some(long), words) = (arg.get_long(), listed(arg.get_value_parser())) else {
                return;
            };
            if !arg.get_action().takes_values() {
                return;
            }
            for word in words {
                // The values alone, so that what else the command needs or refuses does not matter.
                let values = Arg::new("x")
                    .long("x")
                    .action(arg.get_action().clone())
                    .value_parser(arg.get_value_parser().clone());
                let alone = Command::new("x").arg(values);
                let flag = format!("--x={}", word.get_name());
                let parsed = alone.try_get_matches_from(["x", &flag]);
                assert!(parsed.is_ok(), "{} --{long} {flag}: {parsed:?}", command.get_name());
                found += 1;
            }
        });
        assert!(found > 60, "{found}");
    }
}
