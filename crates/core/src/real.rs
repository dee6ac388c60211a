//! The two precisions of the definition, and the products that dominate its time.
//!
//! For `f64` every operation here is a plain loop: that is the oracle. For `f32` the loops that
//! matter are replaced by kernels, each of which is tested against its own plain loop.

use ptsm_kernels::{AdamWMoments, AffineGradients, Isa, Matrix, MatrixMut, MatrixShape};

use crate::{Error, ErrorKind, Result};
use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

pub use ptsm_kernels::{AdamWStep, LinearDims};

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Debug
    + Display
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Sum
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// The number 0.
    const ZERO: Self;
    /// The number 1.
    const ONE: Self;

    /// Rounds to this precision.
    fn from_f64(x: f64) -> Self;
    /// Widens, exactly.
    fn to_f64(self) -> f64;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Exponential.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// Error function.
    fn erf(self) -> Self;

    /// Nearest number to a count.
    fn from_usize(x: usize) -> Self {
        Self::from_f64(x as f64)
    }

    /// `out = x W^T + b`: `x` `[rows, inputs]`, `weight` `[outputs, inputs]`, `out` overwritten.
    fn linear(dims: LinearDims, x: &[Self], weight: &[Self], bias: &[Self], out: &mut [Self]) {
        let LinearDims { rows, inputs, outputs } = dims;
        for r in 0..rows {
            let x = &x[r * inputs..][..inputs];
            for o in 0..outputs {
                let weight = &weight[o * inputs..][..inputs];
                let product: Self = x.iter().zip(weight).map(|(&x, &w)| x * w).sum();
                out[r * outputs + o] = product + bias[o];
            }
        }
    }

    /// `d_x = d_out W`, overwritten.
    fn linear_d_input(dims: LinearDims, d_out: &[Self], weight: &[Self], d_x: &mut [Self]) {
        let LinearDims { rows, inputs, outputs } = dims;
        d_x.fill(Self::ZERO);
        for r in 0..rows {
            let d_x = &mut d_x[r * inputs..][..inputs];
            for o in 0..outputs {
                let d = d_out[r * outputs + o];
                for (d_x, &w) in d_x.iter_mut().zip(&weight[o * inputs..][..inputs]) {
                    *d_x += d * w;
                }
            }
        }
    }

    /// `d_weight += d_out^T x` and `d_bias +=` the column sums of `d_out`.
    fn linear_d_weight(
        dims: LinearDims,
        d_out: &[Self],
        x: &[Self],
        d_weight: &mut [Self],
        d_bias: &mut [Self],
    ) {
        let LinearDims { rows, inputs, outputs } = dims;
        for r in 0..rows {
            let x = &x[r * inputs..][..inputs];
            for o in 0..outputs {
                let d = d_out[r * outputs + o];
                d_bias[o] += d;
                for (d_weight, &x) in d_weight[o * inputs..][..inputs].iter_mut().zip(x) {
                    *d_weight += d * x;
                }
            }
        }
    }

    /// Exact GELU, `x Phi(x)`.
    fn gelu(x: &[Self], out: &mut [Self]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x * normal_cdf(x);
        }
    }

    /// `d_x = d_out (Phi(x) + x phi(x))`, overwritten.
    fn gelu_backward(x: &[Self], d_out: &[Self], d_x: &mut [Self]) {
        let density_at_0 = Self::from_f64(0.398_942_280_401_432_7);
        let half = Self::from_f64(0.5);
        for ((d_x, &d_out), &x) in d_x.iter_mut().zip(d_out).zip(x) {
            let density = density_at_0 * (-(half * x * x)).exp();
            *d_x = d_out * (normal_cdf(x) + x * density);
        }
    }

    /// One step of AdamW on the moments `first` m and `second` v: `m = b1 m + (1 - b1) g`,
    /// `v = b2 v + (1 - b2) g g`, `w = keep w - step_size m / (sqrt(v) / root + eps)`.
    fn adamw(
        step: AdamWStep,
        weights: &mut [Self],
        gradients: &[Self],
        first: &mut [Self],
        second: &mut [Self],
    ) {
        let AdamWStep { beta1, beta2, .. } = step;
        let (rest1, rest2) = (Self::from_f64(1.0 - beta1), Self::from_f64(1.0 - beta2));
        let (beta1, beta2) = (Self::from_f64(beta1), Self::from_f64(beta2));
        let (keep, step_size) = (Self::from_f64(step.keep), Self::from_f64(step.step_size));
        let (root, eps) = (Self::from_f64(step.root), Self::from_f64(step.eps));
        let moments = first.iter_mut().zip(second);
        for ((weight, &g), (m, v)) in weights.iter_mut().zip(gradients).zip(moments) {
            *m = beta1 * *m + rest1 * g;
            *v = beta2 * *v + rest2 * g * g;
            *weight = keep * *weight - step_size * *m / (v.sqrt() / root + eps);
        }
    }

    /// `out[c, r] = x[r, c]` for `x` `[rows, columns]`.
    fn transpose(rows: usize, columns: usize, x: &[Self], out: &mut [Self]) {
        for r in 0..rows {
            for c in 0..columns {
                out[c * rows + r] = x[r * columns + c];
            }
        }
    }

    /// Softmax of every row of `width`, in place.
    fn softmax_rows(width: usize, x: &mut [Self]) {
        for row in x.chunks_exact_mut(width) {
            let max = row.iter().fold(row[0], |max, &x| if x > max { x } else { max });
            let mut sum = Self::ZERO;
            for x in row.iter_mut() {
                *x = (*x - max).exp();
                sum += *x;
            }
            for x in row {
                *x = *x / sum;
            }
        }
    }

    /// `z = (x - mean) / sqrt(variance + eps)` along rows of `width`; `inverse` per row.
    fn normalise_rows(width: usize, eps: Self, x: &[Self], z: &mut [Self], inverse: &mut [Self]) {
        let count = Self::from_usize(width);
        let rows = x.chunks_exact(width).zip(z.chunks_exact_mut(width));
        for ((x, z), inverse) in rows.zip(inverse) {
            let mean = x.iter().copied().sum::<Self>() / count;
            let variance = x.iter().map(|&x| (x - mean) * (x - mean)).sum::<Self>() / count;
            *inverse = Self::ONE / (variance + eps).sqrt();
            z.iter_mut().zip(x).for_each(|(z, &x)| *z = (x - mean) * *inverse);
        }
    }

    /// `d = (d - mean(d) - z mean(d z)) * inverse` along rows of `width`, in place.
    fn normalise_rows_backward(width: usize, z: &[Self], inverse: &[Self], d: &mut [Self]) {
        let count = Self::from_usize(width);
        let rows = z.chunks_exact(width).zip(d.chunks_exact_mut(width));
        for ((z, d), &inverse) in rows.zip(inverse) {
            let mean = d.iter().copied().sum::<Self>() / count;
            let slope = d.iter().zip(z).map(|(&d, &z)| d * z).sum::<Self>() / count;
            d.iter_mut().zip(z).for_each(|(d, &z)| *d = (*d - mean - z * slope) * inverse);
        }
    }

    /// `out = z * weight + bias` along rows.
    fn affine_rows(z: &[Self], weight: &[Self], bias: &[Self], out: &mut [Self]) {
        let width = weight.len();
        for (z, out) in z.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            for i in 0..width {
                out[i] = z[i] * weight[i] + bias[i];
            }
        }
    }

    /// `d_weight += sum(d z)`, `d_bias += sum(d)` over rows, then `d *= weight`, in place.
    fn affine_rows_backward(
        z: &[Self],
        weight: &[Self],
        d: &mut [Self],
        d_weight: &mut [Self],
        d_bias: &mut [Self],
    ) {
        let width = weight.len();
        for (z, d) in z.chunks_exact(width).zip(d.chunks_exact_mut(width)) {
            for i in 0..width {
                d_weight[i] += d[i] * z[i];
                d_bias[i] += d[i];
                d[i] *= weight[i];
            }
        }
    }

    /// Drops elements by the draws `(key, counter + i)`: see [`Dropout`](super::Dropout).
    fn dropout(key: u64, counter: u64, probability: f64, x: &mut [Self]) {
        let scale = Self::from_f64(1.0 / (1.0 - probability));
        for (i, x) in x.iter_mut().enumerate() {
            let kept = ptsm_kernels::keeps(key, counter + i as u64, probability as f32);
            *x = if kept { *x * scale } else { Self::ZERO };
        }
    }

    /// Gradient of the softmax: `d_x = y (d_y - sum(y d_y))`, in place on `d_y`.
    fn softmax_rows_backward(width: usize, y: &[Self], d_y: &mut [Self]) {
        for (y, d_y) in y.chunks_exact(width).zip(d_y.chunks_exact_mut(width)) {
            let mean: Self = y.iter().zip(d_y.iter()).map(|(&y, &d)| y * d).sum();
            for (d, &y) in d_y.iter_mut().zip(y) {
                *d = y * (*d - mean);
            }
        }
    }
}

