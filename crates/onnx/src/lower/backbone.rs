//! Patches, embedding and the stages of a network: from the scaled window `[B, C, L]` to the hidden state
//! `[B, C, N, D]`.

use ptsm::Result;
use ptsm::core::network::{Axis, Embedding, Gate, MixerBlock, SelfAttention, Stage, State};

use super::weights::Weights;
use crate::graph::{Graph, Value};

/// `[B, C, N, D]` to `[B, D, N, C]` and back.
const SWAP_CHANNELS: [i64; 4] = [0, 3, 2, 1];
/// `[B, C, N, D]` to `[B, C, D, N]` and back.
const SWAP_PATCHES: [i64; 4] = [0, 1, 3, 2];

impl Weights<'_> {
    /// The last hidden state.
    pub(crate) fn backbone(&self, g: &mut Graph, scaled: Value) -> Result<Value> {
        let network = self.model().network();
        g.enter(&self.scope("embedding"));
        let mut h = self.embed(g, &network.embedding, scaled)?;
        for (number, stage) in network.stages.iter().enumerate() {
            h = match stage {
                Stage::Mixer(block) => {
                    let named = if block.trace.is_empty() { &block.name } else { &block.trace };
                    g.enter(&self.scope(named));
                    self.block(g, block, h)?
                }
                Stage::Reshape(reshape) => {
                    g.enter(&self.scope(&format!("reshape.{number}")));
                    let State { channels, patches, features } = reshape.to;
                    g.reshape(h, &[channels, patches, features])?
                }
            };
        }
        Ok(h)
    }

    /// Cuts patches and embeds them.
    fn embed(&self, g: &mut Graph, embedding: &Embedding, scaled: Value) -> Result<Value> {
        let &Embedding { context_length, patch_length, patch_stride, patch_start, state, .. } =
            embedding;
        let State { channels, patches, features } = state;
        let cut = if patch_stride == patch_length {
            let used = g.slice(scaled, 2, patch_start, context_length)?;
            g.reshape(used, &[channels, patches, patch_length])?
        } else {
            let place = |n: usize, k: usize| (patch_start + n * patch_stride + k) as i64;
            let places: Vec<i64> =
                (0..patches).flat_map(|n| (0..patch_length).map(move |k| place(n, k))).collect();
            let places = g.places(&[patches, patch_length], &places);
            g.gather(scaled, places, 2)?
        };
        let mut h = self.apply(g, &embedding.linear, cut)?;
        if let Some(positions) = &embedding.positions {
            let table = self.constant(g, &positions.name, &[patches, features])?;
            h = g.binary("Add", h, table)?;
        }
        Ok(h)
    }

    fn block(&self, g: &mut Graph, block: &MixerBlock, h: Value) -> Result<Value> {
        let z = self.norm(g, &block.norm, h)?;
        let mixed = match block.axis {
            Axis::Features => self.mix(g, block, z)?,
            Axis::Channels => {
                let moved = g.transpose(z, &SWAP_CHANNELS)?;
                let mixed = self.mix(g, block, moved)?;
                g.transpose(mixed, &SWAP_CHANNELS)?
            }
            Axis::Patches => {
                let moved = g.transpose(z, &SWAP_PATCHES)?;
                let mixed = self.mix(g, block, moved)?;
                let mixed = g.transpose(mixed, &SWAP_PATCHES)?;
                match &block.attention {
                    Some(attention) => {
                        let attended = self.attend(g, attention, block.state, z)?;
                        let sum = g.binary("Add", mixed, attended)?;
                        self.norm(g, &attention.norm, sum)?
                    }
                    None => mixed,
                }
            }
        };
        g.binary("Add", mixed, h)
    }

    /// The two layers and the gate of a block, along the last axis.
    fn mix(&self, g: &mut Graph, block: &MixerBlock, mut z: Value) -> Result<Value> {
        if let Some(Gate::BeforeMlp(layer)) = &block.gate {
            let layer = self.linear(g, layer)?;
            z = g.gate(z, layer)?;
        }
        let hidden = self.apply(g, &block.fc1, z)?;
        let hidden = g.gelu(hidden)?;
        let mixed = self.apply(g, &block.fc2, hidden)?;
        match &block.gate {
            Some(Gate::AfterMlp(layer)) => {
                let layer = self.linear(g, layer)?;
                g.gate(mixed, layer)
            }
            _ => Ok(mixed),
        }
    }

    /// Self-attention over patches.
    fn attend(
        &self,
        g: &mut Graph,
        attention: &SelfAttention,
        state: State,
        z: Value,
    ) -> Result<Value> {
        let State { channels, patches, features } = state;
        let (heads, size) = (attention.heads, features / attention.heads);
        let mut part = |layer, order: &[i64]| {
            let x = self.apply(g, layer, z)?;
            let x = g.reshape(x, &[channels, patches, heads, size])?;
            g.transpose(x, order)
        };
        let query = part(&attention.query, &[0, 1, 3, 2, 4])?;
        let key = part(&attention.key, &[0, 1, 3, 4, 2])?;
        let value = part(&attention.value, &[0, 1, 3, 2, 4])?;
        let scores = g.binary("MatMul", query, key)?;
        let scores = g.with("Mul", scores, 1.0 / (size as f32).sqrt())?;
        let weights = g.softmax(scores)?;
        let mixed = g.binary("MatMul", weights, value)?;
        let mixed = g.transpose(mixed, &[0, 1, 3, 2, 4])?;
        let joined = g.reshape(mixed, &[channels, patches, features])?;
        self.apply(g, &attention.out, joined)
    }
}
