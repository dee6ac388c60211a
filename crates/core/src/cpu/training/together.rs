//! Batch norm in training. Its statistics, and its gradient, need all of a batch: so all samples go
//! from norm to norm together, spread over the threads in between.
//!
//! The order of every sum is fixed, within a member and over the members, so no bit depends on the
//! number of threads. Everything between two norms is what one sample alone does.

use rayon::prelude::*;

use super::norm::{Slopes, Statistics};
use super::{Given, TrainArena, TrainPlan};
use crate::layers::norm::BatchStatistics;
use crate::model::Mode;

/// Some samples of a batch, which one thread at a time works on.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) arena: TrainArena,
    /// Its draws start with its own first sample.
    pub(crate) mode: Mode,
    pub(crate) samples: usize,
}

/// What the norms of a batch went by, in order.
#[derive(Debug)]
pub(crate) struct Together {
    statistics: Vec<Statistics>,
}

impl Together {
    /// The statistics of every norm, in the order of the layers.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &BatchStatistics<f32>> {
        self.statistics.iter().map(|statistics| &statistics.batch)
    }
}

impl TrainPlan {
    /// As [`Self::forward`], for the members of a whole batch, `patches` of each.
    pub(crate) fn forward_together(&self, patches: &[&[f32]], members: &mut [Member]) -> Together {
        members.par_iter_mut().zip(patches).for_each(|(member, patches)| {
            member.samples = self.enter(patches, &mut member.arena);
            self.measure(0, member);
        });
        let mut all = Vec::with_capacity(self.norms.len());
        for norm in 0..self.norms.len() {
            let statistics = self.statistics(norm, members);
            members.par_iter_mut().for_each(|member| {
                let Member { arena, mode, samples } = member;
                for i in 0..*samples {
                    self.forward_norm(norm, i, arena, (*mode, Some(&statistics)));
                }
                if norm + 1 < self.norms.len() {
                    return self.measure(norm + 1, member);
                }
                (0..*samples).for_each(|i| self.leave(i, arena, *mode));
            });
            all.push(statistics);
        }
        Together { statistics: all }
    }

    /// As [`Self::backward`], for the members that went forward together, what is `given` to each.
    pub(crate) fn backward_together(
        &self,
        given: &[Given],
        members: &mut [Member],
        together: &Together,
    ) {
        let last = self.norms.len() - 1;
        members.par_iter_mut().zip(given).for_each(|(member, given)| {
            let Member { arena, mode, samples } = &mut *member;
            self.take_back(given, *samples, arena, *mode);
            self.learn_norm(last, member);
        });
        for (norm, statistics) in together.statistics.iter().enumerate().rev() {
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

    /// Measures what a norm reads of each sample.
    fn measure(&self, norm: usize, member: &mut Member) {
        let (block, number) = self.norms[norm];
        let TrainArena { caches, moments, .. } = &mut member.arena;
        moments.clear();
        for cache in &caches[..member.samples] {
            let read = self.blocks[block].read(number, &cache.flow);
            self.blocks[block].norm(number).measure(read, moments);
        }
    }

    fn statistics(&self, norm: usize, members: &[Member]) -> Statistics {
        let (block, number) = self.norms[norm];
        let found = members.iter().flat_map(|member| &member.arena.moments);
        self.blocks[block].norm(number).statistics(found)
    }

    /// Takes the gradient of each sample back to what a norm gave, and sums up the gradients of the
    /// norm's weights.
    fn learn_norm(&self, norm: usize, member: &mut Member) {
        let (block, number) = self.norms[norm];
        let Member { arena, mode, samples } = member;
        for i in 0..*samples {
            self.backward_to(norm, i, arena, *mode);
            let TrainArena { caches, sums, .. } = &mut *arena;
            let kept = caches[i].blocks[block].norm(number);
            let d = self.blocks[block].given(number, &caches[i].flow);
            self.blocks[block].norm(number).learn(kept, d, &mut sums[..self.sums]);
        }
    }

    fn slopes(&self, norm: usize, statistics: &Statistics, members: &[Member]) -> Slopes {
        let (block, number) = self.norms[norm];
        let parts = members.iter().map(|member| &member.arena.sums[..self.sums]);
        self.blocks[block].norm(number).slopes(statistics, parts)
    }
}
