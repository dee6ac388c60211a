//! Choices that options name: each with its name, in one list.

use ptsm_core::{Error, Result, did_you_mean};

/// The name of a choice.
pub(crate) fn name_of<T: PartialEq>(choice: &T, names: &[(T, &'static str)]) -> &'static str {
    let found = names.iter().find(|(named, _)| named == choice);
    found.expect("every choice has a name").1
}

/// The choice of a name.
pub(crate) fn choice_named<T: Copy>(name: &str, names: &[(T, &str)]) -> Option<T> {
    names.iter().find(|(_, known)| *known == name).map(|(choice, _)| *choice)
}

/// The choice that the value `text` of an option names.
///
/// # Errors
///
/// `InvalidConfig` with every name, if none is that.
pub(crate) fn choice_of<T: Copy>(text: &str, names: &[(T, &str)], option: &str) -> Result<T> {
    choice_named(text, names).ok_or_else(|| {
        let list = list_of(names);
        let near = did_you_mean(text, names.iter().map(|(_, name)| *name));
        Error::config(option, format!("\"{text}\" is not one of {list}{near}"))
    })
}

/// The names for a message, in quotes where they are not words.
pub(crate) fn list_of<T>(names: &[(T, &str)]) -> String {
    let shown = |(_, name): &(T, &str)| match name.contains(char::is_alphabetic) {
        true => (*name).to_owned(),
        false => format!("\"{name}\""),
    };
    names.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_found_by_its_name_or_every_name_is_told() {
        let names = [(1, "one"), (2, ",")];
        assert_eq!((name_of(&2, &names), choice_of(",", &names, "mark").unwrap()), (",", 2));
        let error = choice_of("two", &names, "mark").unwrap_err().to_string();
        assert_eq!(error, "mark: \"two\" is not one of one, \",\"");
        let near = choice_of("onne", &names, "mark").unwrap_err().to_string();
        assert!(near.ends_with("(did you mean one?)"), "{near}");
    }
}
