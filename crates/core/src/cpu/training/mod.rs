//! Training on the CPU: the model from its patches to its projections, forward and backward, laid
//! out as for inference.
//!
//! Activations stand as `[C][D][N]` with the patches contiguous, so the time mixer, most of the
//! work, needs no transposition. One sample at a time passes all layers (with batch norm, what lies
//! up to the next norm) and leaves what its gradient needs in buffers that are kept between steps.
//! Scaler, patches and what stands behind a head's projections stay with their definition, and so do
//! the heads that are no forecast.
//!
//! | file | holds |
//! |---|---|
//! | `linear.rs` | linear layers that learn, where activations stand, and where dropout draws |
//! | `norm.rs` | norms |
//! | `block.rs` | a mixer block |
//! | `attention.rs` | the self-attention of a patch mixer |
//! | `together.rs` | batch norm: all samples of a batch from norm to norm |
//! | `head.rs` | the projections of a forecasting head |

mod attention;
mod block;
mod head;
mod linear;
mod norm;
#[cfg(test)]
mod tests;
mod together;

use std::ops::Range;

use ptsm_kernels::{Aligned, Isa, Matrix, MatrixMut, MatrixShape, Moments, add, transpose};

use super::plan::Sizes;
use crate::config::Config;
use crate::layers::{Dropout, draw_site};
use crate::model::{Mode, Model};
use crate::weights::{HeadSlot, LayerSlot, Store};

use block::{Block, Cache, Common, Flow, Scratch, Sums};
use head::{HeadCache, HeadPlan};
use linear::{Axis, Linear};
use norm::{Slopes, Statistics};

pub(crate) use together::{Member, Together};

/// A model with its weights packed for both directions.
#[derive(Debug)]
pub(crate) struct TrainPlan {
    config: Config,
    isa: Isa,
    sizes: Sizes,
    patcher: Linear,
    position: Option<Positions>,
    /// In the order in which they are computed.
    blocks: Vec<Block>,
    /// Every norm, in the same order: its block, and its number there.
    norms: Vec<(usize, usize)>,
    /// Missing where the definition computes the head.
    head: Option<HeadPlan>,
    /// Numbers of the sums of all layers.
    sums: usize,
}

/// Positions that are added to the embedding.
#[derive(Debug)]
struct Positions {
    store: Store,
    range: Range<usize>,
    /// `[D][pitch]`.
    table: Aligned,
    /// Place of the sums of their gradients, `[D][pitch]`; empty if they do not learn.
    sums: Range<usize>,
}

/// Buffers of one thread, kept between steps.
#[derive(Debug, Default)]
pub(crate) struct TrainArena {
    /// By sample of a chunk.
    caches: Vec<SampleCache>,
    scratch: Scratch,
    head: HeadCache,
    /// Sums of the gradients of a group of samples.
    sums: Aligned,
    turned: Aligned,
    /// What batch norm measures of the chunk.
    moments: Vec<Moments>,
}

/// What one sample leaves for the gradient.
#[derive(Debug, Default)]
struct SampleCache {
    /// `[C][p][pitch]`.
    patches: Aligned,
    blocks: Vec<Cache>,
    flow: Flow,
}

/// The gradient that comes back from what stands behind the plan.
#[derive(Debug)]
pub(crate) enum Given {
    /// Of the hidden state, `[B, C, N, D]`.
    Hidden(Vec<f32>),
    /// Of what the projections gave, `[B, C, outputs]` each.
    Projected(Vec<Vec<f32>>),
}

