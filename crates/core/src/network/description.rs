//! The whole network: embedding, stages, head.

use super::head::HeadLayers;
use super::layers::{LinearLayer, MixerBlock, Norm};
use super::stage::Stage;
use super::state::{Axis, State};

/// Everything between a scaled window and the output of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Makes the first hidden state of a window.
    pub embedding: Embedding,
    /// The steps from there to the last hidden state, in order.
    pub stages: Vec<Stage>,
    /// What reads the last hidden state.
    pub head: HeadLayers,
    /// Standard deviation of the normal initialisation of the weights.
    pub init_std: f64,
}

/// How a window is cut into patches, and a patch becomes the features of the hidden state.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Time steps of a window, L.
    pub context_length: usize,
    /// Time steps of a patch, p.
    pub patch_length: usize,
    /// Time steps between the starts of two patches.
    pub patch_stride: usize,
    /// Oldest time steps of the window that no patch covers.
    pub patch_start: usize,
    /// Shape of the first hidden state.
    pub state: State,
    /// From the numbers of a patch to its features; the same for all patches and channels.
    pub linear: LinearLayer,
    /// The positional table, if there is one.
    pub positions: Option<Positions>,
}

/// A table `[patches, features]` that is added to the embedding of every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Positions {
    /// Name of the tensor in the state dict.
    pub name: String,
    /// Whether it is learnt, or a fixed table of sines and cosines.
    pub learnt: bool,
}

impl Network {
    /// Shape of the hidden state that the head reads.
    pub fn last_state(&self) -> State {
        self.stages.last().map_or(self.embedding.state, Stage::output)
    }

    /// The mixer blocks, in order.
    pub fn blocks(&self) -> impl Iterator<Item = &MixerBlock> {
        self.stages.iter().filter_map(Stage::mixer)
    }

    /// Whether any block mixes channels, so that the rows of a sample depend on each other.
    pub fn mixes_channels(&self) -> bool {
        self.blocks().any(|block| block.axis == Axis::Channels)
    }

    /// Whether any norm takes its statistics from the whole batch in training.
    pub fn has_batch_norm(&self) -> bool {
        self.fewest_batch_norm_rows().is_some()
    }

    /// The fewest rows of one sample over which a batch norm takes its statistics; `None` without
    /// batch norm.
    pub fn fewest_batch_norm_rows(&self) -> Option<usize> {
        let normed = |block: &&MixerBlock| block.norms().any(|norm| norm.kind == Norm::Batch);
        let rows = |block: &MixerBlock| block.state.channels * block.state.patches;
        self.blocks().filter(normed).map(rows).min()
    }
}
