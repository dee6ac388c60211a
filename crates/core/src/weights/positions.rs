//! The fixed table of positions that is added to the embedded patches.
//!
//! Source: `PatchTSMixerPositionalEncoding`, transformers 5.23.0.

/// The fixed table `[N, D]` of sines (even columns) and cosines (odd columns), less its mean and
/// divided by ten of its deviations (unbiased, over all elements).
///
/// # Panics
///
/// If `d_model` is odd; validation refuses that.
pub(crate) fn sincos_positions(num_patches: usize, d_model: usize) -> Vec<f64> {
    assert_eq!(d_model % 2, 0, "sincos positions need an even d_model");
    let mut table = Vec::with_capacity(num_patches * d_model);
    for n in 0..num_patches {
        for i in 0..d_model / 2 {
            let frequency = libm::exp(-(2.0 * i as f64) * libm::log(10_000.0) / d_model as f64);
            let (sin, cos) = libm::sincos(n as f64 * frequency);
            table.extend([sin, cos]);
        }
    }
    let count = table.len() as f64;
    let mean = table.iter().sum::<f64>() / count;
    let squares = table.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>();
    let deviation = (squares / (count - 1.0)).sqrt();
    table.iter().map(|x| (x - mean) / (10.0 * deviation)).collect()
}
