//! Gated attention of the mixer blocks: `value * softmax(logits)`, along rows or down columns.

use crate::exp::exp2;
use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, MatrixShape, PaddedRows};
use crate::vector::{UNROLL, Vector};

/// `log2(e)`: the softmax is computed with base 2.
const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// How a kernel writes its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// `out = result`.
    Overwrite,
    /// `out += result`.
    Add,
}

/// Gates rows: `out = value * softmax(logits)` along each row, or `out +=` that.
///
/// All three matrices have the layout `rows`, whose pitch is a multiple of [`Isa::lanes`]. `logits` is
/// overwritten with intermediate results. The padding of `out` is left as it is by [`Write::Add`]
/// and set to 0 by [`Write::Overwrite`].
///
/// # Panics
///
/// If a length does not fit.
pub fn gate_rows(
    isa: Isa,
    rows: PaddedRows,
    logits: &mut [f32],
    value: &[f32],
    out: &mut [f32],
    write: Write,
) {
    let add = write == Write::Add;
    GateRows { rows, logits, value, out, add, keep: false }.check_and_run(isa);
}

/// As [`gate_rows`] with [`Write::Add`], and leaves the softmax in `logits` for
/// [`gate_rows_backward`](crate::gate_rows_backward); its padding is 0.
///
/// # Panics
///
/// If a length does not fit.
pub fn gate_rows_keeping(
    isa: Isa,
    rows: PaddedRows,
    logits: &mut [f32],
    value: &[f32],
    out: &mut [f32],
) {
    GateRows { rows, logits, value, out, add: true, keep: true }.check_and_run(isa);
}

struct GateRows<'a> {
    rows: PaddedRows,
    logits: &'a mut [f32],
    value: &'a [f32],
    out: &'a mut [f32],
    add: bool,
    keep: bool,
}

impl Op for GateRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(mut self, v: V) {
        let rows = self.logits.len() / self.rows.pitch;
        let mut row = 0;
        while row + UNROLL <= rows {
            self.gate::<V, UNROLL>(v, row);
            row += UNROLL;
        }
        while row < rows {
            self.gate::<V, 1>(v, row);
            row += 1;
        }
    }
}

impl GateRows<'_> {
    fn check_and_run(self, isa: Isa) {
        let PaddedRows { width, pitch } = self.rows;
        let lengths = [self.value.len(), self.out.len()];
        assert!(pitch.is_multiple_of(isa.lanes()), "gate_rows: pitch");
        assert!(0 < width && width <= pitch, "gate_rows: width");
        assert!(self.logits.len().is_multiple_of(pitch), "gate_rows: rows");
        assert_eq!(lengths, [self.logits.len(); 2], "gate_rows: lengths");
        isa.run(self);
    }

    /// `ROWS` rows together, so that the latency of one row's sums is hidden by the others.
    #[inline(always)]
    fn gate<V: Vector, const ROWS: usize>(&mut self, v: V, row: usize) {
        let PaddedRows { width, pitch } = self.rows;
        let start = row * pitch;
        let logits = &mut self.logits[start..start + ROWS * pitch];
        let value = &self.value[start..start + ROWS * pitch];
        let out = &mut self.out[start..start + ROWS * pitch];
        // The padding must not count: not in the maximum, not in the sum, and it adds 0 to `out`.
        fill_padding::<ROWS>(logits, width, pitch, f32::MIN);
        let mut largest = [v.splat(f32::MIN); ROWS];
        for j in (0..pitch).step_by(V::LANES) {
            for (i, largest) in largest.iter_mut().enumerate() {
                *largest = v.max(*largest, v.load(&logits[i * pitch + j..]));
            }
        }
        for largest in &mut largest {
            *largest = v.splat(v.largest(*largest));
        }
        let mut sums = [v.splat(0.0); ROWS];
        for j in (0..pitch).step_by(V::LANES) {
            for (i, sum) in sums.iter_mut().enumerate() {
                let logits = &mut logits[i * pitch + j..];
                let distance = v.sub(v.load(logits), largest[i]);
                let e = exp2(v, v.mul(distance, v.splat(LOG2_E)));
                *sum = v.add(*sum, e);
                v.store(e, logits);
            }
        }
        // Each padding element added 2^-126 to its row's sum, which is lost in a sum of 1 or more.
        fill_padding::<ROWS>(logits, width, pitch, 0.0);
        for sum in &mut sums {
            *sum = v.splat(1.0 / v.sum(*sum));
        }
        for j in (0..pitch).step_by(V::LANES) {
            for (i, &inverse) in sums.iter().enumerate() {
                let at = i * pitch + j;
                let weight = v.mul(v.load(&logits[at..]), inverse);
                if self.keep {
                    v.store(weight, &mut logits[at..]);
                }
                let onto = if self.add { v.load(&out[at..]) } else { v.splat(0.0) };
                v.store(v.mul_add(v.load(&value[at..]), weight, onto), &mut out[at..]);
            }
        }
    }
}

