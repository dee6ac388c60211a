//! Matrix products in register tiles, for operands that are packed or stand in the right order
//! already, with what follows the product done on the way out.
//!
//! `out[m, n] = sum_k A[m, k] B[k, n]`, n along the registers. Every element is summed over k in
//! the same order and in the same blocks whatever the tile that it falls into: its bits depend
//! neither on the number of rows or columns in the call nor on its place among them.

use crate::activation::gelu_of;
use crate::isa::Op;
use crate::vector::Vector;

/// Registers side by side in a full tile.
pub(crate) const TILE_REGISTERS: usize = 2;
/// Most steps of k in one pass over the output: B's part of a tile stays in the first-level cache,
/// and sums of sums keep the rounding of long products small.
const BLOCK: usize = 128;

/// What happens to the sums on their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// `out = product + bias`.
    Store,
    /// `out += product + bias`.
    Add,
    /// `out = gelu(product + bias)`.
    Gelu,
}

/// A, of which a product reads element `[m, k]`.
pub(crate) trait Left: Copy {
    /// The numbers from the tile's first element on, and how far apart rows and steps of k stand.
    /// The tile has `height` rows; A has `steps` steps of k.
    fn tile(&self, height: usize, steps: usize, place: Place) -> (&[f32], usize, usize);
}

/// B, of which a product reads element `[k, n]`.
pub(crate) trait Right: Copy {
    /// The numbers from the tile's first element on, and how far apart the steps of k stand. The
    /// tile has `width` columns; B has `steps` steps of k.
    fn tile(&self, width: usize, steps: usize, place: Place) -> (&[f32], usize);
}

/// What is added to every element of a product.
pub(crate) trait Bias: Copy {
    /// Adds it to the sums of a tile.
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    );
}

/// As A: element `[m, k]` at `m * row + k * step`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one step of the sum to the next.
    pub step: usize,
}

impl Left for Strided<'_> {
    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> (&[f32], usize, usize) {
        (&self.values[place.row * self.row + place.from * self.step..], self.row, self.step)
    }
}

/// Rows of contiguous numbers: as A, element `[m, k]` at `m * pitch + k`; as B, `[k, n]` at
/// `k * pitch + n`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) pitch: usize,
}

impl Left for Rows<'_> {
    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> (&[f32], usize, usize) {
        (&self.values[place.row * self.pitch + place.from..], self.pitch, 1)
    }
}

impl Right for Rows<'_> {
    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> (&[f32], usize) {
        (&self.values[place.from * self.pitch + place.column..], self.pitch)
    }
}

/// As A: tiles of [`next_height`] rows, each `[k][rows of the tile]`.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a>(pub(crate) &'a [f32]);

impl Left for Tiles<'_> {
    #[inline(always)]
    fn tile(&self, height: usize, steps: usize, place: Place) -> (&[f32], usize, usize) {
        (&self.0[place.row * steps + place.from * height..], 1, height)
    }
}

/// As B: panels of a tile's width, the last one narrower, each `[k][columns of the panel]`.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a>(pub(crate) &'a [f32]);

impl Right for Panels<'_> {
    #[inline(always)]
    fn tile(&self, width: usize, steps: usize, place: Place) -> (&[f32], usize) {
        (&self.0[place.column * steps + place.from * width..], width)
    }
}

/// Nothing.
#[derive(Clone, Copy)]
pub(crate) struct NoBias;

impl Bias for NoBias {
    #[inline(always)]
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        _: V,
        _: Place,
        _: &mut [[V::F; REGISTERS]; ROWS],
    ) {
    }
}

/// One number for each row of the output.
#[derive(Clone, Copy)]
pub(crate) struct RowBias<'a>(pub(crate) &'a [f32]);

impl Bias for RowBias<'_> {
    #[inline(always)]
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    ) {
        for (sums, &bias) in sums.iter_mut().zip(&self.0[place.row..place.row + ROWS]) {
            for sum in sums {
                *sum = v.add(*sum, v.splat(bias));
            }
        }
    }
}

/// One number for each column.
#[derive(Clone, Copy)]
pub(crate) struct ColumnBias<'a>(pub(crate) &'a [f32]);

impl Bias for ColumnBias<'_> {
    #[inline(always)]
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    ) {
        let bias = &self.0[place.column..][..REGISTERS * V::LANES];
        for (j, bias) in bias.chunks_exact(V::LANES).enumerate() {
            let bias = v.load(bias);
            for sums in sums.iter_mut() {
                sums[j] = v.add(sums[j], bias);
            }
        }
    }
}

/// `out (+)= A B + bias`: rows and steps of any number, columns a multiple of the lanes.
pub(crate) struct Product<'a, L, R, B> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) steps: usize,
    pub(crate) left: L,
    pub(crate) right: R,
    pub(crate) bias: B,
    pub(crate) finish: Finish,
    pub(crate) out: &'a mut [f32],
    /// Numbers from one row of `out` to the next.
    pub(crate) pitch: usize,
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

