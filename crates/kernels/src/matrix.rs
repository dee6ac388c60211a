//! Shapes and views of matrices.

/// Rows and columns of a matrix; the columns are a multiple of [`Isa::lanes`], and every slice that
/// goes with it says how far apart its own rows stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Rows: the axis that is worked along.
    pub rows: usize,
    /// Columns, each worked on by itself.
    pub columns: usize,
}

impl Columns {
    pub(crate) fn check(self, lanes: usize, slices: &[(usize, usize)]) {
        assert!(self.rows > 0 && self.columns.is_multiple_of(lanes), "columns: shape");
        for &(len, pitch) in slices {
            assert!(len >= (self.rows - 1) * pitch + self.columns, "columns: length");
        }
    }
}
