//! Command lines that are not understood: what the parser says, in plain words, and what was probably meant.

use std::io::{IsTerminal, stderr};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use ptsm::core::nearest;

use crate::command_line::given;
use crate::manual::examples;
use crate::output::message;

/// Words of the parser of numbers, and ours.
const WORDS: [(&str, &str); 6] = [
    ("invalid digit found in string", "wanted a whole number"),
    ("invalid float literal", "wanted a number"),
    ("cannot parse integer from empty string", "wanted a whole number, and nothing came"),
    ("cannot parse float from empty string", "wanted a number, and nothing came"),
    ("number too large to fit in target type", "the number is too large"),
    ("number too small to fit in target type", "the number is too small"),
];

/// What other programs call what ours do, and how it is typed.
const CALLED: [(&str, &str); 10] = [
    ("classify", "train --task classification ..., then predict --model DIR --data CASES"),
    ("regress", "train --task regression ..., then predict --model DIR --data CASES"),
    ("fit", "train"),
    ("learn", "train"),
    ("score", "evaluate"),
    ("test", "evaluate"),
    ("validate", "evaluate"),
    ("infer", "predict"),
    ("plot", "forecast FILE --plot FILE, or predict --plot FILE"),
    ("info", "inspect"),
];

/// Prints the answer to a command line that is not run: help and versions to the standard output, mistakes to the
/// standard error.
pub(crate) fn print(error: &Error, command: &Command) {
    if !error.use_stderr() {
        let _ = error.print();
        return;
    }
    let styled = error.render();
    let shown = if stderr().is_terminal() { styled.ansi().to_string() } else { styled.to_string() };
    let mut text = said_once(&in_plain_words(&shown));
    if let Some(tip) = tip(error, command) {
        text = with_tip(&text, &tip);
    }
    message(text.trim_end());
}

fn in_plain_words(text: &str) -> String {
    WORDS.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Without the name of the option in front of the reason why its value is not taken: it was said already.
fn said_once(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" for '--") else { return text.to_owned() };
    let Some((option, reason)) = rest.split_once("': ") else { return text.to_owned() };
    let name = option.split([' ', '=']).next().unwrap_or_default();
    let again = [format!("{name}: "), format!("{}: ", name.replace('-', "_"))];
    match again.iter().find_map(|again| reason.strip_prefix(again.as_str())) {
        Some(reason) => format!("{before} for '--{option}': {reason}"),
        None => text.to_owned(),
    }
}

/// The text with a tip in front of its usage.
fn with_tip(text: &str, tip: &str) -> String {
    match text.find("\n\n") {
        Some(place) => format!("{}\n\n  tip: {tip}{}", &text[..place], &text[place..]),
        None => format!("{text}\n\n  tip: {tip}\n"),
    }
}

fn context(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// What was probably meant, where the parser does not know it.
fn tip(error: &Error, command: &Command) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = context(error, ContextKind::InvalidSubcommand)?;
            if let Some((_, ours)) = CALLED.iter().find(|(theirs, _)| *theirs == typed) {
                return Some(format!("try: ptsm {ours}"));
            }
            let known = error.get(ContextKind::SuggestedSubcommand).is_some();
            let near = nearest(typed, command.get_subcommands().map(Command::get_name));
            near.filter(|_| !known).map(|near| format!("a similar command exists: '{near}'"))
        }
        ErrorKind::MissingRequiredArgument => {
            let usage = error.to_string();
            let name = usage.split("Usage: ptsm ").nth(1)?.split_whitespace();
            let words: Vec<&str> =
                name.take_while(|word| !word.starts_with(['-', '<', '['])).collect();
            let example =
                examples(&words.join(" "))?.lines().find(|line| !line.trim().starts_with('#'))?;
            Some(format!("such as: {}", example.trim()))
        }
        ErrorKind::UnknownArgument => {
            let typed = context(error, ContextKind::InvalidArg)?;
            if typed.starts_with('-') && typed[1..].parse::<f64>().is_ok() {
                let words = given();
                let place = words.iter().position(|word| word == typed)?;
                let option = words[..place].last().filter(|word| word.starts_with("--"))?;
                return Some(format!("{option} takes no negative number"));
            }
            let usage = error.to_string();
            let usage = usage.split("Usage:").nth(1).unwrap_or_default();
            let known = |option: &&&str| usage.contains(**option);
            let option = match is_folder(typed) {
                true => ["--model", "--data"].iter().find(known),
                false => ["--data", "--model"].iter().find(known),
            };
            let option = option.filter(|_| !typed.starts_with('-'))?;
            Some(format!("to name it, type: {option} {typed}"))
        }
        _ => None,
    }
}

/// Whether it is a folder, or is called as folders are.
fn is_folder(typed: &str) -> bool {
    let path = std::path::Path::new(typed);
    path.is_dir() || (!path.exists() && path.extension().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let mut command = crate::manual::command();
        let error = command.try_get_matches_from_mut(line.split_whitespace()).unwrap_err();
        let text = said_once(&in_plain_words(&error.to_string()));
        match tip(&error, &command) {
            Some(tip) => with_tip(&text, &tip),
            None => text,
        }
    }

    #[test]
    fn what_was_probably_meant_is_said() {
        for (line, wanted) in [
            ("ptsm train air.csv", "tip: to name it, type: --data air.csv"),
            ("ptsm heads list m2", "tip: to name it, type: --model m2"),
            ("ptsm help trian", "'train'"),
            ("ptsm trian", "'train'"),
            ("ptsm classify", "tip: try: ptsm train --task classification"),
            ("ptsm train --data a.csv --out m --epochs x", "wanted a whole number"),
            ("ptsm train --data a.csv --out m --dropout x", "wanted a number"),
            ("ptsm bench", "--model <DIR>|--shape <NAME>"),
            ("ptsm simulate", "--out <FILE>|--list"),
            ("ptsm inspect", "tip: such as: ptsm inspect load.csv"),
            ("ptsm train --data a.csv", "tip: such as: ptsm train --data load.csv --out model"),
            ("ptsm heads remove", "tip: such as: ptsm heads remove --model bands probe"),
            ("ptsm completions", "<bash|zsh|fish|elvish|powershell>"),
            (
                "ptsm train --data a.csv --out m --split 7:1",
                "'--split <SPLIT>': \"7:1\" is not a split",
            ),
            (
                "ptsm evaluate --model m --data a.csv --split tset",
                "'--split <PART|SPLIT>': \"tset\"",
            ),
        ] {
            let text = said(line);
            assert!(text.contains(wanted), "{line}: {text}");
        }
    }
}
