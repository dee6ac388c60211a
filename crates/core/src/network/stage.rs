//! The stages between embedding and head: mixer blocks, and reshapes between levels.

use super::layers::MixerBlock;
use super::state::State;

/// One step from a hidden state to the next. `B` describes a mixer block: [`MixerBlock`] itself, or
/// something made from it, such as its place in the layout or its packed weights.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage<B = MixerBlock> {
    /// A mixer block; the shape stays.
    Mixer(B),
    /// The same numbers as more or fewer patches.
    Reshape(Reshape),
}

/// Splits every patch into several with a share of its features each, or merges neighbouring
/// patches into one with all their features. The order of the numbers in `[C, N, D]` stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reshape {
    /// Shape before.
    pub from: State,
    /// Shape after, with the same channels and as many numbers.
    pub to: State,
}

impl Stage {
    /// Shape of the hidden state after it.
    pub fn output(&self) -> State {
        match self {
            Stage::Mixer(block) => block.state,
            Stage::Reshape(reshape) => reshape.to,
        }
    }
}

impl<B> Stage<B> {
    /// The mixer block, if it is one.
    pub fn mixer(&self) -> Option<&B> {
        match self {
            Stage::Mixer(block) => Some(block),
            Stage::Reshape(_) => None,
        }
    }

    /// The stage with something made of its mixer block.
    pub fn map<C>(&self, make: impl FnOnce(&B) -> C) -> Stage<C> {
        match self {
            Stage::Mixer(block) => Stage::Mixer(make(block)),
            Stage::Reshape(reshape) => Stage::Reshape(*reshape),
        }
    }
}
