//! The operands of a product in register tiles: where each of them stands, and what a tile reads of
//! it.

use crate::vector::Vector;

/// Half a mebibyte of numbers: an operand of more is not counted on to stay in a second-level cache
/// from one use to the next. It is read as few times as can be, and asked for in advance.
pub(crate) const FAR: usize = 1 << 17;

/// The place of one tile.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) column: usize,
    /// The steps `from..to` of k.
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Numbers in a cache line, which is what is asked for in advance.
pub(crate) const LINE: usize = 16;

/// How far the last of `count` things stands from the first if they are `apart`.
fn reach(count: usize, apart: usize) -> Option<usize> {
    count.saturating_sub(1).checked_mul(apart)
}

/// A, of which a product reads element `[m, k]`.
pub(crate) trait Left: Copy {
    /// Whether A has so many rows and steps of k, and no place in it overflows.
    fn has(&self, rows: usize, steps: usize) -> bool;

    /// The numbers from the tile's first element on, and how far apart rows and steps of k stand.
    /// The tile has `height` rows; A has `steps` steps of k.
    fn tile(&self, height: usize, steps: usize, place: Place) -> (&[f32], usize, usize);

    /// What a tile of `width` of `columns` columns asks for in advance: its share of the block of
    /// the next tile of as many rows. Nothing unless A is far.
    #[inline(always)]
    fn ahead(&self, _height: usize, _: (usize, usize), _steps: usize, _: Place) -> Option<&[f32]> {
        None
    }
}

/// B, of which a product reads element `[k, n]`.
pub(crate) trait Right: Copy {
    /// Whether B has so many columns and steps of k, and no place in it overflows.
    fn has(&self, columns: usize, steps: usize) -> bool;

    /// The numbers from the tile's first element on, and how far apart the steps of k stand. The
    /// tile has `width` columns; B has `steps` steps of k.
    fn tile(&self, width: usize, steps: usize, place: Place) -> (&[f32], usize);

    /// What a tile of `height` of `rows` rows asks for in advance: its share of the next block.
    /// Nothing unless B is far.
    #[inline(always)]
    fn ahead(&self, _width: usize, _: (usize, usize), _steps: usize, _: Place) -> Option<&[f32]> {
        None
    }
}

/// `len` of the values from `start` on, as far as they are there.
#[inline(always)]
fn part(values: &[f32], start: usize, len: usize) -> &[f32] {
    let start = start.min(values.len());
    &values[start..values.len().min(start + len)]
}

/// What is added to every element of a product.
pub(crate) trait Bias: Copy {
    /// Adds it to the sums of a tile.
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    );
}

/// The left operand of [`product`](crate::product): element `[m, k]` stands at `m * row + k * step`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// The numbers.
    pub values: &'a [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one step of the sum to the next.
    pub step: usize,
}

impl Left for Strided<'_> {
    #[inline(always)]
    fn has(&self, rows: usize, steps: usize) -> bool {
        let last = reach(rows, self.row)
            .and_then(|down| reach(steps, self.step).and_then(|along| down.checked_add(along)));
        last.is_some_and(|last| last < self.values.len())
    }

    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> (&[f32], usize, usize) {
        (&self.values[place.row * self.row + place.from * self.step..], self.row, self.step)
    }
}

/// Rows of contiguous numbers: as A, element `[m, k]` at `m * pitch + k`; as B, `[k, n]` at
/// `k * pitch + n`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) pitch: usize,
}

impl Left for Rows<'_> {
    #[inline(always)]
    fn has(&self, rows: usize, steps: usize) -> bool {
        let end = reach(rows, self.pitch).and_then(|down| down.checked_add(steps));
        end.is_some_and(|end| end <= self.values.len())
    }

    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> (&[f32], usize, usize) {
        (&self.values[place.row * self.pitch + place.from..], self.pitch, 1)
    }
}

impl Right for Rows<'_> {
    #[inline(always)]
    fn has(&self, columns: usize, steps: usize) -> bool {
        let end = reach(steps, self.pitch).and_then(|down| down.checked_add(columns));
        end.is_some_and(|end| end <= self.values.len())
    }

    #[inline(always)]
    fn tile(&self, _: usize, _: usize, place: Place) -> (&[f32], usize) {
        (&self.values[place.from * self.pitch + place.column..], self.pitch)
    }
}

/// As A: tiles of [`next_height`](crate::product::next_height) rows, each `[k][rows of the tile]`.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a>(pub(crate) &'a [f32]);

impl Left for Tiles<'_> {
    #[inline(always)]
    fn has(&self, rows: usize, steps: usize) -> bool {
        rows.checked_mul(steps).is_some_and(|end| end <= self.0.len())
    }

    #[inline(always)]
    fn tile(&self, height: usize, steps: usize, place: Place) -> (&[f32], usize, usize) {
        (&self.0[place.row * steps + place.from * height..], 1, height)
    }

    #[inline(always)]
    fn ahead(
        &self,
        height: usize,
        (width, columns): (usize, usize),
        steps: usize,
        place: Place,
    ) -> Option<&[f32]> {
        if self.0.len() <= FAR {
            return None;
        }
        let len = (place.to - place.from) * height;
        let next = (place.row + height) * steps + place.from * height;
        Some(part(self.0, next + len * place.column / columns, len * width / columns))
    }
}

