//! The operands of a matrix product: their layouts, what a register tile reads of them, and what it
//! prefetches.

use crate::matrix::{Matrix, ProductShape, Strided};

/// Elements of half a mebibyte. A larger operand is not expected to stay in the second-level cache
/// from one use to the next: it is read as few times as possible, and prefetched.
pub(crate) const OUT_OF_CACHE: usize = 1 << 17;

/// The position of one register tile within the product.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// First row of the output.
    pub(crate) row: usize,
    /// First column of the output.
    pub(crate) column: usize,
    /// First step of k of this cache block.
    pub(crate) from: usize,
    /// End of the steps of k of this cache block.
    pub(crate) to: usize,
}

/// Rows and columns of a register tile.
#[derive(Clone, Copy)]
pub(crate) struct TileSize {
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// Elements of a cache line, the unit of a prefetch.
pub(crate) const LINE: usize = 16;

/// Distance from the first to the last of `count` elements at this stride; `None` if it overflows.
fn reach(count: usize, stride: usize) -> Option<usize> {
    count.saturating_sub(1).checked_mul(stride)
}

/// The left operand A of a product, element `[m, k]`.
pub(crate) trait Left: Copy {
    /// Whether A holds so many rows and steps of k, so that no index within them overflows or is out of
    /// bounds.
    fn has(&self, rows: usize, steps: usize) -> bool;

    /// A from the tile's first element on. The tile has `height` rows; A has `steps` steps of k.
    fn tile(&self, height: usize, steps: usize, place: Place) -> Strided<'_>;

    /// What a tile prefetches: its part of the block of A that the next row of tiles reads, shared
    /// evenly by the tiles of this row. `None` where A is expected to stay in the cache.
    #[inline(always)]
    fn prefetch(&self, _: TileSize, _: ProductShape, _: Place) -> Option<&[f32]> {
        None
    }
}

/// The right operand B of a product, element `[k, n]`.
pub(crate) trait Right: Copy {
    /// Whether B holds so many columns and steps of k, so that no index within them overflows or is out
    /// of bounds.
    fn has(&self, columns: usize, steps: usize) -> bool;

    /// B from the tile's first element on, one row for each step of k. The tile has `width` columns;
    /// B has `steps` steps of k.
    fn tile(&self, width: usize, steps: usize, place: Place) -> Matrix<'_>;

    /// What a tile prefetches: its part of the next block of B, shared evenly by the tiles of this
    /// column. `None` where B is expected to stay in the cache.
    #[inline(always)]
    fn prefetch(&self, _: TileSize, _: ProductShape, _: Place) -> Option<&[f32]> {
        None
    }
}

/// `values[start..start + len]`, clipped to the slice.
#[inline(always)]
fn part(values: &[f32], start: usize, len: usize) -> &[f32] {
    let start = start.min(values.len());
    &values[start..values.len().min(start + len)]
}

impl Left for Strided<'_> {
    #[inline(always)]
    fn has(&self, rows: usize, steps: usize) -> bool {
        let last = reach(rows, self.row)
            .and_then(|down| reach(steps, self.step).and_then(|along| down.checked_add(along)));
        last.is_some_and(|last| last < self.values.len())
    }

    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> Strided<'_> {
        Strided { values: &self.values[place.row * self.row + place.from * self.step..], ..*self }
    }
}

impl Left for Matrix<'_> {
    #[inline(always)]
    fn has(&self, rows: usize, steps: usize) -> bool {
        let end = reach(rows, self.pitch).and_then(|down| down.checked_add(steps));
        end.is_some_and(|end| end <= self.values.len())
    }

    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> Strided<'_> {
        let values = &self.values[place.row * self.pitch + place.from..];
        Strided { values, row: self.pitch, step: 1 }
    }
}

impl Right for Matrix<'_> {
    #[inline(always)]
    fn has(&self, columns: usize, steps: usize) -> bool {
        let end = reach(steps, self.pitch).and_then(|down| down.checked_add(columns));
        end.is_some_and(|end| end <= self.values.len())
    }

    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> Matrix<'_> {
        Matrix { values: &self.values[place.from * self.pitch + place.column..], ..*self }
    }
}

/// Packed A: register tiles of the heights that the product uses, each `[k][rows of the tile]`.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a>(pub(crate) &'a [f32]);

impl Left for Tiles<'_> {
    #[inline(always)]
    fn has(&self, rows: usize, steps: usize) -> bool {
        rows.checked_mul(steps).is_some_and(|end| end <= self.0.len())
    }

    #[inline(always)]
    fn tile(&self, height: usize, steps: usize, place: Place) -> Strided<'_> {
        let values = &self.0[place.row * steps + place.from * height..];
        Strided { values, row: 1, step: height }
    }

    #[inline(always)]
    fn prefetch(&self, tile: TileSize, shape: ProductShape, place: Place) -> Option<&[f32]> {
        let TileSize { height, width } = tile;
        let ProductShape { columns, inner: steps, .. } = shape;
        if self.0.len() <= OUT_OF_CACHE {
            return None;
        }
        let len = (place.to - place.from) * height;
        let next = (place.row + height) * steps + place.from * height;
        Some(part(self.0, next + len * place.column / columns, len * width / columns))
    }
}

