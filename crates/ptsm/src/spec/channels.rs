//! Channels that options and recipes name: by number or by name.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use ptsm_core::did_you_mean;

/// A channel, as a user names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number from 0 or a name of a channel")]
pub enum ChannelChoice {
    /// By its number, from 0.
    Number(usize),
    /// By its name in the data.
    Name(String),
}

impl From<usize> for ChannelChoice {
    fn from(number: usize) -> Self {
        Self::Number(number)
    }
}

impl std::str::FromStr for ChannelChoice {
    type Err = std::convert::Infallible;

    /// A whole number is a place, as it always was; anything else a name.
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number))
    }
}

/// Puts numbers in place of names; `field` is named in messages.
///
/// # Errors
///
/// `InvalidConfig` for a name that no channel has, with the names that there are.
pub(super) fn numbered(
    field: &str,
    chosen: &mut Option<Vec<ChannelChoice>>,
    names: &[String],
) -> Result<()> {
    for choice in chosen.iter_mut().flatten() {
        let ChannelChoice::Name(name) = choice else { continue };
        let Some(number) = names.iter().position(|known| known == name) else {
            let near = did_you_mean(name, names.iter().map(String::as_str));
            let known = names.join(", ");
            let text = format!("there is no channel \"{name}\"{near}; the channels are {known}");
            return Err(Error::config(field, text));
        };
        *choice = number.into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers_and_a_wrong_one_is_told_with_its_neighbour() {
        let names = ["load".to_owned(), "wind".to_owned()];
        let mut chosen = Some(vec!["wind".parse().unwrap(), "0".parse().unwrap()]);
        numbered("prediction_channel_indices", &mut chosen, &names).unwrap();
        assert_eq!(chosen, Some(vec![1.into(), 0.into()]));
        let mut wrong = Some(vec!["laod".parse().unwrap()]);
        let error = numbered("prediction_channel_indices", &mut wrong, &names).unwrap_err();
        assert_eq!(
            error.to_string(),
            "prediction_channel_indices: there is no channel \"laod\" (did you mean load?); the \
             channels are load, wind"
        );
    }

    #[test]
    fn recipes_hold_numbers_or_names() {
        let read = |text: &str| serde_json::from_str::<Vec<ChannelChoice>>(text);
        assert_eq!(read("[0, \"wind\"]").unwrap(), [0.into(), ChannelChoice::Name("wind".into())]);
        assert!(read("[1.5]").unwrap_err().to_string().contains("name of a channel"));
    }
}