/// As B: panels of a tile's width, the last one narrower, each `[k][columns of the panel]`.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a>(pub(crate) &'a [f32]);

impl Right for Panels<'_> {
    #[inline(always)]
    fn has(&self, columns: usize, steps: usize) -> bool {
        columns.checked_mul(steps).is_some_and(|end| end <= self.0.len())
    }

    #[inline(always)]
    fn tile(&self, width: usize, steps: usize, place: Place) -> (&[f32], usize) {
        (&self.0[place.column * steps + place.from * width..], width)
    }

    #[inline(always)]
    fn ahead(
        &self,
        width: usize,
        (height, rows): (usize, usize),
        steps: usize,
        place: Place,
    ) -> Option<&[f32]> {
        if self.0.len() <= FAR {
            return None;
        }
        let len = (place.to - place.from) * width;
        let next = place.column * steps + place.to * width;
        Some(part(self.0, next + len * place.row / rows, len * height / rows))
    }
}

/// Nothing.
#[derive(Clone, Copy)]
pub(crate) struct NoBias;

impl Bias for NoBias {
    #[inline(always)]
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        _: V,
        _: Place,
        _: &mut [[V::F; REGISTERS]; ROWS],
    ) {
    }
}

/// One number for each row of the output.
#[derive(Clone, Copy)]
pub(crate) struct RowBias<'a>(pub(crate) &'a [f32]);

impl Bias for RowBias<'_> {
    #[inline(always)]
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    ) {
        for (sums, &bias) in sums.iter_mut().zip(&self.0[place.row..place.row + ROWS]) {
            for sum in sums {
                *sum = v.add(*sum, v.splat(bias));
            }
        }
    }
}

/// One number for each column.
#[derive(Clone, Copy)]
pub(crate) struct ColumnBias<'a>(pub(crate) &'a [f32]);

impl Bias for ColumnBias<'_> {
    #[inline(always)]
    fn add<V: Vector, const ROWS: usize, const REGISTERS: usize>(
        &self,
        v: V,
        place: Place,
        sums: &mut [[V::F; REGISTERS]; ROWS],
    ) {
        let bias = &self.0[place.column..][..REGISTERS * V::LANES];
        for (j, bias) in bias.chunks_exact(V::LANES).enumerate() {
            let bias = v.load(bias);
            for sums in sums.iter_mut() {
                sums[j] = v.add(sums[j], bias);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the parts follow each other and make up `len` numbers from `next` on, as far as
    /// they are there, but for one number of rounding each.
    fn assert_shared(values: &[f32], parts: &[&[f32]], (next, len): (usize, usize)) {
        let mut end = next.min(values.len());
        let all = values.len().min(next + len);
        for part in parts {
            let start = (part.as_ptr() as usize - values.as_ptr() as usize) / size_of::<f32>();
            assert!(start >= end && start - end <= 1, "{start} after {end}");
            end = start + part.len();
        }
        assert!(end <= all && all - end <= parts.len(), "{end} of {all}");
    }

    #[test]
    fn a_near_operand_asks_for_nothing() {
        let values = vec![0.0; FAR];
        let place = Place { row: 0, column: 0, from: 0, to: 100 };
        assert!(Panels(&values).ahead(32, (8, 16), 100, place).is_none());
        assert!(Tiles(&values).ahead(8, (32, 64), 100, place).is_none());
    }

    #[test]
    fn the_tiles_of_a_column_share_the_next_block_of_b() {
        let (columns, steps, rows, height, width) = (10 * 32, 500, 112, 8, 32);
        let values = vec![0.0; columns * steps];
        let operand = Panels(&values);
        for (column, from, to) in [(0, 0, 125), (64, 125, 250), (64, 375, 500), (288, 375, 500)] {
            let part = |row| {
                let place = Place { row, column, from, to };
                operand.ahead(width, (height, rows), steps, place).unwrap()
            };
            let parts: Vec<_> = (0..rows).step_by(height).map(part).collect();
            let next = column * steps + to * width;
            assert_shared(&values, &parts, (next, (to - from) * width));
        }
    }

    #[test]
    fn the_tiles_of_a_row_share_the_next_block_of_a() {
        let (rows, steps, columns, height, width) = (40 * 8, 500, 96, 8, 32);
        let values = vec![0.0; rows * steps];
        let operand = Tiles(&values);
        for (row, from, to) in [(0, 0, 125), (64, 125, 250), (304, 375, 500), (312, 0, 125)] {
            let part = |column| {
                let place = Place { row, column, from, to };
                operand.ahead(height, (width, columns), steps, place).unwrap()
            };
            let parts: Vec<_> = (0..columns).step_by(width).map(part).collect();
            let next = (row + height) * steps + from * height;
            assert_shared(&values, &parts, (next, (to - from) * height));
        }
    }

    #[test]
    fn places_that_overflow_are_none() {
        let values = [0.0; 64];
        // Seven times this is 5.
        let row = (usize::MAX / 7) + 1;
        assert!(!Left::has(&Rows { values: &values, pitch: row }, 8, 4));
        assert!(!Strided { values: &values, row, step: 1 }.has(8, 4));
        assert!(!Strided { values: &values, row: 1, step: row }.has(4, 8));
        assert!(!Tiles(&values).has(usize::MAX / 2, 3) && !Panels(&values).has(usize::MAX / 2, 3));
        assert!(Strided { values: &values, row: 8, step: 1 }.has(8, 8));
    }
}
