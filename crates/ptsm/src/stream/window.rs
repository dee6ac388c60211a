//! The last rows of a stream, in data units.

use serde::{Deserialize, Serialize};

use crate::data::{Batch, Standardiser};

/// A ring of rows; one that never came is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    context_length: usize,
    num_channels: usize,
    /// `[L, C]` from row `oldest` on, round; bits of f64, so that a saved state is exact.
    values: Vec<u64>,
    /// `[L, C]`, as `values`.
    observed: Vec<bool>,
    oldest: usize,
}

impl Window {
    pub(super) fn new(context_length: usize, num_channels: usize) -> Self {
        Self {
            context_length,
            num_channels,
            values: vec![0; context_length * num_channels],
            observed: vec![false; context_length * num_channels],
            oldest: 0,
        }
    }

    /// Whether a restored window is one of a model with these lengths.
    pub(super) fn fits(&self, context_length: usize, num_channels: usize) -> bool {
        let points = context_length * num_channels;
        self.context_length == context_length
            && self.num_channels == num_channels
            && self.values.len() == points
            && self.observed.len() == points
            && self.oldest < context_length
    }

    /// Drops the oldest row and makes the newest one missing.
    pub(super) fn advance(&mut self) {
        let row = self.oldest * self.num_channels..(self.oldest + 1) * self.num_channels;
        self.values[row.clone()].fill(0);
        self.observed[row].fill(false);
        self.oldest = (self.oldest + 1) % self.context_length;
    }

    /// As `advance`, so many times; more than the window holds leave it all missing.
    pub(super) fn advance_by(&mut self, rows: usize) {
        (0..rows.min(self.context_length)).for_each(|_| self.advance());
    }

    fn place(&self, back: usize, channel: usize) -> usize {
        let row = (self.oldest + self.context_length - 1 - back) % self.context_length;
        row * self.num_channels + channel
    }

    /// Whether the point of the row `back` rows before the newest one was seen.
    pub(super) fn is_seen(&self, back: usize, channel: usize) -> bool {
        self.observed[self.place(back, channel)]
    }

    /// Sets a point of the row `back` rows before the newest one.
    pub(super) fn set(&mut self, back: usize, channel: usize, value: f64) {
        let place = self.place(back, channel);
        self.values[place] = value.to_bits();
        self.observed[place] = true;
    }

    /// Makes a point of the row `back` rows before the newest one missing.
    pub(super) fn unset(&mut self, back: usize, channel: usize) {
        let place = self.place(back, channel);
        self.values[place] = 0;
        self.observed[place] = false;
    }

    /// The seen points of a channel, oldest first.
    pub(super) fn seen(&self, channel: usize) -> impl Iterator<Item = f64> + Clone + '_ {
        let at = self.oldest * self.num_channels;
        let (new, old) = self.values.split_at(at);
        let (new_seen, old_seen) = self.observed.split_at(at);
        let width = self.num_channels;
        let values = old.iter().skip(channel).step_by(width);
        let values = values.chain(new.iter().skip(channel).step_by(width));
        let seen = old_seen.iter().skip(channel).step_by(width);
        let seen = seen.chain(new_seen.iter().skip(channel).step_by(width));
        values.zip(seen).filter(|(_, seen)| **seen).map(|(&bits, _)| f64::from_bits(bits))
    }

    /// Writes the rows, oldest first and standardised, over a batch of one sample that has a mask. Of
    /// a window that holds no more than the stream's first `rows` rows, the rows before them get the
    /// first seen value of their channel, as [`PreparedSeries::padded`](crate::data::PreparedSeries::padded)
    /// has it.
    pub(super) fn copy_to(&self, batch: &mut Batch, scale: &Standardiser, rows: u64) {
        let origin = batch.origin_mut().into_iter().flatten().enumerate();
        origin.for_each(|(channel, zero)| *zero = scale.apply_value(channel, 0.0));
        let at = self.oldest * self.num_channels;
        let (new, old) = self.values.split_at(at);
        let (new_seen, old_seen) = self.observed.split_at(at);
        let points = old.iter().chain(new).zip(old_seen.iter().chain(new_seen)).enumerate();
        for (x, (i, (&bits, &seen))) in batch.past_values_mut().iter_mut().zip(points) {
            *x = match seen {
                true => scale.apply_value(i % self.num_channels, f64::from_bits(bits)),
                false => 0.0,
            };
        }
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let pad = self.context_length.saturating_sub(rows);
        for channel in 0..self.num_channels * usize::from(pad > 0) {
            let first = self.seen(channel).next();
            let first = first.map_or(0.0, |value| scale.apply_value(channel, value));
            let places = batch.past_values_mut().iter_mut().skip(channel);
            places.step_by(self.num_channels).take(pad).for_each(|x| *x = first);
        }
        let (new, old) = self.observed.split_at(self.oldest * self.num_channels);
        let mask = batch.observed_mask_mut().iter_mut();
        mask.zip(old.iter().chain(new)).for_each(|(x, &seen)| *x = f32::from(u8::from(seen)));
    }
}