impl TrainPlan {
    /// Makes room for the layers of `model`, whose weights [`Self::load`] packs.
    pub(crate) fn new(model: &Model, isa: Isa) -> Self {
        let config = model.config();
        let (sizes, backbone) = (Sizes::new(isa, config), &model.layout().backbone);
        let common = Common {
            isa,
            sizes: &sizes,
            eps: config.norm_eps as f32,
            probability: config.dropout,
            heads: config.self_attn_heads,
        };
        let (mut blocks, mut sums) = (Vec::new(), 0);
        let patcher = Linear::new(isa, (Axis::Features, &sizes), &backbone.patcher, &mut sums);
        let position = backbone.position.as_ref().map(|(store, range)| {
            let start = sums;
            sums += if *store == Store::Trained { sizes.row() } else { 0 };
            let table = Aligned::zeros(sizes.row());
            Positions { store: *store, range: range.clone(), table, sums: start..sums }
        });
        for (layer, slot) in backbone.layers.iter().enumerate() {
            let LayerSlot { channel, patch, attention, feature } = slot;
            let all = [
                (Axis::Channels, channel.as_ref(), None),
                (Axis::Patches, Some(patch), attention.as_ref()),
                (Axis::Features, Some(feature), None),
            ];
            for (axis, slot, attention) in all {
                if let Some(slot) = slot {
                    let place = (axis, draw_site(layer, axis as u64));
                    blocks.push(Block::new((slot, attention), &common, place, &mut sums));
                }
            }
        }
        let head = match &model.layout().head {
            HeadSlot::Forecast(slot) => Some(HeadPlan::new(isa, config, &sizes, slot)),
            _ => None,
        };
        let of_block = |(b, block): (usize, &Block)| (0..block.num_norms()).map(move |i| (b, i));
        let norms = blocks.iter().enumerate().flat_map(of_block).collect();
        let config = config.clone();
        Self { config, isa, sizes, patcher, position, blocks, norms, head, sums }
    }

    /// Whether the plan was made for a model like this one.
    pub(crate) fn fits(&self, model: &Model) -> bool {
        self.config == *model.config()
    }

    /// Packs the weights of `model` as they are now.
    pub(crate) fn load(&mut self, model: &Model) {
        let trained = &model.parameters.trained;
        self.patcher.load(trained);
        if let Some(Positions { store, range, table, .. }) = &mut self.position {
            let values = match store {
                Store::Trained => &trained[range.clone()],
                _ => &model.parameters.buffers[range.clone()],
            };
            let Sizes { num_patches, d_model, pitch, .. } = self.sizes;
            let shape = MatrixShape { rows: num_patches, columns: d_model };
            transpose(self.isa, shape, Matrix::new(values, d_model), MatrixMut::new(table, pitch));
        }
        self.blocks.iter_mut().for_each(|block| block.load(&model.parameters));
        if let Some(head) = &mut self.head {
            head.load(trained);
        }
    }

    /// Whether the plan computes the projections of the head.
    pub(crate) fn projects(&self) -> bool {
        self.head.is_some()
    }

    fn sample(&self) -> usize {
        self.sizes.num_channels * self.sizes.row()
    }

    /// Forgets what the arena has summed up: a new group of samples begins.
    pub(crate) fn start(&self, arena: &mut TrainArena) {
        arena.sums.reserve(self.sums);
        arena.sums[..self.sums].fill(0.0);
        if let Some(head) = &self.head {
            head.start(&mut arena.head);
        }
    }

    /// Embeds and mixes a chunk of samples, `patches` `[B, C, N, p]`, and keeps what the gradient
    /// needs. Batch norm takes its running statistics.
    pub(crate) fn forward(&self, patches: &[f32], arena: &mut TrainArena, mode: Mode) {
        for i in 0..self.enter(patches, arena) {
            for norm in 0..self.norms.len() {
                self.forward_norm(norm, i, arena, (mode, None));
            }
            self.leave(i, arena, mode);
        }
    }

    /// Embeds a chunk of samples, and returns their number.
    fn enter(&self, patches: &[f32], arena: &mut TrainArena) -> usize {
        let Sizes { num_channels, num_patches, patch_length, .. } = self.sizes;
        let samples = patches.chunks_exact(num_channels * num_patches * patch_length);
        let number = samples.len();
        if arena.caches.len() < number {
            arena.caches.resize_with(number, SampleCache::default);
        }
        samples.zip(&mut arena.caches).for_each(|(patches, cache)| self.embed(patches, cache));
        number
    }

    /// Takes sample `i` of the chunk through a norm and up to the next one.
    fn forward_norm(
        &self,
        norm: usize,
        i: usize,
        arena: &mut TrainArena,
        (mode, statistics): (Mode, Option<&Statistics>),
    ) {
        let (block, number) = self.norms[norm];
        let TrainArena { caches, scratch, .. } = arena;
        let SampleCache { blocks, flow, .. } = &mut caches[i];
        let place = (flow, &mut blocks[block]);
        let with = (scratch, of_sample(backbone_draws(mode), i));
        self.blocks[block].forward(number, place, with, statistics);
    }

