//! Transposition in square blocks.

/// Side of a block: its rows and columns stay in the first-level cache.
const BLOCK: usize = 8;

/// `out[c, r] = x[r, c]`.
///
/// Shapes: `x` `[rows, columns]`, `out` `[columns, rows]`, row-major.
///
/// # Panics
///
/// If a length does not fit.
pub fn transpose(rows: usize, columns: usize, x: &[f32], out: &mut [f32]) {
    assert!(x.len() == rows * columns && out.len() == x.len(), "transpose");
    for first in (0..columns).step_by(BLOCK) {
        let width = BLOCK.min(columns - first);
        for c in first..first + width {
            let out = &mut out[c * rows..][..rows];
            for (out, x) in out.iter_mut().zip(x[c..].iter().step_by(columns)) {
                *out = *x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;

    #[test]
    fn rows_become_columns() {
        for (rows, columns) in [(1, 1), (1, 9), (9, 1), (7, 13), (64, 16), (16, 64), (17, 33)] {
            let x = numbers(1, rows * columns);
            let mut out = vec![0.0; x.len()];
            transpose(rows, columns, &x, &mut out);
            for r in 0..rows {
                for c in 0..columns {
                    assert_eq!(out[c * rows + r], x[r * columns + c]);
                }
            }
        }
    }
}
