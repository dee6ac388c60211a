//! What each operation computes, on padded matrices.

use std::borrow::Cow;

use ptsm_kernels::{
    Isa, LinearDims, Matrix, MatrixMut, MatrixShape, gelu, linear, softmax_rows, transpose,
};

use super::kernels::{By, attention, channels, embed, mixer};
use super::product::{Context, Product, for_product, reduced, rows_product};
use super::tensor::TileTensor;
use crate::program::{Activation, MathFidelity, Op};

/// Runs one operation; shapes were checked with the program.
pub(super) fn run(op: &Op, x: &[&TileTensor], shape: [usize; 4], context: Context) -> TileTensor {
    let isa = context.isa;
    let product = |fidelity: &MathFidelity| Product { shape, fidelity: *fidelity, isa };
    match op {
        Op::Linear { transpose_a, activation, math_fidelity, .. } => {
            let a = if *transpose_a { Cow::Owned(transposed(x[0])) } else { Cow::Borrowed(x[0]) };
            let bias = x.get(2).map(|bias| &bias.values[..bias.width()]);
            let mut out = rows_product(&a, x[1], bias, product(math_fidelity));
            if *activation == Some(Activation::Gelu) {
                out = elementwise_gelu(&out, isa);
            }
            out
        }
        Op::Matmul { math_fidelity } => matmul(x[0], x[1], product(math_fidelity)),
        Op::MatmulAddcmul { math_fidelity, .. } => {
            let bias = &x[4].values[..x[4].width()];
            let mut out = rows_product(x[0], x[1], Some(bias), product(math_fidelity));
            let others = x[2].values.iter().zip(&x[3].values);
            out.values.iter_mut().zip(others).for_each(|(out, (r, gate))| *out = r + *out * gate);
            out
        }
        Op::Embed { tiles, math_fidelity, .. } => embed(x[0], x[1], *tiles, product(math_fidelity)),
        Op::Mixer { tiles, epsilon, math_fidelity, .. } => {
            mixer(x[0], x[1], *tiles, By { epsilon: *epsilon, product: product(math_fidelity) })
        }
        Op::Channels { tiles, epsilon, math_fidelity, .. } => {
            channels(x[0], x[1], *tiles, By { epsilon: *epsilon, product: product(math_fidelity) })
        }
        Op::Attention { tiles, epsilon, math_fidelity, .. } => {
            attention(x, *tiles, By { epsilon: *epsilon, product: product(math_fidelity) })
        }
        Op::LayerNorm { epsilon } => layer_norm(x, *epsilon as f32, context),
        Op::Softmax { dim: -1 } => softmax(x[0], context),
        Op::Softmax { .. } => {
            let mut turned = transposed(&softmax(&transposed(x[0]), context));
            turned.shape = shape;
            turned
        }
        Op::Gelu => elementwise_gelu(x[0], isa),
        Op::Transpose => transposed(x[0]),
        Op::Permute { dims } => permuted(x[0], *dims, context.garbage),
        Op::Reshape { .. } => {
            let mut out = TileTensor::filled(shape, context.garbage);
            out.write(&x[0].download());
            out
        }
        Op::Add => broadcast(x[0], x[1], |a, b| a + b),
        Op::Multiply => broadcast(x[0], x[1], |a, b| a * b),
        Op::Addcmul => {
            let others = x[1].values.iter().zip(&x[2].values);
            let values = x[0].values.iter().zip(others).map(|(a, (b, c))| a + b * c).collect();
            TileTensor { shape, values }
        }
        Op::Max => maximum(x[0], shape, context.garbage),
        Op::FillImplicitTilePadding { value } => {
            let mut out = TileTensor::filled(shape, *value);
            out.write(&x[0].download());
            out
        }
        Op::ToMemoryConfig => x[0].clone(),
    }
}

/// The products of pairs of matrices; if `a` has one matrix, it is used with every matrix of `b`.
fn matmul(a: &TileTensor, b: &TileTensor, product: Product) -> TileTensor {
    let Product { shape, fidelity, isa } = product;
    let mut out = TileTensor::filled(shape, 0.0);
    let (inputs, outputs, size) = (b.height(), b.width(), out.matrix_len());
    let dims = LinearDims { rows: a.height(), inputs, outputs };
    let zeros = vec![0.0; outputs];
    let left = reduced(&a.values, fidelity);
    let left = left.chunks_exact(a.matrix_len()).cycle();
    for ((a, b), out) in left.zip(b.matrices()).zip(out.values.chunks_exact_mut(size)) {
        let weight = for_product(b, inputs, outputs, fidelity);
        linear(isa, dims, a, &weight, &zeros, out);
    }
    out
}

fn elementwise_gelu(x: &TileTensor, isa: Isa) -> TileTensor {
    let mut values = vec![0.0; x.values.len()];
    gelu(isa, &x.values, &mut values);
    TileTensor { shape: x.shape, values }
}

