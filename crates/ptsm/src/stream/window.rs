//! The last rows of a stream, standardised.

use serde::{Deserialize, Serialize};

use crate::data::Batch;

/// A ring of rows; one that never came is missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    context_length: usize,
    num_channels: usize,
    /// `[L, C]` from row `oldest` on, round; bits of f32, so that a saved state is exact.
    values: Vec<u32>,
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
    pub(super) fn set(&mut self, back: usize, channel: usize, value: f32) {
        let place = self.place(back, channel);
        self.values[place] = value.to_bits();
        self.observed[place] = true;
    }

    /// Writes the rows, oldest first, over a batch of one sample that has a mask.
    pub(super) fn copy_to(&self, batch: &mut Batch) {
        let (new, old) = self.values.split_at(self.oldest * self.num_channels);
        let values = batch.past_values_mut().iter_mut();
        values.zip(old.iter().chain(new)).for_each(|(x, &bits)| *x = f32::from_bits(bits));
        let (new, old) = self.observed.split_at(self.oldest * self.num_channels);
        let mask = batch.observed_mask_mut().iter_mut();
        mask.zip(old.iter().chain(new)).for_each(|(x, &seen)| *x = f32::from(u8::from(seen)));
    }
}
