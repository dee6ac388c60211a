//! Matrix products with the bits that the chip multiplies, for whole operations and for kernels.

use std::borrow::Cow;

use ptsm_kernels::{Isa, LinearDims, Matrix, MatrixMut, MatrixShape, linear, transpose};

use super::rounding::{activation_bits, weight_bits};
use super::tensor::TileTensor;
use crate::program::MathFidelity;

/// What operations need beside their inputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) isa: Isa,
    /// Written into padding that an operation leaves undefined.
    pub(super) garbage: f32,
}

/// How a product of matrices is computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    /// Logical shape of the result.
    pub(super) shape: [usize; 4],
    /// Bits of the operands that count.
    pub(super) fidelity: MathFidelity,
    pub(super) isa: Isa,
}

/// Every row of `a` through one layer; the padding of the inner axis is summed like the rest.
pub(super) fn rows_product(
    a: &TileTensor,
    weight: &TileTensor,
    bias: Option<&[f32]>,
    product: Product,
) -> TileTensor {
    let Product { shape, fidelity, isa } = product;
    let (inputs, outputs) = (weight.height(), weight.width());
    let weight = for_product(&weight.values, inputs, outputs, fidelity);
    let mut out = TileTensor::filled(shape, 0.0);
    let dims = LinearDims { rows: a.values.len() / inputs, inputs, outputs };
    let a = reduced(&a.values, fidelity);
    let zeros;
    let bias = match bias {
        Some(bias) => bias,
        None => {
            zeros = vec![0.0; outputs];
            &zeros
        }
    };
    linear(isa, dims, &a, &weight, bias, &mut out.values);
    out
}

/// The left operand with the bits that the fidelity multiplies.
pub(super) fn reduced(values: &[f32], fidelity: MathFidelity) -> Cow<'_, [f32]> {
    match fidelity {
        MathFidelity::HiFi4 => Cow::Borrowed(values),
        _ => values.iter().map(|&x| activation_bits(fidelity, x)).collect(),
    }
}

/// The right operand `[inputs, outputs]` as `[outputs, inputs]`, with the bits that count.
pub(super) fn for_product(
    values: &[f32],
    inputs: usize,
    outputs: usize,
    fidelity: MathFidelity,
) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    let shape = MatrixShape { rows: inputs, columns: outputs };
    let (from, to) = (Matrix::new(values, outputs), MatrixMut::new(&mut out, inputs));
    transpose(Isa::best(), shape, from, to);
    if fidelity == MathFidelity::LoFi {
        out.iter_mut().for_each(|x| *x = weight_bits(fidelity, *x));
    }
    out
}
