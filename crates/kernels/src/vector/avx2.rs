//! AVX2 with FMA: 8 lanes in each of 16 registers.

use std::arch::x86_64::*;

use super::Vector;
use crate::matrix::{Matrix, MatrixMut};

/// Proof that this machine has AVX2 and FMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2 {
    _detected: (),
}

impl Avx2 {
    /// The token, if the machine has both.
    pub(crate) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        there.then_some(Self { _detected: () })
    }
}

impl Vector for Avx2 {
    type F = __m256;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;

    #[inline(always)]
    fn prefetch(self, from: &[f32]) {
        // SAFETY: a prefetch never faults, whatever the address; `self` proves SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        assert!(from.len() >= Self::LANES);
        // SAFETY: 32 bytes are readable (asserted); `self` proves AVX2.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m256, to: &mut [f32]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: 32 bytes are writable (asserted); `self` proves AVX2.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: `self` proves FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn round(self, x: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }
    #[inline(always)]
    fn abs(self, x: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), x) }
    }
    #[inline(always)]
    fn sqrt(self, x: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe { _mm256_sqrt_ps(x) }
    }
    #[inline(always)]
    fn pow2(self, x: __m256) -> __m256 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        }
    }
    #[inline(always)]
    fn transpose_square(self, from: Matrix<'_>, to: MatrixMut<'_>) {
        let mut x: [__m256; 8] = std::array::from_fn(|i| self.load(&from.values[i * from.pitch..]));
        // SAFETY: `self` proves AVX2.
        unsafe {
            for i in (0..8).step_by(2) {
                let (a, b) = (x[i], x[i + 1]);
                (x[i], x[i + 1]) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            }
            for i in (0..8).step_by(4) {
                let of = |i: usize| _mm256_castps_pd(x[i]);
                let (a, b, c, d) = (of(i), of(i + 1), of(i + 2), of(i + 3));
                x[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
                x[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
                x[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
                x[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
            }
            // Half h of x[4 g + j] now holds column 4 h + j of the rows 4 g to 4 g + 3.
            for j in 0..4 {
                let (a, b) = (x[j], x[4 + j]);
                x[j] = _mm256_permute2f128_ps::<0x20>(a, b);
                x[4 + j] = _mm256_permute2f128_ps::<0x31>(a, b);
            }
        }
        for (i, &x) in x.iter().enumerate() {
            self.store(x, &mut to.values[i * to.pitch..]);
        }
    }
    // In the order of the default implementation: upper half to lower half, three times.
    #[inline(always)]
    fn sum(self, x: __m256) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}
