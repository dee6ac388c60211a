//! How hidden states lie in memory, and how blocks are cut to fit the caches.

use ptsm_kernels::Isa;

use crate::network::State;

/// Rows that pass the head together: its weights do not fit into the first-level cache, and are
/// read once for all of them.
pub(super) const GROUP: usize = 8;
/// Bytes that a column block's buffers may take of the first-level cache.
const BLOCK_BYTES: usize = 24 << 10;
/// A patch mixer with more bytes of weights than this is assumed not to stay in a second-level
/// cache, so its weights are read once for a whole group of rows.
const RESIDENT_BYTES: usize = 512 << 10;
/// Rows that start a multiple of so many bytes apart fall into the same sets of the first-level
/// cache.
const ALIAS_BYTES: usize = 4096;

/// A hidden state: one row for each sample and channel, `[D][pitch]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) num_channels: usize,
    pub(super) num_patches: usize,
    pub(super) d_model: usize,
    /// From one feature's patches to the next one's.
    pub(super) pitch: usize,
}

impl Sizes {
    pub(super) fn new(isa: Isa, state: State) -> Self {
        let State { channels, patches, features } = state;
        Self {
            num_channels: channels,
            num_patches: patches,
            d_model: features,
            pitch: spread(isa, patches),
        }
    }

    /// Numbers in the hidden state of one (sample, channel) row, `[D][pitch]`.
    pub(super) fn row(&self) -> usize {
        self.d_model * self.pitch
    }

    /// Writes the row `x` of this shape as a row `out` of the shape `to`, which has as many
    /// numbers: number i in the order of `[N, D]` stays number i. The padding is filled with zeros.
    pub(super) fn reshape(&self, to: &Sizes, x: &[f32], out: &mut [f32]) {
        for (d, out) in out.chunks_exact_mut(to.pitch).take(to.d_model).enumerate() {
            let (patches, padding) = out.split_at_mut(to.num_patches);
            for (n, out) in patches.iter_mut().enumerate() {
                let place = n * to.d_model + d;
                *out = x[place % self.d_model * self.pitch + place / self.d_model];
            }
            padding.fill(0.0);
        }
    }
}

/// Numbers that a row of `n` takes in memory: whole registers, and no multiple of the distance at
/// which rows fall into the same sets of the cache.
pub(super) fn spread(isa: Isa, n: usize) -> usize {
    let padded = isa.pad(n);
    let aliases = (padded * size_of::<f32>()).is_multiple_of(ALIAS_BYTES);
    if aliases { padded + isa.pad(16) } else { padded }
}

/// How many of `available` columns pass a block together that mixes `width` numbers through a
/// hidden layer of `hidden`.
pub(super) fn strip(isa: Isa, width: usize, hidden: usize, available: usize) -> usize {
    // Normed input, hidden layer, output, logits.
    let room = BLOCK_BYTES / ((3 * width + hidden) * size_of::<f32>());
    let tile = 2 * isa.lanes();
    (room / tile * tile).max(tile).min(available)
}

/// How many rows pass a patch mixer with so many weights together.
pub(super) fn stack(weights: usize) -> usize {
    if weights * size_of::<f32>() > RESIDENT_BYTES { GROUP } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_and_merging_patches_moves_no_number_of_a_row() {
        let isa = Isa::Portable;
        let coarse = State { channels: 1, patches: 3, features: 4 };
        let [coarse, fine] = [coarse, coarse.split(2)].map(|state| Sizes::new(isa, state));
        let number = |sizes: &Sizes, x: &[f32], place: usize| {
            x[place % sizes.d_model * sizes.pitch + place / sizes.d_model]
        };
        let x: Vec<f32> = (0..coarse.row()).map(|i| i as f32).collect();
        let (mut split, mut merged) = (vec![-1.0; fine.row()], vec![-1.0; coarse.row()]);
        coarse.reshape(&fine, &x, &mut split);
        fine.reshape(&coarse, &split, &mut merged);
        for place in 0..12 {
            assert_eq!(number(&fine, &split, place), number(&coarse, &x, place));
            assert_eq!(number(&coarse, &merged, place), number(&coarse, &x, place));
        }
        let padding = split.chunks(fine.pitch).flat_map(|row| &row[fine.num_patches..]);
        assert!(padding.copied().all(|x| x == 0.0));
    }
}
