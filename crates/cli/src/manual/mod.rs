//! What the help of a command shows: `-h` the options that most calls need, on a page, and examples; `--help` all
//! of them.

mod examples;
mod pretraining;

use std::any::TypeId;

use clap::{Arg, Command, CommandFactory};
use ptsm::data::Split;

use crate::args::Args;
use examples::EXAMPLES;

/// Options that `-h` shows although they are among those of the data, the model, or the training.
const SHOWN: [&str; 7] =
    ["data", "timestamp", "id", "targets", "season", "prediction_length", "epochs"];

/// Options of commands that `-h` leaves to `--help`.
const LEFT_OUT: [&str; 24] = [
    "allow_disagreement",
    "backend",
    "batch_size",
    "borders",
    "drift_baseline",
    "drift_slack",
    "drift_threshold",
    "dates",
    "every_theta",
    "few_shot",
    "half_precision",
    "hold_out",
    "interval_names",
    "isa",
    "keep_head",
    "measure_host",
    "min_rows",
    "no_program",
    "on_error",
    "optimisations",
    "per_channel",
    "per_step",
    "save_every",
    "seed",
];

/// The heading of the options that every command has.
const EVERY_COMMAND: &str = "Every command";

/// The command line, with its help.
pub(crate) fn command() -> Command {
    with_help(parsed(), "")
}

/// The command line for man pages, which have examples of their own: every option in full, and no command `help`, of
/// which there is no page.
pub(crate) fn book() -> Command {
    without_help_command(parsed())
}

/// The command line as it is parsed.
fn parsed() -> Command {
    let command = Args::command()
        .mut_subcommand("pretrain", pretraining::with_own_defaults)
        // Nothing is scored there, and it is refused.
        .mut_subcommand("calibrate", |command| command.mut_arg("season", |arg| arg.hide(true)))
        .mut_subcommand("select", |command| {
            OF_SERIES.iter().fold(command, |command, id| command.mut_arg(*id, |arg| arg.hide(true)))
        });
    with_values_named(command)
}

/// Options of the data that labelled cases do not have, and that are refused for them.
const OF_SERIES: [&str; 8] =
    ["sort", "duplicates", "grid", "frequency", "round", "resample", "holidays", "season"];

/// Options whose value is a number of steps.
const STEPS: [&str; 9] = [
    "context_length",
    "prediction_length",
    "patch_length",
    "patch_stride",
    "warmup_steps",
    "window_step",
    "checkpoint_steps",
    "segment_length",
    "cross_channel_context",
];

/// The steps of a forecast, which are a horizon in every command.
fn called_horizon(arg: Arg) -> Arg {
    let known = arg.get_visible_aliases().is_some_and(|aliases| aliases.contains(&"horizon"));
    if known { arg } else { arg.visible_alias("horizon") }
}

/// Without the list of the words of an option whose text says them all.
fn without_words_twice(arg: Arg) -> Arg {
    let text = arg.get_help().map(|help| help.to_string()).unwrap_or_default();
    let said: Vec<&str> = text.split(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).collect();
    let values = arg.get_value_parser().possible_values();
    let values: Vec<String> =
        values.into_iter().flatten().map(|value| value.get_name().to_owned()).collect();
    let all_said = !values.is_empty() && values.iter().all(|value| said.contains(&value.as_str()));
    if all_said { arg.hide_possible_values(true) } else { arg }
}

/// Names values by what they are where nothing but the name of the option says it: N is a whole number, X a number.
fn with_values_named(command: Command) -> Command {
    let inner = command.get_subcommands().map(|inner| inner.get_name().to_owned());
    let inner: Vec<String> = inner.collect();
    let command = command.mut_args(|arg| {
        let id = arg.get_id().as_str().to_owned();
        let arg = match id.as_str() {
            "prediction_length" => called_horizon(arg),
            _ => arg,
        };
        let arg = without_words_twice(arg);
        let named = arg.get_value_names().is_some_and(|names| names[0] != id.to_uppercase());
        if named || !arg.get_action().takes_values() || arg.is_positional() {
            return arg;
        }
        let kind = arg.get_value_parser().type_id();
        let whole = [TypeId::of::<usize>(), TypeId::of::<u32>(), TypeId::of::<u64>()];
        match (STEPS.contains(&id.as_str()), whole.iter().any(|of| kind == *of)) {
            (true, _) => arg.value_name("STEPS"),
            (_, true) => arg.value_name("N"),
            _ if kind == TypeId::of::<f64>() => arg.value_name("X"),
            _ if kind == TypeId::of::<Split>() => arg.value_name("SPLIT"),
            _ if arg.get_value_parser().possible_values().is_some() => arg.value_name("WORD"),
            _ => arg,
        }
    });
    inner.into_iter().fold(command, |command, word| command.mut_subcommand(word, with_values_named))
}

