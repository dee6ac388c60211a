//! The sizes of the embedding kernel (`worker/kernels/embed.cpp`), which cuts windows into patches
//! on the device.

use serde::{Deserialize, Serialize};

use super::TILE;

/// How windows are cut into patches, and the tiles of an embedded patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedTiles {
    /// Numbers of a patch.
    pub patch_length: usize,
    /// Numbers between the starts of two patches.
    pub patch_stride: usize,
    /// Patches of a window.
    pub patches: usize,
    /// Columns of tiles of the state.
    pub columns: usize,
}

impl EmbedTiles {
    /// Numbers of a window from its first patch to the end of its last.
    pub fn window(self) -> usize {
        (self.patches - 1) * self.patch_stride + self.patch_length
    }

    /// Tiles of a patch.
    pub(crate) fn inner(self) -> usize {
        self.patch_length.div_ceil(TILE)
    }

    /// Tiles of the table: the identity, the weight, and the bias repeated in every row.
    fn table(self) -> usize {
        1 + (self.inner() + 1) * self.columns
    }

    /// Shape of the table: one tile below the other.
    pub fn table_shape(self) -> [usize; 4] {
        [1, 1, TILE * self.table(), TILE]
    }

    /// Tiles of every circular buffer, in the order of the kernel's buffer numbers.
    pub fn buffers(self) -> Vec<usize> {
        let piece = (TILE - 1) * self.patch_stride + self.patch_length;
        vec![2 * self.inner(), self.table(), 2, piece.div_ceil(TILE * TILE)]
    }

    /// Units of a window: a tile of patches each.
    pub(crate) fn units(self) -> usize {
        self.patches.div_ceil(TILE)
    }
}
