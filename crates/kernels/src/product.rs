//! Matrix products in register tiles, for operands that are packed or stand in the right order
//! already, with what follows the product done on the way out.
//!
//! `out[m, n] = sum_k A[m, k] B[k, n]`, n along the registers. Every element is summed over k in
//! the same order and in the same blocks whatever the tile that it falls into: its bits depend
//! neither on the number of rows or columns in the call nor on its place among them.

use crate::gelu::gelu_of;
use crate::isa::{Isa, Op};
use crate::operand::{Bias, FAR, LINE, Left, Place, Right};
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

/// `out (+)= A B + bias`: rows and steps of any number, columns a multiple of the lanes.
///
/// Tiles are done down the columns, so that a block of B is read once and A for every column of
/// tiles; or `ACROSS` the rows, so that a block of A is read once and B for every row of tiles.
pub(crate) struct Product<'a, L, R, B, const ACROSS: bool> {
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

impl<L: Left, R: Right, B: Bias> Product<'_, L, R, B, false> {
    /// Runs it down the columns or across the rows.
    pub(crate) fn run_across_if(self, across: bool, isa: Isa) {
        if !across {
            return isa.run(self);
        }
        let Self { rows, columns, steps, left, right, bias, finish, out, pitch } = self;
        isa.run(Product::<'_, _, _, _, true> {
            rows,
            columns,
            steps,
            left,
            right,
            bias,
            finish,
            out,
            pitch,
        });
    }

    /// Whether the output is far, and each of its numbers comes up once: then tiles are better done
    /// across, and write it row by row, not a few numbers of every row at a time.
    pub(crate) fn has_far_output(&self) -> bool {
        self.steps <= BLOCK && self.rows.saturating_mul(self.columns) > FAR
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
        assert!(self.steps > 0 && self.columns.is_multiple_of(V::LANES), "product: shape");
        assert!(self.rows == 0 || self.left.has(self.rows, self.steps), "product: left");
        assert!(self.columns == 0 || self.right.has(self.columns, self.steps), "product: right");
        let block = self.steps.div_ceil(self.steps.div_ceil(BLOCK));
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
        assert!(waiting.is_none(), "product: a tile still waits for its GELU");
    }

    #[inline(always)]
    fn across<V: Vector>(&mut self, v: V, block: usize) {
        let mut waiting = None;
        for from in (0..self.steps).step_by(block) {
            let to = self.steps.min(from + block);
            let mut row = 0;
            while row < self.rows {
                let height = next_height(self.rows - row, V::TILE_ROWS);
                let mut column = 0;
                while column < self.columns {
                    let registers = TILE_REGISTERS.min((self.columns - column) / V::LANES);
                    let place = Place { row, column, from, to };
                    self.dispatch(v, (height, registers), place, &mut waiting);
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
        tile: (usize, usize),
        place: Place,
        waiting: &mut Option<usize>,
    ) {
        match tile {
            (8, 2) if V::LOOKS_UP && self.finish == Finish::Gelu && place.to == self.steps => {
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

    /// What a tile of full size asks for in advance.
    #[inline(always)]
    fn ahead(&self, (height, width): (usize, usize), place: Place) -> Option<&[f32]> {
        match ACROSS {
            true => self.left.ahead(height, (width, self.columns), self.steps, place),
            false => self.right.ahead(width, (height, self.rows), self.steps, place),
        }
    }

    /// Where the tile begins in the output.
    #[inline(always)]
    fn start(&self, place: Place) -> usize {
        place.row * self.pitch + place.column
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
        let a = self.left.tile(ROWS, self.steps, place);
        let b = self.right.tile(width, self.steps, place);
        let mut sums = match waiting.take() {
            Some(at) => {
                assert!(steps >= ROWS * REGISTERS, "product: steps");
                let gelu = GeluOf::<V, ROWS, REGISTERS>::new(v, &mut self.out[at..], self.pitch);
                multiply::<V, ROWS, REGISTERS>(v, a, b, steps, gelu)
            }
            None => multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Nothing),
        };
        self.complete(v, place, &mut sums);
        // Down or across, the next full tile stands in this column of tiles, in this row of them, or
        // begins another; and the last blocks of all tiles have the same steps.
        let more = place.row + 2 * ROWS <= self.rows || place.column + 2 * width <= self.columns;
        let at = self.start(place);
        let out = &mut self.out[at..];
        if more && steps >= ROWS * REGISTERS {
            *waiting = Some(at);
            write(v, &sums, out, self.pitch);
        } else {
            let mut active = sums;
            gelu_side_by_side::<V, 4>(v, active.as_flattened_mut());
            write(v, &active, out, self.pitch);
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
        let (steps, width) = (place.to - place.from, REGISTERS * V::LANES);
        let full = ROWS == V::TILE_ROWS && REGISTERS == TILE_REGISTERS;
        let a = self.left.tile(ROWS, self.steps, place);
        let b = self.right.tile(width, self.steps, place);
        if full && let Some(ahead) = self.ahead((ROWS, width), place) {
            let sums = multiply::<V, ROWS, REGISTERS>(v, a, b, steps, Ahead(ahead));
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

/// Numbers from the first of a tile to behind its last, in rows that start `pitch` apart.
#[inline(always)]
fn tile_len<V: Vector, const ROWS: usize, const REGISTERS: usize>(pitch: usize) -> usize {
    (ROWS - 1) * pitch + REGISTERS * V::LANES
}

/// Writes a tile.
#[inline(always)]
fn write<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    sums: &[[V::F; REGISTERS]; ROWS],
    out: &mut [f32],
    pitch: usize,
) {
    assert!(out.len() >= tile_len::<V, ROWS, REGISTERS>(pitch), "product: output");
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

/// What is done beside the multiply-adds of a tile, a little in each of its first steps.
trait Beside<V: Vector> {
    /// In how many steps there is something to do.
    fn steps(&self) -> usize;
    /// Does the part of step `k`.
    ///
    /// # Safety
    ///
    /// It is called for the steps from 0 on in their order, each less than [`Beside::steps`].
    unsafe fn step(&mut self, v: V, k: usize);
}

struct Nothing;

impl<V: Vector> Beside<V> for Nothing {
    #[inline(always)]
    fn steps(&self) -> usize {
        0
    }
    #[inline(always)]
    unsafe fn step(&mut self, _: V, _: usize) {}
}

/// Asks for the numbers, a cache line a step.
struct Ahead<'a>(&'a [f32]);

impl<V: Vector> Beside<V> for Ahead<'_> {
    #[inline(always)]
    fn steps(&self) -> usize {
        self.0.len() / LINE
    }
    #[inline(always)]
    unsafe fn step(&mut self, v: V, k: usize) {
        // SAFETY: `k` is less than the number of lines in the slice (promised).
        v.prefetch(unsafe { self.0.get_unchecked(k * LINE..) });
    }
}

/// GELU in place of a tile two registers wide, a register a step.
struct GeluOf<'a, V, const ROWS: usize, const REGISTERS: usize> {
    v: V,
    tile: &'a mut [f32],
    pitch: usize,
    /// The register of the next step, and that of the one after it: the left and the right of a
    /// row by turns.
    places: (usize, usize),
}

impl<'a, V: Vector, const ROWS: usize, const REGISTERS: usize> GeluOf<'a, V, ROWS, REGISTERS> {
    #[inline(always)]
    fn new(v: V, tile: &'a mut [f32], pitch: usize) -> Self {
        // So that no place in the tile overflows.
        assert!(pitch <= tile.len(), "gelu: pitch");
        assert!(REGISTERS == 2 && tile.len() >= tile_len::<V, ROWS, REGISTERS>(pitch), "gelu");
        Self { v, tile, pitch, places: (0, V::LANES) }
    }
}

impl<V: Vector, const ROWS: usize, const REGISTERS: usize> Beside<V>
    for GeluOf<'_, V, ROWS, REGISTERS>
{
    #[inline(always)]
    fn steps(&self) -> usize {
        ROWS * REGISTERS
    }
    #[inline(always)]
    unsafe fn step(&mut self, _: V, _: usize) {
        let (v, (at, next)) = (self.v, self.places);
        // SAFETY: it is a register of the tile in each of its steps (promised), and the slice holds
        // a tile of this width (asserted by `new`).
        let place = unsafe { self.tile.get_unchecked_mut(at..at + V::LANES) };
        let mut x = [v.load(place)];
        gelu_of(v, &mut x);
        v.store(x[0], place);
        self.places = (next, at + self.pitch);
    }
}

/// The sums of one tile, and what is to be done beside them, as far as the steps go.
#[inline(always)]
fn multiply<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    a: (&[f32], usize, usize),
    b: (&[f32], usize),
    steps: usize,
    mut beside: impl Beside<V>,
) -> [[V::F; REGISTERS]; ROWS] {
    check::<V, ROWS, REGISTERS>(a, b, steps);
    let with_more = beside.steps().min(steps);
    let mut sums = [[v.splat(0.0); REGISTERS]; ROWS];
    for k in 0..with_more {
        // SAFETY: A and B are as long as `k < steps` needs (checked).
        unsafe { step::<V, ROWS, REGISTERS>(v, a, b, k, &mut sums) };
        // SAFETY: `k` counts from 0 to less than its steps.
        unsafe { beside.step(v, k) };
    }
    for k in with_more..steps {
        // SAFETY: as above.
        unsafe { step::<V, ROWS, REGISTERS>(v, a, b, k, &mut sums) };
    }
    sums
}

/// That A and B are as long as the steps of a tile need. Nothing here overflows: A and B were found to
/// have all of the product's places when it began.
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
