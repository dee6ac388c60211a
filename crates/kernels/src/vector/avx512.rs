//! AVX-512 (F, DQ, BW, VL): 16 lanes in each of 32 registers.

use std::arch::x86_64::*;

use super::Vector;
use crate::matrix::{Matrix, MatrixMut};

/// Proof that this machine has AVX-512 F, DQ, BW and VL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512 {
    _detected: (),
}

impl Avx512 {
    /// The token, if the machine has all of them.
    pub(crate) fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        there.then_some(Self { _detected: () })
    }
}

impl Vector for Avx512 {
    type F = __m512;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 8;
    const HAS_LOOKUP: bool = true;

    #[inline(always)]
    fn prefetch(self, from: &[f32]) {
        // SAFETY: a prefetch never faults, whatever the address; `self` proves SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        assert!(from.len() >= Self::LANES);
        // SAFETY: 64 bytes are readable (asserted); `self` proves AVX-512.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, x: __m512, to: &mut [f32]) {
        assert!(to.len() >= Self::LANES);
        // SAFETY: 64 bytes are writable (asserted); `self` proves AVX-512.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn round(self, x: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }
    #[inline(always)]
    fn abs(self, x: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_abs_ps(x) }
    }
    #[inline(always)]
    fn sqrt(self, x: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_sqrt_ps(x) }
    }
    #[inline(always)]
    fn pow2(self, x: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }
    #[inline(always)]
    fn times_pow2(self, x: __m512, n: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_scalef_ps(x, n) }
    }
    #[inline(always)]
    fn lookup(self, table: &[f32; 32], index: __m512) -> __m512 {
        let (low, high) = (self.load(&table[..16]), self.load(&table[16..]));
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_permutex2var_ps(low, _mm512_castps_si512(index), high) }
    }
    #[inline(always)]
    fn transpose_square(self, from: Matrix<'_>, to: MatrixMut<'_>) {
        let mut x: [__m512; 16] =
            std::array::from_fn(|i| self.load(&from.values[i * from.pitch..]));
        // SAFETY: `self` proves AVX-512.
        unsafe {
            for i in (0..16).step_by(2) {
                let (a, b) = (x[i], x[i + 1]);
                (x[i], x[i + 1]) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            }
            for i in (0..16).step_by(4) {
                let of = |i: usize| _mm512_castps_pd(x[i]);
                let (a, b, c, d) = (of(i), of(i + 1), of(i + 2), of(i + 3));
                x[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
            }
            // Quarter q of x[4 g + j] now holds column 4 q + j of the rows 4 g to 4 g + 3.
            for j in 0..4 {
                let (a, b, c, d) = (x[j], x[4 + j], x[8 + j], x[12 + j]);
                let even = [_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d)];
                let odd = [_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d)];
                x[j] = _mm512_shuffle_f32x4::<0x88>(even[0], even[1]);
                x[8 + j] = _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]);
                x[4 + j] = _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]);
                x[12 + j] = _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]);
            }
        }
        for (i, &x) in x.iter().enumerate() {
            self.store(x, &mut to.values[i * to.pitch..]);
        }
    }
    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_reduce_add_ps(x) }
    }
    #[inline(always)]
    fn largest(self, x: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_reduce_max_ps(x) }
    }
}
