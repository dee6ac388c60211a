//! Options in texts for the user: a library names the field, and each edge of the program spells it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Around an option inside a text; never shown.
const MARK: char = '\u{1}';

/// An option for the message of an [`Error`](crate::Error) or for a [`Note`], which show it as
/// `` `name` `` or `` `name = value` ``, with the field names of recipes and specifications. Each edge
/// of the program spells it in its own way ([`Error::spelled`](crate::Error::spelled),
/// [`Note::spelled`]).
pub fn option(name: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{MARK}{name} = {value}{MARK}"),
        None => format!("{MARK}{name}{MARK}"),
    }
}

/// A text with every [`option`] in it as `spell` writes its name and value.
pub(crate) fn spelled(text: &str, spell: impl Fn(&str, Option<&str>) -> String) -> String {
    let mut spelled = String::new();
    // Every second part is an option.
    for (i, part) in text.split(MARK).enumerate() {
        match (i % 2, part.split_once(" = ")) {
            (0, _) => spelled += part,
            (_, Some((name, value))) => spelled += &spell(name, Some(value)),
            (_, None) => spelled += &spell(part, None),
        }
    }
    spelled
}

/// An option as the library itself shows it.
pub(crate) fn in_backticks(name: &str, value: Option<&str>) -> String {
    value.map_or_else(|| format!("`{name}`"), |value| format!("`{name} = {value}`"))
}

/// A sentence that tells the user what was assumed or done; it may name options, as an error may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Note(String);

impl Note {
    /// The sentence with every [`option`] in it as `spell` writes its name and value, such as a
    /// command's `--name value`.
    pub fn spelled(&self, spell: impl Fn(&str, Option<&str>) -> String) -> String {
        spelled(&self.0, spell)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.spelled(in_backticks))
    }
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Note {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Note> for String {
    fn from(note: Note) -> Self {
        note.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_name_options_as_errors_do_and_show_no_mark() {
        let way_out = option("missing", Some("-9999"));
        let note = Note::from(format!("see {}, use {way_out}", option("season", None)));
        assert_eq!(note.to_string(), "see `season`, use `missing = -9999`");
        let flag = |name: &str, value: Option<&str>| format!("--{name} {}", value.unwrap_or("N"));
        assert_eq!(note.spelled(flag), "see --season N, use --missing -9999");
        let json = serde_json::to_string(&note).unwrap();
        assert_eq!(json, "\"see `season`, use `missing = -9999`\"");
        let back: Note = serde_json::from_str(&json).unwrap();
        assert_eq!(back.to_string(), note.to_string());
    }
}
