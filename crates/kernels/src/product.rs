//! Matrix products in register tiles and cache blocks, with a fused epilogue, for operands that are
//! packed or can be read in place.
//!
//! `out[m, n] = sum_k A[m, k] B[k, n]`, vectorised along n. Every element is summed over k in the same
//! order and in the same blocks, whichever register tile computes it: its bits depend neither on the
//! number of rows or columns in the call nor on its position among them.

use crate::epilogue::{Bias, Finish, NoBias};
use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, ProductShape, Strided};
use crate::micro_kernel::{GeluOf, Nothing, Prefetch, gelu_interleaved, multiply, write};
use crate::operand::{Left, OUT_OF_CACHE, Place, Right, TileSize};
use crate::vector::Vector;

/// Width of a full register tile, in registers.
pub(crate) const TILE_REGISTERS: usize = 2;
/// Most steps of k in one cache block: a tile's panel of B stays in the first-level cache, and adding
/// the sums of blocks keeps the rounding error of long products small.
const BLOCK: usize = 128;

/// `out (+)= A B + bias`: any number of rows and steps of k, columns a multiple of the lanes.
///
/// The loop order decides which operand is read only once. Down the columns, each block of B is read
/// once, and A once for every column of tiles; `ACROSS` the rows, each block of A is read once, and B
/// once for every row of tiles.
pub(crate) struct Product<'a, L, R, B, const ACROSS: bool> {
    pub(crate) shape: ProductShape,
    pub(crate) left: L,
    pub(crate) right: R,
    pub(crate) bias: B,
    pub(crate) finish: Finish,
    pub(crate) out: MatrixMut<'a>,
}

impl<L: Left, R: Right, B: Bias> Product<'_, L, R, B, false> {
    /// Runs the product with its tiles down the columns, or across the rows.
    pub(crate) fn run_across_if(self, across: bool, isa: Isa) {
        if !across {
            return isa.run(self);
        }
        let Self { shape, left, right, bias, finish, out } = self;
        isa.run(Product::<'_, _, _, _, true> { shape, left, right, bias, finish, out });
    }

    /// Whether the output exceeds the cache and each of its elements is written once, in a single
    /// block of k. Tiles across the rows are faster then: they write the output row by row, not a few
    /// elements of every row at a time.
    pub(crate) fn has_large_output(&self) -> bool {
        let ProductShape { rows, columns, inner } = self.shape;
        inner <= BLOCK && rows.saturating_mul(columns) > OUT_OF_CACHE
    }
}

