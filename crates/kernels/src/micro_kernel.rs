//! The micro-kernel of matrix products: the sums of one register tile over one block of k.
//!
//! The sums stay in registers. Each step of k loads a row of B, broadcasts the elements of a column of
//! A, and adds their outer product with fused multiply-adds. Other work (prefetches, the GELU of another
//! tile) may be interleaved, a little in each step.

use crate::gelu::gelu_of;
use crate::matrix::{Matrix, MatrixMut, Strided};
use crate::operand::LINE;
use crate::vector::Vector;

/// Elements from the first to the last of a tile whose rows start `pitch` apart.
#[inline(always)]
fn tile_len<V: Vector, const ROWS: usize, const REGISTERS: usize>(pitch: usize) -> usize {
    (ROWS - 1) * pitch + REGISTERS * V::LANES
}

/// Stores the sums of a tile.
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

/// GELU of every sum, `N` at a time: its polynomial is one long chain of dependent operations, whose
/// latency is hidden by the other `N - 1` chains.
#[inline(always)]
pub(crate) fn gelu_interleaved<V: Vector, const N: usize>(v: V, sums: &mut [V::F]) {
    let (together, rest) = sums.as_chunks_mut::<N>();
    for sums in together {
        gelu_of(v, sums);
    }
    for sum in rest.as_chunks_mut::<1>().0 {
        gelu_of(v, sum);
    }
}

/// Work that is interleaved with the FMAs of a tile, a little in each of its first steps.
pub(crate) trait Interleaved<V: Vector> {
    /// Number of steps that have a part of the work.
    fn steps(&self) -> usize;
    /// Does the part of step `k`.
    ///
    /// # Safety
    ///
    /// Must be called for the steps 0, 1, 2, ... in this order, each less than [`Interleaved::steps`].
    unsafe fn step(&mut self, v: V, k: usize);
}

/// No other work.
pub(crate) struct Nothing;

impl<V: Vector> Interleaved<V> for Nothing {
    #[inline(always)]
    fn steps(&self) -> usize {
        0
    }
    #[inline(always)]
    unsafe fn step(&mut self, _: V, _: usize) {}
}

/// Prefetches a slice, one cache line in each step.
pub(crate) struct Prefetch<'a>(pub(crate) &'a [f32]);

impl<V: Vector> Interleaved<V> for Prefetch<'_> {
    #[inline(always)]
    fn steps(&self) -> usize {
        self.0.len() / LINE
    }
    #[inline(always)]
    unsafe fn step(&mut self, v: V, k: usize) {
        // SAFETY: `k` is less than the number of lines of the slice (contract of `step`).
        v.prefetch(unsafe { self.0.get_unchecked(k * LINE..) });
    }
}

/// GELU in place of a tile that is two registers wide, one register in each step.
pub(crate) struct GeluOf<'a, V, const ROWS: usize, const REGISTERS: usize> {
    v: V,
    tile: MatrixMut<'a>,
    /// Index of the register of the next step: the left and the right one of a row alternate.
    at: usize,
    /// Index of the register of the step after that.
    next: usize,
}

impl<'a, V: Vector, const ROWS: usize, const REGISTERS: usize> GeluOf<'a, V, ROWS, REGISTERS> {
    #[inline(always)]
    pub(crate) fn new(v: V, tile: MatrixMut<'a>) -> Self {
        let (len, pitch) = (tile.values.len(), tile.pitch);
        // So that no index within the tile overflows.
        assert!(pitch <= len, "gelu: pitch");
        assert!(REGISTERS == 2 && len >= tile_len::<V, ROWS, REGISTERS>(pitch), "gelu");
        Self { v, tile, at: 0, next: V::LANES }
    }
}

impl<V: Vector, const ROWS: usize, const REGISTERS: usize> Interleaved<V>
    for GeluOf<'_, V, ROWS, REGISTERS>
{
    #[inline(always)]
    fn steps(&self) -> usize {
        ROWS * REGISTERS
    }
    #[inline(always)]
    unsafe fn step(&mut self, _: V, _: usize) {
        let (v, at, next) = (self.v, self.at, self.next);
        // SAFETY: in each of the `ROWS * REGISTERS` steps (contract of `step`) `at` is the start of a
        // register of the tile, and the slice holds the whole tile (asserted by `new`).
        let place = unsafe { self.tile.values.get_unchecked_mut(at..at + V::LANES) };
        let mut x = [v.load(place)];
        gelu_of(v, &mut x);
        v.store(x[0], place);
        (self.at, self.next) = (next, at + self.tile.pitch);
    }
}

/// The sums of one tile over `steps` steps of k, with other work interleaved.
#[inline(always)]
pub(crate) fn multiply<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    a: Strided<'_>,
    b: Matrix<'_>,
    steps: usize,
    mut interleaved: impl Interleaved<V>,
) -> [[V::F; REGISTERS]; ROWS] {
    check::<V, ROWS, REGISTERS>(a, b, steps);
    let steps_with_both = interleaved.steps().min(steps);
    let mut sums = [[v.splat(0.0); REGISTERS]; ROWS];
    for k in 0..steps_with_both {
        // SAFETY: `check` asserted that A and B hold all `steps` steps, and `k < steps`.
        unsafe { step::<V, ROWS, REGISTERS>(v, a, b, k, &mut sums) };
        // SAFETY: `k` counts up from 0, and stays below `interleaved.steps()`.
        unsafe { interleaved.step(v, k) };
    }
    for k in steps_with_both..steps {
        // SAFETY: as above.
        unsafe { step::<V, ROWS, REGISTERS>(v, a, b, k, &mut sums) };
    }
    sums
}

/// Asserts that A and B hold all steps of a tile. The arithmetic cannot overflow: `Left::has` and
/// `Right::has` were checked for the whole product before its first tile.
#[inline(always)]
fn check<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    a: Strided<'_>,
    b: Matrix<'_>,
    steps: usize,
) {
    assert!(a.values.len() > (ROWS - 1) * a.row + (steps - 1) * a.step, "product: left");
    assert!(b.values.len() >= (steps - 1) * b.pitch + REGISTERS * V::LANES, "product: right");
}

/// Adds step `k` to the sums of a tile.
///
/// # Safety
///
/// [`check`] must hold for A and B with more than `k` steps.
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
        // SAFETY: `j < REGISTERS`, and B has a row of `REGISTERS` registers for step `k` (contract).
        *column = v.load(unsafe { b.values.get_unchecked(at..at + V::LANES) });
    }
    for (i, sums) in sums.iter_mut().enumerate() {
        // SAFETY: `i < ROWS`, and A has `ROWS` rows with an element for step `k` (contract).
        let a = v.splat(unsafe { *a.values.get_unchecked(i * a.row + k * a.step) });
        for (sum, &column) in sums.iter_mut().zip(&columns) {
            *sum = v.mul_add(a, column, *sum);
        }
    }
}
