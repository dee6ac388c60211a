//! How the cells of a column are taken, by its name.

use super::id_name::{IdName, id_name};
use super::table::ReadOptions;

/// How the cells of a column are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As numbers if all of them are; else as texts, some of which mean "missing".
    Usual,
    /// As texts, some of which mean "missing".
    Text,
    /// As names of series: what is written, to the letter.
    Name,
    /// As numbers if all are, and none is of digits that a number does not hold (`007`); else as names.
    NameUnlessNumbers,
}

impl Reading {
    /// That of the column called `name`.
    pub(super) fn of(name: &str, options: &ReadOptions) -> Self {
        if options.id_columns.iter().any(|column| column == name) {
            return Reading::Name;
        }
        if options.text_columns.iter().any(|column| column.eq_ignore_ascii_case(name)) {
            return Reading::Text;
        }
        match id_name(name) {
            Some(IdName::Certain) => Reading::Name,
            Some(IdName::OfTexts) => Reading::NameUnlessNumbers,
            None => Reading::Usual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how_a_column_is_read() {
        let options = ReadOptions {
            id_columns: vec!["site".into()],
            text_columns: vec!["class".into()],
            ..ReadOptions::default()
        };
        for (name, wanted) in [
            ("site", Reading::Name),
            ("Site", Reading::Usual),
            ("class", Reading::Text),
            ("Unique_ID", Reading::Name),
            ("id", Reading::NameUnlessNumbers),
            ("load", Reading::Usual),
        ] {
            assert_eq!(Reading::of(name, &options), wanted, "{name}");
        }
    }
}
