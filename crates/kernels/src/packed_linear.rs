//! Linear layers with packed weights, along rows and down columns.
//!
//! Activations stand as `[features][positions]`, positions contiguous. A layer over positions
//! ([`RowLinear`]) has the activations on the left and its weights in panels on the right; a layer
//! over features ([`ColumnLinear`]) has its weights in tiles on the left and the activations on the
//! right. Both read the activations where they stand.

use crate::aligned::Aligned;
use crate::isa::{Isa, Op};
use crate::operand::{ColumnBias, FAR, NoBias, Panels, RowBias, Rows, Strided, Tiles};
use crate::product::{Finish, Product, TILE_REGISTERS, next_height};
use crate::transpose::transpose;
use crate::vector::Vector;

impl Isa {
    /// Numbers in one register.
    pub fn lanes(self) -> usize {
        self.run(Lanes).0
    }

    /// `n` rounded up to whole registers: what a row of `n` numbers takes.
    pub fn pad(self, n: usize) -> usize {
        n.next_multiple_of(self.lanes())
    }

    fn tile_rows(self) -> usize {
        self.run(Lanes).1
    }
}

/// Asks a vector for its lanes and its tallest tile.
struct Lanes;

impl Op for Lanes {
    type Output = (usize, usize);
    #[inline(always)]
    fn run<V: Vector>(self, _: V) -> (usize, usize) {
        (V::LANES, V::TILE_ROWS)
    }
}

/// A linear layer along contiguous rows: `out[r, o] = sum_i x[r, i] W[o, i] + b[o]`.
#[derive(Debug, Clone)]
pub struct RowLinear {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    /// `[panel][input][column of the panel]`, zero in the columns past the outputs.
    panels: Aligned,
    /// As long as a padded row, zero past the outputs.
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

    /// A layer whose weights are 0, with room for others.
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

    /// Takes other weights, as [`RowLinear::new`].
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack(&mut self, weight: &[f32], bias: &[f32]) {
        let Self { isa, inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "row linear: weight");
        self.bias[..outputs].copy_from_slice(bias);
        self.each_panel(|(first, filled), (panel, width)| {
            let weight = &weight[first * inputs..];
            transpose(isa, (filled, inputs), (weight, inputs), (panel, width));
        });
    }

