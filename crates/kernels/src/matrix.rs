//! Shapes and views of matrices: rows of contiguous elements that start one pitch apart.

/// Rows and columns of a matrix.
///
/// Kernels whose name ends in `_columns` work on whole registers of neighbouring columns: their
/// columns have to be a multiple of [`Isa::lanes`](crate::Isa::lanes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixShape {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

impl MatrixShape {
    /// Panics unless there are rows, the columns fill whole registers, and each of `matrices` holds
    /// a matrix of this shape.
    pub(crate) fn check(self, lanes: usize, matrices: &[Matrix<'_>]) {
        assert!(self.rows > 0 && self.columns.is_multiple_of(lanes), "columns: shape");
        for Matrix { values, pitch } in matrices {
            assert!(values.len() >= (self.rows - 1) * pitch + self.columns, "columns: length");
        }
    }
}

/// Shape of a matrix product `C[rows, columns] = A[rows, inner] B[inner, columns]`: m, n and k of
/// BLAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProductShape {
    /// Rows of A and of the product.
    pub rows: usize,
    /// Columns of B and of the product.
    pub columns: usize,
    /// Columns of A and rows of B: the axis that is summed over.
    pub inner: usize,
}

/// A matrix to read: element `[r, c]` is `values[r * pitch + c]`.
///
/// The pitch (the leading dimension of BLAS) may be greater than the number of columns: the elements
/// in between are padding, or belong to a larger matrix.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The elements, from the first of the first row on.
    pub values: &'a [f32],
    /// Distance from the start of one row to the start of the next.
    pub pitch: usize,
}

impl<'a> Matrix<'a> {
    /// A view of `values` whose rows start `pitch` apart.
    #[inline(always)]
    pub fn new(values: &'a [f32], pitch: usize) -> Self {
        Self { values, pitch }
    }
}

/// A matrix to write; the layout is that of [`Matrix`].
#[derive(Debug)]
pub struct MatrixMut<'a> {
    /// The elements, from the first of the first row on.
    pub values: &'a mut [f32],
    /// Distance from the start of one row to the start of the next.
    pub pitch: usize,
}

impl<'a> MatrixMut<'a> {
    /// A view of `values` whose rows start `pitch` apart.
    #[inline(always)]
    pub fn new(values: &'a mut [f32], pitch: usize) -> Self {
        Self { values, pitch }
    }

    /// The matrix from element `start` on.
    #[inline(always)]
    pub(crate) fn at(&mut self, start: usize) -> MatrixMut<'_> {
        MatrixMut { values: &mut self.values[start..], pitch: self.pitch }
    }

    /// The same matrix, to read.
    #[inline(always)]
    pub fn view(&self) -> Matrix<'_> {
        Matrix { values: self.values, pitch: self.pitch }
    }
}

/// A matrix to read with a stride for each axis, so that a transposed matrix needs no copy: element
/// `[i, j]` is `values[i * row + j * step]`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// The elements, from `[0, 0]` on.
    pub values: &'a [f32],
    /// Distance from one row to the next: the stride of `i`.
    pub row: usize,
    /// Distance from one element of a row to the next: the stride of `j`.
    pub step: usize,
}

/// Every `stride`-th element of a slice: `values[offset + t * stride]`, such as one column of a
/// row-major table.
#[derive(Debug, Clone, Copy)]
pub struct StridedSlice<'a> {
    /// The elements that it is taken from.
    pub values: &'a [f32],
    /// Index of the first element taken.
    pub offset: usize,
    /// Distance from one element taken to the next.
    pub stride: usize,
}

/// Rows of `width` elements, padded to `pitch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaddedRows {
    /// Elements of a row.
    pub width: usize,
    /// Distance from the start of one row to the start of the next, at least `width`.
    pub pitch: usize,
}
