//! Solving with a symmetric positive definite matrix, in double precision.

/// Lower triangle `l` with `l l^T = matrix`.
pub(crate) struct Cholesky {
    size: usize,
    /// `[size, size]`, row-major; what is above the diagonal has no meaning.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors a `[size, size]` matrix of which the lower triangle is read; `None` if it is not
    /// positive definite.
    pub(crate) fn factor(mut matrix: Vec<f64>, size: usize) -> Option<Self> {
        assert_eq!(matrix.len(), size * size, "cholesky: the matrix is not square");
        for i in 0..size {
            let (above, rest) = matrix.split_at_mut(i * size);
            let row = &mut rest[..size];
            for j in 0..i {
                let other = &above[j * size..(j + 1) * size];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let square = row[i] - dot(&row[..i], &row[..i]);
            // Also false for NaN.
            if !(square > 0.0 && square.is_finite()) {
                return None;
            }
            row[i] = square.sqrt();
        }
        Some(Self { size, lower: matrix })
    }

    /// Solves for `[size, columns]` right-hand sides, row-major, in place.
    pub(crate) fn solve(&self, right: &mut [f64], columns: usize) {
        let size = self.size;
        assert_eq!(right.len(), size * columns, "cholesky: wrong right-hand side");
        for i in 0..size {
            let factors = &self.lower[i * size..(i + 1) * size];
            let (above, rest) = right.split_at_mut(i * columns);
            let row = &mut rest[..columns];
            for (other, factor) in above.chunks_exact(columns).zip(factors) {
                add_scaled(row, -factor, other);
            }
            row.iter_mut().for_each(|value| *value /= factors[i]);
        }
        for i in (0..size).rev() {
            let factors = &self.lower[i * size..(i + 1) * size];
            let (above, rest) = right.split_at_mut(i * columns);
            let row = &mut rest[..columns];
            row.iter_mut().for_each(|value| *value /= factors[i]);
            for (other, factor) in above.chunks_exact_mut(columns).zip(factors) {
                add_scaled(other, -factor, row);
            }
        }
    }
}

/// `into += factor * values`.
#[inline]
pub(super) fn add_scaled(into: &mut [f64], factor: f64, values: &[f64]) {
    for (into, value) in into.iter_mut().zip(values) {
        *into += factor * value;
    }
}

/// Inner product in eight interleaved sums, so that the compiler may use vectors.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a_blocks, a_rest) = a.as_chunks::<8>();
    let (b_blocks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worked_example_is_solved() {
        // [[4, 2], [2, 5]] x = [[8, 2], [9, 9]] gives [[1.375, -0.5], [1.25, 2]].
        let cholesky = Cholesky::factor(vec![4.0, 2.0, 2.0, 5.0], 2).unwrap();
        let mut right = vec![8.0, 2.0, 9.0, 9.0];
        cholesky.solve(&mut right, 2);
        let want = [1.375, -0.5, 1.25, 2.0];
        assert!(right.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-15), "{right:?}");
    }

    #[test]
    fn a_larger_system_is_solved_to_rounding() {
        let (size, columns) = (37, 3);
        let entry = |i: usize, j: usize| 1.0 / (1 + i.abs_diff(j)) as f64;
        let matrix: Vec<f64> = (0..size * size)
            .map(|at| entry(at / size, at % size) + f64::from(u8::from(at / size == at % size)))
            .collect();
        let want: Vec<f64> = (0..size * columns).map(|i| (i as f64 * 0.7).sin()).collect();
        let mut right = vec![0.0; size * columns];
        for i in 0..size {
            for j in 0..size {
                let (into, from) = (i * columns, j * columns);
                let row = &want[from..from + columns];
                add_scaled(&mut right[into..into + columns], matrix[i * size + j], row);
            }
        }
        Cholesky::factor(matrix, size).unwrap().solve(&mut right, columns);
        assert!(right.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-13));
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        assert!(Cholesky::factor(vec![1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::factor(vec![f64::NAN], 1).is_none());
    }
}