    /// Takes the weights of the way back through `weight` `[inputs, outputs]`, without a bias:
    /// `out[r, o] = sum_i x[r, i] W[i, o]`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack_transposed(&mut self, weight: &[f32]) {
        let Self { inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "row linear: weight");
        self.bias.fill(0.0);
        self.each_panel(|(first, filled), (panel, width)| {
            for (to, from) in panel.chunks_exact_mut(width).zip(weight.chunks_exact(outputs)) {
                to[..filled].copy_from_slice(&from[first..first + filled]);
            }
        });
    }

    /// Calls `fill` with the first output of each panel, their number, and the panel and its width.
    fn each_panel(&mut self, fill: impl Fn((usize, usize), (&mut [f32], usize))) {
        let (columns, full) = (self.bias.len(), TILE_REGISTERS * self.isa.lanes());
        for first in (0..columns).step_by(full) {
            let width = full.min(columns - first);
            let panel = &mut self.panels[first * self.inputs..][..width * self.inputs];
            fill((first, width.min(self.outputs - first)), (panel, width));
        }
    }

    /// Numbers in an output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Applies the layer to `rows` rows.
    ///
    /// Row `r` of `x` starts at `r * x_pitch` and has `inputs` numbers; row `r` of `out` starts at
    /// `r * out_pitch` and takes the outputs padded to whole registers ([`Isa::pad`]). The padding
    /// gets 0 (`Store`, `Gelu`) or stays (`Add`).
    ///
    /// # Panics
    ///
    /// If a slice is too short, or `out_pitch` less than a padded row.
    pub fn apply(
        &self,
        rows: usize,
        (x, x_pitch): (&[f32], usize),
        finish: Finish,
        (out, out_pitch): (&mut [f32], usize),
    ) {
        assert!(rows <= 1 || out_pitch >= self.bias.len(), "row linear: pitch");
        if rows == 0 {
            return;
        }
        self.isa.run(Product::<'_, _, _, _, false> {
            rows,
            columns: self.bias.len(),
            steps: self.inputs,
            left: Rows { values: x, pitch: x_pitch },
            right: Panels(&self.panels),
            bias: ColumnBias(&self.bias),
            finish,
            out,
            pitch: out_pitch,
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

    /// A layer whose weights are 0, with room for others.
    ///
    /// # Panics
    ///
    /// If there are no inputs.
    pub fn zeros(isa: Isa, inputs: usize, outputs: usize) -> Self {
        assert!(inputs > 0, "column linear: inputs");
        let tiles = Aligned::zeros(inputs * outputs);
        Self { isa, inputs, outputs, tiles, bias: vec![0.0; outputs] }
    }

    /// Takes other weights, as [`ColumnLinear::new`].
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack(&mut self, weight: &[f32], bias: &[f32]) {
        let Self { isa, inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "column linear: weight");
        self.bias.copy_from_slice(bias);
        self.each_tile(|first, (tile, height)| {
            let weight = &weight[first * inputs..];
            transpose(isa, (height, inputs), (weight, inputs), (tile, height));
        });
    }

    /// Takes the weights of the way back through `weight` `[inputs, outputs]`, without a bias:
    /// `out[o, j] = sum_i W[i, o] x[i, j]`.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub fn pack_transposed(&mut self, weight: &[f32]) {
        let Self { inputs, outputs, .. } = *self;
        assert!(weight.len() == inputs * outputs, "column linear: weight");
        self.bias.fill(0.0);
        self.each_tile(|first, (tile, height)| {
            for (to, from) in tile.chunks_exact_mut(height).zip(weight.chunks_exact(outputs)) {
                to.copy_from_slice(&from[first..first + height]);
            }
        });
    }

    /// Calls `fill` with the first output of each tile, and the tile and its height.
    fn each_tile(&mut self, fill: impl Fn(usize, (&mut [f32], usize))) {
        let mut first = 0;
        while first < self.outputs {
            let height = next_height(self.outputs - first, self.isa.tile_rows());
            fill(first, (&mut self.tiles[first * self.inputs..][..height * self.inputs], height));
            first += height;
        }
    }

    /// Rows of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Applies the layer to `columns` columns, a multiple of [`Isa::lanes`].
    ///
    /// Row `i` of `x` starts at `i * x_pitch`, row `o` of `out` at `o * out_pitch`.
    ///
    /// # Panics
    ///
    /// If a slice is too short or `columns` no whole number of registers.
    pub fn apply(
        &self,
        columns: usize,
        (x, x_pitch): (&[f32], usize),
        finish: Finish,
        (out, out_pitch): (&mut [f32], usize),
    ) {
        assert!(out_pitch >= columns, "column linear: pitch");
        let product = Product::<'_, _, _, _, false> {
            rows: self.outputs,
            columns,
            steps: self.inputs,
            left: Tiles(&self.tiles),
            right: Rows { values: x, pitch: x_pitch },
            bias: RowBias(&self.bias),
            finish,
            out,
            pitch: out_pitch,
        };
        product.run_across_if(self.tiles.len() > FAR, self.isa);
    }
}

