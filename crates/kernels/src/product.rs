//! Matrix products in register tiles, for operands that are packed or stand in the right order
//! already, with what follows the product done on the way out.
//!
//! `out[m, n] = sum_k A[m, k] B[k, n]`, n along the registers. Every element is summed over k in
//! the same order and in the same blocks whatever the tile that it falls into: its bits depend
//! neither on the number of rows or columns in the call nor on its place among them.

use crate::epilogue::{Bias, Finish, NoBias};
use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, ProductShape, Strided};
use crate::micro_kernel::{Ahead, GeluOf, Nothing, gelu_side_by_side, multiply, write};
use crate::operand::{Left, OUT_OF_CACHE, Place, Right, TileSize};
use crate::vector::Vector;

/// Registers side by side in a full tile.
pub(crate) const TILE_REGISTERS: usize = 2;
/// Most steps of k in one pass over the output: B's part of a tile stays in the first-level cache,
/// and sums of sums keep the rounding of long products small.
const BLOCK: usize = 128;

/// `out (+)= A B + bias`: rows and steps of any number, columns a multiple of the lanes.
///
/// Tiles are done down the columns, so that a block of B is read once and A for every column of
/// tiles; or `ACROSS` the rows, so that a block of A is read once and B for every row of tiles.
pub(crate) struct Product<'a, L, R, B, const ACROSS: bool> {
    pub(crate) shape: ProductShape,
    pub(crate) left: L,
    pub(crate) right: R,
    pub(crate) bias: B,
    pub(crate) finish: Finish,
    pub(crate) out: MatrixMut<'a>,
}

impl<L: Left, R: Right, B: Bias> Product<'_, L, R, B, false> {
    /// Runs it down the columns or across the rows.
    pub(crate) fn run_across_if(self, across: bool, isa: Isa) {
        if !across {
            return isa.run(self);
        }
        let Self { shape, left, right, bias, finish, out } = self;
        isa.run(Product::<'_, _, _, _, true> { shape, left, right, bias, finish, out });
    }

    /// Whether the output is far, and each of its numbers comes up once: then tiles are better done
    /// across, and write it row by row, not a few numbers of every row at a time.
    pub(crate) fn has_far_output(&self) -> bool {
        let ProductShape { rows, columns, inner } = self.shape;
        inner <= BLOCK && rows.saturating_mul(columns) > OUT_OF_CACHE
    }
}

/// Height of the next tile when `left` rows are to be done and the tallest has `tallest`.
#[inline(always)]
pub(crate) fn next_height(left: usize, tallest: usize) -> usize {
    match left {
        0..=1 => 1,
        2..=3 => 2,
        _ if left < tallest => 4,
        _ => tallest,
    }
}

impl<L: Left, R: Right, B: Bias, const ACROSS: bool> Op for Product<'_, L, R, B, ACROSS> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        let ProductShape { rows, columns, inner } = self.shape;
        assert!(inner > 0 && columns.is_multiple_of(V::LANES), "product: shape");
        assert!(rows == 0 || self.left.has(rows, inner), "product: left");
        assert!(columns == 0 || self.right.has(columns, inner), "product: right");
        let block = inner.div_ceil(inner.div_ceil(BLOCK));
        match ACROSS {
            true => self.across(v, block),
            false => self.down(v, block),
        }
    }
}

