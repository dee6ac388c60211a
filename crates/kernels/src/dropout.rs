//! Dropout by a counter-based generator: 32 bits a draw, the same on every instruction set.

use crate::isa::{Isa, Op};
use crate::vector::Vector;

/// Drops elements of `x` with `probability` (0 to 1) and multiplies the others by
/// `1 / (1 - probability)`.
///
/// The draw for element i depends on `(key, counter + i)` alone. Applied to a gradient with the
/// same key and counter it is the backward of itself.
pub fn dropout(isa: Isa, key: u64, counter: u64, probability: f32, x: &mut [f32]) {
    isa.run(Dropout { key, counter, stride: 1, probability, x });
}

/// As [`dropout`], with the draw `(key, counter + i * stride)` for element i: for elements that
/// stand in another order than their draws.
pub fn dropout_strided(
    isa: Isa,
    key: u64,
    (counter, stride): (u64, u64),
    probability: f32,
    x: &mut [f32],
) {
    isa.run(Dropout { key, counter, stride, probability, x });
}

/// Whether the draw `(key, counter)` keeps its element.
pub fn keeps(key: u64, counter: u64, probability: f32) -> bool {
    draw(stream(key, counter), counter as u32) >= threshold(probability)
}

struct Dropout<'a> {
    key: u64,
    counter: u64,
    stride: u64,
    probability: f32,
    x: &'a mut [f32],
}

/// Draws below this drop their element. 31 bits are compared, as signed numbers are what vector
/// units compare best.
fn threshold(probability: f32) -> i32 {
    (f64::from(probability) * 2_147_483_648.0).min(2_147_483_647.0) as i32
}

/// Key of the 2^32 draws that share the upper half of the counter.
fn stream(key: u64, counter: u64) -> (u32, u32) {
    let upper = (counter >> 32) as u32;
    (key as u32 ^ mix(upper), (key >> 32) as u32)
}

/// An invertible mixer of 32 bits ("lowbias32" of Ellis' hash prospector).
#[inline(always)]
fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
    let x = (x ^ (x >> 15)).wrapping_mul(0xd35a_2d97);
    x ^ (x >> 15)
}

#[inline(always)]
fn draw((first, second): (u32, u32), counter: u32) -> i32 {
    (mix(mix(counter ^ first).wrapping_add(second)) >> 1) as i32
}

impl Op for Dropout<'_> {
    type Output = ();

    // Plain integer arithmetic: the compiler turns it into the set's vectors.
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
            let until_wrap = ((1_u64 << 32) - (counter & 0xffff_ffff)).div_ceil(self.stride.max(1));
            let len = (rest.len() as u64).min(until_wrap) as usize;
            let (part, behind) = rest.split_at_mut(len);
            let (stream, first) = (stream(self.key, counter), counter as u32);
            let stride = self.stride as u32;
            for (i, x) in part.iter_mut().enumerate() {
                let kept =
                    draw(stream, first.wrapping_add((i as u32).wrapping_mul(stride))) >= threshold;
                *x *= if kept { scale } else { 0.0 };
            }
            counter += len as u64 * self.stride;
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_keeps_the_same_elements() {
        for isa in Isa::available() {
            for len in 0..=67 {
                // Around the wrap of the lower half of the counter.
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
    fn draws_may_stand_apart() {
        for isa in Isa::available() {
            for (len, stride) in [(67, 7), (67, 1), (5, 1 << 31), (33, 0)] {
                let counter = (1 << 32) - 100;
                let mut x = vec![1.0; len];
                dropout_strided(isa, 77, (counter, stride), 0.4, &mut x);
                for (i, &x) in x.iter().enumerate() {
                    let kept = keeps(77, counter + i as u64 * stride, 0.4);
                    assert_eq!(x != 0.0, kept, "{} {stride} {i}", isa.name());
                }
            }
        }
    }

    #[test]
    fn shares_are_right_and_streams_differ() {
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
    fn nothing_and_everything() {
        let mut x = [1.0, 2.0];
        dropout(Isa::best(), 1, 1, 0.0, &mut x);
        assert_eq!(x, [1.0, 2.0]);
        dropout(Isa::best(), 1, 1, 1.0, &mut x);
        assert_eq!(x, [0.0, 0.0]);
    }
}
