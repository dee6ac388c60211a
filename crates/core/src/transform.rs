//! What may be done to values before they are standardised, and undone after.

use serde::{Deserialize, Serialize};

/// What is done to every value before it is shifted and scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Nothing.
    #[default]
    None,
    /// `sign(x) ln(1 + |x|)`: brings counts and amounts of very different sizes together.
    Log1p,
}

impl Transform {
    /// The transformed value.
    #[inline]
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Log1p => value.abs().ln_1p().copysign(value),
        }
    }

    /// The value that `apply` makes into this one; infinite where that is beyond the range of f64.
    #[inline]
    pub fn undo(self, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Log1p => value.abs().exp_m1().copysign(value),
        }
    }

    /// Whether values stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}