fn fill_padding<const ROWS: usize>(x: &mut [f32], width: usize, pitch: usize, fill: f32) {
    if width < pitch {
        for row in x.chunks_exact_mut(pitch).take(ROWS) {
            row[width..].fill(fill);
        }
    }
}

/// Gates columns: `out = value * softmax(logits)` down each column, or `out +=` that.
///
/// `logits` is overwritten with intermediate results.
///
/// # Panics
///
/// If a length does not fit.
pub fn gate_columns(
    isa: Isa,
    shape: MatrixShape,
    logits: MatrixMut<'_>,
    value: Matrix<'_>,
    out: MatrixMut<'_>,
    write: Write,
) {
    shape.check(isa.lanes(), &[logits.view(), value, out.view()]);
    let (add, keep) = (write == Write::Add, false);
    isa.run(GateColumns { shape, logits, value, out, add, keep });
}

/// As [`gate_columns`], and leaves the softmax in `logits` for
/// [`gate_columns_backward`](crate::gate_columns_backward).
///
/// # Panics
///
/// If a length does not fit.
pub fn gate_columns_keeping(
    isa: Isa,
    shape: MatrixShape,
    logits: MatrixMut<'_>,
    value: Matrix<'_>,
    out: MatrixMut<'_>,
    write: Write,
) {
    shape.check(isa.lanes(), &[logits.view(), value, out.view()]);
    let (add, keep) = (write == Write::Add, true);
    isa.run(GateColumns { shape, logits, value, out, add, keep });
}

struct GateColumns<'a> {
    shape: MatrixShape,
    logits: MatrixMut<'a>,
    value: Matrix<'a>,
    out: MatrixMut<'a>,
    add: bool,
    keep: bool,
}

impl Op for GateColumns<'_> {
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

impl GateColumns<'_> {
    #[inline(always)]
    fn strip<V: Vector, const WIDTH: usize>(&mut self, v: V, column: usize) {
        let strip = self.logits.at(column);
        let inverse_sums = softmax_strip::<V, WIDTH>(v, self.shape.rows, strip);
        // Slices of constant length: the inner loops unroll and need no bounds checks.
        let wide = WIDTH * V::LANES;
        for d in 0..self.shape.rows {
            let e = &mut self.logits.values[d * self.logits.pitch + column..][..wide];
            let value = &self.value.values[d * self.value.pitch + column..][..wide];
            let out = &mut self.out.values[d * self.out.pitch + column..][..wide];
            let places = e.chunks_exact_mut(V::LANES).zip(value.chunks_exact(V::LANES));
            let places = places.zip(out.chunks_exact_mut(V::LANES));
            for (&inverse, ((e, value), out)) in inverse_sums.iter().zip(places) {
                let weight = v.mul(v.load(e), inverse);
                if self.keep {
                    v.store(weight, e);
                }
                let onto = if self.add { v.load(out) } else { v.splat(0.0) };
                v.store(v.mul_add(v.load(value), weight, onto), out);
            }
        }
    }
}

/// Replaces the logits by their exponentials, and returns the reciprocals of the columns' sums.
#[inline(always)]
fn softmax_strip<V: Vector, const WIDTH: usize>(
    v: V,
    rows: usize,
    logits: MatrixMut<'_>,
) -> [V::F; WIDTH] {
    let MatrixMut { values: logits, pitch } = logits;
    let wide = WIDTH * V::LANES;
    let mut largest = [v.splat(f32::MIN); WIDTH];
    for d in 0..rows {
        let x = logits[d * pitch..][..wide].chunks_exact(V::LANES);
        for (largest, x) in largest.iter_mut().zip(x) {
            *largest = v.max(*largest, v.load(x));
        }
    }
    let mut sums = [v.splat(0.0); WIDTH];
    for d in 0..rows {
        let logits = logits[d * pitch..][..wide].chunks_exact_mut(V::LANES);
        for ((sum, &largest), x) in sums.iter_mut().zip(&largest).zip(logits) {
            let distance = v.sub(v.load(x), largest);
            let e = exp2(v, v.mul(distance, v.splat(LOG2_E)));
            *sum = v.add(*sum, e);
            v.store(e, x);
        }
    }
    for sum in &mut sums {
        *sum = v.div(v.splat(1.0), *sum);
    }
    sums
}

/// Softmax down each column, in place.
///
/// # Panics
///
/// If a length does not fit.
pub fn softmax_columns(isa: Isa, shape: MatrixShape, x: MatrixMut<'_>) {
    shape.check(isa.lanes(), &[x.view()]);
    isa.run(SoftmaxColumns { shape, x });
}

struct SoftmaxColumns<'a> {
    shape: MatrixShape,
    x: MatrixMut<'a>,
}