/// `out[m, n] = sum_k a[m, k] b[k, n]`, or `+=` that with [`Finish::Add`], for `size` = `[m, n, k]`, n a multiple of [`Isa::lanes`].
///
/// Row `k` of `b` starts at `k * b_pitch`, row `m` of `out` at `m * out_pitch`.
///
/// # Panics
///
/// If a slice is too short or n no whole number of registers.
pub fn product(
    isa: Isa,
    [rows, columns, steps]: [usize; 3],
    a: Strided<'_>,
    (b, b_pitch): (&[f32], usize),
    finish: Finish,
    (out, out_pitch): (&mut [f32], usize),
) {
    assert!(out_pitch >= columns, "product: pitch");
    let product = Product::<'_, _, _, _, false> {
        rows,
        columns,
        steps,
        left: a,
        right: Rows { values: b, pitch: b_pitch },
        bias: NoBias,
        finish,
        out,
        pitch: out_pitch,
    };
    let across = product.has_far_output();
    product.run_across_if(across, isa);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers};

    const CANARY: f32 = 1234.5;

    /// A slice off any alignment with canaries behind it.
    struct Guarded {
        buffer: Vec<f32>,
        len: usize,
    }

    impl Guarded {
        fn new(start: &[f32]) -> Self {
            let mut buffer = vec![CANARY; start.len() + 40];
            buffer[1..=start.len()].copy_from_slice(start);
            Self { buffer, len: start.len() }
        }
        fn slice(&mut self) -> &mut [f32] {
            &mut self.buffer[1..=self.len]
        }
        fn done(self) -> Vec<f32> {
            let behind = &self.buffer[self.len + 1..];
            assert!(self.buffer[0] == CANARY && behind.iter().all(|&c| c == CANARY), "canary");
            self.buffer[1..=self.len].to_vec()
        }
    }

    fn finished(finish: Finish, before: f32, sum: f64) -> f64 {
        match finish {
            Finish::Store => sum,
            Finish::Add => f64::from(before) + sum,
            Finish::Gelu => sum * 0.5 * libm::erfc(-sum * std::f64::consts::FRAC_1_SQRT_2),
        }
    }

    fn shapes() -> Vec<[usize; 3]> {
        let mut shapes: Vec<[usize; 3]> = (1..=67).map(|n| [3, 5, n]).collect();
        shapes.extend((1..=67).map(|n| [3, n, 7]));
        shapes.extend((1..=67).map(|n| [n, 5, 17]));
        shapes.extend([[16, 64, 128], [16, 128, 64], [9, 300, 33], [2, 129, 257], [8, 513, 1]]);
        // Just enough steps for a tile's GELU beside those of the next one, and just too few.
        shapes.extend([[24, 15, 64], [24, 16, 64], [24, 17, 64], [24, 129, 64]]);
        // With weights that are far.
        shapes.extend([[70, 300, 450], [3, 135, 1000], [17, 1030, 131]]);
        shapes
    }

    const FINISHES: [Finish; 3] = [Finish::Store, Finish::Add, Finish::Gelu];

    #[test]
    fn along_rows_it_is_the_plain_product_on_every_set_and_shape() {
        for isa in Isa::available() {
            for [rows, inputs, outputs] in shapes() {
                let (x_pitch, pitch) = (inputs + 3, isa.pad(outputs) + isa.lanes());
                let x = numbers(1, rows * x_pitch);
                let (w, bias) = (numbers(2, outputs * inputs), numbers(3, outputs));
                let layer = RowLinear::new(isa, inputs, outputs, &w, &bias);
                for finish in FINISHES {
                    let before = numbers(4, (rows - 1) * pitch + isa.pad(outputs));
                    let mut out = Guarded::new(&before);
                    layer.apply(rows, (&x, x_pitch), finish, (out.slice(), pitch));
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
                    assert_close(&out.done(), &wanted, 3e-6, &name);
                }
            }
        }
    }

    #[test]
    fn down_columns_it_is_the_plain_product_on_every_set_and_shape() {
        for isa in Isa::available() {
            for [columns, inputs, outputs] in shapes() {
                let columns = isa.pad(columns);
                let (x_pitch, pitch) = (columns + 5, columns + 2);
                let x = numbers(1, (inputs - 1) * x_pitch + columns);
                let (w, bias) = (numbers(2, outputs * inputs), numbers(3, outputs));
                let layer = ColumnLinear::new(isa, inputs, outputs, &w, &bias);
                for finish in FINISHES {
                    let before = numbers(4, (outputs - 1) * pitch + columns);
                    let mut out = Guarded::new(&before);
                    layer.apply(columns, (&x, x_pitch), finish, (out.slice(), pitch));
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
                    assert_close(&out.done(), &wanted, 3e-6, &name);
                }
            }
        }
    }

    #[test]
    fn a_product_takes_its_left_side_by_strides() {
        for isa in Isa::available() {
            for [m, n, k] in
                [[1, 1, 1], [7, 33, 5], [19, 16, 130], [64, 64, 8], [300, 450, 5], [300, 450, 130]]
            {
                let n = isa.pad(n);
                let (a, b) = (numbers(1, (m + 1) * k), numbers(2, k * n));
                let transposed = Strided { values: &a, row: 1, step: m + 1 };
                let element = |i: usize, j: usize| {
                    let term = |l: usize| f64::from(a[l * (m + 1) + i]) * f64::from(b[l * n + j]);
                    (0..k).map(term).sum::<f64>()
                };
                // GELU's error is bounded absolutely: one small number is no measure for it.
                let finishes = if m == 1 { &FINISHES[..2] } else { &FINISHES[..] };
                for &finish in finishes {
                    let before = numbers(3, m * n);
                    let mut out = Guarded::new(&before);
                    product(isa, [m, n, k], transposed, (&b, n), finish, (out.slice(), n));
                    let wanted: Vec<f64> = (0..m * n)
                        .map(|at| finished(finish, before[at], element(at / n, at % n)))
                        .collect();
                    let name = format!("{} {m} {n} {k} {finish:?}", isa.name());
                    assert_close(&out.done(), &wanted, 3e-6, &name);
                }
            }
        }
    }

    #[test]
    fn a_row_and_a_column_have_the_same_bits_alone_and_in_company() {
        let cases = Isa::available().into_iter().flat_map(|isa| [(isa, 41), (isa, 450)]);
        for (isa, outputs) in cases {
            let (rows, inputs) = (23, 300);
            let (x, w) = (numbers(1, rows * inputs), numbers(2, outputs * inputs));
            let bias = numbers(3, outputs);
            let layer = RowLinear::new(isa, inputs, outputs, &w, &bias);
            let pitch = isa.pad(outputs);
            let mut whole = vec![0.0; rows * pitch];
            layer.apply(rows, (&x, inputs), Finish::Gelu, (&mut whole, pitch));
            for row in 0..rows {
                let mut alone = vec![0.0; pitch];
                let x = (&x[row * inputs..][..inputs], inputs);
                layer.apply(1, x, Finish::Gelu, (&mut alone, pitch));
                assert_eq!(alone, whole[row * pitch..][..pitch], "{} row {row}", isa.name());
            }
            let columns = isa.lanes() * 5;
            let layer = ColumnLinear::new(isa, inputs, outputs, &w, &bias);
            let x = numbers(5, inputs * columns);
            let mut whole = vec![0.0; outputs * columns];
            layer.apply(columns, (&x, columns), Finish::Gelu, (&mut whole, columns));
            for first in (0..columns).step_by(isa.lanes()) {
                let mut alone = vec![0.0; outputs * columns];
                let out = (&mut alone[first..], columns);
                layer.apply(isa.lanes(), (&x[first..], columns), Finish::Gelu, out);
                for o in 0..outputs {
                    let place = o * columns + first..o * columns + first + isa.lanes();
                    assert_eq!(alone[place.clone()], whole[place], "{}", isa.name());
                }
            }
        }
    }

    #[test]
    fn a_far_layer_has_the_bits_of_its_near_parts() {
        for isa in Isa::available() {
            // Parts of 240 and 210 outputs: whole tiles, so that both are cut alike.
            let (inputs, outputs, columns, first) = (300, 450, isa.lanes() * 5, 240);
            assert!(inputs * outputs > FAR && inputs * first < FAR);
            let (w, bias) = (numbers(1, outputs * inputs), numbers(2, outputs));
            let x = numbers(3, inputs * columns);
            for finish in FINISHES {
                let before = numbers(4, outputs * columns);
                let (mut whole, mut parts) = (before.clone(), before);
                let layer = ColumnLinear::new(isa, inputs, outputs, &w, &bias);
                layer.apply(columns, (&x, columns), finish, (&mut whole, columns));
                for part in [0..first, first..outputs] {
                    let weight = &w[part.start * inputs..part.end * inputs];
                    let bias = &bias[part.clone()];
                    let layer = ColumnLinear::new(isa, inputs, part.len(), weight, bias);
                    let out = &mut parts[part.start * columns..part.end * columns];
                    layer.apply(columns, (&x, columns), finish, (out, columns));
                }
                assert!(whole == parts, "{} {finish:?}", isa.name());
            }
        }
    }
}
