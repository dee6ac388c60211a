//! The epilogue of a matrix product: bias, activation, and how the output is written.

use crate::operand::Place;
use crate::vector::Vector;

/// The epilogue of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// `out = product + bias`.
    Store,
    /// `out += product + bias`.
    Add,
    /// `out = gelu(product + bias)`.
    Gelu,
}

/// A bias that is added to the elements of a product.
pub(crate) trait Bias: Copy {
    /// Adds the bias to the sums of a tile.
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    );
}

/// No bias.
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

/// A bias for each row of the output.
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

/// A bias for each column of the output.
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
