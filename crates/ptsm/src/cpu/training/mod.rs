//! Training on the CPU: the mixer layers forward and backward, laid out as for inference.
//!
//! Activations stand as `[C][D][N]` with the patches contiguous, so the time mixer, most of the
//! work, needs no transposition. One sample at a time passes all layers and leaves what its
//! gradient needs in buffers that are kept between steps. The embedding in front of the layers and
//! the head behind them are a small part of the work and stay with their definition, so every task
//! trains here.
//!
//! Batch norm, whose gradient needs the whole batch, and self-attention are the definition's.

mod block;
mod linear;
#[cfg(test)]
mod tests;

use ptsm_kernels::{Aligned, Isa};

use super::plan::Sizes;
use crate::config::Norm;
use crate::model::{Dropout, Model, draw_site};
use crate::weights::LayerSlot;

use block::{Block, Cache, Common, Scratch, Sums};
use linear::Axis;

/// The mixer layers of a model with their weights packed for both directions; made anew for every
/// step.
#[derive(Debug)]
pub(crate) struct TrainPlan {
    sizes: Sizes,
    /// In the order in which they are computed.
    blocks: Vec<Block>,
    /// Numbers of the padded sums of all linear layers.
    sums: usize,
}

/// Buffers of one thread, kept between steps.
#[derive(Debug, Default)]
pub(crate) struct TrainArena {
    /// By sample, then by block.
    caches: Vec<Vec<Cache>>,
    x: Aligned,
    scratch: Scratch,
    sums: Aligned,
}

impl TrainPlan {
    /// Packs the mixer layers; `None` if the model has something that only its definition knows.
    pub(crate) fn new(model: &Model, isa: Isa) -> Option<Self> {
        let config = model.config();
        if config.norm() == Norm::Batch || config.self_attn {
            return None;
        }
        let sizes = Sizes::new(isa, config);
        let common = Common {
            isa,
            sizes: &sizes,
            eps: config.norm_eps as f32,
            probability: config.dropout,
            trained: &model.parameters.trained,
        };
        let (mut blocks, mut sums) = (Vec::new(), 0);
        for (layer, slot) in model.layout().backbone.layers.iter().enumerate() {
            let LayerSlot { channel, patch, feature, .. } = slot;
            let all = [
                (Axis::Channels, channel.as_ref()),
                (Axis::Patches, Some(patch)),
                (Axis::Features, Some(feature)),
            ];
            for (axis, slot) in all {
                if let Some(slot) = slot {
                    let place = (axis, draw_site(layer, axis as u64));
                    blocks.push(Block::new(slot, &common, place, &mut sums));
                }
            }
        }
        Some(Self { sizes, blocks, sums })
    }

    fn sample(&self) -> usize {
        self.sizes.num_channels * self.sizes.row()
    }

    /// Mixes `x` `[B, C, N, D]` in place and keeps in the arena what the gradient needs.
    pub(crate) fn forward(&self, x: &mut [f32], arena: &mut TrainArena, draws: Option<Dropout>) {
        let Sizes { num_channels, num_patches, d_model, .. } = self.sizes;
        let samples = x.chunks_exact_mut(num_channels * num_patches * d_model);
        arena.x.reserve(self.sample());
        if arena.caches.len() < samples.len() {
            arena.caches.resize_with(samples.len(), Vec::new);
        }
        for (i, x) in samples.enumerate() {
            let caches = &mut arena.caches[i];
            caches.resize_with(self.blocks.len(), Cache::default);
            let own = &mut arena.x[..self.sample()];
            self.turn_in(x, own);
            let draws = of_sample(draws, i);
            for (block, cache) in self.blocks.iter().zip(caches) {
                block.forward(own, cache, draws);
            }
            self.turn_out(own, x);
        }
    }

    /// Turns the gradient `d` `[B, C, N, D]` of the mixed `x` into that of `x`, and adds the
    /// gradients of the weights to `grads`.
    pub(crate) fn backward(
        &self,
        d: &mut [f32],
        arena: &mut TrainArena,
        (grads, draws): (&mut [f32], Option<Dropout>),
    ) {
        let Sizes { num_channels, num_patches, d_model, .. } = self.sizes;
        arena.sums.reserve(self.sums);
        arena.sums[..self.sums].fill(0.0);
        let TrainArena { caches, x, scratch, sums } = arena;
        let mut sums = Sums { linear: &mut sums[..self.sums], grads };
        let samples = d.chunks_exact_mut(num_channels * num_patches * d_model);
        for (i, (d, caches)) in samples.zip(caches).enumerate() {
            let own = &mut x[..self.sample()];
            self.turn_in(d, own);
            let draws = of_sample(draws, i);
            for (block, cache) in self.blocks.iter().zip(caches).rev() {
                block.backward(cache, own, (scratch, draws), &mut sums);
            }
            self.turn_out(own, d);
        }
        self.blocks.iter().for_each(|block| block.flush(&mut sums));
    }

    /// `[C, N, D]` to `[C][D][pitch]`, zeros behind the patches.
    fn turn_in(&self, x: &[f32], own: &mut [f32]) {
        let Sizes { num_patches, d_model, pitch, .. } = self.sizes;
        let channels = x.chunks_exact(num_patches * d_model);
        for (x, own) in channels.zip(own.chunks_exact_mut(self.sizes.row())) {
            for (d, row) in own.chunks_exact_mut(pitch).enumerate() {
                let (patches, padding) = row.split_at_mut(num_patches);
                patches
                    .iter_mut()
                    .zip(x[d..].iter().step_by(d_model))
                    .for_each(|(to, &from)| *to = from);
                padding.fill(0.0);
            }
        }
    }

    /// The way back.
    fn turn_out(&self, own: &[f32], x: &mut [f32]) {
        let Sizes { num_patches, d_model, pitch, .. } = self.sizes;
        let channels = x.chunks_exact_mut(num_patches * d_model);
        for (x, own) in channels.zip(own.chunks_exact(self.sizes.row())) {
            for (n, row) in x.chunks_exact_mut(d_model).enumerate() {
                row.iter_mut()
                    .zip(own[n..].iter().step_by(pitch))
                    .for_each(|(to, &from)| *to = from);
            }
        }
    }
}

/// The draws of one sample of a chunk.
fn of_sample(draws: Option<Dropout>, i: usize) -> Option<Dropout> {
    draws.map(|draws| Dropout { first_sample: draws.first_sample + i as u64, ..draws })
}
