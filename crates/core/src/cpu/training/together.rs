//! Batch norm in training: its statistics and its gradient need a whole batch, so all samples pass
//! the layers together, from norm to norm.
//!
//! Between two norms each sample is computed by itself, on any thread. The order of every sum is
//! fixed, within a member and over the members, so no bit depends on the number of threads.

use rayon::prelude::*;

use super::norm::{Slopes, Statistics};
use super::{NormIndex, PlanGradient, TrainArena, TrainPlan};
use crate::layers::norm::BatchStatistics;
use crate::model::ForwardOptions;

/// Some samples of a batch, on which one thread at a time works, with its buffers.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) arena: TrainArena,
    /// The first sample of its draws is the member's first.
    pub(crate) mode: ForwardOptions,
    pub(crate) samples: usize,
}

/// The statistics that every batch norm measured on one batch, in the order of the layers.
#[derive(Debug)]
pub(crate) struct NormStatistics {
    layers: Vec<Statistics>,
}

impl NormStatistics {
    /// Mean and variance of each.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &BatchStatistics<f32>> {
        self.layers.iter().map(|statistics| &statistics.batch)
    }
}

impl TrainPlan {
    /// As [`Self::forward`], for a whole batch; `patches` holds those of each member.
    pub(crate) fn forward_together(
        &self,
        patches: &[&[f32]],
        members: &mut [Member],
    ) -> NormStatistics {
        members.par_iter_mut().zip(patches).for_each(|(member, patches)| {
            member.samples = self.embed_chunk(patches, &mut member.arena);
            self.measure(0, member);
        });
        let mut layers = Vec::with_capacity(self.norms.len());
        for norm in 0..self.norms.len() {
            let statistics = self.statistics(norm, members);
            members.par_iter_mut().for_each(|member| {
                let Member { arena, mode, samples } = member;
                for i in 0..*samples {
                    self.forward_norm(norm, i, arena, *mode, Some(&statistics));
                }
                if norm + 1 < self.norms.len() {
                    return self.measure(norm + 1, member);
                }
                (0..*samples).for_each(|i| self.keep_for_head(i, arena, *mode));
            });
            layers.push(statistics);
        }
        NormStatistics { layers }
    }

    /// As [`Self::backward`], for the members of the batch whose forward pass gave `statistics`;
    /// `gradients` holds those of each member.
    pub(crate) fn backward_together(
        &self,
        gradients: &[PlanGradient],
        members: &mut [Member],
        statistics: &NormStatistics,
    ) {
        let last = self.norms.len() - 1;
        members.par_iter_mut().zip(gradients).for_each(|(member, gradients)| {
            let Member { arena, mode, samples } = &mut *member;
            self.backward_head(gradients, *samples, arena, *mode);
            self.learn_norm(last, member);
        });
        for (norm, statistics) in statistics.layers.iter().enumerate().rev() {
            let slopes = self.slopes(norm, statistics, members);
            members.par_iter_mut().for_each(|member| {
                for i in 0..member.samples {
                    self.backward_norm(norm, i, &mut member.arena, Some(&slopes));
                }
                match norm.checked_sub(1) {
                    Some(next) => self.learn_norm(next, member),
                    None => {
                        (0..member.samples).for_each(|i| self.learn_embedding(i, &mut member.arena))
                    }
                }
            });
        }
    }

    /// Measures the input of a norm, of each sample.
    fn measure(&self, norm: usize, member: &mut Member) {
        let NormIndex { block, number } = self.norms[norm];
        let TrainArena { caches, moments, .. } = &mut member.arena;
        moments.clear();
        for cache in &caches[..member.samples] {
            let input = self.blocks[block].norm_input(number, &cache.activations);
            self.blocks[block].norm(number).measure(input, moments);
        }
    }

    fn statistics(&self, norm: usize, members: &[Member]) -> Statistics {
        let NormIndex { block, number } = self.norms[norm];
        let found = members.iter().flat_map(|member| &member.arena.moments);
        self.blocks[block].norm(number).statistics(found)
    }

    /// Takes the gradient of each sample back to the output of a norm, and sums up the gradients of
    /// the norm's weights.
    fn learn_norm(&self, norm: usize, member: &mut Member) {
        let NormIndex { block, number } = self.norms[norm];
        let Member { arena, mode, samples } = member;
        for i in 0..*samples {
            self.backward_to(norm, i, arena, *mode);
            let TrainArena { caches, sums, .. } = &mut *arena;
            let kept = caches[i].blocks[block].norm(number);
            let d = self.blocks[block].norm_gradient(number, &caches[i].activations);
            self.blocks[block].norm(number).learn(kept, d, &mut sums[..self.sums]);
        }
    }

    fn slopes(&self, norm: usize, statistics: &Statistics, members: &[Member]) -> Slopes {
        let NormIndex { block, number } = self.norms[norm];
        let parts = members.iter().map(|member| &member.arena.sums[..self.sums]);
        self.blocks[block].norm(number).slopes(statistics, parts)
    }
}
