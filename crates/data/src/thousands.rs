//! The mark between the thousands of a number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::choice::{choice_of, name_of};
use ptsm_core::{Error, Result, option};

/// The separator of thousands in numbers, such as the comma of `1,001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ThousandsMark {
    /// `1,001`.
    Comma,
    /// `1.001`; decimals then have a comma.
    Dot,
    /// `1 001`, also with a space that does not break the line.
    Space,
    /// `1'001`, also with a typographic apostrophe.
    Apostrophe,
    /// No separator: a dot or a comma always marks decimals, also before three digits.
    Absent,
}

impl ThousandsMark {
    /// Each with the text that says it.
    const NAMES: [(ThousandsMark, &'static str); 5] = [
        (ThousandsMark::Comma, ","),
        (ThousandsMark::Dot, "."),
        (ThousandsMark::Space, " "),
        (ThousandsMark::Apostrophe, "'"),
        (ThousandsMark::Absent, "none"),
    ];

    /// The option that says this mark, for messages.
    pub(super) fn as_option(self) -> String {
        let value = match self {
            ThousandsMark::Absent => "none".to_owned(),
            ThousandsMark::Apostrophe => "\"'\"".to_owned(),
            mark => format!("'{mark}'"),
        };
        option("thousands", Some(&value))
    }

    /// Whether the character is this mark.
    pub(super) fn is(self, c: char) -> bool {
        match self {
            ThousandsMark::Comma => c == ',',
            ThousandsMark::Dot => c == '.',
            ThousandsMark::Space => is_space(c),
            ThousandsMark::Apostrophe => matches!(c, '\'' | '\u{2019}'),
            ThousandsMark::Absent => false,
        }
    }
}

impl fmt::Display for ThousandsMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(self, &Self::NAMES))
    }
}

impl FromStr for ThousandsMark {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choice_of(text, &Self::NAMES, "thousands")
    }
}

impl From<ThousandsMark> for String {
    fn from(mark: ThousandsMark) -> Self {
        mark.to_string()
    }
}

impl TryFrom<String> for ThousandsMark {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// A space of any kind that stands inside a line.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{202f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_have_names() {
        for (mark, name) in ThousandsMark::NAMES {
            assert_eq!(name.parse::<ThousandsMark>().unwrap(), mark);
            assert_eq!(mark.to_string(), name);
        }
        assert!("_".parse::<ThousandsMark>().unwrap_err().to_string().contains("\"_\""));
    }
}