impl<L: Left, R: Right, B: Bias, const ACROSS: bool> Product<'_, L, R, B, ACROSS> {
    #[inline(always)]
    fn down<V: Vector>(&mut self, v: V, block: usize) {
        let mut waiting = None;
        let mut column = 0;
        while column < self.shape.columns {
            let registers = TILE_REGISTERS.min((self.shape.columns - column) / V::LANES);
            for from in (0..self.shape.inner).step_by(block) {
                let to = self.shape.inner.min(from + block);
                let mut row = 0;
                while row < self.shape.rows {
                    let height = next_height(self.shape.rows - row, V::TILE_ROWS);
                    let place = Place { row, column, from, to };
                    self.dispatch(v, height, registers, place, &mut waiting);
                    row += height;
                }
            }
            column += registers * V::LANES;
        }
        assert!(waiting.is_none(), "product: a tile still waits for its GELU");
    }

    #[inline(always)]
    fn across<V: Vector>(&mut self, v: V, block: usize) {
        let mut waiting = None;
        for from in (0..self.shape.inner).step_by(block) {
            let to = self.shape.inner.min(from + block);
            let mut row = 0;
            while row < self.shape.rows {
                let height = next_height(self.shape.rows - row, V::TILE_ROWS);
                let mut column = 0;
                while column < self.shape.columns {
                    let registers = TILE_REGISTERS.min((self.shape.columns - column) / V::LANES);
                    let place = Place { row, column, from, to };
                    self.dispatch(v, height, registers, place, &mut waiting);
                    column += registers * V::LANES;
                }
                row += height;
            }
        }
        assert!(waiting.is_none(), "product: a tile still waits for its GELU");
    }

    #[inline(always)]
    fn dispatch<V: Vector>(
        &mut self,
        v: V,
        height: usize,
        registers: usize,
        place: Place,
        waiting: &mut Option<usize>,
    ) {
        match (height, registers) {
            (8, 2)
                if V::LOOKS_UP && self.finish == Finish::Gelu && place.to == self.shape.inner =>
            {
                self.tile_to_gelu::<V, 8, 2>(v, place, waiting);
            }
            (8, 2) => self.tile::<V, 8, 2>(v, place),
            (8, _) => self.tile::<V, 8, 1>(v, place),
            (6, 2) => self.tile::<V, 6, 2>(v, place),
            (6, _) => self.tile::<V, 6, 1>(v, place),
            (4, 2) => self.tile::<V, 4, 2>(v, place),
            (4, _) => self.tile::<V, 4, 1>(v, place),
            (2, 2) => self.tile::<V, 2, 2>(v, place),
            (2, _) => self.tile::<V, 2, 1>(v, place),
            (_, 2) => self.tile::<V, 1, 2>(v, place),
            (_, _) => self.tile::<V, 1, 1>(v, place),
        }
    }

    /// What a tile of full size prefetches.
    #[inline(always)]
    fn prefetch(&self, size: TileSize, place: Place) -> Option<&[f32]> {
        match ACROSS {
            true => self.left.prefetch(size, self.shape, place),
            false => self.right.prefetch(size, self.shape, place),
        }
    }

    /// Where the tile begins in the output.
    #[inline(always)]
    fn start(&self, place: Place) -> usize {
        place.row * self.out.pitch + place.column
    }

    /// A full tile on its way to GELU, where that is looked up. Lookups have ports of their own, so
    /// each tile's GELU is done beside the multiply-adds of the next such tile: `waiting` is where a
    /// tile begins that waits for that.
    #[inline(always)]
    fn tile_to_gelu<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &mut self,
        v: V,
        place: Place,
        waiting: &mut Option<usize>,
    ) {
        let (steps, width) = (place.to - place.from, REGISTERS * V::LANES);
        let a = self.left.tile(ROWS, self.shape.inner, place);
        let b = self.right.tile(width, self.shape.inner, place);
        let mut sums = match waiting.take() {
            Some(at) => {
                assert!(steps >= ROWS * REGISTERS, "product: steps");
                let gelu = GeluOf::<V, ROWS, REGISTERS>::new(v, self.out.at(at));
                multiply::<V, ROWS, REGISTERS>(v, a, b, steps, gelu)
            }
            None => multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Nothing),
        };
        self.complete(v, place, &mut sums);
        // Down or across, the next full tile stands in this column of tiles, in this row of them, or
        // begins another; and the last blocks of all tiles have the same steps.
        let more = place.row + 2 * ROWS <= self.shape.rows
            || place.column + 2 * width <= self.shape.columns;
        let at = self.start(place);
        let out = self.out.at(at);
        if more && steps >= ROWS * REGISTERS {
            *waiting = Some(at);
            write(v, &sums, out);
        } else {
            let mut active = sums;
            gelu_side_by_side::<V, 4>(v, active.as_flattened_mut());
            write(v, &active, out);
        }
    }

    /// Adds to the sums what they go on from, and the bias after the last step.
    #[inline(always)]
    fn complete<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    ) {
        if self.finish == Finish::Add || place.from > 0 {
            let out = &self.out.values[self.start(place)..];
            for (i, sums) in sums.iter_mut().enumerate() {
                let out = &out[i * self.out.pitch..][..REGISTERS * V::LANES];
                for (sum, out) in sums.iter_mut().zip(out.chunks_exact(V::LANES)) {
                    *sum = v.add(*sum, v.load(out));
                }
            }
        }
        if place.to == self.shape.inner {
            self.bias.add(v, place, sums);
        }
    }

    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const REGISTERS: usize>(&mut self, v: V, place: Place) {
        // So that no set has code for heights that `next_height` does not give it.
        if ROWS > 4 && ROWS != V::TILE_ROWS {
            unreachable!("a tile of {ROWS} rows, the tallest has {}", V::TILE_ROWS);
        }
        let (steps, width) = (place.to - place.from, REGISTERS * V::LANES);
        let full = ROWS == V::TILE_ROWS && REGISTERS == TILE_REGISTERS;
        let a = self.left.tile(ROWS, self.shape.inner, place);
        let b = self.right.tile(width, self.shape.inner, place);
        if full && let Some(next) = self.prefetch(TileSize { height: ROWS, width }, place) {
            let sums = multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Ahead(next));
            return self.finish::<V, ROWS, REGISTERS>(v, place, sums);
        }
        let sums = multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Nothing);
        self.finish::<V, ROWS, REGISTERS>(v, place, sums);
    }

    /// Completes the sums of a tile and writes them, after their last step through GELU if need be.
    #[inline(always)]
    fn finish<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &mut self,
        v: V,
        place: Place,
        mut sums: [[V::F; REGISTERS]; ROWS],
    ) {
        self.complete(v, place, &mut sums);
        let start = self.start(place);
        let out = self.out.at(start);
        if self.finish == Finish::Gelu && place.to == self.shape.inner {
            // A copy: what is counted through must stand in memory, and the sums need not.
            let mut active = sums;
            // With 16 registers one at a time: more side by side would have no room to stand in.
            match V::TILE_ROWS > 6 {
                true => gelu_side_by_side::<V, 4>(v, active.as_flattened_mut()),
                false => gelu_side_by_side::<V, 1>(v, active.as_flattened_mut()),
            }
            write(v, &active, out);
        } else {
            write(v, &sums, out);
        }
    }
}

