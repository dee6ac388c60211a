//! Gradients of gated attention, `value * softmax(logits)`, along rows or down columns.

use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixShape};
use crate::vector::{UNROLL, Vector};

/// What the forward pass of a gate kept for its gradient.
#[derive(Debug, Clone, Copy)]
pub struct Gated<'a> {
    /// The input that was gated.
    pub value: &'a [f32],
    /// The softmax, as [`gate_rows_keeping`](crate::gate_rows_keeping) or
    /// [`gate_columns_keeping`](crate::gate_columns_keeping) leaves it.
    pub softmax: &'a [f32],
}

/// Gradients of the inputs of a gate; both are overwritten.
#[derive(Debug)]
pub struct GateGradients<'a> {
    /// Gradient of the input that was gated.
    pub value: &'a mut [f32],
    /// Gradient of the logits.
    pub logits: &'a mut [f32],
}

/// Gradient of a gate along rows of `pitch` elements: `d_value = d softmax` and
/// `d_logits = softmax (d value - sum(d value softmax))`, from the gradient `d` of its output.
///
/// All slices have the same length. Where the softmax is 0, as in the padding, so are both gradients.
///
/// # Panics
///
/// If a length does not fit.
pub fn gate_rows_backward(
    isa: Isa,
    pitch: usize,
    d: &[f32],
    gated: Gated<'_>,
    gradients: GateGradients<'_>,
) {
    let GateGradients { value: d_value, logits: d_logits } = gradients;
    let len = d.len();
    assert!(pitch.is_multiple_of(isa.lanes()) && pitch > 0 && len.is_multiple_of(pitch), "rows");
    let lengths = [gated.value.len(), gated.softmax.len(), d_value.len(), d_logits.len()];
    assert_eq!(lengths, [len; 4], "gate_rows_backward");
    isa.run(Rows { pitch, d, gated, d_value, d_logits });
}

struct Rows<'a> {
    pitch: usize,
    d: &'a [f32],
    gated: Gated<'a>,
    d_value: &'a mut [f32],
    d_logits: &'a mut [f32],
}

impl Op for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        let rows = self.d.len() / self.pitch;
        let mut row = 0;
        while row + UNROLL <= rows {
            self.rows::<V, UNROLL>(v, row);
            row += UNROLL;
        }
        while row < rows {
            self.rows::<V, 1>(v, row);
            row += 1;
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn rows<V: Vector, const ROWS: usize>(&mut self, v: V, row: usize) {
        let (pitch, place) = (self.pitch, row * self.pitch..(row + ROWS) * self.pitch);
        let (d, value) = (&self.d[place.clone()], &self.gated.value[place.clone()]);
        let softmax = &self.gated.softmax[place.clone()];
        let (d_value, d_logits) = (&mut self.d_value[place.clone()], &mut self.d_logits[place]);
        let mut sums = [v.splat(0.0); ROWS];
        for j in (0..pitch).step_by(V::LANES) {
            for (i, sum) in sums.iter_mut().enumerate() {
                let at = i * pitch + j;
                let part = v.mul(v.load(&d[at..]), v.load(&softmax[at..]));
                v.store(part, &mut d_value[at..]);
                *sum = v.mul_add(part, v.load(&value[at..]), *sum);
            }
        }
        for sum in &mut sums {
            *sum = v.splat(v.sum(*sum));
        }
        for j in (0..pitch).step_by(V::LANES) {
            for (i, &sum) in sums.iter().enumerate() {
                let at = i * pitch + j;
                // In this order a single logit, whose softmax is 1, gets a gradient of exactly 0.
                let slope = v.sub(v.mul(v.load(&d[at..]), v.load(&value[at..])), sum);
                v.store(v.mul(v.load(&softmax[at..]), slope), &mut d_logits[at..]);
            }
        }
    }
}

