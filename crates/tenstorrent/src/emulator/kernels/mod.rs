//! What our kernels compute, in the order in which the chip does, with every buffer rounded and
//! padding included.

mod parts;

use super::product::{Product, rows_product};
use super::rounding::activation_bits;
use super::tensor::TileTensor;
use crate::program::{AttentionTiles, ChannelTiles, EmbedTiles, MixerTiles, TILE};
use parts::{Matrix, Parts, part};

/// A kernel on `state`, whose rows have `epsilon` added to their variance.
fn parts<'a>(state: &TileTensor, table: &'a TileTensor, left: bool, by: By) -> Parts<'a> {
    let Product { fidelity, isa, .. } = by.product;
    // Kernels compute D times each centred row, and so D squared times its variance.
    let width = state.shape[3] as f64;
    let epsilon = (by.epsilon * width * width) as f32;
    Parts { table: &table.values, left, epsilon, fidelity, isa }
}

/// How a kernel computes.
#[derive(Debug, Clone, Copy)]
pub(super) struct By {
    pub(super) epsilon: f64,
    pub(super) product: Product,
}

/// The matrices of a tensor.
fn matrices(state: &TileTensor) -> impl Iterator<Item = Matrix> + '_ {
    let (rows, columns) = (state.height(), state.width());
    state.matrices().map(move |values| Matrix { rows, columns, values: values.to_vec() })
}

/// The mixer kernel on the step's inputs.
pub(super) fn mixer(
    state: &TileTensor,
    table: &TileTensor,
    tiles: MixerTiles,
    by: By,
) -> TileTensor {
    let kernel = parts(state, table, tiles.left, by);
    let values = matrices(state).flat_map(|matrix| mix(kernel, tiles, &matrix).values).collect();
    TileTensor { shape: state.shape, values }
}

/// One matrix.
fn mix(kernel: Parts<'_>, tiles: MixerTiles, state: &Matrix) -> Matrix {
    let (at, mixed, hidden) = (tiles.places(), tiles.mixed(), tiles.hidden);
    let z = kernel.norm(state, at.norm);
    let inner = kernel.hidden(at.first, hidden, mixed, &z);
    let both = kernel.layer(at.second, tiles.outputs(), hidden, &inner);
    let made = match tiles.gate {
        false => both,
        true => {
            let (both, size) = (both.rounded(), mixed * TILE);
            let half = |first: usize| match tiles.left {
                true => both.rows_from(first, size),
                false => both.columns_from(first, size),
            };
            kernel.times(&half(0), &kernel.softmax(&half(size)))
        }
    };
    if tiles.residual { state.plus(&made) } else { made }
}

/// The kernel of a channel mixer on the step's inputs.
pub(super) fn channels(
    state: &TileTensor,
    table: &TileTensor,
    tiles: ChannelTiles,
    by: By,
) -> TileTensor {
    let kernel = parts(state, table, true, by);
    let mut out = state.clone();
    let sample = state.shape[1] * state.matrix_len();
    let patches = state.shape[2];
    let units = Units { tiles, count: tiles.units(patches), patches, size: state.matrix_len() };
    for (from, to) in state.values.chunks_exact(sample).zip(out.values.chunks_exact_mut(sample)) {
        for unit in 0..units.count {
            units.scatter(&mix_channels(kernel, tiles, &units.gather(from, unit)), to, unit);
        }
    }
    out
}

/// One unit of a channel mixer.
fn mix_channels(kernel: Parts<'_>, tiles: ChannelTiles, state: &Matrix) -> Matrix {
    let (at, rows, hidden) = (tiles.places(), tiles.rows, tiles.hidden);
    let mut z = kernel.norm(state, at.norm);
    if tiles.gate {
        let logits = kernel.layer(at.gate, rows, rows, &z).rounded();
        z = kernel.times(&z, &kernel.softmax(&logits));
    }
    let inner = kernel.hidden(at.first, hidden, rows, &z);
    kernel.layer(at.second, rows, hidden, &inner).plus(&kernel.through_identity(state))
}

/// The units of a sample: what all channels have at one patch, or at two side by side.
struct Units {
    tiles: ChannelTiles,
    count: usize,
    /// Of the state, without padding.
    patches: usize,
    /// Numbers of a channel's padded matrix.
    size: usize,
}

impl Units {
    /// Numbers that a patch has in a row of a unit.
    fn width(&self) -> usize {
        self.tiles.columns * TILE / self.tiles.side_by_side
    }