/// `out[m, n] = sum_k a[m, k] b[k, n]`, or `+=` that with [`Finish::Add`], for columns that are a multiple of [`Isa::lanes`].
///
/// # Panics
///
/// If a slice is too short or n no whole number of registers.
pub fn product(
    isa: Isa,
    shape: ProductShape,
    a: Strided<'_>,
    b: Matrix<'_>,
    finish: Finish,
    out: MatrixMut<'_>,
) {
    assert!(out.pitch >= shape.columns, "product: pitch");
    let product =
        Product::<'_, _, _, _, false> { shape, left: a, right: b, bias: NoBias, finish, out };
    let across = product.has_far_output();
    product.run_across_if(across, isa);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FINISHES, assert_close, finished, numbers, with_canaries};

    #[test]
    fn a_product_takes_its_left_side_by_strides() {
        for isa in Isa::available() {
            for [m, n, k] in
                [[1, 1, 1], [7, 33, 5], [19, 16, 130], [64, 64, 8], [300, 450, 5], [300, 450, 130]]
            {
                let n = isa.pad(n);
                let shape = ProductShape { rows: m, columns: n, inner: k };
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
                    let out = with_canaries(&before, |out| {
                        let (b, out) = (Matrix::new(&b, n), MatrixMut::new(out, n));
                        product(isa, shape, transposed, b, finish, out);
                    });
                    let wanted: Vec<f64> = (0..m * n)
                        .map(|at| finished(finish, before[at], element(at / n, at % n)))
                        .collect();
                    let name = format!("{} {m} {n} {k} {finish:?}", isa.name());
                    assert_close(&out, &wanted, 3e-6, &name);
                }
            }
        }
    }
}