    /// Hands sample `i` of the chunk to the head.
    fn leave(&self, i: usize, arena: &mut TrainArena, mode: Mode) {
        let TrainArena { caches, head, .. } = arena;
        if let Some(plan) = &self.head {
            let own = &mut caches[i].flow.x[..self.sample()];
            plan.take(own, i, head, of_sample(mode.dropout, i));
        }
    }

    /// The mixed hidden state of the chunk's `samples`, `[B, C, N, D]`, without a head here.
    pub(crate) fn hidden(&self, samples: usize, arena: &TrainArena) -> Vec<f32> {
        let Sizes { num_channels, num_patches, d_model, pitch, .. } = self.sizes;
        let mut all = vec![0.0; samples * num_channels * num_patches * d_model];
        let rows = arena.caches[..samples]
            .iter()
            .flat_map(|cache| cache.flow.x[..self.sample()].chunks_exact(self.sizes.row()));
        for (own, x) in rows.zip(all.chunks_exact_mut(num_patches * d_model)) {
            let shape = MatrixShape { rows: d_model, columns: num_patches };
            transpose(self.isa, shape, Matrix::new(own, pitch), MatrixMut::new(x, d_model));
        }
        all
    }

    /// What each projection of the head gives for the chunk's `samples`, `[B, C, outputs]`.
    pub(crate) fn project(&self, samples: usize, arena: &mut TrainArena) -> Vec<Vec<f32>> {
        let head = self.head.as_ref();
        head.map_or_else(Vec::new, |head| head.project(samples, &mut arena.head))
    }

    /// Takes a gradient back through the chunk that went forward last, `samples` of them; those of
    /// the weights are summed up in the arena. With a frozen backbone it ends at the head.
    ///
    /// Batch norm that learns goes [back with its batch](Self::backward_together).
    pub(crate) fn backward(
        &self,
        given: &Given,
        samples: usize,
        arena: &mut TrainArena,
        mode: Mode,
    ) {
        self.take_back(given, samples, arena, mode);
        if mode.frozen_backbone {
            return;
        }
        for i in 0..samples {
            for norm in (0..self.norms.len()).rev() {
                self.backward_to(norm, i, arena, mode);
                self.backward_norm(norm, i, arena, None);
            }
            self.learn_embedding(i, arena);
        }
    }

    /// Takes the chunk's gradient from what stands behind the plan.
    fn take_back(&self, given: &Given, samples: usize, arena: &mut TrainArena, mode: Mode) {
        let TrainArena { caches, head, .. } = arena;
        if let (Some(plan), Given::Projected(d)) = (&self.head, given) {
            plan.backward(d, head);
        }
        for (i, cache) in caches[..samples].iter_mut().enumerate() {
            let own = &mut cache.flow.x[..self.sample()];
            match (&self.head, given) {
                (Some(plan), Given::Projected(_)) => {
                    plan.give(own, i, head, of_sample(mode.dropout, i));
                }
                (_, Given::Hidden(d)) => {
                    let each = d.len() / samples;
                    self.turn_in(&d[i * each..][..each], own);
                }
                _ => unreachable!("a projected gradient is that of the plan's head"),
            }
        }
    }

    /// Takes the gradient of sample `i` back to what a norm gave.
    fn backward_to(&self, norm: usize, i: usize, arena: &mut TrainArena, mode: Mode) {
        let (block, number) = self.norms[norm];
        let TrainArena { caches, scratch, sums, .. } = arena;
        let SampleCache { blocks, flow, .. } = &mut caches[i];
        let with = (scratch, of_sample(backbone_draws(mode), i));
        let sums = &mut sums[..self.sums];
        self.blocks[block].backward(number, (&blocks[block], flow), with, sums);
    }

    /// Takes the gradient of sample `i` back through a norm.
    fn backward_norm(
        &self,
        norm: usize,
        i: usize,
        arena: &mut TrainArena,
        slopes: Option<&Slopes>,
    ) {
        let (block, number) = self.norms[norm];
        let TrainArena { caches, sums, .. } = arena;
        let SampleCache { blocks, flow, .. } = &mut caches[i];
        let with = (slopes, &mut sums[..self.sums]);
        self.blocks[block].backward_norm(number, (&blocks[block], flow), with);
    }

