//! The head of classification and regression: scale injection, pooling over patches, dropout, one
//! projection.
//!
//! Source: `PatchTSMixerLinearHead`, transformers 5.23.0.

use super::inject::{self, Inject};
use super::interface::{HeadGradient, HeadInput, Trained};
use crate::config::Config;
use crate::layers::{Pass, Place};
use crate::network::State;
use crate::output_kind::OutputKind;
use crate::real::Real;
use crate::weights::PooledSlot;

/// What the gradient of the head needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// After the injection, `[B, C, N, D]`.
    pub(crate) injected: Option<(Vec<T>, inject::Cache<T>)>,
    /// For `max_pool`, the number of the patch with the maximum, `[B, C, D]`.
    winners: Vec<usize>,
    /// Input of the projections: pooled, after dropout, `[B, inputs]`.
    x: Vec<T>,
    /// Outputs of the projections, `[B, K, num_targets]`, before they are mapped to a range or to
    /// the parameters of a distribution.
    raw: Vec<T>,
    batch: usize,
}

/// The head.
pub(crate) struct PooledHead<'a> {
    pub(crate) slot: &'a PooledSlot,
    pub(crate) config: &'a Config,
    pub(crate) kind: &'a OutputKind,
}

/// How the patches of a channel are pooled.
#[derive(Clone, Copy, PartialEq)]
enum Pooling {
    Last,
    Max,
    Mean,
    Keep,
}

