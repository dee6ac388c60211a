//! Transposition, in squares of a register's width.

use crate::isa::{Isa, Op};
use crate::vector::Vector;

/// `out[c, r] = x[r, c]` for `rows` rows and `columns` columns of `x`; each matrix comes with what
/// its rows start apart.
///
/// # Panics
///
/// If a slice is too short or its rows overlap.
pub fn transpose(
    isa: Isa,
    (rows, columns): (usize, usize),
    (x, pitch): (&[f32], usize),
    (out, out_pitch): (&mut [f32], usize),
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(pitch >= columns && x.len() >= (rows - 1) * pitch + columns, "transpose: from");
    assert!(out_pitch >= rows && out.len() >= (columns - 1) * out_pitch + rows, "transpose: to");
    isa.run(Transpose { rows, columns, x, pitch, out, out_pitch });
}

struct Transpose<'a> {
    rows: usize,
    columns: usize,
    x: &'a [f32],
    pitch: usize,
    out: &'a mut [f32],
    out_pitch: usize,
}

impl Op for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, v: V) {
        let Self { rows, columns, x, pitch, out, out_pitch } = self;
        let whole = (rows / V::LANES * V::LANES, columns / V::LANES * V::LANES);
        for r in (0..whole.0).step_by(V::LANES) {
            for c in (0..whole.1).step_by(V::LANES) {
                let from = (&x[r * pitch + c..], pitch);
                v.transpose_square(from, (&mut out[c * out_pitch + r..], out_pitch));
            }
        }
        // Rows and columns that fill no square.
        for r in 0..rows {
            let first = if r < whole.0 { whole.1 } else { 0 };
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
                    transpose(isa, (rows, columns), (&x, pitch), (out, out_pitch));
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
