//! Training on the CPU: the model from its patches to its projections, forward and backward, laid
//! out as for inference.
//!
//! Activations stand as `[C][D][N]` with the patches contiguous, so the time mixer, most of the
//! work, needs no transposition. One sample at a time passes all layers (with batch norm, what lies
//! up to the next norm) and leaves what its gradient needs in buffers that are kept between steps.
//! Scaler, patches and what follows a head's projections stay with their definition, and so do
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
mod common;
mod head;
mod linear;
mod norm;
#[cfg(test)]
mod tests;
mod together;

use std::ops::Range;

use ptsm_kernels::{Aligned, Isa, Matrix, MatrixMut, MatrixShape, Moments, add, transpose};

use super::sizes::Sizes;
use crate::architecture::Architecture;
use crate::layers::Dropout;
use crate::model::{Mode, Model};
use crate::network::{Axis, Stage};
use crate::weights::{HeadSlot, Store};

use block::{Block, Cache, Flow, Scratch};
use common::Sums;
use head::{HeadCache, HeadPlan};
use linear::Linear;
use norm::{Slopes, Statistics};

pub(crate) use together::{Member, Together};

/// A model with its weights packed for both directions.
#[derive(Debug)]
pub(crate) struct TrainPlan {
    architecture: Architecture,
    isa: Isa,
    patch_length: usize,
    /// The hidden state that the embedding gives.
    first: Sizes,
    /// The hidden state that the head reads.
    last: Sizes,
    patcher: Linear,
    position: Option<Positions>,
    /// In the order in which they are computed.
    blocks: Vec<Block>,
    /// What happens to the shape of the hidden state in front of every block, and in the end.
    turns: Vec<Option<Turn>>,
    /// Most numbers of one sample's hidden state.
    most: usize,
    /// Every norm, in the same order: its block, and its number there.
    norms: Vec<(usize, usize)>,
    /// Missing where the definition computes the head.
    head: Option<HeadPlan>,
    /// Numbers of the sums of all layers.
    sums: usize,
}

