//! The bytes of a bfloat16 tensor in the order in which a device holds them.
//!
//! Rows that are not in tiles follow each other. A tile of 32 x 32 is four faces of 16 x 16, the upper two before the
//! lower two; tiles follow each other row by row, and what is outside the shape is 0.

use super::tensor::{DataType, Layout, TILE, TensorSpec};

/// Side of a face.
const FACE: usize = TILE / 2;
/// Bytes of a number.
const WIDTH: usize = 2;

/// The nearest bfloat16, as its bits; ties go to the even one.
pub(crate) fn bfloat16_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        // Cut off, the mantissa could be 0, which is an infinity.
        return (bits >> 16) as u16 | 0x40;
    }
    let odd = (bits >> 16) & 1;
    ((bits + (0x7FFF + odd)) >> 16) as u16
}

/// The number that these bits are.
pub(crate) fn from_bfloat16_bits(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

impl TensorSpec {
    /// Bytes of the host's copy: as in [`TensorSpec::bytes`], but rows that are not in tiles are not padded.
    pub(crate) fn host_bytes(&self) -> usize {
        match self.layout {
            Layout::Tile => self.bytes(),
            Layout::RowMajor => self.volume() * self.dtype.tile_bytes() / (TILE * TILE),
        }
    }

    /// Whether host and device exchange it as bytes of this module.
    pub(crate) fn is_exchanged_as_bytes(&self) -> bool {
        self.dtype == DataType::Bfloat16
    }

    /// Appends the bytes of row-major `values` to `out`, rounded.
    pub(crate) fn pack(&self, values: &[f32], out: &mut Vec<u8>) {
        debug_assert!(self.is_exchanged_as_bytes() && values.len() == self.volume());
        let start = out.len();
        out.resize(start + self.host_bytes(), 0);
        let to = &mut out[start..];
        match self.layout {
            Layout::RowMajor => round_into(values, to),
            Layout::Tile => {
                self.each_run(|from, at, count| {
                    round_into(&values[from..][..count], &mut to[at * WIDTH..][..count * WIDTH]);
                });
            }
        }
    }

    /// The row-major numbers of `bytes`, without padding.
    pub(crate) fn unpack(&self, bytes: &[u8]) -> Vec<f32> {
        debug_assert!(self.is_exchanged_as_bytes() && bytes.len() == self.host_bytes());
        let mut out = vec![0.0; self.volume()];
        match self.layout {
            Layout::RowMajor => widen_into(bytes, &mut out),
            Layout::Tile => {
                self.each_run(|to, at, count| {
                    widen_into(&bytes[at * WIDTH..][..count * WIDTH], &mut out[to..][..count]);
                });
            }
        }
        out
    }

    /// Calls `run` with every piece of a row that lies in one face: its place among the row-major numbers, its
    /// place among those of the device, and its length.
    fn each_run(&self, mut run: impl FnMut(usize, usize, usize)) {
        let [a, b, rows, columns] = self.shape;
        let [.., padded_rows, padded_columns] = self.padded();
        let across = padded_columns / TILE;
        for matrix in 0..a * b {
            for row in 0..rows {
                let line = matrix * padded_rows * padded_columns
                    + row / TILE * across * TILE * TILE
                    + row % TILE / FACE * TILE * FACE
                    + row % FACE * FACE;
                let from = (matrix * rows + row) * columns;
                for column in (0..columns).step_by(FACE) {
                    let face = column / TILE * TILE * TILE + column % TILE / FACE * FACE * FACE;
                    run(from + column, line + face, FACE.min(columns - column));
                }
            }
        }
    }
}

fn round_into(values: &[f32], to: &mut [u8]) {
    for (&x, to) in values.iter().zip(to.chunks_exact_mut(WIDTH)) {
        to.copy_from_slice(&bfloat16_bits(x).to_le_bytes());
    }
}

fn widen_into(bytes: &[u8], to: &mut [f32]) {
    for (bytes, to) in bytes.chunks_exact(WIDTH).zip(to) {
        *to = from_bfloat16_bits(u16::from_le_bytes([bytes[0], bytes[1]]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{MemoryConfig, Role};

    fn spec(shape: [usize; 4], layout: Layout) -> TensorSpec {
        let (dtype, memory) = (DataType::Bfloat16, MemoryConfig::DRAM);
        TensorSpec { name: "x".into(), shape, dtype, layout, memory, role: Role::Input }
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_even() {
        let of = |x: f32| from_bfloat16_bits(bfloat16_bits(x));
        assert_eq!((of(1.0), of(-2.5), of(0.0)), (1.0, -2.5, 0.0));
        // The next after 1 is 1 + 2^-7: halfway goes to the even one.
        assert_eq!(of(1.0 + 2.0_f32.powi(-8)), 1.0);
        assert_eq!(of(1.0 + 3.0 * 2.0_f32.powi(-8)), 1.0 + 2.0 * 2.0_f32.powi(-7));
        assert_eq!(of(f32::INFINITY), f32::INFINITY);
        assert_eq!(of(f32::MAX), f32::INFINITY);
        assert!(of(f32::from_bits(0x7F80_0001)).is_nan() && of(-f32::NAN).is_nan());
    }

    #[test]
    fn a_tile_is_four_faces() {
        let spec = spec([1, 1, 20, 40], Layout::Tile);
        let values: Vec<f32> = (0..800).map(|i| (i % 251) as f32).collect();
        let mut bytes = Vec::new();
        spec.pack(&values, &mut bytes);
        assert_eq!(bytes.len(), 2 * 2048);
        let at = |place: usize| {
            from_bfloat16_bits(u16::from_le_bytes([bytes[2 * place], bytes[2 * place + 1]]))
        };
        let value = |row: usize, column: usize| values[row * 40 + column];
        // The second face is right of the first, the third below it; the second tile follows.
        assert_eq!(at(0), value(0, 0));
        assert_eq!(at(17), value(1, 1));
        assert_eq!(at(256), value(0, 16));
        assert_eq!(at(512), value(16, 0));
        assert_eq!(at(768 + 16), value(17, 16));
        assert_eq!(at(1024 + 7), value(0, 39));
        assert_eq!((at(1024 + 8), at(512 + 4 * 16)), (0.0, 0.0));
    }

    #[test]
    fn what_was_packed_comes_back() {
        let odd = [[2, 3, 5, 7], [1, 2, 33, 65], [3, 1, 32, 32], [1, 1, 1, 1]];
        for (shape, layout) in odd
            .into_iter()
            .flat_map(|shape| [Layout::Tile, Layout::RowMajor].map(|layout| (shape, layout)))
        {
            let spec = spec(shape, layout);
            let values: Vec<f32> = (0..spec.volume()).map(|i| (i % 199) as f32 - 90.0).collect();
            let mut bytes = vec![7; 3];
            spec.pack(&values, &mut bytes);
            assert_eq!(bytes.len(), 3 + spec.host_bytes());
            assert_eq!(spec.unpack(&bytes[3..]), values);
        }
    }
}