fn without_help_command(command: Command) -> Command {
    let inner = command.get_subcommands().map(|inner| inner.get_name().to_owned());
    let inner: Vec<String> = inner.collect();
    let command = command.disable_help_subcommand(true);
    inner
        .into_iter()
        .fold(command, |command, word| command.mut_subcommand(word, without_help_command))
}

/// The examples of a command, called by its name without the first word.
pub(crate) fn examples(name: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(of, _)| *of == name).map(|(_, text)| text.trim_end())
}

/// A command, called `name` without the first word, and those below it, with their help.
fn with_help(command: Command, name: &str) -> Command {
    let inner = command.get_subcommands().map(|inner| inner.get_name().to_owned());
    let inner: Vec<String> = inner.collect();
    let mut command = command.mut_args(|arg| {
        let left_out = is_left_out(&arg);
        arg.hide_short_help(left_out)
    });
    if let Some(text) = examples(name) {
        let more = "All options: --help.";
        command = command
            .after_help(format!("Examples:\n{text}\n\n{more}"))
            .after_long_help(format!("Examples:\n{text}"));
    }
    for word in inner {
        let whole = format!("{name} {word}").trim().to_owned();
        command = command.mut_subcommand(word, |inner| with_help(inner, &whole));
    }
    command
}

fn is_left_out(arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    let headed = arg.get_help_heading().is_some_and(|heading| heading != EVERY_COMMAND);
    LEFT_OUT.contains(&id) || (headed && !SHOWN.contains(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that a page has at most.
    const PAGE: usize = 60;

    /// Every command with its whole name.
    fn visit(command: &mut Command, name: &str, each: &mut impl FnMut(&mut Command, &str)) {
        each(command, name);
        let inner: Vec<String> =
            command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
        for word in inner.iter().filter(|word| *word != "help") {
            let whole = format!("{name} {word}").trim().to_owned();
            visit(command.find_subcommand_mut(word).unwrap(), &whole, each);
        }
    }

    #[test]
    fn the_short_help_of_every_command_is_a_page_and_the_long_one_has_every_option() {
        let mut command = command().term_width(100);
        command.build();
        let mut found = 0;
        visit(&mut command, "", &mut |command, name| {
            let short = command.render_help().to_string();
            assert!(short.lines().count() <= PAGE, "{name}: {} lines", short.lines().count());
            let long = command.render_long_help().to_string();
            let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
            for long_name in shown.filter_map(Arg::get_long) {
                assert!(long.contains(&format!("--{long_name}")), "{name} --{long_name}");
            }
            found += 1;
        });
        assert!(found > 25, "{found}");
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_understood() {
        let mut whole = command();
        whole.build();
        let mut names = Vec::new();
        visit(&mut whole, "", &mut |command, name| {
            if !command.has_subcommands() || name.is_empty() {
                names.push(name.to_owned());
            }
        });
        for name in &names {
            assert!(EXAMPLES.iter().any(|(of, _)| of == name), "ptsm {name} has no example");
        }
        for (name, text) in EXAMPLES {
            for line in text.lines() {
                let typed = line.split('#').next().unwrap_or_default();
                let ours = |part: &&str| part.trim().starts_with("ptsm");
                let typed = typed.split('|').find(ours).unwrap_or(typed).split('>').next();
                let words: Vec<&str> = typed.unwrap_or_default().split_whitespace().collect();
                if words.is_empty() {
                    assert!(line.starts_with("  #"), "{line}");
                    continue;
                }
                assert!(words.join(" ").starts_with(format!("ptsm {name}").trim()), "{line}");
                let parsed = command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn every_name_of_the_lists_is_an_option() {
        let mut command = command();
        command.build();
        let mut ids = Vec::new();
        visit(&mut command, "", &mut |command, _| {
            ids.extend(command.get_arguments().map(|arg| arg.get_id().to_string()));
        });
        for name in SHOWN.iter().chain(&LEFT_OUT) {
            assert!(ids.iter().any(|id| id == name), "{name}");
        }
    }
}
