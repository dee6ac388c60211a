//! The micro-kernel of matrix products: the sums of one register tile.

use crate::gelu::gelu_of;
use crate::matrix::{Matrix, MatrixMut, Strided};
use crate::operand::LINE;
use crate::vector::Vector;

/// Numbers from the first of a tile to behind its last, in rows that start `pitch` apart.
#[inline(always)]
fn tile_len<V: Vector, const ROWS: usize, const REGISTERS: usize>(pitch: usize) -> usize {
    (ROWS - 1) * pitch + REGISTERS * V::LANES
}

/// Writes a tile.
#[inline(always)]
pub(crate) fn write<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    sums: &[[V::F; REGISTERS]; ROWS],
    out: MatrixMut<'_>,
) {
    let MatrixMut { values: out, pitch } = out;
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
pub(crate) fn gelu_side_by_side<V: Vector, const N: usize>(v: V, sums: &mut [V::F]) {
    let (together, rest) = sums.as_chunks_mut::<N>();
    for sums in together {
        gelu_of(v, sums);
    }
    for sum in rest.as_chunks_mut::<1>().0 {
        gelu_of(v, sum);
    }
}

/// What is done beside the multiply-adds of a tile, a little in each of its first steps.
pub(crate) trait Beside<V: Vector> {
    /// In how many steps there is something to do.
    fn steps(&self) -> usize;
    /// Does the part of step `k`.
    ///
    /// # Safety
    ///
    /// It is called for the steps from 0 on in their order, each less than [`Beside::steps`].
    unsafe fn step(&mut self, v: V, k: usize);
}

pub(crate) struct Nothing;

impl<V: Vector> Beside<V> for Nothing {
    #[inline(always)]
    fn steps(&self) -> usize {
        0
    }
    #[inline(always)]
    unsafe fn step(&mut self, _: V, _: usize) {}
}

/// Asks for the numbers, a cache line a step.
pub(crate) struct Ahead<'a>(pub(crate) &'a [f32]);

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
pub(crate) struct GeluOf<'a, V, const ROWS: usize, const REGISTERS: usize> {
    v: V,
    tile: MatrixMut<'a>,
    /// The register of the next step: the left and the right of a row by turns.
    at: usize,
    /// The register of the step after it.
    next: usize,
}

impl<'a, V: Vector, const ROWS: usize, const REGISTERS: usize> GeluOf<'a, V, ROWS, REGISTERS> {
    #[inline(always)]
    pub(crate) fn new(v: V, tile: MatrixMut<'a>) -> Self {
        let (len, pitch) = (tile.values.len(), tile.pitch);
        // So that no place in the tile overflows.
        assert!(pitch <= len, "gelu: pitch");
        assert!(REGISTERS == 2 && len >= tile_len::<V, ROWS, REGISTERS>(pitch), "gelu");
        Self { v, tile, at: 0, next: V::LANES }
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
        let (v, at, next) = (self.v, self.at, self.next);
        // SAFETY: it is a register of the tile in each of its steps (promised), and the slice holds
        // a tile of this width (asserted by `new`).
        let place = unsafe { self.tile.values.get_unchecked_mut(at..at + V::LANES) };
        let mut x = [v.load(place)];
        gelu_of(v, &mut x);
        v.store(x[0], place);
        (self.at, self.next) = (next, at + self.tile.pitch);
    }
}

/// The sums of one tile, and what is to be done beside them, as far as the steps go.
#[inline(always)]
pub(crate) fn multiply<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    a: Strided<'_>,
    b: Matrix<'_>,
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
    a: Strided<'_>,
    b: Matrix<'_>,
    steps: usize,
) {
    assert!(a.values.len() > (ROWS - 1) * a.row + (steps - 1) * a.step, "product: left");
    assert!(b.values.len() >= (steps - 1) * b.pitch + REGISTERS * V::LANES, "product: right");
}

/// Step `k` of a tile's sums.
///
/// # Safety
///
/// A and B are as long as [`check`] asks for more than `k` steps.
#[inline(always)]
unsafe fn step<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    a: Strided<'_>,
    b: Matrix<'_>,
    k: usize,
    sums: &mut [[V::F; REGISTERS]; ROWS],
) {
    let mut columns = [v.splat(0.0); REGISTERS];
    for (j, column) in columns.iter_mut().enumerate() {
        let at = k * b.pitch + j * V::LANES;
        // SAFETY: `j < REGISTERS`, and B has so many in step k (promised).
        *column = v.load(unsafe { b.values.get_unchecked(at..at + V::LANES) });
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: `i < ROWS`, and A has so many in step k (promised).
        let a = v.splat(unsafe { *a.values.get_unchecked(i * a.row + k * a.step) });
        for (sum, &column) in sums.iter_mut().zip(&columns) {
            *sum = v.mul_add(a, column, *sum);
        }
    }
}
