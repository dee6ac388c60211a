//! The vector trait that kernels are written over: few operations, one file for each instruction set.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod portable;

use crate::matrix::{Matrix, MatrixMut};

/// Registers that loops process together, so that the latency of one chain of dependent operations
/// is hidden by the others.
pub(crate) const UNROLL: usize = 4;

/// Lanes of f32. `self` is the token that proves the instructions.
pub(crate) trait Vector: Copy {
    /// One register.
    type F: Copy;
    /// Elements of a register.
    const LANES: usize;
    /// Rows of the tallest register tile that is two registers wide: a set of 32 registers holds a
    /// taller one than a set of 16.
    const TILE_ROWS: usize;
    /// Whether [`Vector::lookup`] is a single instruction.
    const HAS_LOOKUP: bool = false;

    /// Prefetches the cache line of the slice's first element into the first-level cache.
    #[inline(always)]
    fn prefetch(self, _from: &[f32]) {}
    /// All lanes equal.
    fn splat(self, x: f32) -> Self::F;
    /// Loads the first `LANES` elements of a slice; panics if it is shorter.
    fn load(self, from: &[f32]) -> Self::F;
    /// Stores to the first `LANES` elements of a slice; panics if it is shorter.
    fn store(self, x: Self::F, to: &mut [f32]);
    /// `a + b`.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`: fused, that is rounded once, where the set has the instruction.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger of each lane; `b` where one is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller of each lane; `b` where one is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// Nearest integer, ties to even.
    fn round(self, x: Self::F) -> Self::F;
    /// Absolute value.
    fn abs(self, x: Self::F) -> Self::F;
    /// Square root.
    fn sqrt(self, x: Self::F) -> Self::F;
    /// `2^x` for integers from -126 to 127.
    fn pow2(self, x: Self::F) -> Self::F;

    /// `x 2^n` for integers `n` from -126 to 127.
    #[inline(always)]
    fn times_pow2(self, x: Self::F, n: Self::F) -> Self::F {
        self.mul(x, self.pow2(n))
    }

    /// A table lookup for each lane: the low five bits of the lane's bit pattern are the index.
    #[inline(always)]
    fn lookup(self, table: &[f32; 32], index: Self::F) -> Self::F {
        let (mut at, mut found) = ([0.0_f32; 16], [0.0; 16]);
        self.store(index, &mut at);
        for (found, at) in found.iter_mut().zip(at).take(Self::LANES) {
            *found = table[(at.to_bits() & 31) as usize];
        }
        self.load(&found)
    }

    /// Transposes a block of `LANES` by `LANES` elements: column j of `from` becomes row j of `to`.
    #[inline(always)]
    fn transpose_square(self, from: Matrix<'_>, to: MatrixMut<'_>) {
        for c in 0..Self::LANES {
            for r in 0..Self::LANES {
                to.values[c * to.pitch + r] = from.values[r * from.pitch + c];
            }
        }
    }

    /// Sum of the lanes: the upper half is added to the lower half, until one lane is left.
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        self.fold(x, |a, b| a + b)
    }

    /// The largest lane.
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        self.fold(x, f32::max)
    }

    /// Loads a slice that may be shorter than a register; the lanes after its end get `fill`.
    #[inline(always)]
    fn load_part(self, from: &[f32], fill: f32) -> Self::F {
        if from.len() >= Self::LANES {
            return self.load(from);
        }
        let mut buffer = [fill; 16];
        buffer[..from.len()].copy_from_slice(from);
        self.load(&buffer)
    }

    /// Stores the first lanes to a slice that may be shorter than a register.
    #[inline(always)]
    fn store_part(self, x: Self::F, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            return self.store(x, to);
        }
        let mut buffer = [0.0; 16];
        self.store(x, &mut buffer);
        to.copy_from_slice(&buffer[..to.len()]);
    }

    /// Reduces the lanes with `f`: the upper half with the lower half, until one lane is left.
    #[inline(always)]
    fn fold(self, x: Self::F, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut buffer = [0.0; 16];
        self.store(x, &mut buffer);
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                buffer[i] = f(buffer[i], buffer[i + half]);
            }
            half /= 2;
        }
        buffer[0]
    }
}