/// The place of one tile.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    row: usize,
    column: usize,
    /// The steps `from..to` of k.
    from: usize,
    to: usize,
}

impl<L: Left, R: Right, B: Bias> Op for Product<'_, L, R, B> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        assert!(self.steps > 0 && self.columns.is_multiple_of(V::LANES), "product: shape");
        let blocks = self.steps.div_ceil(BLOCK);
        let block = self.steps.div_ceil(blocks);
        let mut waiting = None;
        let mut column = 0;
        while column < self.columns {
            let registers = TILE_REGISTERS.min((self.columns - column) / V::LANES);
            for from in (0..self.steps).step_by(block) {
                let to = self.steps.min(from + block);
                let mut row = 0;
                while row < self.rows {
                    let height = next_height(self.rows - row, V::TILE_ROWS);
                    let place = Place { row, column, from, to };
                    self.dispatch(v, (height, registers), place, &mut waiting);
                    row += height;
                }
            }
            column += registers * V::LANES;
        }
    }
}

impl<L: Left, R: Right, B: Bias> Product<'_, L, R, B> {
    #[inline(always)]
    fn dispatch<V: Vector>(
        &mut self,
        v: V,
        tile: (usize, usize),
        place: Place,
        waiting: &mut Option<usize>,
    ) {
        match tile {
            (8, 2) if V::LOOKS_UP => self.full_tile::<V, 8, 2>(v, place, waiting),
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

    /// Where the tile begins in the output.
    #[inline(always)]
    fn start(&self, place: Place) -> usize {
        place.row * self.pitch + place.column
    }

    /// A tile of full size where GELU is looked up: lookups and multiply-adds have ports of their
    /// own, so each tile's GELU is done in the steps of k of the tile behind it, a register a step.
    /// `waiting` is where a tile begins that waits for that.
    #[inline(always)]
    fn full_tile<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &mut self,
        v: V,
        place: Place,
        waiting: &mut Option<usize>,
    ) {
        let steps = place.to - place.from;
        let Finish::Gelu = self.finish else {
            return self.tile::<V, ROWS, REGISTERS>(v, place);
        };
        let a = self.left.tile(ROWS, self.steps, place);
        let b = self.right.tile(REGISTERS * V::LANES, self.steps, place);
        let mut sums = match waiting.take() {
            Some(at) => {
                let before = (&mut self.out[at..], self.pitch);
                multiply_beside::<V, ROWS, REGISTERS>(v, a, b, steps, before)
            }
            None => multiply::<V, ROWS, REGISTERS>(v, a, b, steps),
        };
        let more = place.row + 2 * ROWS <= self.rows
            || place.column + 2 * REGISTERS * V::LANES <= self.columns;
        let last = place.to == self.steps;
        let at = self.start(place);
        self.finish_sums(v, place, &mut sums);
        let out = &mut self.out[at..];
        if last && !(more && steps >= ROWS * REGISTERS) {
            let mut active = sums;
            gelu_side_by_side::<V, 4>(v, active.as_flattened_mut());
            return write(v, &active, out, self.pitch);
        }
        *waiting = last.then_some(at);
        write(v, &sums, out, self.pitch);
    }

    /// Adds to the sums what they go on from, and the bias after the last step.
    #[inline(always)]
    fn finish_sums<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    ) {
        if self.finish == Finish::Add || place.from > 0 {
            let out = &self.out[self.start(place)..];
            for (i, sums) in sums.iter_mut().enumerate() {
                let out = &out[i * self.pitch..][..REGISTERS * V::LANES];
                for (sum, out) in sums.iter_mut().zip(out.chunks_exact(V::LANES)) {
                    *sum = v.add(*sum, v.load(out));
                }
            }
        }
        if place.to == self.steps {
            self.bias.add(v, place, sums);
        }
    }

    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const REGISTERS: usize>(&mut self, v: V, place: Place) {
        // So that no set has code for heights that `next_height` does not give it.
        if ROWS > 4 && ROWS != V::TILE_ROWS {
            unreachable!("a tile of {ROWS} rows, the tallest has {}", V::TILE_ROWS);
        }
        let a = self.left.tile(ROWS, self.steps, place);
        let b = self.right.tile(REGISTERS * V::LANES, self.steps, place);
        let mut sums = multiply::<V, ROWS, REGISTERS>(v, a, b, place.to - place.from);
        self.finish_sums(v, place, &mut sums);
        let start = self.start(place);
        let out = &mut self.out[start..];
        if self.finish == Finish::Gelu && place.to == self.steps {
            // A copy: what is counted through must stand in memory, and the sums need not.
            let mut active = sums;
            // With 16 registers one at a time: more side by side would have no room to stand in.
            match V::TILE_ROWS > 6 {
                true => gelu_side_by_side::<V, 4>(v, active.as_flattened_mut()),
                false => gelu_side_by_side::<V, 1>(v, active.as_flattened_mut()),
            }
            write(v, &active, out, self.pitch);
        } else {
            write(v, &sums, out, self.pitch);
        }
    }
}

