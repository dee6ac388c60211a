//! Helpers shared by the tests of the kernels: inputs, tolerances, canaries.

use crate::epilogue::Finish;

/// All variants of [`Finish`], to test each of them.
pub(crate) const FINISHES: [Finish; 3] = [Finish::Store, Finish::Add, Finish::Gelu];

/// The epilogue in f64: an element that was `before`, with the sum of its product.
pub(crate) fn finished(finish: Finish, before: f32, sum: f64) -> f64 {
    match finish {
        Finish::Store => sum,
        Finish::Add => f64::from(before) + sum,
        Finish::Gelu => sum * 0.5 * libm::erfc(-sum * std::f64::consts::FRAC_1_SQRT_2),
    }
}

/// Pseudo-random numbers between -2 and 2 (xorshift).
pub(crate) fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 4.0 - 2.0
    };
    (0..len).map(|_| next()).collect()
}

/// Checks that every number is within `tolerance` of the wanted one, relative to the largest.
pub(crate) fn assert_close(got: &[f32], wanted: &[f64], tolerance: f64, name: &str) {
    assert_eq!(got.len(), wanted.len(), "{name}: lengths");
    let largest = wanted.iter().fold(1e-30_f64, |max, x| max.max(x.abs()));
    for (i, (&got, &wanted)) in got.iter().zip(wanted).enumerate() {
        let error = (f64::from(got) - wanted).abs() / largest;
        assert!(error <= tolerance, "{name}: element {i} is {got}, wanted {wanted}");
    }
}

/// Runs an in-place kernel on a copy of `x` that is not aligned, and checks that nothing before or after
/// it was written.
pub(crate) fn with_canaries(x: &[f32], kernel: impl Fn(&mut [f32])) -> Vec<f32> {
    const CANARY: f32 = 1234.5;
    let mut buffer = vec![CANARY; x.len() + 35];
    buffer[1..=x.len()].copy_from_slice(x);
    kernel(&mut buffer[1..=x.len()]);
    assert!(buffer[0] == CANARY && buffer[x.len() + 1..].iter().all(|&c| c == CANARY), "canary");
    buffer[1..=x.len()].to_vec()
}