    /// Adds the gradients of embedding and positions of sample `i`.
    fn learn_embedding(&self, i: usize, arena: &mut TrainArena) {
        let TrainArena { caches, sums, turned, .. } = arena;
        let SampleCache { patches, flow, .. } = &caches[i];
        let (own, sums) = (&flow.x[..self.sample()], &mut sums[..self.sums]);
        if let Some(Positions { sums: place, .. }) = &self.position
            && !place.is_empty()
        {
            own.chunks_exact(self.sizes.row())
                .for_each(|d| add(self.isa, &mut sums[place.clone()], d));
        }
        self.patcher.learn(patches, own, (sums, turned));
    }

    /// Adds the gradients of the weights, summed since [`Self::start`], to `grads`.
    pub(crate) fn finish(&self, arena: &mut TrainArena, grads: &mut [f32]) {
        let Sizes { num_patches, d_model, pitch, .. } = self.sizes;
        let mut sums = Sums { layers: &mut arena.sums[..self.sums], grads };
        self.patcher.flush(sums.layers, sums.grads);
        if let Some(Positions { range, sums: place, .. }) = &self.position
            && !place.is_empty()
        {
            let (from, turned) = (&sums.layers[place.clone()], &mut arena.turned);
            turned.reserve(range.len());
            let shape = MatrixShape { rows: d_model, columns: num_patches };
            transpose(self.isa, shape, Matrix::new(from, pitch), MatrixMut::new(turned, d_model));
            add(self.isa, &mut sums.grads[range.clone()], &turned[..range.len()]);
        }
        self.blocks.iter().for_each(|block| block.flush(&mut sums));
        if let Some(head) = &self.head {
            head.finish(&mut arena.head, grads);
        }
    }

    /// Where a sample starts: `patches` `[C, N, p]` in the embedding `[C][D][pitch]`.
    fn embed(&self, patches: &[f32], cache: &mut SampleCache) {
        let Sizes { num_patches, patch_length, pitch, .. } = self.sizes;
        cache.patches.reserve(self.patcher.from.len());
        cache.flow.reserve(self.sample());
        cache.blocks.resize_with(self.blocks.len(), Cache::default);
        let own = &mut cache.flow.x[..self.sample()];
        let channels = patches.chunks_exact(num_patches * patch_length);
        for (from, to) in channels.zip(cache.patches.chunks_exact_mut(patch_length * pitch)) {
            let shape = MatrixShape { rows: num_patches, columns: patch_length };
            transpose(self.isa, shape, Matrix::new(from, patch_length), MatrixMut::new(to, pitch));
        }
        self.patcher.apply(&cache.patches[..self.patcher.from.len()], own);
        if let Some(Positions { table, .. }) = &self.position {
            own.chunks_exact_mut(self.sizes.row()).for_each(|x| add(self.isa, x, table));
        }
    }

    /// `[C, N, D]` to `[C][D][pitch]`, zeros behind the patches.
    fn turn_in(&self, x: &[f32], own: &mut [f32]) {
        let Sizes { num_patches, d_model, pitch, .. } = self.sizes;
        let channels = x.chunks_exact(num_patches * d_model);
        for (x, own) in channels.zip(own.chunks_exact_mut(self.sizes.row())) {
            let shape = MatrixShape { rows: num_patches, columns: d_model };
            transpose(self.isa, shape, Matrix::new(x, d_model), MatrixMut::new(own, pitch));
            own.chunks_exact_mut(pitch).for_each(|row| row[num_patches..].fill(0.0));
        }
    }
}

/// A frozen backbone draws nothing.
fn backbone_draws(mode: Mode) -> Option<Dropout> {
    mode.dropout.filter(|_| !mode.frozen_backbone)
}

/// The draws of one sample of a chunk.
fn of_sample(draws: Option<Dropout>, i: usize) -> Option<Dropout> {
    draws.map(|draws| Dropout { first_sample: draws.first_sample + i as u64, ..draws })
}