/// Hidden states of one shape that become those of another.
#[derive(Debug, Clone, Copy)]
struct Turn {
    from: Sizes,
    to: Sizes,
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

/// The gradient that comes back from what follows the plan.
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
        let (network, backbone) = (model.network(), &model.layout().backbone);
        let first = Sizes::new(isa, network.embedding.state);
        let mut sums = 0;
        let patcher = Linear::new(isa, (Axis::Features, &first), &backbone.patcher, &mut sums);
        let position = backbone.position.as_ref().map(|(store, range)| {
            let start = sums;
            sums += if *store == Store::Trained { first.row() } else { 0 };
            let table = Aligned::zeros(first.row());
            Positions { store: *store, range: range.clone(), table, sums: start..sums }
        });
        let (mut blocks, mut turns, mut sizes) = (Vec::new(), vec![None], first);
        for stage in &backbone.stages {
            match stage {
                Stage::Mixer(slot) => {
                    blocks.push(Block::new(isa, &sizes, slot, &mut sums));
                    turns.push(None);
                }
                Stage::Reshape(reshape) => {
                    let to = Sizes::new(isa, reshape.to);
                    let turn = &mut turns[blocks.len()];
                    // Two reshapes after each other are one: no number of `[N, D]` moves.
                    let from = turn.map_or(sizes, |turn: Turn| turn.from);
                    (*turn, sizes) = (Some(Turn { from, to }), to);
                }
            }
        }
        let head = match &model.layout().head {
            HeadSlot::Forecast(slot) => Some(HeadPlan::new(isa, model.config(), &sizes, slot)),
            _ => None,
        };
        let of_block = |(b, block): (usize, &Block)| (0..block.num_norms()).map(move |i| (b, i));
        let norms = blocks.iter().enumerate().flat_map(of_block).collect();
        let rows = turns.iter().flatten().map(|turn| turn.to.row());
        Self {
            architecture: model.architecture().clone(),
            isa,
            patch_length: network.embedding.patch_length,
            first,
            last: sizes,
            patcher,
            position,
            most: first.num_channels * rows.fold(first.row(), usize::max),
            blocks,
            turns,
            norms,
            head,
            sums,
        }
    }

    /// Whether the plan was made for a model like this one.
    pub(crate) fn fits(&self, model: &Model) -> bool {
        self.architecture == *model.architecture()
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
            let Sizes { num_patches, d_model, pitch, .. } = self.first;
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

    /// Numbers of the first hidden state of one sample.
    fn first_sample(&self) -> usize {
        self.first.num_channels * self.first.row()
    }

    /// Numbers of its last one.
    fn last_sample(&self) -> usize {
        self.last.num_channels * self.last.row()
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
        let Sizes { num_channels, num_patches, .. } = self.first;
        let samples = patches.chunks_exact(num_channels * num_patches * self.patch_length);
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
        if number + 1 == self.blocks[block].num_norms() {
            self.turn(block + 1, &mut caches[i].flow);
        }
    }

    /// Gives the hidden state of a sample the shape that block number `block` reads.
    fn turn(&self, block: usize, flow: &mut Flow) {
        if let Some(Turn { from, to }) = &self.turns[block] {
            flow.reshape(from, to);
        }
    }

    /// Gives a gradient the shape of what precedes block number `block`.
    fn turn_back(&self, block: usize, flow: &mut Flow) {
        if let Some(Turn { from, to }) = &self.turns[block] {
            flow.reshape(to, from);
        }
    }

    /// Hands sample `i` of the chunk to the head.
    fn leave(&self, i: usize, arena: &mut TrainArena, mode: Mode) {
        let TrainArena { caches, head, .. } = arena;
        if let Some(plan) = &self.head {
            let own = &mut caches[i].flow.x[..self.last_sample()];
            plan.take(own, i, head, of_sample(mode.dropout, i));
        }
    }

    /// The mixed hidden state of the chunk's `samples`, `[B, C, N, D]`, without a head here.
    pub(crate) fn hidden(&self, samples: usize, arena: &TrainArena) -> Vec<f32> {
        let Sizes { num_channels, num_patches, d_model, pitch } = self.last;
        let mut all = vec![0.0; samples * num_channels * num_patches * d_model];
        let rows = arena.caches[..samples]
            .iter()
            .flat_map(|cache| cache.flow.x[..self.last_sample()].chunks_exact(self.last.row()));
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

    /// Takes the chunk's gradient from what follows the plan.
    fn take_back(&self, given: &Given, samples: usize, arena: &mut TrainArena, mode: Mode) {
        let TrainArena { caches, head, .. } = arena;
        if let (Some(plan), Given::Projected(d)) = (&self.head, given) {
            plan.backward(d, head);
        }
        for (i, cache) in caches[..samples].iter_mut().enumerate() {
            let own = &mut cache.flow.x[..self.last_sample()];
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
        if number + 1 == self.blocks[block].num_norms() {
            self.turn_back(block + 1, flow);
        }
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
        let SampleCache { patches, flow, .. } = &mut caches[i];
        self.turn_back(0, flow);
        let (own, sums) = (&flow.x[..self.first_sample()], &mut sums[..self.sums]);
        if let Some(Positions { sums: place, .. }) = &self.position
            && !place.is_empty()
        {
            own.chunks_exact(self.first.row())
                .for_each(|d| add(self.isa, &mut sums[place.clone()], d));
        }
        self.patcher.learn(patches, own, (sums, turned));
    }

    /// Adds the gradients of the weights, summed since [`Self::start`], to `grads`.
    pub(crate) fn finish(&self, arena: &mut TrainArena, grads: &mut [f32]) {
        let Sizes { num_patches, d_model, pitch, .. } = self.first;
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
        let (Sizes { num_patches, pitch, .. }, patch_length) = (self.first, self.patch_length);
        cache.patches.reserve(self.patcher.from.len());
        cache.flow.reserve(self.most);
        cache.blocks.resize_with(self.blocks.len(), Cache::default);
        let own = &mut cache.flow.x[..self.first_sample()];
        let channels = patches.chunks_exact(num_patches * patch_length);
        for (from, to) in channels.zip(cache.patches.chunks_exact_mut(patch_length * pitch)) {
            let shape = MatrixShape { rows: num_patches, columns: patch_length };
            transpose(self.isa, shape, Matrix::new(from, patch_length), MatrixMut::new(to, pitch));
        }
        self.patcher.apply(&cache.patches[..self.patcher.from.len()], own);
        if let Some(Positions { table, .. }) = &self.position {
            own.chunks_exact_mut(self.first.row()).for_each(|x| add(self.isa, x, table));
        }
        self.turn(0, &mut cache.flow);
    }

    /// `[C, N, D]` to `[C][D][pitch]`, zeros behind the patches.
    fn turn_in(&self, x: &[f32], own: &mut [f32]) {
        let Sizes { num_patches, d_model, pitch, .. } = self.last;
        let channels = x.chunks_exact(num_patches * d_model);
        for (x, own) in channels.zip(own.chunks_exact_mut(self.last.row())) {
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
