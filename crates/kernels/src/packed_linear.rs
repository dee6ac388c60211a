//! Linear layers with packed weights, along rows and down columns.
//!
//! Activations have the layout `[features][positions]`, positions contiguous. In a layer over positions
//! ([`RowLinear`]) the activations are the left operand, and the weights the right one, packed in
//! panels; in a layer over features ([`ColumnLinear`]) the weights are the left operand, packed in
//! tiles, and the activations the right one. Both read the activations in place.

use crate::aligned::Aligned;
use crate::epilogue::{ColumnBias, Finish, RowBias};
use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, MatrixShape, ProductShape};
use crate::operand::{OUT_OF_CACHE, Panels, Tiles};
use crate::product::{Product, TILE_REGISTERS, next_height};
use crate::transpose::transpose;
use crate::vector::Vector;

impl Isa {
    /// Lanes of one register: the elements that one instruction processes.
    pub fn lanes(self) -> usize {
        self.run(Lanes).0
    }

    /// `n` rounded up to a multiple of the lanes: the length of a padded row of `n` elements.
    pub fn pad(self, n: usize) -> usize {
        n.next_multiple_of(self.lanes())
    }

    fn tile_rows(self) -> usize {
        self.run(Lanes).1
    }
}

/// Returns the lanes of a set and the rows of its tallest register tile.
struct Lanes;

impl Op for Lanes {
    type Output = (usize, usize);
    #[inline(always)]
    fn run<V: Vector>(self, _: V) -> (usize, usize) {
        (V::LANES, V::TILE_ROWS)
    }
}

/// The weights of some neighbouring outputs, packed: a panel or a tile.
struct Packed<'a> {
    /// The first output.
    first: usize,
    /// Number of outputs.
    outputs: usize,
    /// `[input][output]`; the rows of a panel may be wider than its outputs.
    values: MatrixMut<'a>,
}

impl Packed<'_> {
    /// Copies its columns of `weight`, whose rows have `width` elements.
    fn copy_columns(self, weight: &[f32], width: usize) {
        let rows = self.values.values.chunks_exact_mut(self.values.pitch);
        for (to, from) in rows.zip(weight.chunks_exact(width)) {
            to[..self.outputs].copy_from_slice(&from[self.first..][..self.outputs]);
        }
    }
}

/// A linear layer along contiguous rows: `out[r, o] = sum_i x[r, i] W[o, i] + b[o]`.
#[derive(Debug, Clone)]
pub struct RowLinear {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    /// `[panel][input][column of the panel]`, zero in the padding.
    panels: Aligned,
    /// As long as a padded row, zero in the padding.
    bias: Aligned,
}

