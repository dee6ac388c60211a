//! Training on the CPU: the model from its patches to its projections, forward and backward, laid
//! out as for inference.
//!
//! Activations are laid out as `[C][D][N]` with the patches contiguous, so the patch mixer, most of
//! the work, needs no transposition. One sample at a time passes all layers (with batch norm, the
//! layers up to the next norm) and keeps what its gradient needs in buffers that are used again in
//! the next step. The definition in `model/` computes the rest: scaler, patches, what follows the
//! projections of a forecasting head, and all of the other heads.
//!
//! | file | holds |
//! |---|---|
//! | `common.rs` | parameters that layers take together |
//! | `linear.rs` | linear layers, the layout of activations, and the numbers of dropout's draws |
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
use crate::model::{ForwardOptions, Model};
use crate::network::{Axis, Stage};
use crate::weights::{HeadSlot, TensorStore};

use block::{Activations, Block, Cache, Scratch};
use common::{SamplePass, WeightSums};
use head::{HeadCache, HeadPlan};
use linear::Linear;
use norm::{Slopes, Statistics};

pub(crate) use together::{Member, NormStatistics};

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
    /// How the hidden state is reshaped before each block, and after the last one.
    reshapes: Vec<Option<Reshape>>,
    /// Numbers of one sample's largest hidden state.
    most: usize,
    /// Every norm, in the order of computation.
    norms: Vec<NormIndex>,
    /// Missing where the definition computes the head.
    head: Option<HeadPlan>,
    /// How many numbers the sums of all layers are.
    sums: usize,
}

/// Hidden states of one shape that become hidden states of another.
#[derive(Debug, Clone, Copy)]
struct Reshape {
    from: Sizes,
    to: Sizes,
}

/// Which norm of which block.
#[derive(Debug, Clone, Copy)]
struct NormIndex {
    block: usize,
    /// Its number in the block.
    number: usize,
}

/// Positions that are added to the embedding.
#[derive(Debug)]
struct Positions {
    store: TensorStore,
    range: Range<usize>,
    /// `[D][pitch]`.
    table: Aligned,
    /// Range of the sums of their gradients, `[D][pitch]`, among all sums; empty if they do not
    /// learn.
    sums: Range<usize>,
}

/// Buffers of one thread, kept between steps.
#[derive(Debug, Default)]
pub(crate) struct TrainArena {
    /// One for each sample of a chunk.
    caches: Vec<SampleCache>,
    scratch: Scratch,
    head: HeadCache,
    /// Sums of the gradients over a group of samples.
    sums: Aligned,
    transposed: Aligned,
    /// What batch norm measures of the chunk.
    moments: Vec<Moments>,
}

/// What is kept of one sample for the gradient.
#[derive(Debug, Default)]
struct SampleCache {
    /// `[C][p][pitch]`.
    patches: Aligned,
    blocks: Vec<Cache>,
    activations: Activations,
}

/// The gradient of what the plan computed, with which its backward pass starts.
#[derive(Debug)]
pub(crate) enum PlanGradient {
    /// Of the hidden state, `[B, C, N, D]`.
    Hidden(Vec<f32>),
    /// Of the outputs of each projection, `[B, C, outputs]`.
    Projected(Vec<Vec<f32>>),
}

