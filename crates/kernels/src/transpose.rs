//! Matrix transposition, in square blocks of a register's width.

use crate::isa::{Isa, Op};
use crate::matrix::{Matrix, MatrixMut, MatrixShape};
use crate::vector::Vector;

/// `out[c, r] = x[r, c]`; `shape` is that of `x`, and may have any number of columns.
///
/// # Panics
///
/// If a slice is too short or its rows overlap.
pub fn transpose(isa: Isa, shape: MatrixShape, x: Matrix<'_>, out: MatrixMut<'_>) {
    let MatrixShape { rows, columns } = shape;
    if rows == 0 || columns == 0 {
        return;
    }
    let from = x.pitch >= columns && x.values.len() >= (rows - 1) * x.pitch + columns;
    assert!(from, "transpose: from");
    let to = out.pitch >= rows && out.values.len() >= (columns - 1) * out.pitch + rows;
    assert!(to, "transpose: to");
    isa.run(Transpose { shape, x, out });
}

struct Transpose<'a> {
    shape: MatrixShape,
    x: Matrix<'a>,
    out: MatrixMut<'a>,
}

impl Op for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let MatrixShape { rows, columns } = self.shape;
        let Matrix { values: x, pitch } = self.x;
        let MatrixMut { values: out, pitch: out_pitch } = self.out;
        let (whole_rows, whole_columns) =
            (rows / V::LANES * V::LANES, columns / V::LANES * V::LANES);
        for r in (0..whole_rows).step_by(V::LANES) {
            for c in (0..whole_columns).step_by(V::LANES) {
                let from = Matrix::new(&x[r * pitch + c..], pitch);
                let to = MatrixMut::new(&mut out[c * out_pitch + r..], out_pitch);
                v.transpose_square(from, to);
            }
        }
        // The remaining rows and columns, which fill no block.
        for r in 0..rows {
            let first = if r < whole_rows { whole_columns } else { 0 };
            for c in first..columns {
                out[c * out_pitch + r] = x[r * pitch + c];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, with_canaries};

    #[test]
    fn rows_become_columns() {
        let odd = [(1, 1), (1, 9), (9, 1), (7, 13), (64, 16), (16, 64), (17, 33), (48, 35), (0, 3)];
        for isa in Isa::available() {
            for (rows, columns) in odd {
                let (pitch, out_pitch) = (columns + 2, rows + 3);
                let x = numbers(1, rows * pitch);
                let before = numbers(2, columns * out_pitch);
                let out = with_canaries(&before, |out| {
                    let shape = MatrixShape { rows, columns };
                    transpose(isa, shape, Matrix::new(&x, pitch), MatrixMut::new(out, out_pitch));
                });
                for (at, &got) in out.iter().enumerate() {
                    let (c, r) = (at / out_pitch, at % out_pitch);
                    let wanted = if r < rows { x[r * pitch + c] } else { before[at] };
                    assert_eq!(got, wanted, "{} {rows} {columns}", isa.name());
                }
            }
        }
    }
}