impl RowLinear {
    /// Packs `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn new(isa: Isa, inputs: usize, outputs: usize, weight: &[f32], bias: &[f32]) -> Self {
        let mut layer = Self::zeros(isa, inputs, outputs);
        layer.pack(weight, bias);
        layer
    }

    /// A layer whose weights are 0, with room for others of this shape.
    ///
    /// # Panics
    ///
    /// If there are no inputs.
    pub fn zeros(isa: Isa, inputs: usize, outputs: usize) -> Self {
        assert!(inputs > 0, "row linear: inputs");
        let columns = isa.pad(outputs);
        let (panels, bias) = (Aligned::zeros(columns * inputs), Aligned::zeros(columns));
        Self { isa, inputs, outputs, panels, bias }
    }

    /// Replaces the weights; arguments as for [`RowLinear::new`].
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack(&mut self, weight: &[f32], bias: &[f32]) {
        let Self { isa, inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "row linear: weight");
        self.bias[..outputs].copy_from_slice(bias);
        self.each_panel(|panel| {
            let shape = MatrixShape { rows: panel.outputs, columns: inputs };
            let weight = Matrix::new(&weight[panel.first * inputs..], inputs);
            transpose(isa, shape, weight, panel.values);
        });
    }

    /// Replaces the weights by the transpose of `weight` `[inputs, outputs]`, without a bias; this is
    /// the backward pass of a layer whose weight it is:
    /// `out[r, o] = sum_i x[r, i] W[i, o]`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack_transposed(&mut self, weight: &[f32]) {
        let Self { inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "row linear: weight");
        self.bias.fill(0.0);
        self.each_panel(|panel| panel.copy_columns(weight, outputs));
    }

    /// Calls `fill` with each panel.
    fn each_panel(&mut self, fill: impl Fn(Packed<'_>)) {
        let (columns, full) = (self.bias.len(), TILE_REGISTERS * self.isa.lanes());
        for first in (0..columns).step_by(full) {
            let width = full.min(columns - first);
            let panel = &mut self.panels[first * self.inputs..][..width * self.inputs];
            let outputs = width.min(self.outputs - first);
            fill(Packed { first, outputs, values: MatrixMut::new(panel, width) });
        }
    }

    /// Elements of an output row, without the padding.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Applies the layer to `rows` rows.
    ///
    /// A row of `x` has `inputs` elements; a row of `out` takes the outputs padded to whole registers
    /// ([`Isa::pad`]). `Store` and `Gelu` set the padding to 0, `Add` leaves it as it is.
    ///
    /// # Panics
    ///
    /// If a slice is too short, or the pitch of `out` less than a padded row.
    pub fn apply(&self, rows: usize, x: Matrix<'_>, finish: Finish, out: MatrixMut<'_>) {
        assert!(rows <= 1 || out.pitch >= self.bias.len(), "row linear: pitch");
        if rows == 0 {
            return;
        }
        self.isa.run(Product::<'_, _, _, _, false> {
            shape: ProductShape { rows, columns: self.bias.len(), inner: self.inputs },
            left: x,
            right: Panels(&self.panels),
            bias: ColumnBias(&self.bias),
            finish,
            out,
        });
    }
}

/// A linear layer down columns: `out[o, j] = sum_i W[o, i] x[i, j] + b[o]`.
#[derive(Debug, Clone)]
pub struct ColumnLinear {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    /// `[tile][input][row of the tile]`.
    tiles: Aligned,
    bias: Vec<f32>,
}

