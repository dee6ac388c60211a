//! A tensor of the emulator, held with its padding.

use super::rounding::round;
use crate::program::{DataType, padded};

/// Value of padding that no operation defines: large, so that using it shows in the results, and
/// finite, as the remains of other tensors in memory are.
pub const GARBAGE: f32 = -3.3e4;

/// Numbers of a tensor in row-major order, every matrix padded to whole tiles.
#[derive(Debug, Clone)]
pub(crate) struct TileTensor {
    /// Logical.
    pub(super) shape: [usize; 4],
    pub(super) values: Vec<f32>,
}

impl TileTensor {
    /// All numbers, padding included, are `value`.
    pub(super) fn filled(shape: [usize; 4], value: f32) -> Self {
        Self { shape, values: vec![value; padded(shape).iter().product()] }
    }

    /// `values` as they are after an upload: rounded, padded with zeros.
    pub(crate) fn upload(shape: [usize; 4], dtype: DataType, values: &[f32]) -> Self {
        let mut tensor = Self::filled(shape, 0.0);
        tensor.write(values);
        round(dtype, &mut tensor.values);
        tensor
    }

    /// The numbers without padding.
    pub(crate) fn download(&self) -> Vec<f32> {
        let [.., rows, columns] = self.shape;
        let width = self.width();
        let mut out = Vec::with_capacity(self.shape.iter().product());
        for matrix in self.matrices() {
            for row in matrix.chunks_exact(width).take(rows) {
                out.extend_from_slice(&row[..columns]);
            }
        }
        out
    }

    /// Writes everything but the padding.
    pub(super) fn write(&mut self, values: &[f32]) {
        let [.., rows, columns] = self.shape;
        let (size, width) = (self.matrix_len(), self.width());
        let mut values = values.chunks_exact(columns);
        for matrix in self.values.chunks_exact_mut(size) {
            for (row, from) in matrix.chunks_exact_mut(width).take(rows).zip(&mut values) {
                row[..columns].copy_from_slice(from);
            }
        }
    }

    /// Numbers in a padded row.
    pub(super) fn width(&self) -> usize {
        padded(self.shape)[3]
    }

    /// Rows of a padded matrix.
    pub(super) fn height(&self) -> usize {
        padded(self.shape)[2]
    }

    /// Numbers of a padded matrix.
    pub(super) fn matrix_len(&self) -> usize {
        self.width() * self.height()
    }

    /// The padded matrices, one after the other.
    pub(super) fn matrices(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.matrix_len())
    }
}