/// As [`gate_rows_backward`], down columns; all slices are matrices of the same pitch.
///
/// # Panics
///
/// If a length does not fit.
pub fn gate_columns_backward(
    isa: Isa,
    shape: MatrixShape,
    pitch: usize,
    d: &[f32],
    gated: Gated<'_>,
    gradients: GateGradients<'_>,
) {
    let GateGradients { value: d_value, logits: d_logits } = gradients;
    let slices = [d, gated.value, gated.softmax, &*d_value, &*d_logits];
    shape.check(isa.lanes(), &slices.map(|values| Matrix { values, pitch }));
    isa.run(Down { shape, pitch, d, gated, d_value, d_logits });
}

struct Down<'a> {
    shape: MatrixShape,
    pitch: usize,
    d: &'a [f32],
    gated: Gated<'a>,
    d_value: &'a mut [f32],
    d_logits: &'a mut [f32],
}

impl Op for Down<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        let wide = UNROLL * V::LANES;
        let mut column = 0;
        while column + wide <= self.shape.columns {
            self.strip::<V, UNROLL>(v, column);
            column += wide;
        }
        while column < self.shape.columns {
            self.strip::<V, 1>(v, column);
            column += V::LANES;
        }
    }
}

impl Down<'_> {
    #[inline(always)]
    fn strip<V: Vector, const WIDTH: usize>(&mut self, v: V, column: usize) {
        let mut sums = [v.splat(0.0); WIDTH];
        for r in 0..self.shape.rows {
            for (j, sum) in sums.iter_mut().enumerate() {
                let at = r * self.pitch + column + j * V::LANES;
                let part = v.mul(v.load(&self.d[at..]), v.load(&self.gated.softmax[at..]));
                v.store(part, &mut self.d_value[at..]);
                *sum = v.mul_add(part, v.load(&self.gated.value[at..]), *sum);
            }
        }
        for r in 0..self.shape.rows {
            for (j, &sum) in sums.iter().enumerate() {
                let at = r * self.pitch + column + j * V::LANES;
                let product = v.mul(v.load(&self.d[at..]), v.load(&self.gated.value[at..]));
                let softmax = v.load(&self.gated.softmax[at..]);
                v.store(v.mul(softmax, v.sub(product, sum)), &mut self.d_logits[at..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Write, gate_columns, gate_columns_keeping, gate_rows, gate_rows_keeping};
    use crate::matrix::{MatrixMut, PaddedRows};
    use crate::testing::{assert_close, numbers, with_canaries};

    /// `(d_value, d_logits)` of the elements `at(0)`, `at(1)`, ..., which share one softmax.
    fn reference(
        count: usize,
        at: impl Fn(usize) -> usize,
        d: &[f32],
        gated: Gated<'_>,
    ) -> Vec<(f64, f64)> {
        let wide = |x: &[f32], i: usize| f64::from(x[at(i)]);
        let sum: f64 =
            (0..count).map(|i| wide(d, i) * wide(gated.value, i) * wide(gated.softmax, i)).sum();
        let one = |i: usize| {
            let softmax = wide(gated.softmax, i);
            (wide(d, i) * softmax, softmax * (wide(d, i) * wide(gated.value, i) - sum))
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn the_gradient_along_rows_matches_the_reference() {
        for isa in Isa::available() {
            for (rows, registers) in (1..=9).map(|r| (r, 2)).chain((1..=9).map(|c| (6, c))) {
                let pitch = registers * isa.lanes();
                let len = rows * pitch;
                let (d, value, softmax) = (numbers(1, len), numbers(2, len), numbers(3, len));
                let gated = Gated { value: &value, softmax: &softmax };
                let zeros = vec![0.0; len];
                let run = |value: &mut [f32], logits: &mut [f32]| {
                    gate_rows_backward(isa, pitch, &d, gated, GateGradients { value, logits });
                };
                let d_value = with_canaries(&zeros, |out| run(out, &mut zeros.clone()));
                let d_logits = with_canaries(&zeros, |out| run(&mut zeros.clone(), out));
                let wanted: Vec<(f64, f64)> = (0..rows)
                    .flat_map(|r| reference(pitch, |i| r * pitch + i, &d, gated))
                    .collect();
                let name = format!("{} {rows} {pitch}", isa.name());
                let (values, logits): (Vec<f64>, Vec<f64>) = wanted.into_iter().unzip();
                assert_close(&d_value, &values, 1e-6, &name);
                assert_close(&d_logits, &logits, 2e-6, &name);
            }
        }
    }

    #[test]
    fn the_gradient_down_columns_matches_the_reference() {
        for isa in Isa::available() {
            for (rows, registers) in (1..=67).map(|r| (r, 1)).chain((0..=9).map(|c| (5, c))) {
                let columns = registers * isa.lanes();
                let (shape, pitch) = (MatrixShape { rows, columns }, columns + 3);
                let len = (rows - 1) * pitch + columns;
                let (d, value, softmax) = (numbers(1, len), numbers(2, len), numbers(3, len));
                let gated = Gated { value: &value, softmax: &softmax };
                let zeros = vec![0.0; len];
                let run = |value: &mut [f32], logits: &mut [f32]| {
                    let gradients = GateGradients { value, logits };
                    gate_columns_backward(isa, shape, pitch, &d, gated, gradients);
                };
                let d_value = with_canaries(&zeros, |out| run(out, &mut zeros.clone()));
                let d_logits = with_canaries(&zeros, |out| run(&mut zeros.clone(), out));
                let (mut values, mut logits) = (vec![0.0; len], vec![0.0; len]);
                for j in 0..columns {
                    let at = |i: usize| i * pitch + j;
                    for (i, (value, logit)) in
                        reference(rows, at, &d, gated).into_iter().enumerate()
                    {
                        (values[at(i)], logits[at(i)]) = (value, logit);
                    }
                }
                let name = format!("{} {rows} {columns}", isa.name());
                assert_close(&d_value, &values, 1e-6, &name);
                assert_close(&d_logits, &logits, 3e-6, &name);
            }
        }
    }

    #[test]
    fn a_gate_that_keeps_its_softmax_has_the_same_output() {
        for isa in Isa::available() {
            for width in 1..=67 {
                let pitch = isa.pad(width);
                let (start, value) = (numbers(1, 3 * pitch), numbers(2, 3 * pitch));
                let mut plain = numbers(3, 3 * pitch);
                let rows = PaddedRows { width, pitch };
                gate_rows(isa, rows, &mut start.clone(), &value, &mut plain, Write::Add);
                let softmax = with_canaries(&start, |logits| {
                    let mut out = numbers(3, 3 * pitch);
                    gate_rows_keeping(isa, rows, logits, &value, &mut out);
                    assert_eq!(out, plain, "{} {width}", isa.name());
                });
                for row in softmax.chunks_exact(pitch) {
                    assert!((row[..width].iter().sum::<f32>() - 1.0).abs() < 1e-5);
                    assert!(row[width..].iter().all(|&weight| weight == 0.0));
                }
                let shape = MatrixShape { rows: width, columns: 3 * isa.lanes() };
                let (pitch, len) = (shape.columns, width * shape.columns);
                let (start, value) = (numbers(1, len), numbers(2, len));
                let (mut plain, mut kept) = (numbers(3, len), numbers(3, len));
                let (mut logits, mut softmax) = (start.clone(), start);
                let value = Matrix::new(&value, pitch);
                let out = MatrixMut::new(&mut plain, pitch);
                gate_columns(
                    isa,
                    shape,
                    MatrixMut::new(&mut logits, pitch),
                    value,
                    out,
                    Write::Add,
                );
                let (logits, out) =
                    (MatrixMut::new(&mut softmax, pitch), MatrixMut::new(&mut kept, pitch));
                gate_columns_keeping(isa, shape, logits, value, out, Write::Add);
                assert_eq!(kept, plain, "{} {width}", isa.name());
                for j in 0..pitch {
                    let sum: f32 = (0..width).map(|r| softmax[r * pitch + j]).sum();
                    assert!((sum - 1.0).abs() < 1e-5);
                }
            }
        }
    }
}
