//! One description of what a model computes: which layers, of which widths, under which names.
//!
//! An architecture turns its configuration into a [`Network`] once; everything else follows the
//! network and knows no architecture: the layout of the weights, the definition, the CPU's plans
//! for forecasts and for training, the Tenstorrent lowering, the counts of parameters and
//! multiply-adds. Names of the state dict come from the network alone; PatchTSMixer's are written
//! in `config/network.rs`.
//!
//! | file | holds |
//! |---|---|
//! | `description.rs` | the whole network: embedding, stages, head |
//! | `state.rs` | the shape of a hidden state, and its axes |
//! | `layers.rs` | linear layers, norms, gates, self-attention, and the mixer block of them |
//! | `stage.rs` | what is between embedding and head: mixer blocks and reshapes |
//! | `stack.rs` | puts stages together, block by block |
//! | `head.rs` | the layers of the heads |
//! | `cost.rs` | parameters and multiply-adds |
//! | `check.rs` | checks of a network before weights are made for it |
//!
//! It is data, not a graph that is interpreted: whatever follows it is a plain loop over
//! [`Network::stages`].

mod check;
mod cost;
mod description;
mod head;
mod layers;
mod stack;
mod stage;
mod state;

pub use description::{Embedding, Network, Positions};
pub use head::{
    CrossChannelLayers, ForecastLayers, HeadLayers, HierarchyLayers, InjectLayers, PooledLayers,
};
pub use layers::{Gate, LinearLayer, MixerBlock, Norm, NormLayer, SelfAttention};
pub use stack::{BlockOptions, Stack};
pub use stage::{Reshape, Stage};
pub use state::{Axis, State};
