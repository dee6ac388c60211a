//! The choice of the patches that pretraining hides.
//!
//! Source: `random_masking`, `forecast_masking`, transformers 5.23.0. The draws are
//! ours: a function of the seed and the step for a whole batch, so that neither threads nor the way
//! a batch is cut change them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::Config;
use crate::real::Real;

/// Draws the masks of one batch, `[B, C, N]`, 1 = hidden.
///
/// `mask_type = "random"` keeps `int(N (1 - random_mask_ratio))` patches of each sample (of each
/// channel, without `channel_consistent_masking`). `"forecast"` hides the last patches: each length
/// of `num_forecast_mask_patches` gets an equal share of the samples, the first length what is
/// left over. Channels of `unmasked_channel_indices` stay whole.
pub fn draw_masks(config: &Config, batch: usize, seed: u64, step: u64) -> Vec<f32> {
    let (channels, patches) = (config.num_input_channels, config.num_patches());
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x6D61_736B);
    random.set_stream(step);
    let mut masks = match config.mask_type.as_str() {
        "forecast" => forecast_masks(config, batch, &mut random),
        _ => random_masks(config, batch, &mut random),
    };
    for channel in config.unmasked_channel_indices.iter().flatten() {
        for b in 0..batch {
            masks[(b * channels + channel) * patches..][..patches].fill(0.0);
        }
    }
    masks
}

fn random_masks(config: &Config, batch: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let (channels, patches) = (config.num_input_channels, config.num_patches());
    // Truncated as in the reference: 10 (1 - 0.9) is a little less than 1 and keeps nothing.
    let keep = (patches as f64 * (1.0 - config.random_mask_ratio)) as usize;
    let mut masks = Vec::with_capacity(batch * channels * patches);
    for _ in 0..batch {
        let draws = if config.channel_consistent_masking { 1 } else { channels };
        for _ in 0..draws {
            let mut order: Vec<(u32, usize)> =
                (0..patches).map(|n| (random.random::<u32>(), n)).collect();
            order.sort_unstable();
            let mut mask = vec![1.0; patches];
            order[..keep].iter().for_each(|&(_, n)| mask[n] = 0.0);
            for _ in 0..channels / draws {
                masks.extend_from_slice(&mask);
            }
        }
    }
    masks
}

fn forecast_masks(config: &Config, batch: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let (channels, patches) = (config.num_input_channels, config.num_patches());
    let lengths = &config.num_forecast_mask_patches;
    let share = batch / lengths.len();
    let mut rows: Vec<usize> =
        lengths.iter().flat_map(|&l| std::iter::repeat_n(l, share)).collect();
    let left_over = batch - rows.len();
    rows.extend(std::iter::repeat_n(lengths[0], left_over));
    for i in (1..rows.len()).rev() {
        rows.swap(i, random.random_range(0..=i));
    }
    let mut masks = Vec::with_capacity(batch * channels * patches);
    for length in rows {
        for _ in 0..channels {
            masks.extend((0..patches).map(|n| if n + length >= patches { 1.0 } else { 0.0 }));
        }
    }
    masks
}

/// Puts `value` into the hidden patches: `patches` `[B, C, N, p]`, `mask` `[B, C, N]`.
pub(crate) fn forward<T: Real>(patches: &[T], mask: &[T], length: usize, value: T) -> Vec<T> {
    let mut masked = patches.to_vec();
    for (patch, &hidden) in masked.chunks_exact_mut(length).zip(mask) {
        if hidden != T::ZERO {
            patch.fill(value);
        }
    }
    masked
}

/// Gradient for the unmasked patches, in place.
pub(crate) fn backward<T: Real>(d: &mut [T], mask: &[T], length: usize) {
    for (d, &hidden) in d.chunks_exact_mut(length).zip(mask) {
        if hidden != T::ZERO {
            d.fill(T::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            context_length: 80,
            num_input_channels: 3,
            random_mask_ratio: 0.4,
            ..Config::default()
        }
    }

    #[test]
    fn random_masks_hide_the_asked_share_of_every_sample() {
        let masks = draw_masks(&config(), 7, 1, 0);
        for sample in masks.chunks_exact(30) {
            assert_eq!(sample[..10].iter().sum::<f32>(), 4.0);
            assert_eq!(sample[..10], sample[10..20]);
        }
        let apart = Config { channel_consistent_masking: false, ..config() };
        let masks = draw_masks(&apart, 7, 1, 0);
        assert!(masks.chunks_exact(10).all(|mask| mask.iter().sum::<f32>() == 4.0));
        assert_ne!(masks[..10], masks[10..20]);
        assert_ne!(masks, draw_masks(&apart, 7, 1, 1));
        assert_eq!(masks, draw_masks(&apart, 7, 1, 0));
    }

    #[test]
    fn truncation_is_that_of_the_reference() {
        let config = Config { random_mask_ratio: 0.9, ..config() };
        assert!(draw_masks(&config, 2, 1, 0).iter().all(|&hidden| hidden == 1.0));
    }

    #[test]
    fn forecast_masks_share_the_batch_and_spare_chosen_channels() {
        let config = Config {
            mask_type: "forecast".into(),
            num_forecast_mask_patches: vec![2, 5],
            unmasked_channel_indices: Some(vec![1]),
            ..config()
        };
        let masks = draw_masks(&config, 7, 1, 0);
        let mut counts: Vec<f32> = Vec::new();
        for sample in masks.chunks_exact(30) {
            assert!(sample[10..20].iter().all(|&hidden| hidden == 0.0));
            assert_eq!(sample[..10], sample[20..]);
            assert!(sample[..10].windows(2).all(|pair| pair[0] <= pair[1]), "the last are hidden");
            counts.push(sample[..10].iter().sum());
        }
        counts.sort_unstable_by(f32::total_cmp);
        assert_eq!(counts, [2.0, 2.0, 2.0, 2.0, 5.0, 5.0, 5.0]);
    }
}