    /// The unit's rows; those that pad the channels are 0, and so is what is beside a last patch that has no other.
    fn gather(&self, sample: &[f32], unit: usize) -> Matrix {
        let (rows, columns) = (self.tiles.rows * TILE, self.tiles.columns * TILE);
        let mut values = vec![0.0; rows * columns];
        let channels = sample.chunks_exact(self.size).zip(values.chunks_exact_mut(columns));
        for (channel, row) in channels {
            for (side, part) in row.chunks_exact_mut(self.width()).enumerate() {
                let patch = unit * self.tiles.side_by_side + side;
                if patch < self.patches {
                    part.copy_from_slice(&channel[patch * columns..][..self.width()]);
                }
            }
        }
        Matrix { rows, columns, values }
    }

    /// Writes the unit's rows to their patch, and copies of them to the rows and columns that pad patches and features.
    fn scatter(&self, made: &Matrix, sample: &mut [f32], unit: usize) {
        let (width, every) = (self.width(), self.count * self.tiles.side_by_side);
        let channels =
            sample.chunks_exact_mut(self.size).zip(made.values.chunks_exact(made.columns));
        for (channel, row) in channels {
            for (side, part) in row.chunks_exact(width).enumerate() {
                let patch = unit * self.tiles.side_by_side + side;
                for to in channel.chunks_exact_mut(made.columns).skip(patch).step_by(every) {
                    to.chunks_exact_mut(width).for_each(|to| to.copy_from_slice(part));
                }
            }
        }
    }
}

/// The kernel of self-attention on the step's inputs.
pub(super) fn attention(x: &[&TileTensor], tiles: AttentionTiles, by: By) -> TileTensor {
    let (state, mixed) = (x[0], x[2]);
    let kernel = parts(state, x[1], false, by);
    let both = matrices(state).zip(matrices(mixed));
    let values = both.flat_map(|(state, mixed)| attend(kernel, tiles, &state, &mixed).values);
    TileTensor { shape: state.shape, values: values.collect() }
}

/// One matrix.
fn attend(kernel: Parts<'_>, tiles: AttentionTiles, state: &Matrix, mixed: &Matrix) -> Matrix {
    let (at, columns) = (tiles.places(), tiles.columns);
    let z = kernel.norm(state, at.norm);
    let (keys, mask) = (z.transposed(), kernel.part(at.mask, 1, 1));
    let first_masked = (tiles.rows - 1) * TILE;
    let mut sum = mixed.map(|_, _, _| 0.0);
    for head in 0..tiles.heads {
        let layer = |first: usize| {
            kernel.layer(first + head * tiles.layer(), columns, columns, &z).rounded()
        };
        let (queries, values) = (layer(at.query), layer(at.value));
        let scores = kernel.product(&queries, &keys);
        let logits = scores.map(|i, j, x| match j.checked_sub(first_masked) {
            Some(j) => x + kernel.bits(mask.at(i % TILE, j)),
            None => x,
        });
        sum = sum.plus(&kernel.product(&kernel.softmax(&logits.rounded()), &values));
    }
    // What the layers made is added last, as its product with the identity.
    let sum = sum.plus(&kernel.through_identity(mixed));
    state.plus(&kernel.norm(&sum.rounded(), at.last_norm))
}

/// The embedding kernel: `windows` `[B, C, 1, L]` are cut into patches and embedded. Rows that pad
/// the patches to whole tiles are zeros.
pub(super) fn embed(
    windows: &TileTensor,
    table: &TileTensor,
    tiles: EmbedTiles,
    product: Product,
) -> TileTensor {
    let Product { shape, fidelity, .. } = product;
    let EmbedTiles { patch_length, patch_stride, patches, columns } = tiles;
    let weight = part(&table.values, 1, tiles.inner(), columns);
    let bias = part(&table.values, 1 + tiles.inner() * columns, 1, columns);
    let mut cut = Vec::new();
    for window in windows.download().chunks_exact(tiles.window()) {
        (0..patches).for_each(|i| cut.extend(&window[i * patch_stride..][..patch_length]));
    }
    let mut laid = TileTensor::filled([shape[0], shape[1], patches, patch_length], 0.0);
    laid.write(&cut);
    let weight = TileTensor { shape: [1, 1, weight.rows, weight.columns], values: weight.values };
    let bias: Vec<f32> =
        bias.values[..bias.columns].iter().map(|&x| activation_bits(fidelity, x)).collect();
    rows_product(&laid, &weight, Some(&bias), product)
}
