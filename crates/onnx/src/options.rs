//! What the caller of an export chooses.

use std::fmt;
use std::str::FromStr;

use ptsm::{Error, Result};

/// How the file is told which points are missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missing {
    /// A missing point is NaN in `past_values`.
    #[default]
    Nan,
    /// By a second input, `observed_mask`: 1 = seen, 0 = missing.
    Mask,
    /// No point is ever missing: the graph has no steps for it.
    None,
}

/// Whether shift and scale of the channels are inside the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standardise {
    /// The file takes and gives data units.
    Inside,
    /// The file takes and gives the numbers of the network; the caller standardises.
    None,
}

/// Options of an export; the default suits a model directory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// How missing points are told.
    pub missing: Missing,
    /// Whether the file takes data units; `None` = if the model directory says how.
    pub standardise: Option<Standardise>,
    /// Levels in (0, 1) of an output `quantiles`; empty = those that the model was trained for, if it was.
    pub quantiles: Vec<f64>,
    /// Only this network of an ensemble.
    pub member: Option<String>,
    /// Only these heads of a shared backbone, `main` among them; `None` = all.
    pub heads: Option<Vec<String>>,
}

/// The values of an option, with their names.
fn parse<T: Copy + fmt::Display>(option: &str, text: &str, known: &[T]) -> Result<T> {
    known.iter().find(|value| value.to_string() == text).copied().ok_or_else(|| {
        let names: Vec<String> = known.iter().map(T::to_string).collect();
        Error::config(option, format!("\"{text}\" is not one of {}", names.join(", ")))
    })
}

impl Missing {
    /// The names of all.
    pub const NAMES: [&'static str; 3] = ["nan", "mask", "none"];
    const ALL: [Missing; 3] = [Missing::Nan, Missing::Mask, Missing::None];
}

impl Standardise {
    /// The names of all.
    pub const NAMES: [&'static str; 2] = ["inside", "none"];
    const ALL: [Standardise; 2] = [Standardise::Inside, Standardise::None];
}

impl FromStr for Missing {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse("missing", text, &Self::ALL)
    }
}

impl FromStr for Standardise {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse("standardise", text, &Self::ALL)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

impl fmt::Display for Standardise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}