impl Op for SoftmaxColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        for column in (0..self.shape.columns).step_by(V::LANES) {
            let (x, pitch) = (&mut self.x.values[column..], self.x.pitch);
            let strip = MatrixMut::new(x, pitch);
            let [inverse] = softmax_strip::<V, 1>(v, self.shape.rows, strip);
            for d in 0..self.shape.rows {
                let x = &mut x[d * pitch..][..V::LANES];
                v.store(v.mul(v.load(x), inverse), x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, with_canaries};

    /// Element `at` of the softmax of `count` logits; `logit(i)` is the i-th.
    fn softmax(count: usize, at: usize, logit: impl Fn(usize) -> f32) -> f64 {
        let max = (0..count).map(&logit).fold(f32::MIN, f32::max);
        let e = |i: usize| libm::exp(f64::from(logit(i)) - f64::from(max));
        e(at) / (0..count).map(e).sum::<f64>()
    }

    #[test]
    fn rows_of_every_width_are_gated() {
        for isa in Isa::available() {
            for width in 1..=67 {
                for write in [Write::Overwrite, Write::Add] {
                    let add = write == Write::Add;
                    let pitch = isa.pad(width) + isa.lanes();
                    let len = 3 * pitch;
                    let (logits, value, out) = (numbers(1, len), numbers(2, len), numbers(3, len));
                    let got = with_canaries(&out, |out| {
                        let mut logits = logits.clone();
                        let rows = PaddedRows { width, pitch };
                        gate_rows(isa, rows, &mut logits, &value, out, write);
                    });
                    let wanted: Vec<f64> = (0..len)
                        .map(|at| {
                            let (row, j) = (at / pitch * pitch, at % pitch);
                            let onto = if add { f64::from(out[at]) } else { 0.0 };
                            if j >= width {
                                return onto;
                            }
                            let logit = |i: usize| logits[row + i];
                            onto + f64::from(value[at]) * softmax(width, j, logit)
                        })
                        .collect();
                    assert_close(&got, &wanted, 1e-6, &format!("{} {width}", isa.name()));
                }
            }
        }
    }

    #[test]
    fn columns_of_every_height_are_gated() {
        for isa in Isa::available() {
            for rows in 1..=67 {
                for (registers, write) in [(1, Write::Add), (3, Write::Overwrite), (5, Write::Add)]
                {
                    let add = write == Write::Add;
                    let columns = registers * isa.lanes();
                    let (pitch, value_pitch, out_pitch) = (columns + 2, columns, columns + 1);
                    let (logits, value) =
                        (numbers(1, rows * pitch), numbers(2, rows * value_pitch));
                    let out = numbers(3, (rows - 1) * out_pitch + columns);
                    let got = with_canaries(&out, |out| {
                        let mut logits = logits.clone();
                        let shape = MatrixShape { rows, columns };
                        let logits = MatrixMut::new(&mut logits, pitch);
                        let value = Matrix::new(&value, value_pitch);
                        let out = MatrixMut::new(out, out_pitch);
                        gate_columns(isa, shape, logits, value, out, write);
                    });
                    let wanted: Vec<f64> = (0..out.len())
                        .map(|at| {
                            let (d, j) = (at / out_pitch, at % out_pitch);
                            let before = f64::from(out[at]);
                            if j >= columns {
                                return before;
                            }
                            let onto = if add { before } else { 0.0 };
                            let logit = |i: usize| logits[i * pitch + j];
                            onto + f64::from(value[d * value_pitch + j]) * softmax(rows, d, logit)
                        })
                        .collect();
                    assert_close(&got, &wanted, 1e-6, &format!("{} {rows}", isa.name()));
                }
            }
        }
    }

    #[test]
    fn columns_sum_to_one_and_huge_logits_do_not_overflow() {
        for isa in Isa::available() {
            let columns = 2 * isa.lanes();
            let mut x = numbers(1, 7 * columns);
            x[..columns].fill(1e30);
            x[columns..2 * columns].fill(1e30);
            x[2 * columns..3 * columns].fill(-1e30);
            let shape = MatrixShape { rows: 7, columns };
            softmax_columns(isa, shape, MatrixMut::new(&mut x, columns));
            assert!(x[..2 * columns].iter().all(|&x| x == 0.5), "{}", isa.name());
            assert!(x[2 * columns..].iter().all(|&x| (0.0..1e-30).contains(&x)));
            let mut logits = vec![1e30; isa.lanes()];
            logits[1..].fill(-1e30);
            let (value, mut out) = (vec![2.0; isa.lanes()], vec![0.0; isa.lanes()]);
            let rows = PaddedRows { width: isa.lanes(), pitch: isa.lanes() };
            gate_rows(isa, rows, &mut logits, &value, &mut out, Write::Add);
            assert_eq!(out[0], 2.0);
        }
    }
}
