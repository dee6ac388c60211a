//! Dropout from a counter-based random number generator: 32 bits a draw, the same on every
//! instruction set.

use crate::isa::{Isa, Op};
use crate::matrix::{MatrixMut, MatrixShape};
use crate::vector::Vector;

/// Factors that are drawn at once: a multiple of the lanes of every instruction set.
pub(crate) const FACTORS: usize = 64;

/// Drops elements of `x` with `probability` (0 to 1) and multiplies the others by
/// `1 / (1 - probability)`.
///
/// The draw for element i depends on `(key, counter + i)` alone. Applied to a gradient with the
/// same key and counter, the function is its own backward pass.
pub fn dropout(isa: Isa, key: u64, counter: u64, probability: f32, x: &mut [f32]) {
    isa.run(Dropout { key, counter, probability, x });
}

/// Whether the draw `(key, counter)` keeps its element when elements are dropped with
/// `probability`.
pub fn keeps(key: u64, counter: u64, probability: f32) -> bool {
    Stream::new(key, counter).draw(counter as u32) >= threshold(probability)
}

/// The random draws of a matrix: element `[r, j]` takes
/// `counter + r * row + j * column` of the stream `key`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draws {
    /// Key of the random stream.
    pub key: u64,
    /// Counter of the first element.
    pub counter: u64,
    /// Counter stride from one row to the next.
    pub row: u64,
    /// Counter stride from one column to the next.
    pub column: u64,
    /// Probability that an element is dropped, 0 to 1.
    pub probability: f32,
}

impl Draws {
    /// The factors of the elements of row `r` from column `first` on: 0 or 1 / (1 - probability).
    #[inline(always)]
    pub(crate) fn factors(&self, r: usize, first: usize, out: &mut [f32]) {
        let scale = if self.probability < 1.0 { 1.0 / (1.0 - self.probability) } else { 0.0 };
        let threshold = threshold(self.probability);
        let start = self.counter + r as u64 * self.row + first as u64 * self.column;
        let last = start + out.len() as u64 * self.column;
        if start >> 32 == last >> 32 {
            let (stream, start, step) =
                (Stream::new(self.key, start), start as u32, self.column as u32);
            for (i, out) in out.iter_mut().enumerate() {
                let counter = start.wrapping_add((i as u32).wrapping_mul(step));
                *out = if stream.draw(counter) >= threshold { scale } else { 0.0 };
            }
            return;
        }
        for (i, out) in out.iter_mut().enumerate() {
            let counter = start + i as u64 * self.column;
            let kept = Stream::new(self.key, counter).draw(counter as u32) >= threshold;
            *out = if kept { scale } else { 0.0 };
        }
    }
}

/// Drops the elements of `x` that [`Draws`] selects and scales the others by `1 / (1 - probability)`.
///
/// Applied to a gradient, the function is its own backward pass.
///
/// # Panics
///
/// If a length does not fit.
pub fn dropout_columns(isa: Isa, shape: MatrixShape, draws: Draws, x: MatrixMut<'_>) {
    shape.check(isa.lanes(), &[x.view()]);
    if draws.probability > 0.0 {
        isa.run(DropoutColumns { shape, draws, x });
    }
}

struct DropoutColumns<'a> {
    shape: MatrixShape,
    draws: Draws,
    x: MatrixMut<'a>,
}

impl Op for DropoutColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        let mut factors = [0.0; FACTORS];
        for r in 0..self.shape.rows {
            let row = &mut self.x.values[r * self.x.pitch..][..self.shape.columns];
            for (i, x) in row.chunks_mut(FACTORS).enumerate() {
                let factors = &mut factors[..x.len()];
                self.draws.factors(r, i * FACTORS, factors);
                x.iter_mut().zip(factors).for_each(|(x, factor)| *x *= *factor);
            }
        }
    }
}

struct Dropout<'a> {
    key: u64,
    counter: u64,
    probability: f32,
    x: &'a mut [f32],
}

/// Draws below this threshold drop their element. 31 bits are compared, because vector units compare
/// signed integers best.
fn threshold(probability: f32) -> i32 {
    (f64::from(probability) * 2_147_483_648.0).min(2_147_483_647.0) as i32
}

/// Keys of the 2^32 draws that share the upper half of the counter.
#[derive(Clone, Copy)]
struct Stream {
    /// Combined with the counter before the first round.
    first: u32,
    /// Added between the two rounds.
    second: u32,
}

impl Stream {
    fn new(key: u64, counter: u64) -> Self {
        let upper = (counter >> 32) as u32;
        Self { first: key as u32 ^ mix(upper), second: (key >> 32) as u32 }
    }

