//! The loops of PatchTSMixer in f32, on slices, for each instruction set.
//!
//! No model, no threads, no files: a caller picks an [`Isa`] once and passes it to every call.
//! Public functions are safe, say their shapes, and assert their lengths. Each kernel is written
//! once over a small vector trait, and tested on every instruction set of the machine against plain
//! loops in f64. Reductions have a fixed order for each set, and no result depends on its
//! neighbours, so the bits of a row are the same in any company.
//!
//! ```
//! use ptsm_kernels::{Isa, softmax_rows};
//!
//! let mut gate = [0.0, 0.0, 1.0, 1.0];
//! softmax_rows(Isa::best(), 2, &mut gate);
//! assert_eq!(gate, [0.5, 0.5, 0.5, 0.5]);
//! ```

mod activation;
mod aligned;
mod backward;
mod columns;
mod dropout;
mod gate;
mod gemm;
mod isa;
mod norm;
mod packed;
mod peak;
mod softmax;
#[cfg(test)]
mod testing;
mod tile;
mod transpose;
mod vector;
mod window;

pub use activation::{gelu, gelu_backward};
pub use aligned::Aligned;
pub use backward::{
    add_column_sums, add_row_sums, multiply, normalise_columns_backward, softmax_columns_backward,
};
pub use columns::{Columns, add_columns, affine_columns, normalise_columns};
pub use dropout::{dropout, dropout_strided, keeps};
pub use gate::{gate_columns, gate_rows, softmax_columns};
pub use gemm::{LinearDims, linear, linear_d_input, linear_d_weight};
pub use isa::Isa;
pub use norm::{affine_rows, affine_rows_backward, normalise_rows, normalise_rows_backward};
pub use packed::{ColumnLinear, RowLinear, Strided, product};
pub use peak::measure_fma_peak;
pub use softmax::{softmax_rows, softmax_rows_backward};
pub use tile::Finish;
pub use transpose::transpose;
#[cfg(target_arch = "x86_64")]
pub use vector::{avx2::Avx2, avx512::Avx512};
pub use window::{Moments, all_finite, gather, mean_magnitude, moments, standardise};
