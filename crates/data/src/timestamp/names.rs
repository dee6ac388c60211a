//! Names of months, as they are written in English.

use serde::{Deserialize, Serialize};

const NAMES: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// How the name of a month is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameForm {
    /// July, not Jul.
    pub full: bool,
    /// Upper and lower case.
    pub case: Case,
}

/// Upper and lower case of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// Jul.
    Title,
    /// JUL.
    Upper,
    /// jul.
    Lower,
}

impl NameForm {
    /// The form of both: May is short and full at once.
    pub(super) fn merge(self, next: NameForm) -> NameForm {
        NameForm { full: self.full || next.full, case: next.case }
    }
}

/// A month, from 1.
#[derive(Clone, Copy)]
pub(super) struct MonthName(pub(super) i8);

impl MonthName {
    /// Reads the letters of a name: the first three, or all (or `Sept`).
    pub(super) fn read(letters: &[u8]) -> Option<(i8, NameForm)> {
        let same = |name: &str| {
            name.as_bytes().eq_ignore_ascii_case(letters)
                || name.as_bytes()[..3].eq_ignore_ascii_case(letters)
                || (name == "September" && letters.eq_ignore_ascii_case(b"sept"))
        };
        let month = NAMES.iter().position(|name| same(name))?;
        let case = match (letters[0].is_ascii_uppercase(), letters[1].is_ascii_uppercase()) {
            (true, true) => Case::Upper,
            (true, false) => Case::Title,
            (false, _) => Case::Lower,
        };
        // Sept is a short form of four letters.
        let full = letters.len() > 3 && (month != 8 || letters.len() > 4);
        Some((month as i8 + 1, NameForm { full, case }))
    }

    pub(super) fn text(self, form: NameForm) -> String {
        let name = NAMES[(self.0 - 1).clamp(0, 11) as usize];
        let name = if form.full { name } else { &name[..3] };
        match form.case {
            Case::Title => name.to_owned(),
            Case::Upper => name.to_uppercase(),
            Case::Lower => name.to_lowercase(),
        }
    }
}