/// Writes a tile.
#[inline(always)]
fn write<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    sums: &[[V::F; REGISTERS]; ROWS],
    out: &mut [f32],
    pitch: usize,
) {
    assert!(out.len() >= (ROWS - 1) * pitch + REGISTERS * V::LANES, "product: output");
    for (i, sums) in sums.iter().enumerate() {
        let out = &mut out[i * pitch..][..REGISTERS * V::LANES];
        for (&sum, out) in sums.iter().zip(out.chunks_exact_mut(V::LANES)) {
            v.store(sum, out);
        }
    }
}

/// GELU of every sum, `N` at a time: its polynomial is one long chain, and a processor that waits
/// for a link of one has those of the others to do.
#[inline(always)]
fn gelu_side_by_side<V: Vector, const N: usize>(v: V, sums: &mut [V::F]) {
    let (together, rest) = sums.as_chunks_mut::<N>();
    for sums in together {
        gelu_of(v, sums);
    }
    for sum in rest.as_chunks_mut::<1>().0 {
        gelu_of(v, sum);
    }
}

/// The sums of one tile.
#[inline(always)]
fn multiply<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    a: (&[f32], usize, usize),
    b: (&[f32], usize),
    steps: usize,
) -> [[V::F; REGISTERS]; ROWS] {
    check::<V, ROWS, REGISTERS>(a, b, steps);
    let mut sums = [[v.splat(0.0); REGISTERS]; ROWS];
    for k in 0..steps {
        // SAFETY: A and B are as long as `k < steps` needs (checked).
        unsafe { step::<V, ROWS, REGISTERS>(v, a, b, k, &mut sums) };
    }
    sums
}

/// As [`multiply`], for at least as many steps as a tile has registers, and GELU in place of the
/// tile of the same size that `before` begins with.
#[inline(always)]
fn multiply_beside<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    a: (&[f32], usize, usize),
    b: (&[f32], usize),
    steps: usize,
    (before, pitch): (&mut [f32], usize),
) -> [[V::F; REGISTERS]; ROWS] {
    check::<V, ROWS, REGISTERS>(a, b, steps);
    assert!(REGISTERS == 2 && steps >= ROWS * REGISTERS, "product: steps");
    assert!(before.len() >= (ROWS - 1) * pitch + REGISTERS * V::LANES, "product: output");
    let mut sums = [[v.splat(0.0); REGISTERS]; ROWS];
    // By turns the left and the right register of a row.
    let (mut at, mut next) = (0, V::LANES);
    for k in 0..ROWS * REGISTERS {
        // SAFETY: A and B are as long as `k < steps` needs (checked).
        unsafe { step::<V, ROWS, REGISTERS>(v, a, b, k, &mut sums) };
        // SAFETY: `at` is `k / 2 * pitch + k % 2 * LANES`, and `before` has so many (asserted).
        let place = unsafe { before.get_unchecked_mut(at..at + V::LANES) };
        let mut x = [v.load(place)];
        gelu_of(v, &mut x);
        v.store(x[0], place);
        (at, next) = (next, at + pitch);
    }
    for k in ROWS * REGISTERS..steps {
        // SAFETY: as above.
        unsafe { step::<V, ROWS, REGISTERS>(v, a, b, k, &mut sums) };
    }
    sums
}

/// That A and B are as long as the steps of a tile need.
#[inline(always)]
fn check<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    (a, row, step): (&[f32], usize, usize),
    (b, pitch): (&[f32], usize),
    steps: usize,
) {
    assert!(a.len() > (ROWS - 1) * row + (steps - 1) * step, "product: left");
    assert!(b.len() >= (steps - 1) * pitch + REGISTERS * V::LANES, "product: right");
}

/// Step `k` of a tile's sums.
///
/// # Safety
///
/// A and B are as long as [`check`] asks for more than `k` steps.
#[inline(always)]
unsafe fn step<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    (a, row, step): (&[f32], usize, usize),
    (b, pitch): (&[f32], usize),
    k: usize,
    sums: &mut [[V::F; REGISTERS]; ROWS],
) {
    let mut columns = [v.splat(0.0); REGISTERS];
    for (j, column) in columns.iter_mut().enumerate() {
        let at = k * pitch + j * V::LANES;
        // SAFETY: `j < REGISTERS`, and B has so many in step k (promised).
        *column = v.load(unsafe { b.get_unchecked(at..at + V::LANES) });
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: `i < ROWS`, and A has so many in step k (promised).
        let a = v.splat(unsafe { *a.get_unchecked(i * row + k * step) });
        for (sum, &column) in sums.iter_mut().zip(&columns) {
            *sum = v.mul_add(a, column, *sum);
        }
    }
}