impl TrainPlan {
    /// Makes room for the layers of `model`, whose weights [`Self::load`] packs.
    pub(crate) fn new(model: &Model, isa: Isa) -> Self {
        let (network, backbone) = (model.network(), &model.layout().backbone);
        let first = Sizes::new(isa, network.embedding.state);
        let mut sums = 0;
        let patcher = Linear::new(isa, Axis::Features, &first, &backbone.patcher, &mut sums);
        let position = backbone.position.as_ref().map(|(store, range)| {
            let start = sums;
            sums += if *store == TensorStore::Trained { first.row() } else { 0 };
            let table = Aligned::zeros(first.row());
            Positions { store: *store, range: range.clone(), table, sums: start..sums }
        });
        let (mut blocks, mut reshapes, mut sizes) = (Vec::new(), vec![None], first);
        for stage in &backbone.stages {
            match stage {
                Stage::Mixer(slot) => {
                    blocks.push(Block::new(isa, &sizes, slot, &mut sums));
                    reshapes.push(None);
                }
                Stage::Reshape(reshape) => {
                    let to = Sizes::new(isa, reshape.to);
                    let next = &mut reshapes[blocks.len()];
                    // Two reshapes after each other are one: both keep the order of `[N, D]`.
                    let from = next.map_or(sizes, |next: Reshape| next.from);
                    (*next, sizes) = (Some(Reshape { from, to }), to);
                }
            }
        }
        let head = match &model.layout().head {
            HeadSlot::Forecast(slot) => Some(HeadPlan::new(isa, model.config(), &sizes, slot)),
            _ => None,
        };
        let norms = blocks.iter().enumerate().flat_map(|(block, packed): (usize, &Block)| {
            (0..packed.num_norms()).map(move |number| NormIndex { block, number })
        });
        let norms = norms.collect();
        let rows = reshapes.iter().flatten().map(|reshape| reshape.to.row());
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
            reshapes,
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
                TensorStore::Trained => &trained[range.clone()],
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

    /// Numbers of the last hidden state of one sample.
    fn last_sample(&self) -> usize {
        self.last.num_channels * self.last.row()
    }

    /// Begins a new group of samples: sets the sums in the arena to 0.
    pub(crate) fn start(&self, arena: &mut TrainArena) {
        arena.sums.reserve(self.sums);
        arena.sums[..self.sums].fill(0.0);
        if let Some(head) = &self.head {
            head.start(&mut arena.head);
        }
    }

    /// Embeds and mixes a chunk of samples, `patches` `[B, C, N, p]`, and keeps what the gradient
    /// needs. Batch norm takes its running statistics.
    pub(crate) fn forward(&self, patches: &[f32], arena: &mut TrainArena, mode: ForwardOptions) {
        for i in 0..self.embed_chunk(patches, arena) {
            for norm in 0..self.norms.len() {
                self.forward_norm(norm, i, arena, mode, None);
            }
            self.keep_for_head(i, arena, mode);
        }
    }

    /// Embeds a chunk of samples, and returns their number.
    fn embed_chunk(&self, patches: &[f32], arena: &mut TrainArena) -> usize {
        let Sizes { num_channels, num_patches, .. } = self.first;
        let samples = patches.chunks_exact(num_channels * num_patches * self.patch_length);
        let number = samples.len();
        if arena.caches.len() < number {
            arena.caches.resize_with(number, SampleCache::default);
        }
        samples.zip(&mut arena.caches).for_each(|(patches, cache)| self.embed(patches, cache));
        number
    }

    /// Computes a norm of sample `i` of the chunk, and what follows it up to the next norm.
    fn forward_norm(
        &self,
        norm: usize,
        i: usize,
        arena: &mut TrainArena,
        mode: ForwardOptions,
        statistics: Option<&Statistics>,
    ) {
        let NormIndex { block, number } = self.norms[norm];
        let TrainArena { caches, scratch, .. } = arena;
        let SampleCache { blocks, activations, .. } = &mut caches[i];
        let pass = SamplePass { scratch, draws: of_sample(backbone_draws(mode), i) };
        let plan = &self.blocks[block];
        plan.forward(number, activations, &mut blocks[block], pass, statistics);
        if number + 1 == plan.num_norms() {
            self.reshape(block + 1, activations);
        }
    }

    /// Gives the hidden state of a sample the shape that block number `block` reads.
    fn reshape(&self, block: usize, activations: &mut Activations) {
        if let Some(Reshape { from, to }) = &self.reshapes[block] {
            activations.reshape(from, to);
        }
    }

    /// Gives a gradient the shape of what precedes block number `block`.
    fn reshape_back(&self, block: usize, gradients: &mut Activations) {
        if let Some(Reshape { from, to }) = &self.reshapes[block] {
            gradients.reshape(to, from);
        }
    }

    /// Keeps the hidden state of sample `i` of the chunk for the head.
    fn keep_for_head(&self, i: usize, arena: &mut TrainArena, mode: ForwardOptions) {
        let TrainArena { caches, head, .. } = arena;
        if let Some(plan) = &self.head {
            let own = &mut caches[i].activations.x[..self.last_sample()];
            plan.keep_input(own, i, head, of_sample(mode.dropout, i));
        }
    }

    /// The mixed hidden state of the chunk's `samples`, `[B, C, N, D]`, for a head of the
    /// definition.
    pub(crate) fn hidden(&self, samples: usize, arena: &TrainArena) -> Vec<f32> {
        let Sizes { num_channels, num_patches, d_model, pitch } = self.last;
        let mut all = vec![0.0; samples * num_channels * num_patches * d_model];
        let rows = arena.caches[..samples].iter().flat_map(|cache| {
            cache.activations.x[..self.last_sample()].chunks_exact(self.last.row())
        });
        for (own, x) in rows.zip(all.chunks_exact_mut(num_patches * d_model)) {
            let shape = MatrixShape { rows: d_model, columns: num_patches };
            transpose(self.isa, shape, Matrix::new(own, pitch), MatrixMut::new(x, d_model));
        }
        all
    }

    /// The outputs of each projection of the head for the chunk's `samples`, `[B, C, outputs]`.
    pub(crate) fn project(&self, samples: usize, arena: &mut TrainArena) -> Vec<Vec<f32>> {
        let head = self.head.as_ref();
        head.map_or_else(Vec::new, |head| head.project(samples, &mut arena.head))
    }

    /// The backward pass of the chunk, of `samples` samples, whose forward pass was the last one.
    /// It adds the gradients of the weights to the sums in the arena; with a frozen backbone it
    /// ends at the head.
    ///
    /// Batch norm that learns needs [its whole batch](Self::backward_together).
    pub(crate) fn backward(
        &self,
        gradients: &PlanGradient,
        samples: usize,
        arena: &mut TrainArena,
        mode: ForwardOptions,
    ) {
        self.backward_head(gradients, samples, arena, mode);
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

    /// Writes the gradient of the hidden state of each sample of the chunk, through the head if it
    /// is part of the plan.
    fn backward_head(
        &self,
        gradients: &PlanGradient,
        samples: usize,
        arena: &mut TrainArena,
        mode: ForwardOptions,
    ) {
        let TrainArena { caches, head, .. } = arena;
        if let (Some(plan), PlanGradient::Projected(d)) = (&self.head, gradients) {
            plan.backward(d, head);
        }
        for (i, cache) in caches[..samples].iter_mut().enumerate() {
            let own = &mut cache.activations.x[..self.last_sample()];
            match (&self.head, gradients) {
                (Some(plan), PlanGradient::Projected(_)) => {
                    plan.input_gradient(own, i, head, of_sample(mode.dropout, i));
                }
                (_, PlanGradient::Hidden(d)) => {
                    let each = d.len() / samples;
                    self.lay_out(&d[i * each..][..each], own);
                }
                _ => unreachable!("a projected gradient is that of the plan's head"),
            }
        }
    }

    /// Takes the gradient of sample `i` back to the output of a norm.
    fn backward_to(&self, norm: usize, i: usize, arena: &mut TrainArena, mode: ForwardOptions) {
        let NormIndex { block, number } = self.norms[norm];
        let TrainArena { caches, scratch, sums, .. } = arena;
        let SampleCache { blocks, activations, .. } = &mut caches[i];
        let plan = &self.blocks[block];
        if number + 1 == plan.num_norms() {
            self.reshape_back(block + 1, activations);
        }
        let pass = SamplePass { scratch, draws: of_sample(backbone_draws(mode), i) };
        plan.backward(number, activations, &blocks[block], pass, &mut sums[..self.sums]);
    }

    /// Takes the gradient of sample `i` back through a norm.
    fn backward_norm(
        &self,
        norm: usize,
        i: usize,
        arena: &mut TrainArena,
        slopes: Option<&Slopes>,
    ) {
        let NormIndex { block, number } = self.norms[norm];
        let TrainArena { caches, sums, .. } = arena;
        let SampleCache { blocks, activations, .. } = &mut caches[i];
        let sums = &mut sums[..self.sums];
        self.blocks[block].backward_norm(number, activations, &blocks[block], slopes, sums);
    }

    /// Adds the gradients of embedding and positions of sample `i`.
    fn learn_embedding(&self, i: usize, arena: &mut TrainArena) {
        let TrainArena { caches, sums, transposed, .. } = arena;
        let SampleCache { patches, activations, .. } = &mut caches[i];
        self.reshape_back(0, activations);
        let (own, sums) = (&activations.x[..self.first_sample()], &mut sums[..self.sums]);
        if let Some(Positions { sums: place, .. }) = &self.position
            && !place.is_empty()
        {
            own.chunks_exact(self.first.row())
                .for_each(|d| add(self.isa, &mut sums[place.clone()], d));
        }
        self.patcher.learn(patches, own, &mut WeightSums { sums, transposed });
    }

    /// Adds the gradients of the weights, summed since [`Self::start`], to `grads`.
    pub(crate) fn finish(&self, arena: &mut TrainArena, grads: &mut [f32]) {
        let Sizes { num_patches, d_model, pitch, .. } = self.first;
        let TrainArena { head: head_cache, sums, transposed, .. } = arena;
        let sums = &sums[..self.sums];
        self.patcher.flush(sums, grads);
        if let Some(Positions { range, sums: place, .. }) = &self.position
            && !place.is_empty()
        {
            transposed.reserve(range.len());
            let shape = MatrixShape { rows: d_model, columns: num_patches };
            let (from, to) =
                (Matrix::new(&sums[place.clone()], pitch), MatrixMut::new(transposed, d_model));
            transpose(self.isa, shape, from, to);
            add(self.isa, &mut grads[range.clone()], &transposed[..range.len()]);
        }
        self.blocks.iter().for_each(|block| block.flush(sums, grads));
        if let Some(head) = &self.head {
            head.finish(head_cache, grads);
        }
    }

    /// Embeds the patches `[C, N, p]` of one sample: they become `[C][D][pitch]`.
    fn embed(&self, patches: &[f32], cache: &mut SampleCache) {
        let (Sizes { num_patches, pitch, .. }, patch_length) = (self.first, self.patch_length);
        cache.patches.reserve(self.patcher.from.len());
        cache.activations.reserve(self.most);
        cache.blocks.resize_with(self.blocks.len(), Cache::default);
        let own = &mut cache.activations.x[..self.first_sample()];
        let channels = patches.chunks_exact(num_patches * patch_length);
        for (from, to) in channels.zip(cache.patches.chunks_exact_mut(patch_length * pitch)) {
            let shape = MatrixShape { rows: num_patches, columns: patch_length };
            transpose(self.isa, shape, Matrix::new(from, patch_length), MatrixMut::new(to, pitch));
        }
        self.patcher.apply(&cache.patches[..self.patcher.from.len()], own);
        if let Some(Positions { table, .. }) = &self.position {
            own.chunks_exact_mut(self.first.row()).for_each(|x| add(self.isa, x, table));
        }
        self.reshape(0, &mut cache.activations);
    }

    /// Writes `x` `[C, N, D]` as `[C][D][pitch]`, with zeros in the padding after the patches.
    fn lay_out(&self, x: &[f32], own: &mut [f32]) {
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
fn backbone_draws(mode: ForwardOptions) -> Option<Dropout> {
    mode.dropout.filter(|_| !mode.frozen_backbone)
}

/// The draws of sample `i` of a chunk, whose first sample is that of `draws`.
fn of_sample(draws: Option<Dropout>, i: usize) -> Option<Dropout> {
    draws.map(|draws| Dropout { first_sample: draws.first_sample + i as u64, ..draws })
}
