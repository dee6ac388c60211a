//! The vectors that kernels are written over: few operations, one file for each instruction set.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod portable;

use crate::matrix::{Matrix, MatrixMut};

/// Lanes of f32. `self` is the token that proves the instructions.
pub(crate) trait Vector: Copy {
    /// One register.
    type F: Copy;
    /// Numbers in it.
    const LANES: usize;
    /// Rows of the tallest register tile of two registers' width: 32 registers hold a taller one
    /// than 16 do.
    const TILE_ROWS: usize;
    /// Whether [`Vector::lookup`] is one instruction.
    const LOOKS_UP: bool = false;

    /// Asks for the line of the slice's first number, which will be needed soon.
    #[inline(always)]
    fn prefetch(self, _from: &[f32]) {}
    /// All lanes equal.
    fn splat(self, x: f32) -> Self::F;
    /// The first `LANES` numbers of a slice that has them.
    fn load(self, from: &[f32]) -> Self::F;
    /// Writes to the first `LANES` numbers of a slice that has them.
    fn store(self, x: Self::F, to: &mut [f32]);
    /// `a + b`.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the set can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The larger of each lane; `b` where one is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// The smaller of each lane; `b` where one is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// Nearest whole number, ties to even.
    fn round(self, x: Self::F) -> Self::F;
    /// The magnitude.
    fn abs(self, x: Self::F) -> Self::F;
    /// Square root.
    fn sqrt(self, x: Self::F) -> Self::F;
    /// `2^x` for whole numbers from -126 to 127.
    fn pow2(self, x: Self::F) -> Self::F;

    /// `x 2^n` for whole `n` from -126 to 127.
    #[inline(always)]
    fn times_pow2(self, x: Self::F, n: Self::F) -> Self::F {
        self.mul(x, self.pow2(n))
    }

    /// The number of a table that the low five bits of each lane's pattern point at.
    #[inline(always)]
    fn lookup(self, table: &[f32; 32], index: Self::F) -> Self::F {
        let (mut at, mut found) = ([0.0_f32; 16], [0.0; 16]);
        self.store(index, &mut at);
        for (found, at) in found.iter_mut().zip(at).take(Self::LANES) {
            *found = table[(at.to_bits() & 31) as usize];
        }
        self.load(&found)
    }

    /// Transposes a square of `LANES` by `LANES` numbers: column j of `from` becomes row j of `to`.
    #[inline(always)]
    fn transpose_square(self, from: Matrix<'_>, to: MatrixMut<'_>) {
        for c in 0..Self::LANES {
            for r in 0..Self::LANES {
                to.values[c * to.pitch + r] = from.values[r * from.pitch + c];
            }
        }
    }

    /// Sum of the lanes, the upper half added onto the lower.
    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        self.fold(x, |a, b| a + b)
    }

    /// The largest lane.
    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        self.fold(x, f32::max)
    }

    /// The numbers of a slice that may be shorter than a register, with `fill` behind them.
    #[inline(always)]
    fn load_part(self, from: &[f32], fill: f32) -> Self::F {
        if from.len() >= Self::LANES {
            return self.load(from);
        }
        let mut buffer = [fill; 16];
        buffer[..from.len()].copy_from_slice(from);
        self.load(&buffer)
    }

    /// Writes the first numbers to a slice that may be shorter than a register.
    #[inline(always)]
    fn store_part(self, x: Self::F, to: &mut [f32]) {
        if to.len() >= Self::LANES {
            return self.store(x, to);
        }
        let mut buffer = [0.0; 16];
        self.store(x, &mut buffer);
        to.copy_from_slice(&buffer[..to.len()]);
    }

    /// Folds the lanes, the upper half onto the lower.
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
