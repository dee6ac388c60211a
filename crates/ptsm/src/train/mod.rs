//! Training: the loop and losses of [`ptsm_core::train`], recipes, and searches for recipes.

mod auto;
mod recipe;
mod search;
mod skip;

pub(crate) use auto::short_lengths;
pub use auto::{DataFacts, auto_recipe};
pub use ptsm_core::train::*;
pub use recipe::{Member, Recipe};
pub use search::{Axis, SearchOptions, SearchSpace, Trial, TrialRunner, best_trial, search};
pub use skip::start_skip;
