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

/// Where A's element `[m, k]` stands.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    /// At `m * row + k * step`.
    Strided { values: &'a [f32], row: usize, step: usize },
    /// In tiles of [`next_height`] rows, each `[k][rows of the tile]`.
    Tiles(&'a [f32]),
}

/// Where B's element `[k, n]` stands.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// At `k * pitch + n`.
    Rows { values: &'a [f32], pitch: usize },
    /// In panels of a tile's width, the last one narrower, each `[k][columns of the panel]`.
    Panels(&'a [f32]),
}

/// What is added to every element.
#[derive(Clone, Copy)]
pub(crate) enum Bias<'a> {
    None,
    /// One number for each row of the output.
    Rows(&'a [f32]),
    /// One number for each column.
    Columns(&'a [f32]),
}

/// `out (+)= A B + bias`: rows and steps of any number, columns a multiple of the lanes.
pub(crate) struct Product<'a> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) steps: usize,
    pub(crate) left: Left<'a>,
    pub(crate) right: Right<'a>,
    pub(crate) bias: Bias<'a>,
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
struct Place {
    row: usize,
    column: usize,
    /// The steps `from..to` of k.
    from: usize,
    to: usize,
}

impl Op for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        assert!(self.steps > 0 && self.columns.is_multiple_of(V::LANES), "product: shape");
        let blocks = self.steps.div_ceil(BLOCK);
        let block = self.steps.div_ceil(blocks);
        let mut column = 0;
        while column < self.columns {
            let registers = TILE_REGISTERS.min((self.columns - column) / V::LANES);
            for from in (0..self.steps).step_by(block) {
                let to = self.steps.min(from + block);
                let mut row = 0;
                while row < self.rows {
                    let height = next_height(self.rows - row, V::TILE_ROWS);
                    let place = Place { row, column, from, to };
                    self.dispatch(v, (height, registers), place);
                    row += height;
                }
            }
            column += registers * V::LANES;
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn dispatch<V: Vector>(&mut self, v: V, tile: (usize, usize), place: Place) {
        match tile {
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

    /// A from the tile's first element on, with its row and step.
    #[inline(always)]
    fn left_at(&self, height: usize, place: Place) -> (&[f32], usize, usize) {
        match self.left {
            Left::Strided { values, row, step } => {
                (&values[place.row * row + place.from * step..], row, step)
            }
            Left::Tiles(values) => {
                (&values[place.row * self.steps + place.from * height..], 1, height)
            }
        }
    }

    /// B from the tile's first element on, with its step.
    #[inline(always)]
    fn right_at(&self, width: usize, place: Place) -> (&[f32], usize) {
        match self.right {
            Right::Rows { values, pitch } => (&values[place.from * pitch + place.column..], pitch),
            Right::Panels(values) => {
                (&values[place.column * self.steps + place.from * width..], width)
            }
        }
    }

    #[inline(always)]
    fn tile<V: Vector, const ROWS: usize, const REGISTERS: usize>(&mut self, v: V, place: Place) {
        // So that no set has code for heights that `next_height` does not give it.
        if ROWS > 4 && ROWS != V::TILE_ROWS {
            unreachable!("a tile of {ROWS} rows, the tallest has {}", V::TILE_ROWS);
        }
        let width = REGISTERS * V::LANES;
        let (first, last) = (place.from == 0, place.to == self.steps);
        let mut sums = {
            let (a, row, step) = self.left_at(ROWS, place);
            let (b, pitch) = self.right_at(width, place);
            multiply::<V, ROWS, REGISTERS>(v, (a, row, step), (b, pitch), place.to - place.from)
        };
        let out = &mut self.out[place.row * self.pitch + place.column..];
        assert!(out.len() >= (ROWS - 1) * self.pitch + width, "product: output");
        if self.finish == Finish::Add || !first {
            for (i, sums) in sums.iter_mut().enumerate() {
                let out = &out[i * self.pitch..][..width];
                for (sum, out) in sums.iter_mut().zip(out.chunks_exact(V::LANES)) {
                    *sum = v.add(*sum, v.load(out));
                }
            }
        }
        if last {
            add_bias::<V, ROWS, REGISTERS>(v, self.bias, place, &mut sums);
        }
        if last && self.finish == Finish::Gelu {
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
    (a, row, step): (&[f32], usize, usize),
    (b, pitch): (&[f32], usize),
    steps: usize,
) -> [[V::F; REGISTERS]; ROWS] {
    let width = REGISTERS * V::LANES;
    assert!(a.len() > (ROWS - 1) * row + (steps - 1) * step, "product: left");
    assert!(b.len() >= (steps - 1) * pitch + width, "product: right");
    let mut sums = [[v.splat(0.0); REGISTERS]; ROWS];
    for k in 0..steps {
        let mut columns = [v.splat(0.0); REGISTERS];
        for (j, column) in columns.iter_mut().enumerate() {
            let at = k * pitch + j * V::LANES;
            // SAFETY: `k < steps` and `j < REGISTERS`, and B has so many (asserted).
            *column = v.load(unsafe { b.get_unchecked(at..at + V::LANES) });
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `i < ROWS` and `k < steps`, and A has so many (asserted).
            let a = v.splat(unsafe { *a.get_unchecked(i * row + k * step) });
            for (sum, &column) in sums.iter_mut().zip(&columns) {
                *sum = v.mul_add(a, column, *sum);
            }
        }
    }
    sums
}

#[inline(always)]
fn add_bias<V: Vector, const ROWS: usize, const REGISTERS: usize>(
    v: V,
    bias: Bias<'_>,
    place: Place,
    sums: &mut [[V::F; REGISTERS]; ROWS],
) {
    match bias {
        Bias::None => {}
        Bias::Rows(bias) => {
            for (sums, &bias) in sums.iter_mut().zip(&bias[place.row..place.row + ROWS]) {
                for sum in sums {
                    *sum = v.add(*sum, v.splat(bias));
                }
            }
        }
        Bias::Columns(bias) => {
            for (j, bias) in bias[place.column..].chunks_exact(V::LANES).take(REGISTERS).enumerate()
            {
                let bias = v.load(bias);
                for sums in sums.iter_mut() {
                    sums[j] = v.add(sums[j], bias);
                }
            }
        }
    }
}