    /// 31 random bits for the lower half of a counter.
    #[inline(always)]
    fn draw(self, counter: u32) -> i32 {
        (mix(mix(counter ^ self.first).wrapping_add(self.second)) >> 1) as i32
    }
}

/// An invertible hash of 32 bits, of the `lowbias32` family found by C. Wellons' hash prospector.
#[inline(always)]
fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
    let x = (x ^ (x >> 15)).wrapping_mul(0xd35a_2d97);
    x ^ (x >> 15)
}

impl Op for Dropout<'_> {
    type Output = ();

    // Plain integer arithmetic, which the compiler vectorises for the instruction set.
    #[inline(always)]
    fn run<V: Vector>(self, _: V) {
        if self.probability <= 0.0 {
            return;
        }
        if self.probability >= 1.0 {
            return self.x.fill(0.0);
        }
        let scale = 1.0 / (1.0 - self.probability);
        let threshold = threshold(self.probability);
        let mut counter = self.counter;
        let mut rest = self.x;
        while !rest.is_empty() {
            let until_wrap = (1_u64 << 32) - (counter & 0xffff_ffff);
            let len = (rest.len() as u64).min(until_wrap) as usize;
            let (part, after) = rest.split_at_mut(len);
            let (stream, first) = (Stream::new(self.key, counter), counter as u32);
            for (i, x) in part.iter_mut().enumerate() {
                let kept = stream.draw(first.wrapping_add(i as u32)) >= threshold;
                *x *= if kept { scale } else { 0.0 };
            }
            counter += len as u64;
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, with_canaries};

    #[test]
    fn every_set_keeps_the_same_elements() {
        for isa in Isa::available() {
            for len in 0..=67 {
                // Across the point where the lower half of the counter wraps.
                let counter = (1 << 32) - 20;
                let mut x = vec![1.0; len];
                dropout(isa, 0x1234_5678_9abc_def0, counter, 0.3, &mut x);
                for (i, &x) in x.iter().enumerate() {
                    let kept = keeps(0x1234_5678_9abc_def0, counter + i as u64, 0.3);
                    assert_eq!(x != 0.0, kept, "{} {len} {i}", isa.name());
                    assert!(!kept || (x - 1.0 / 0.7).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn the_drop_rate_is_right_and_streams_differ() {
        for probability in [0.1_f32, 0.5, 0.7, 0.9] {
            let dropped = (0..200_000).filter(|&i| !keeps(7, i, probability)).count();
            let share = dropped as f32 / 200_000.0;
            assert!((share - probability).abs() < 0.005, "{probability}: {share}");
        }
        let pattern =
            |key, from| (from..from + 256).map(|i| keeps(key, i, 0.5)).collect::<Vec<_>>();
        assert_ne!(pattern(1, 0), pattern(2, 0));
        assert_ne!(pattern(1, 0), pattern(1, 1 << 32));
        assert_ne!(pattern(1, 0), pattern(1 << 32, 0));
        assert_eq!(pattern(1, 5)[..100], pattern(1, 0)[5..105]);
    }

    #[test]
    fn a_matrix_draws_by_rows_and_columns() {
        for isa in Isa::available() {
            for registers in 1..=9 {
                let (rows, columns) = (5, registers * isa.lanes());
                // The lower half of the counter wraps within the matrix.
                let draws =
                    Draws { key: 77, counter: (1 << 32) - 40, row: 3, column: 7, probability: 0.4 };
                let pitch = columns + 3;
                let x = numbers(1, (rows - 1) * pitch + columns);
                let got = with_canaries(&x, |x| {
                    let shape = MatrixShape { rows, columns };
                    dropout_columns(isa, shape, draws, MatrixMut::new(x, pitch));
                });
                for (at, (&got, &x)) in got.iter().zip(&x).enumerate() {
                    let (r, j) = (at / pitch, at % pitch);
                    let counter = draws.counter + 3 * r as u64 + 7 * j as u64;
                    let wanted = match j < columns {
                        true if keeps(77, counter, 0.4) => x * (1.0 / 0.6),
                        true => x * 0.0,
                        false => x,
                    };
                    assert!((got - wanted).abs() < 1e-6, "{} {columns} {at}", isa.name());
                }
            }
        }
    }

    #[test]
    fn nothing_and_everything() {
        let mut x = [1.0, 2.0];
        dropout(Isa::best(), 1, 1, 0.0, &mut x);
        assert_eq!(x, [1.0, 2.0]);
        dropout(Isa::best(), 1, 1, 1.0, &mut x);
        assert_eq!(x, [0.0, 0.0]);
    }
}
