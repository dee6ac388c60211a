//! The parts of a split, by name.

use std::fmt;
use std::str::FromStr;

use crate::choice::{choice_of, name_of};
use crate::prepare::Prepared;
use crate::window::WindowSet;
use ptsm_core::{Error, Result};

/// Part of a split: earlier rows train, later ones choose, the last ones judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Rows that the weights are fitted to.
    Train,
    /// Rows that choose the epoch and the recipe.
    Validation,
    /// Rows that nothing is chosen by.
    Test,
}

impl Part {
    /// Every part, in the order of its rows.
    pub const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

    /// `train`, `validation` or `test`.
    pub fn name(self) -> &'static str {
        name_of(&self, &Self::NAMES)
    }

    const NAMES: [(Part, &'static str); 3] =
        [(Part::Train, "train"), (Part::Validation, "validation"), (Part::Test, "test")];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choice_of(text, &Self::NAMES, "split")
    }
}

impl Prepared {
    /// The windows of one part.
    pub fn part(&self, part: Part) -> &WindowSet {
        match part {
            Part::Train => &self.train,
            Part::Validation => &self.validation,
            Part::Test => &self.test,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_name_that_reads_back() {
        for part in Part::ALL {
            assert_eq!(part.to_string().parse::<Part>().unwrap(), part);
        }
        assert!("tests".parse::<Part>().unwrap_err().to_string().contains("train, validation"));
    }
}
