#![doc = include_str!("../README.md")]

mod adamw;
mod affine_columns;
mod aligned;
mod dropout;
mod epilogue;
mod exp;
mod fma_peak;
mod gate;
mod gate_backward;
mod gelu;
mod gelu_dropout;
mod gelu_table;
mod gradients;
mod isa;
mod linear;
mod matrix;
mod micro_kernel;
mod norm_columns;
mod norm_columns_backward;
mod norm_rows;
mod operand;
mod packed_linear;
mod product;
mod softmax_rows;
mod sums;
#[cfg(test)]
mod testing;
mod transpose;
mod vector;
mod window;

pub use adamw::{AdamWMoments, AdamWStep, adamw};
pub use affine_columns::{
    CentredAffine, Combination, add_columns, affine_columns, combine_columns,
};
pub use aligned::Aligned;
pub use dropout::{Draws, dropout, dropout_columns, keeps};
pub use epilogue::Finish;
pub use fma_peak::measure_fma_peak;
pub use gate::{
    Write, gate_columns, gate_columns_keeping, gate_rows, gate_rows_keeping, softmax_columns,
};
pub use gate_backward::{GateGradients, Gated, gate_columns_backward, gate_rows_backward};
pub use gelu::{gelu, gelu_backward};
pub use gelu_dropout::gelu_dropout;
pub use gradients::AffineGradients;
pub use isa::Isa;
pub use linear::{LinearDims, linear, linear_d_input, linear_d_weight};
pub use matrix::{Matrix, MatrixMut, MatrixShape, PaddedRows, ProductShape, Strided, StridedSlice};
pub use norm_columns::{KeptNorm, LayerNorm, normalise_columns, normalise_columns_keeping};
pub use norm_columns_backward::{Normed, normalise_columns_backward};
pub use norm_rows::{affine_rows, affine_rows_backward, normalise_rows, normalise_rows_backward};
pub use packed_linear::{ColumnLinear, RowLinear};
pub use product::product;
pub use softmax_rows::{softmax_rows, softmax_rows_backward};
pub use sums::{add, add_lanes, add_product_lanes, add_rows, multiply, sum_lanes};
pub use transpose::transpose;
#[cfg(target_arch = "x86_64")]
pub use vector::{avx2::Avx2, avx512::Avx512};
pub use window::{
    Moments, all_finite, gather, mean_magnitude, moments, standardise, sum_of_squares,
};
