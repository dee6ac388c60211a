//! Mixer blocks and layers: norm, MLP, gate, residual, along patches, features or channels.
//!
//! Source: `PatchMixerBlock`, `FeatureMixerBlock`, `PatchTSMixerChannelFeatureMixerBlock`,
//! transformers 5.23.0.

use super::mlp::Mlp;
use super::pass::{Pass, Place};
use super::self_attn::{self, Attention, add};
use super::{gated_attn, mlp, norm};
use crate::config::Config;
use crate::real::Real;
use crate::weights::{AttentionSlot, BlockSlot, LayerSlot, Parameters};

/// Which axis a block mixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Channels,
    Patches,
    Features,
}

/// What the gradient of a block needs.
#[derive(Debug, Clone)]
struct BlockCache<T> {
    norm: norm::Cache<T>,
    mlp: mlp::Cache<T>,
    gate: Option<gated_attn::Cache<T>>,
    attention: Option<(self_attn::Cache<T>, norm::Cache<T>)>,
}

/// Outputs and caches of one mixer layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerCache<T> {
    /// After the channel mixer, `[B, C, N, D]`, in `mix_channel` mode.
    pub(crate) after_channel: Option<Vec<T>>,
    /// After the patch mixer.
    pub(crate) after_patch: Vec<T>,
    /// After the feature mixer: the layer's output.
    pub(crate) after_feature: Vec<T>,
    channel: Option<BlockCache<T>>,
    patch: BlockCache<T>,
    feature: BlockCache<T>,
}

/// One layer's weights and sizes.
pub(crate) struct Layer<'a> {
    pub(crate) slot: &'a LayerSlot,
    pub(crate) config: &'a Config,
    /// Number of the layer, for its draws.
    pub(crate) index: usize,
}

/// One block of a layer.
struct Block<'a> {
    slot: &'a BlockSlot,
    attention: Option<&'a AttentionSlot>,
    config: &'a Config,
    axis: Axis,
    place: Place,
}

impl<'a> Layer<'a> {
    fn block(&self, axis: Axis) -> Option<Block<'a>> {
        let (slot, attention) = match axis {
            Axis::Channels => (self.slot.channel.as_ref()?, None),
            Axis::Patches => (&self.slot.patch, self.slot.attention.as_ref()),
            Axis::Features => (&self.slot.feature, None),
        };
        let place = Place::block(self.index, axis as u64);
        Some(Block { slot, attention, config: self.config, axis, place })
    }

    fn blocks(&self) -> (Option<Block<'a>>, Block<'a>, Block<'a>) {
        let patch = self.block(Axis::Patches).expect("every layer has a patch mixer");
        let feature = self.block(Axis::Features).expect("every layer has a feature mixer");
        (self.block(Axis::Channels), patch, feature)
    }

    /// `x` `[B, C, N, D]`; the output is in the cache.
    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &Parameters<T>,
        x: &[T],
        pass: &Pass,
    ) -> LayerCache<T> {
        let (channel_block, patch_block, feature_block) = self.blocks();
        let (after_channel, channel) = match channel_block {
            Some(block) => {
                let (out, cache) = block.forward(parameters, x, pass);
                (Some(out), Some(cache))
            }
            None => (None, None),
        };
        let input = after_channel.as_deref().unwrap_or(x);
        let (after_patch, patch) = patch_block.forward(parameters, input, pass);
        let (after_feature, feature) = feature_block.forward(parameters, &after_patch, pass);
        LayerCache { after_channel, after_patch, after_feature, channel, patch, feature }
    }

    /// Adds the gradients of the layer to `grads` and returns that of its input.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &[T],
        cache: &LayerCache<T>,
        d_out: Vec<T>,
        grads: &mut [T],
        pass: &Pass,
    ) -> Vec<T> {
        let (channel_block, patch_block, feature_block) = self.blocks();
        let d = feature_block.backward(trained, &cache.feature, d_out, grads, pass);
        let d = patch_block.backward(trained, &cache.patch, d, grads, pass);
        match (channel_block, &cache.channel) {
            (Some(block), Some(cache)) => block.backward(trained, cache, d, grads, pass),
            _ => d,
        }
    }

    /// Moves the running statistics of the layer's norms towards those of the batch.
    pub(crate) fn update_running<T: Real>(
        &self,
        parameters: &mut Parameters<T>,
        cache: &LayerCache<T>,
    ) {
        let slots = [self.slot.channel.as_ref(), Some(&self.slot.patch), Some(&self.slot.feature)];
        let caches = [cache.channel.as_ref(), Some(&cache.patch), Some(&cache.feature)];
        for (slot, cache) in slots.into_iter().zip(caches) {
            let (Some(slot), Some(cache)) = (slot, cache) else {
                continue;
            };
            slot.norm.update_running(parameters, &cache.norm);
            if let (Some(slot), Some((_, cache))) = (&self.slot.attention, &cache.attention) {
                slot.norm.update_running(parameters, cache);
            }
        }
    }
}