impl PooledHead<'_> {
    fn pooling(&self) -> Pooling {
        match self.config.head_aggregation.as_deref() {
            Some("use_last") => Pooling::Last,
            Some("max_pool") => Pooling::Max,
            Some("avg_pool") => Pooling::Mean,
            _ => Pooling::Keep,
        }
    }

    fn inject(&self) -> Option<Inject<'_>> {
        let slot = self.slot.inject.as_ref()?;
        let State { patches: num_patches, features: d_model, .. } = self.slot.state;
        Some(Inject { slot, num_patches, d_model })
    }

    /// A hidden state `[B, C, N, D]` gives `[B, num_targets]` or, for a distribution,
    /// `[B, K, num_targets]`.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        input: HeadInput<'_, T>,
        pass: &Pass,
    ) -> (Vec<T>, Cache<T>) {
        let injected =
            self.inject().map(|inject| inject.forward(trained, input.hidden, input.scaled));
        let state = injected.as_ref().map_or(input.hidden, |(state, _)| state.as_slice());
        let (mut x, winners) = self.pool(state);
        pass.dropout(Place::HEAD, 0, self.config.head_dropout, &mut x);
        let (targets, count) = (self.config.num_targets, self.slot.projections.len());
        let mut raw = vec![T::ZERO; pass.batch * count * targets];
        for (k, projection) in self.slot.projections.iter().enumerate() {
            let projected = projection.forward(trained, &x);
            for (b, row) in projected.chunks_exact(targets).enumerate() {
                raw[(b * count + k) * targets..][..targets].copy_from_slice(row);
            }
        }
        let prediction = self.finish(&raw);
        (prediction, Cache { injected, winners, x, raw, batch: pass.batch })
    }

    /// Maps the outputs of the projections to the range of a regression, or to the parameters of a
    /// distribution.
    pub(crate) fn finish<T: Real>(&self, raw: &[T]) -> Vec<T> {
        let targets = self.config.num_targets;
        if let Some(distribution) = self.kind.distribution() {
            let count = distribution.num_parameters();
            let place = |i: usize| i / targets % count;
            return raw.iter().enumerate().map(|(i, &x)| distribution.map(place(i), x)).collect();
        }
        match self.config.output_range {
            Some([low, high]) => {
                let (low, span) = (T::from_f64(low), T::from_f64(high - low));
                raw.iter().map(|&x| sigmoid(x) * span + low).collect()
            }
            None => raw.to_vec(),
        }
    }

    /// The gradient of [`Self::finish`] at `raw`.
    fn d_finish<T: Real>(&self, raw: &[T], d: &[T]) -> Vec<T> {
        let targets = self.config.num_targets;
        let pairs = raw.iter().zip(d);
        if let Some(distribution) = self.kind.distribution() {
            let count = distribution.num_parameters();
            let slope =
                |(i, (&x, &d)): (usize, (&T, &T))| d * distribution.d_map(i / targets % count, x);
            return pairs.enumerate().map(slope).collect();
        }
        match self.config.output_range {
            Some([low, high]) => {
                let span = T::from_f64(high - low);
                pairs.map(|(&x, &d)| d * span * sigmoid(x) * (T::ONE - sigmoid(x))).collect()
            }
            None => d.to_vec(),
        }
    }

    /// Adds the gradients of the layers and fills `result`.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        cache: &Cache<T>,
        d_prediction: &[T],
        pass: &Pass,
        result: &mut HeadGradient<T>,
    ) {
        let (targets, count) = (self.config.num_targets, self.slot.projections.len());
        let d_raw = self.d_finish(&cache.raw, d_prediction);
        let mut d_x = vec![T::ZERO; cache.x.len()];
        for (k, projection) in self.slot.projections.iter().enumerate() {
            let rows = d_raw.chunks_exact(count * targets);
            let d: Vec<T> = rows.flat_map(|row| row[k * targets..][..targets].to_vec()).collect();
            let part = projection.backward(trained.weights, &cache.x, &d, trained.grads);
            d_x.iter_mut().zip(&part).for_each(|(to, &d)| *to += d);
        }
        pass.dropout(Place::HEAD, 0, self.config.head_dropout, &mut d_x);
        let d_state = self.pool_backward(cache, &d_x);
        result.hidden = match (self.inject(), &cache.injected) {
            (Some(inject), Some((_, cache))) => {
                inject.backward(trained, cache, &d_state, &mut result.loc, &mut result.scale)
            }
            _ => d_state,
        };
    }

    /// Pools `[B, C, N, D]` to `[B, C D]`, or to `[B, C D N]` where patches are kept; for
    /// `max_pool` with the patch of each maximum.
    fn pool<T: Real>(&self, state: &[T]) -> (Vec<T>, Vec<usize>) {
        let State { patches: n, features: d, .. } = self.slot.state;
        let pooling = self.pooling();
        let (mut x, mut winners) = (Vec::new(), Vec::new());
        for channel in state.chunks_exact(n * d) {
            for feature in 0..d {
                let mut column = channel[feature..].iter().step_by(d).copied();
                match pooling {
                    Pooling::Last => x.push(channel[(n - 1) * d + feature]),
                    Pooling::Mean => x.push(column.sum::<T>() / T::from_usize(n)),
                    Pooling::Keep => x.extend(column),
                    Pooling::Max => {
                        let first = (0, channel[feature]);
                        // The first of equal maxima, as in torch.
                        let best = column
                            .by_ref()
                            .enumerate()
                            .fold(first, |best, (i, x)| if x > best.1 { (i, x) } else { best });
                        winners.push(best.0);
                        x.push(best.1);
                    }
                }
            }
        }
        (x, winners)
    }

    fn pool_backward<T: Real>(&self, cache: &Cache<T>, d_x: &[T]) -> Vec<T> {
        let State { patches: n, features: d, .. } = self.slot.state;
        let pooling = self.pooling();
        let mut d_state = vec![T::ZERO; cache.batch * self.slot.state.len()];
        for (channel, d_channel) in d_state.chunks_exact_mut(n * d).enumerate() {
            for feature in 0..d {
                let place = channel * d + feature;
                match pooling {
                    Pooling::Last => d_channel[(n - 1) * d + feature] = d_x[place],
                    Pooling::Max => d_channel[cache.winners[place] * d + feature] = d_x[place],
                    Pooling::Mean => {
                        let share = d_x[place] / T::from_usize(n);
                        (0..n).for_each(|i| d_channel[i * d + feature] = share);
                    }
                    Pooling::Keep => {
                        (0..n).for_each(|i| d_channel[i * d + feature] = d_x[place * n + i]);
                    }
                }
            }
        }
        d_state
    }
}

fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}