impl ColumnLinear {
    /// Packs `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn new(isa: Isa, inputs: usize, outputs: usize, weight: &[f32], bias: &[f32]) -> Self {
        let mut layer = Self::zeros(isa, inputs, outputs);
        layer.pack(weight, bias);
        layer
    }

    /// A layer whose weights are 0, with room for others of this shape.
    ///
    /// # Panics
    ///
    /// If there are no inputs.
    pub fn zeros(isa: Isa, inputs: usize, outputs: usize) -> Self {
        assert!(inputs > 0, "column linear: inputs");
        let tiles = Aligned::zeros(inputs * outputs);
        Self { isa, inputs, outputs, tiles, bias: vec![0.0; outputs] }
    }

    /// Replaces the weights; arguments as for [`ColumnLinear::new`].
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack(&mut self, weight: &[f32], bias: &[f32]) {
        let Self { isa, inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "column linear: weight");
        self.bias.copy_from_slice(bias);
        self.each_tile(|tile| {
            let shape = MatrixShape { rows: tile.outputs, columns: inputs };
            let weight = Matrix::new(&weight[tile.first * inputs..], inputs);
            transpose(isa, shape, weight, tile.values);
        });
    }

    /// Replaces the weights by the transpose of `weight` `[inputs, outputs]`, without a bias; this is
    /// the backward pass of a layer whose weight it is:
    /// `out[o, j] = sum_i W[i, o] x[i, j]`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack_transposed(&mut self, weight: &[f32]) {
        let Self { inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "column linear: weight");
        self.bias.fill(0.0);
        self.each_tile(|tile| tile.copy_columns(weight, outputs));
    }

    /// Calls `fill` with each tile.
    fn each_tile(&mut self, fill: impl Fn(Packed<'_>)) {
        let mut first = 0;
        while first < self.outputs {
            let height = next_height(self.outputs - first, self.isa.tile_rows());
            let tile = &mut self.tiles[first * self.inputs..][..height * self.inputs];
            fill(Packed { first, outputs: height, values: MatrixMut::new(tile, height) });
            first += height;
        }
    }

    /// Number of output rows.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Applies the layer to `columns` columns, a multiple of [`Isa::lanes`].
    ///
    /// # Panics
    ///
    /// If a slice is too short, or `columns` do not fill whole registers.
    pub fn apply(&self, columns: usize, x: Matrix<'_>, finish: Finish, out: MatrixMut<'_>) {
        assert!(out.pitch >= columns, "column linear: pitch");
        let product = Product::<'_, _, _, _, false> {
            shape: ProductShape { rows: self.outputs, columns, inner: self.inputs },
            left: Tiles(&self.tiles),
            right: x,
            bias: RowBias(&self.bias),
            finish,
            out,
        };
        product.run_across_if(self.tiles.len() > OUT_OF_CACHE, self.isa);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FINISHES, assert_close, finished, numbers, with_canaries};

    fn shapes() -> Vec<[usize; 3]> {
        let mut shapes: Vec<[usize; 3]> = (1..=67).map(|n| [3, 5, n]).collect();
        shapes.extend((1..=67).map(|n| [3, n, 7]));
        shapes.extend((1..=67).map(|n| [n, 5, 17]));
        shapes.extend([[16, 64, 128], [16, 128, 64], [9, 300, 33], [2, 129, 257], [8, 513, 1]]);
        // Just enough steps of k to interleave a tile's GELU with the next tile, and just too few.
        shapes.extend([[24, 15, 64], [24, 16, 64], [24, 17, 64], [24, 129, 64]]);
        // With weights that exceed the cache.
        shapes.extend([[70, 300, 450], [3, 135, 1000], [17, 1030, 131]]);
        shapes
    }

    #[test]
    fn row_layers_match_the_reference_on_every_set_and_shape() {
        for isa in Isa::available() {
            for [rows, inputs, outputs] in shapes() {
                let (x_pitch, pitch) = (inputs + 3, isa.pad(outputs) + isa.lanes());
                let x = numbers(1, rows * x_pitch);
                let (w, bias) = (numbers(2, outputs * inputs), numbers(3, outputs));
                let layer = RowLinear::new(isa, inputs, outputs, &w, &bias);
                for finish in FINISHES {
                    let before = numbers(4, (rows - 1) * pitch + isa.pad(outputs));
                    let out = with_canaries(&before, |out| {
                        let (x, out) = (Matrix::new(&x, x_pitch), MatrixMut::new(out, pitch));
                        layer.apply(rows, x, finish, out);
                    });
                    let mut wanted: Vec<f64> = before.iter().map(|&x| f64::from(x)).collect();
                    for r in 0..rows {
                        for o in 0..isa.pad(outputs) {
                            let product = |i: usize| {
                                f64::from(x[r * x_pitch + i]) * f64::from(w[o * inputs + i])
                            };
                            let at = r * pitch + o;
                            wanted[at] = if o < outputs {
                                let sum = (0..inputs).map(product).sum::<f64>();
                                finished(finish, before[at], sum + f64::from(bias[o]))
                            } else {
                                finished(finish, before[at], 0.0)
                            };
                        }
                    }
                    let name = format!("{} {rows} {inputs} {outputs} {finish:?}", isa.name());
                    assert_close(&out, &wanted, 3e-6, &name);
                }
            }
        }
    }

    #[test]
    fn column_layers_match_the_reference_on_every_set_and_shape() {
        for isa in Isa::available() {
            for [columns, inputs, outputs] in shapes() {
                let columns = isa.pad(columns);
                let (x_pitch, pitch) = (columns + 5, columns + 2);
                let x = numbers(1, (inputs - 1) * x_pitch + columns);
                let (w, bias) = (numbers(2, outputs * inputs), numbers(3, outputs));
                let layer = ColumnLinear::new(isa, inputs, outputs, &w, &bias);
                for finish in FINISHES {
                    let before = numbers(4, (outputs - 1) * pitch + columns);
                    let out = with_canaries(&before, |out| {
                        let (x, out) = (Matrix::new(&x, x_pitch), MatrixMut::new(out, pitch));
                        layer.apply(columns, x, finish, out);
                    });
                    let mut wanted: Vec<f64> = before.iter().map(|&x| f64::from(x)).collect();
                    for o in 0..outputs {
                        for j in 0..columns {
                            let product = |i: usize| {
                                f64::from(x[i * x_pitch + j]) * f64::from(w[o * inputs + i])
                            };
                            let at = o * pitch + j;
                            let sum = (0..inputs).map(product).sum::<f64>() + f64::from(bias[o]);
                            wanted[at] = finished(finish, before[at], sum);
                        }
                    }
                    let name = format!("{} {columns} {inputs} {outputs} {finish:?}", isa.name());
                    assert_close(&out, &wanted, 3e-6, &name);
                }
            }
        }
    }

    #[test]
    fn a_row_or_column_has_the_same_bits_alone_as_in_a_batch() {
        let cases = Isa::available().into_iter().flat_map(|isa| [(isa, 41), (isa, 450)]);
        for (isa, outputs) in cases {
            let (rows, inputs) = (23, 300);
            let (x, w) = (numbers(1, rows * inputs), numbers(2, outputs * inputs));
            let bias = numbers(3, outputs);
            let layer = RowLinear::new(isa, inputs, outputs, &w, &bias);
            let pitch = isa.pad(outputs);
            let mut whole = vec![0.0; rows * pitch];
            let x_view = Matrix::new(&x, inputs);
            layer.apply(rows, x_view, Finish::Gelu, MatrixMut::new(&mut whole, pitch));
            for row in 0..rows {
                let mut alone = vec![0.0; pitch];
                let x = Matrix::new(&x[row * inputs..][..inputs], inputs);
                layer.apply(1, x, Finish::Gelu, MatrixMut::new(&mut alone, pitch));
                assert_eq!(alone, whole[row * pitch..][..pitch], "{} row {row}", isa.name());
            }
            let columns = isa.lanes() * 5;
            let layer = ColumnLinear::new(isa, inputs, outputs, &w, &bias);
            let x = numbers(5, inputs * columns);
            let mut whole = vec![0.0; outputs * columns];
            let x_view = Matrix::new(&x, columns);
            layer.apply(columns, x_view, Finish::Gelu, MatrixMut::new(&mut whole, columns));
            for first in (0..columns).step_by(isa.lanes()) {
                let mut alone = vec![0.0; outputs * columns];
                let x = Matrix::new(&x[first..], columns);
                let out = MatrixMut::new(&mut alone[first..], columns);
                layer.apply(isa.lanes(), x, Finish::Gelu, out);
                for o in 0..outputs {
                    let place = o * columns + first..o * columns + first + isa.lanes();
                    assert_eq!(alone[place.clone()], whole[place], "{}", isa.name());
                }
            }
        }
    }

    #[test]
    fn a_layer_that_exceeds_the_cache_has_the_bits_of_its_parts() {
        for isa in Isa::available() {
            // Parts of 240 and 210 outputs: whole tiles, so that both are cut alike.
            let (inputs, outputs, columns, first) = (300, 450, isa.lanes() * 5, 240);
            assert!(inputs * outputs > OUT_OF_CACHE && inputs * first < OUT_OF_CACHE);
            let (w, bias) = (numbers(1, outputs * inputs), numbers(2, outputs));
            let x = numbers(3, inputs * columns);
            for finish in FINISHES {
                let before = numbers(4, outputs * columns);
                let (mut whole, mut parts) = (before.clone(), before);
                let layer = ColumnLinear::new(isa, inputs, outputs, &w, &bias);
                let x = Matrix::new(&x, columns);
                layer.apply(columns, x, finish, MatrixMut::new(&mut whole, columns));
                for part in [0..first, first..outputs] {
                    let weight = &w[part.start * inputs..part.end * inputs];
                    let bias = &bias[part.clone()];
                    let layer = ColumnLinear::new(isa, inputs, part.len(), weight, bias);
                    let out = &mut parts[part.start * columns..part.end * columns];
                    layer.apply(columns, x, finish, MatrixMut::new(out, columns));
                }
                assert!(whole == parts, "{} {finish:?}", isa.name());
            }
        }
    }
}