/// Packed B: panels as wide as a register tile, the last one narrower, each
/// `[k][columns of the panel]`.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a>(pub(crate) &'a [f32]);

impl Right for Panels<'_> {
    #[inline(always)]
    fn has(&self, columns: usize, steps: usize) -> bool {
        columns.checked_mul(steps).is_some_and(|end| end <= self.0.len())
    }

    #[inline(always)]
    fn tile(&self, width: usize, steps: usize, place: Place) -> Matrix<'_> {
        Matrix { values: &self.0[place.column * steps + place.from * width..], pitch: width }
    }

    #[inline(always)]
    fn prefetch(&self, tile: TileSize, shape: ProductShape, place: Place) -> Option<&[f32]> {
        let TileSize { height, width } = tile;
        let ProductShape { rows, inner: steps, .. } = shape;
        if self.0.len() <= OUT_OF_CACHE {
            return None;
        }
        let len = (place.to - place.from) * width;
        let next = place.column * steps + place.to * width;
        Some(part(self.0, next + len * place.row / rows, len * height / rows))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    /// Checks that the parts follow each other and make up `block`, clipped to the values, with one
    /// element of rounding for each part.
    fn assert_shared(values: &[f32], parts: &[&[f32]], block: Range<usize>) {
        let mut end = block.start.min(values.len());
        let all = values.len().min(block.end);
        for part in parts {
            let start = (part.as_ptr() as usize - values.as_ptr() as usize) / size_of::<f32>();
            assert!(start >= end && start - end <= 1, "{start} after {end}");
            end = start + part.len();
        }
        assert!(end <= all && all - end <= parts.len(), "{end} of {all}");
    }

    #[test]
    fn an_operand_that_fits_the_cache_is_not_prefetched() {
        let values = vec![0.0; OUT_OF_CACHE];
        let place = Place { row: 0, column: 0, from: 0, to: 100 };
        let tile = TileSize { height: 8, width: 32 };
        let shape = ProductShape { rows: 16, columns: 64, inner: 100 };
        assert!(Panels(&values).prefetch(tile, shape, place).is_none());
        assert!(Tiles(&values).prefetch(tile, shape, place).is_none());
    }

    #[test]
    fn the_tiles_of_a_column_share_the_next_block_of_b() {
        let (columns, steps, rows, height, width) = (10 * 32, 500, 112, 8, 32);
        let values = vec![0.0; columns * steps];
        let shape = ProductShape { rows, columns, inner: steps };
        let operand = Panels(&values);
        for (column, from, to) in [(0, 0, 125), (64, 125, 250), (64, 375, 500), (288, 375, 500)] {
            let part = |row| {
                let place = Place { row, column, from, to };
                operand.prefetch(TileSize { height, width }, shape, place).unwrap()
            };
            let parts: Vec<_> = (0..rows).step_by(height).map(part).collect();
            let next = column * steps + to * width;
            assert_shared(&values, &parts, next..next + (to - from) * width);
        }
    }

    #[test]
    fn the_tiles_of_a_row_share_the_next_block_of_a() {
        let (rows, steps, columns, height, width) = (40 * 8, 500, 96, 8, 32);
        let values = vec![0.0; rows * steps];
        let shape = ProductShape { rows, columns, inner: steps };
        let operand = Tiles(&values);
        for (row, from, to) in [(0, 0, 125), (64, 125, 250), (304, 375, 500), (312, 0, 125)] {
            let part = |column| {
                let place = Place { row, column, from, to };
                operand.prefetch(TileSize { height, width }, shape, place).unwrap()
            };
            let parts: Vec<_> = (0..columns).step_by(width).map(part).collect();
            let next = (row + height) * steps + from * height;
            assert_shared(&values, &parts, next..next + (to - from) * height);
        }
    }

    #[test]
    fn strides_that_overflow_are_rejected() {
        let values = [0.0; 64];
        // Seven times this wraps round to 5, so unchecked arithmetic would accept it.
        let row = (usize::MAX / 7) + 1;
        assert!(!Left::has(&Matrix { values: &values, pitch: row }, 8, 4));
        assert!(!Strided { values: &values, row, step: 1 }.has(8, 4));
        assert!(!Strided { values: &values, row: 1, step: row }.has(4, 8));
        assert!(!Tiles(&values).has(usize::MAX / 2, 3) && !Panels(&values).has(usize::MAX / 2, 3));
        assert!(Strided { values: &values, row: 8, step: 1 }.has(8, 8));
    }
}
