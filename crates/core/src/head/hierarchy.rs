//! Online hierarchical patch reconciliation: the horizon is cut into segments, the sum of each
//! segment is forecast too, and a layer that reads this sum corrects the steps of the segment.
//!
//! Source: TSMixer (arXiv 2306.09364), online forecast reconciliation. Everything is in the scaled
//! space. With y the forecast of one channel, h = Linear(H, S)(y) are the sums of its S segments.
//! The sl steps of a segment and its sum pass Linear(sl + 1, sl), whose output is added to the
//! steps.

use super::interface::Trained;
use crate::real::Real;
use crate::weights::HierarchySlot;

/// What the gradient of the head needs.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// The forecast with time last, `[B, C', H]`.
    rows: Vec<T>,
    /// Steps and sum of each segment, `[B, C', S, sl + 1]`.
    segments: Vec<T>,
}

/// The head with its sizes.
pub(crate) struct HierarchyHead<'a> {
    pub(crate) slot: &'a HierarchySlot,
    /// Steps of a segment, sl.
    pub(crate) segment_length: usize,
    /// Steps of the forecast, H.
    pub(crate) steps: usize,
    /// Channels that are forecast, C'.
    pub(crate) channels: usize,
}

impl HierarchyHead<'_> {
    /// Number of segments, S.
    pub(crate) fn num_segments(&self) -> usize {
        self.steps / self.segment_length
    }

    /// `y` `[B, H, C']` gives the reconciled forecast `[B, H, C']` and the sums `[B, S, C']`.
    pub(crate) fn forward<T: Real>(&self, trained: &[T], y: &[T]) -> (Vec<T>, Vec<T>, Cache<T>) {
        let (sl, count) = (self.segment_length, self.num_segments());
        let rows = swap(y, self.steps, self.channels);
        let sums = self.slot.aggregate.forward(trained, &rows);
        let mut segments = Vec::with_capacity(rows.len() + sums.len());
        for (steps, &sum) in rows.chunks_exact(sl).zip(&sums) {
            segments.extend_from_slice(steps);
            segments.push(sum);
        }
        let mut reconciled = self.slot.reconcile.forward(trained, &segments);
        reconciled.iter_mut().zip(&rows).for_each(|(out, &y)| *out += y);
        let reconciled = swap(&reconciled, self.channels, self.steps);
        let sums = swap(&sums, self.channels, count);
        (reconciled, sums, Cache { rows, segments })
    }

    /// Adds the gradients of the layers and returns that of `y`. An empty `d_sums` means zeros.
    pub(crate) fn backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        cache: &Cache<T>,
        d_out: &[T],
        d_sums: &[T],
    ) -> Vec<T> {
        let Trained { weights, grads } = trained;
        let (sl, count) = (self.segment_length, self.num_segments());
        let mut d_rows = swap(d_out, self.steps, self.channels);
        let d_segments = self.slot.reconcile.backward(weights, &cache.segments, &d_rows, grads);
        let mut d_sums = match d_sums.is_empty() {
            true => vec![T::ZERO; d_rows.len() / sl],
            false => swap(d_sums, count, self.channels),
        };
        let parts = d_rows.chunks_exact_mut(sl).zip(d_sums.iter_mut());
        for ((d_steps, d_sum), d) in parts.zip(d_segments.chunks_exact(sl + 1)) {
            d_steps.iter_mut().zip(d).for_each(|(to, &d)| *to += d);
            *d_sum += d[sl];
        }
        let d = self.slot.aggregate.backward(weights, &cache.rows, &d_sums, grads);
        d_rows.iter_mut().zip(&d).for_each(|(to, &d)| *to += d);
        swap(&d_rows, self.channels, self.steps)
    }
}

/// Transposes every matrix: `[.., a, b]` becomes `[.., b, a]`.
fn swap<T: Real>(x: &[T], a: usize, b: usize) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    for (x, out) in x.chunks_exact(a * b).zip(out.chunks_exact_mut(a * b)) {
        T::transpose(a, b, x, out);
    }
    out
}