/// The instruction set that f32 models run on: the best of this machine, or what `PTSM_ISA` asks
/// for.
///
/// # Errors
///
/// `BackendUnavailable` if `PTSM_ISA` names one that is not there.
pub fn instruction_set() -> Result<Isa> {
    Isa::from_env().map_err(|text| Error::new(ErrorKind::BackendUnavailable, text))
}

/// Has the whole process run on the instruction set of this name; to be called before anything else.
/// With it training also resumes from a checkpoint that another set computed.
///
/// # Errors
///
/// `BackendUnavailable` if the machine has no such set, or another one is in use already.
pub fn force_instruction_set(name: &str) -> Result<()> {
    Isa::force(name).map_err(|text| Error::new(ErrorKind::BackendUnavailable, text))
}

/// As [`instruction_set`]; a wrong name was refused when the model was laid out.
fn isa() -> Isa {
    Isa::from_env().unwrap_or(Isa::Portable)
}

fn normal_cdf<T: Real>(x: T) -> T {
    let half = T::from_f64(0.5);
    half * (T::ONE + (x * T::from_f64(std::f64::consts::FRAC_1_SQRT_2)).erf())
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn from_f64(x: f64) -> Self {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn exp(self) -> Self {
        libm::exp(self)
    }
    fn ln(self) -> Self {
        libm::log(self)
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn erf(self) -> Self {
        libm::erf(self)
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn from_f64(x: f64) -> Self {
        x as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn exp(self) -> Self {
        libm::expf(self)
    }
    fn ln(self) -> Self {
        libm::logf(self)
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn erf(self) -> Self {
        libm::erff(self)
    }

    fn linear(dims: LinearDims, x: &[Self], weight: &[Self], bias: &[Self], out: &mut [Self]) {
        ptsm_kernels::linear(isa(), dims, x, weight, bias, out);
    }
    fn linear_d_input(dims: LinearDims, d_out: &[Self], weight: &[Self], d_x: &mut [Self]) {
        ptsm_kernels::linear_d_input(isa(), dims, d_out, weight, d_x);
    }
    fn linear_d_weight(
        dims: LinearDims,
        d_out: &[Self],
        x: &[Self],
        d_weight: &mut [Self],
        d_bias: &mut [Self],
    ) {
        let gradients = AffineGradients { weight: d_weight, bias: d_bias };
        ptsm_kernels::linear_d_weight(isa(), dims, d_out, x, gradients);
    }
    fn gelu(x: &[Self], out: &mut [Self]) {
        ptsm_kernels::gelu(isa(), x, out);
    }
    fn gelu_backward(x: &[Self], d_out: &[Self], d_x: &mut [Self]) {
        ptsm_kernels::gelu_backward(isa(), x, d_out, d_x);
    }
    fn adamw(
        step: AdamWStep,
        weights: &mut [Self],
        gradients: &[Self],
        first: &mut [Self],
        second: &mut [Self],
    ) {
        ptsm_kernels::adamw(isa(), step, weights, gradients, AdamWMoments { first, second });
    }

    fn transpose(rows: usize, columns: usize, x: &[Self], out: &mut [Self]) {
        let (from, to) = (Matrix::new(x, columns), MatrixMut::new(out, rows));
        ptsm_kernels::transpose(isa(), MatrixShape { rows, columns }, from, to);
    }
    fn softmax_rows(width: usize, x: &mut [Self]) {
        ptsm_kernels::softmax_rows(isa(), width, x);
    }
    fn softmax_rows_backward(width: usize, y: &[Self], d_y: &mut [Self]) {
        ptsm_kernels::softmax_rows_backward(isa(), width, y, d_y);
    }
    fn normalise_rows(width: usize, eps: Self, x: &[Self], z: &mut [Self], inverse: &mut [Self]) {
        ptsm_kernels::normalise_rows(isa(), width, eps, x, z, inverse);
    }
    fn normalise_rows_backward(width: usize, z: &[Self], inverse: &[Self], d: &mut [Self]) {
        ptsm_kernels::normalise_rows_backward(isa(), width, z, inverse, d);
    }
    fn affine_rows(z: &[Self], weight: &[Self], bias: &[Self], out: &mut [Self]) {
        ptsm_kernels::affine_rows(isa(), z, weight, bias, out);
    }
    fn affine_rows_backward(
        z: &[Self],
        weight: &[Self],
        d: &mut [Self],
        d_weight: &mut [Self],
        d_bias: &mut [Self],
    ) {
        let gradients = AffineGradients { weight: d_weight, bias: d_bias };
        ptsm_kernels::affine_rows_backward(isa(), z, weight, d, gradients);
    }
    fn dropout(key: u64, counter: u64, probability: f64, x: &mut [Self]) {
        ptsm_kernels::dropout(isa(), key, counter, probability as f32, x);
    }
}