/// Layer norm with the statistics of the logical row; the padding of its output is undefined.
fn layer_norm(x: &[&TileTensor], epsilon: f32, context: Context) -> TileTensor {
    let columns = x[0].shape[3];
    let width = x[0].width();
    let mut out = TileTensor::filled(x[0].shape, context.garbage);
    let (weight, bias) = (&x[1].values[..columns], &x[2].values[..columns]);
    let residual = x.get(3).map(|r| &r.values);
    let mut row = vec![0.0; columns];
    for (i, out) in out.values.chunks_exact_mut(width).enumerate() {
        row.copy_from_slice(&x[0].values[i * width..][..columns]);
        if let Some(residual) = residual {
            row.iter_mut().zip(&residual[i * width..]).for_each(|(x, r)| *x += r);
        }
        let mean = row.iter().sum::<f32>() / columns as f32;
        let squares: f32 = row.iter().map(|x| (x - mean) * (x - mean)).sum();
        let inverse = 1.0 / (squares / columns as f32 + epsilon).sqrt();
        let affine = weight.iter().zip(bias);
        for ((out, x), (w, b)) in out.iter_mut().zip(&row).zip(affine) {
            *out = (x - mean) * inverse * w + b;
        }
    }
    out
}

/// Softmax over the logical row; the padding of its output is undefined.
fn softmax(x: &TileTensor, context: Context) -> TileTensor {
    let (columns, width) = (x.shape[3], x.width());
    let mut out = x.clone();
    if columns == width {
        softmax_rows(context.isa, width, &mut out.values);
        return out;
    }
    for row in out.values.chunks_exact_mut(width) {
        softmax_rows(context.isa, columns, &mut row[..columns]);
        row[columns..].fill(context.garbage);
    }
    out
}

fn transposed(x: &TileTensor) -> TileTensor {
    let [a, b, rows, columns] = x.shape;
    let mut out = TileTensor::filled([a, b, columns, rows], 0.0);
    let size = x.matrix_len();
    for (from, to) in x.matrices().zip(out.values.chunks_exact_mut(size)) {
        let (height, width) = (x.height(), x.width());
        let shape = MatrixShape { rows: height, columns: width };
        transpose(Isa::best(), shape, Matrix::new(from, width), MatrixMut::new(to, height));
    }
    out
}

fn permuted(x: &TileTensor, dims: [usize; 4], garbage: f32) -> TileTensor {
    let shape = dims.map(|axis| x.shape[axis]);
    let values = x.download();
    let mut strides = [1; 4];
    for axis in (0..3).rev() {
        strides[axis] = strides[axis + 1] * x.shape[axis + 1];
    }
    let [s, t, u, v] = dims.map(|axis| strides[axis]);
    let mut moved = Vec::with_capacity(values.len());
    for a in 0..shape[0] {
        for b in 0..shape[1] {
            for c in 0..shape[2] {
                let start = a * s + b * t + c * u;
                moved.extend((0..shape[3]).map(|d| values[start + d * v]));
            }
        }
    }
    let mut out = TileTensor::filled(shape, garbage);
    out.write(&moved);
    out
}

/// `f` of every number of `a` and the one of `b` in its place; axes of length 1 of `b` are repeated,
/// in the padding too.
fn broadcast(a: &TileTensor, b: &TileTensor, f: impl Fn(f32, f32) -> f32) -> TileTensor {
    let mut out = a.clone();
    let (height, width) = (a.height(), a.width());
    let [batches, channels, ..] = a.shape;
    let [b_batches, b_channels, b_rows, b_columns] = b.shape;
    for i in 0..batches * channels {
        let matrix = (i / channels % b_batches) * b_channels + i % channels % b_channels;
        let from = &b.values[matrix * b.matrix_len()..][..b.matrix_len()];
        let to = &mut out.values[i * height * width..][..height * width];
        for (r, row) in to.chunks_exact_mut(width).enumerate() {
            let from = &from[if b_rows == 1 { 0 } else { r } * b.width()..][..b.width()];
            if b_columns == 1 {
                row.iter_mut().for_each(|x| *x = f(*x, from[0]));
            } else {
                row.iter_mut().zip(from).for_each(|(x, &y)| *x = f(*x, y));
            }
        }
    }
    out
}

fn maximum(x: &TileTensor, shape: [usize; 4], garbage: f32) -> TileTensor {
    let (rows, width, columns) = (x.shape[2], x.width(), x.shape[3]);
    let mut out = TileTensor::filled(shape, garbage);
    let size = out.matrix_len();
    for (matrix, out) in x.matrices().zip(out.values.chunks_exact_mut(size)) {
        out[..columns].fill(f32::NEG_INFINITY);
        for row in matrix.chunks_exact(width).take(rows) {
            out[..columns].iter_mut().zip(row).for_each(|(max, &x)| *max = max.max(x));
        }
    }
    out
}