impl Block<'_> {
    fn mlp(&self) -> Mlp<'_> {
        Mlp {
            fc1: &self.slot.fc1,
            fc2: &self.slot.fc2,
            dropout: self.config.dropout,
            place: self.place,
        }
    }

    fn attention(&self) -> Option<Attention<'_>> {
        self.attention.map(|slot| Attention {
            slot,
            heads: self.config.self_attn_heads,
            num_patches: self.config.num_patches(),
            dropout: self.config.dropout,
            place: self.place,
        })
    }

    /// Brings the mixed axis to the end: `[N, D]` to `[D, N]`, or `[C, N D]` to `[N D, C]`.
    fn mixed_last<T: Real>(&self, x: &[T]) -> Vec<T> {
        let (n, d) = (self.config.num_patches(), self.config.d_model);
        match self.axis {
            Axis::Channels => transpose_each(self.config.num_input_channels, n * d, x),
            Axis::Patches => transpose_each(n, d, x),
            Axis::Features => x.to_vec(),
        }
    }

    /// Undoes [`Block::mixed_last`].
    fn unmixed<T: Real>(&self, x: Vec<T>) -> Vec<T> {
        let (n, d) = (self.config.num_patches(), self.config.d_model);
        match self.axis {
            Axis::Channels => transpose_each(n * d, self.config.num_input_channels, &x),
            Axis::Patches => transpose_each(d, n, &x),
            Axis::Features => x,
        }
    }

    /// `x` `[B, C, N, D]` gives `[B, C, N, D]`.
    fn forward<T: Real>(
        &self,
        parameters: &Parameters<T>,
        x: &[T],
        pass: &Pass,
    ) -> (Vec<T>, BlockCache<T>) {
        let trained = &parameters.trained;
        let eps = T::from_f64(self.config.norm_eps);
        let (z, norm) = self.slot.norm.forward(parameters, eps, x, pass);
        let (mut last, mut gate) = (self.mixed_last(&z), None);
        let mut apply_gate = |last: Vec<T>| match &self.slot.gate {
            None => last,
            Some(slot) => {
                let (out, cache) = gated_attn::forward(slot, trained, last);
                gate = Some(cache);
                out
            }
        };
        // The channel mixer alone has its gate in front of the MLP.
        let mlp = if self.axis == Axis::Channels {
            let (out, mlp) = self.mlp().forward(trained, apply_gate(last), pass);
            last = out;
            mlp
        } else {
            let (out, mlp) = self.mlp().forward(trained, last, pass);
            last = apply_gate(out);
            mlp
        };
        let mut out = self.unmixed(last);
        let mut attention = None;
        if let Some(block) = self.attention() {
            let (attended, attention_cache) = block.forward(trained, z, pass);
            add(&mut out, &attended);
            let (normed, norm_cache) = block.slot.norm.forward(parameters, eps, &out, pass);
            out = normed;
            attention = Some((attention_cache, norm_cache));
        }
        add(&mut out, x);
        (out, BlockCache { norm, mlp, gate, attention })
    }

    /// Adds the gradients of the block to `grads` and returns that of its input.
    fn backward<T: Real>(
        &self,
        trained: &[T],
        cache: &BlockCache<T>,
        d_out: Vec<T>,
        grads: &mut [T],
        pass: &Pass,
    ) -> Vec<T> {
        let mut d = d_out.clone();
        let mut d_attended = None;
        if let (Some(block), Some((attention, norm))) = (self.attention(), &cache.attention) {
            d = block.slot.norm.backward(trained, norm, &d, grads);
            d_attended = Some(block.backward(trained, attention, &d, grads, pass));
        }
        let mut d = self.mixed_last(&d);
        let gate = self.slot.gate.as_ref().zip(cache.gate.as_ref());
        if self.axis != Axis::Channels
            && let Some((slot, gate)) = gate
        {
            d = gated_attn::backward(slot, trained, gate, &d, grads);
        }
        d = self.mlp().backward(trained, &cache.mlp, d, grads, pass);
        if self.axis == Axis::Channels
            && let Some((slot, gate)) = gate
        {
            d = gated_attn::backward(slot, trained, gate, &d, grads);
        }
        let mut d = self.unmixed(d);
        if let Some(d_attended) = d_attended {
            add(&mut d, &d_attended);
        }
        let mut d_x = self.slot.norm.backward(trained, &cache.norm, &d, grads);
        add(&mut d_x, &d_out);
        d_x
    }
}

/// Transposes every `[rows, columns]` matrix of `x`.
fn transpose_each<T: Real>(rows: usize, columns: usize, x: &[T]) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    for (x, out) in x.chunks_exact(rows * columns).zip(out.chunks_exact_mut(rows * columns)) {
        T::transpose(rows, columns, x, out);
    }
    out
}
