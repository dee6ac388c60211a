//! What follows a matrix product on the way out: bias, activation, and how the output is written.

use crate::operand::Place;
use crate::vector::Vector;

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