/// Height of the next register tile when `left` rows remain; the tallest tile has `tallest` rows.
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
        let mut pending = None;
        let mut column = 0;
        while column < self.shape.columns {
            let registers = TILE_REGISTERS.min((self.shape.columns - column) / V::LANES);
            for from in (0..self.shape.inner).step_by(block) {
                let to = self.shape.inner.min(from + block);
                let mut row = 0;
                while row < self.shape.rows {
                    let height = next_height(self.shape.rows - row, V::TILE_ROWS);
                    let place = Place { row, column, from, to };
                    self.dispatch(v, height, registers, place, &mut pending);
                    row += height;
                }
            }
            column += registers * V::LANES;
        }
        assert!(pending.is_none(), "product: a tile without its GELU");
    }

    #[inline(always)]
    fn across<V: Vector>(&mut self, v: V, block: usize) {
        let mut pending = None;
        for from in (0..self.shape.inner).step_by(block) {
            let to = self.shape.inner.min(from + block);
            let mut row = 0;
            while row < self.shape.rows {
                let height = next_height(self.shape.rows - row, V::TILE_ROWS);
                let mut column = 0;
                while column < self.shape.columns {
                    let registers = TILE_REGISTERS.min((self.shape.columns - column) / V::LANES);
                    let place = Place { row, column, from, to };
                    self.dispatch(v, height, registers, place, &mut pending);
                    column += registers * V::LANES;
                }
                row += height;
            }
        }
        assert!(pending.is_none(), "product: a tile without its GELU");
    }

    #[inline(always)]
    fn dispatch<V: Vector>(
        &mut self,
        v: V,
        height: usize,
        registers: usize,
        place: Place,
        pending: &mut Option<usize>,
    ) {
        match (height, registers) {
            (8, 2)
                if V::HAS_LOOKUP && self.finish == Finish::Gelu && place.to == self.shape.inner =>
            {
                self.tile_with_pending_gelu::<V, 8, 2>(v, place, pending);
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

    /// What a full tile prefetches: the operand that this loop order reads only once.
    #[inline(always)]
    fn prefetch(&self, size: TileSize, place: Place) -> Option<&[f32]> {
        match ACROSS {
            true => self.left.prefetch(size, self.shape, place),
            false => self.right.prefetch(size, self.shape, place),
        }
    }

    /// Index of the tile's first element in the output.
    #[inline(always)]
    fn start(&self, place: Place) -> usize {
        place.row * self.out.pitch + place.column
    }

    /// A full tile with GELU, on a set that has table lookups. These run on other execution ports than
    /// FMAs, so the GELU of each tile is interleaved with the FMAs of the next tile: `pending` is the
    /// start of the tile whose GELU is still to be done.
    #[inline(always)]
    fn tile_with_pending_gelu<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &mut self,
        v: V,
        place: Place,
        pending: &mut Option<usize>,
    ) {
        let (steps, width) = (place.to - place.from, REGISTERS * V::LANES);
        let a = self.left.tile(ROWS, self.shape.inner, place);
        let b = self.right.tile(width, self.shape.inner, place);
        let mut sums = match pending.take() {
            Some(at) => {
                assert!(steps >= ROWS * REGISTERS, "product: steps");
                let gelu = GeluOf::<V, ROWS, REGISTERS>::new(v, self.out.at(at));
                multiply::<V, ROWS, REGISTERS>(v, a, b, steps, gelu)
            }
            None => multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Nothing),
        };
        self.complete(v, place, &mut sums);
        // In either loop order, another full tile follows if there is one below or to the right; and
        // the last blocks of k of all tiles have the same number of steps.
        let more = place.row + 2 * ROWS <= self.shape.rows
            || place.column + 2 * width <= self.shape.columns;
        let at = self.start(place);
        let out = self.out.at(at);
        if more && steps >= ROWS * REGISTERS {
            *pending = Some(at);
            write(v, &sums, out);
        } else {
            let mut active = sums;
            gelu_interleaved::<V, 4>(v, active.as_flattened_mut());
            write(v, &active, out);
        }
    }

    /// Adds to the sums those of the previous blocks of k, or the output, and the bias in the last block.
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
        // So that no set is compiled for heights that `next_height` never returns for it.
        if ROWS > 4 && ROWS != V::TILE_ROWS {
            unreachable!("a tile of {ROWS} rows, the tallest has {}", V::TILE_ROWS);
        }
        let (steps, width) = (place.to - place.from, REGISTERS * V::LANES);
        let full = ROWS == V::TILE_ROWS && REGISTERS == TILE_REGISTERS;
        let a = self.left.tile(ROWS, self.shape.inner, place);
        let b = self.right.tile(width, self.shape.inner, place);
        if full && let Some(next) = self.prefetch(TileSize { height: ROWS, width }, place) {
            let sums = multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Prefetch(next));
            return self.finish::<V, ROWS, REGISTERS>(v, place, sums);
        }
        let sums = multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Nothing);
        self.finish::<V, ROWS, REGISTERS>(v, place, sums);
    }

    /// The epilogue of a tile: completes its sums, applies GELU in the last block of k, and writes them.
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
            // A copy: GELU indexes its array, which forces it into memory, while `sums` stays in registers.
            let mut active = sums;
            // One at a time on sets of 16 registers: more would spill.
            match V::TILE_ROWS > 6 {
                true => gelu_interleaved::<V, 4>(v, active.as_flattened_mut()),
                false => gelu_interleaved::<V, 1>(v, active.as_flattened_mut()),
            }
            write(v, &active, out);
        } else {
            write(v, &sums, out);
        }
    }
}

/// `out[m, n] = sum_k a[m, k] b[k, n]`, or another epilogue by `finish`.
///
/// The columns are a multiple of [`Isa::lanes`]. Nothing is packed: `a` is read by strides, `b` row by
/// row.
///
/// # Panics
///
/// If a slice is too short, or the columns do not fill whole registers.
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
    let across = product.has_large_output();
    product.run_across_if(across, isa);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FINISHES, assert_close, finished, numbers, with_canaries};

    #[test]
    fn a_product_reads_its_left_operand_by_strides() {
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
                // The error of GELU is bounded absolutely, so it is not compared with one small number.
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
