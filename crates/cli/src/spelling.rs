//! The command's spelling of a way out: messages of the library name fields, and here those that are
//! flags are named as flags.

use std::collections::HashSet;

use clap::CommandFactory;

use crate::args::Args;

/// `message` with every `field = value` that a flag can set spelled `--field value`.
pub(crate) fn in_flags(message: &str) -> String {
    rewrite(message, &flags())
}

fn rewrite(message: &str, flags: &HashSet<String>) -> String {
    let mut parts = message.split(" = ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let start =
            text.rfind(|c: char| !(c.is_ascii_lowercase() || c == '_')).map_or(0, |i| i + 1);
        let flag = text[start..].replace('_', "-");
        match flags.contains(&flag) && !flag.is_empty() {
            true => {
                text.truncate(start);
                text += &format!("--{flag} {}", unquoted(part));
            }
            false => text += &format!(" = {part}"),
        }
    }
    text
}

/// The text without the quotes around its first word.
fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    inner.map_or(text.to_owned(), |(word, rest)| format!("{word}{rest}"))
}

/// Long flags of all commands.
fn flags() -> HashSet<String> {
    let mut found = HashSet::new();
    let mut commands = vec![Args::command()];
    while let Some(command) = commands.pop() {
        found.extend(command.get_arguments().filter_map(|flag| flag.get_long().map(str::to_owned)));
        commands.extend(command.get_subcommands().cloned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_are_flags_are_spelled_as_flags() {
        for (message, spelled) in [
            ("few_shot: no (use skip_start = \"zero\")", "few_shot: no (use --skip-start zero)"),
            ("use task = \"regression\" or x = 3", "use --task regression or x = 3"),
            ("a = b = c", "a = b = c"),
            ("patience = 3 and epochs = 4", "--patience 3 and --epochs 4"),
            (" = ", " = "),
            ("nothing", "nothing"),
        ] {
            assert_eq!(in_flags(message), spelled);
        }
    }
}
