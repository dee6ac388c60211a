//! Model shapes that `bench` and `tt-plan` know by name, and windows for them.

use ptsm::Config;
use ptsm::data::{Batch, BatchShape};

/// A named shape; the help text says what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    /// 512 -> 96, 64 patches of 8, d_model 16, 4 layers, 7 channels: the reference shape
    Seed,
    /// 32 patches of 16, d_model 48, 3 layers, expansion 3: as IBM trains ETTh
    Notebook,
    /// 63 overlapping patches of 16, d_model 48, 8 layers, expansion 5
    Large,
    /// 2,048 patches: weights beyond every cache
    Long,
    /// 16,384 patches of one channel in one layer: 1.3 billion weights
    Longest,
    /// 130 channels that are mixed
    Wide,
    /// 1,000 channels that are mixed
    Widest,
}

impl Shape {
    /// Its configuration.
    pub(crate) fn config(self) -> Config {
        let seed = Config {
            context_length: 512,
            prediction_length: 96,
            num_input_channels: 7,
            d_model: 16,
            num_layers: 4,
            ..Config::default()
        };
        let wider = |patch_stride, num_layers, expansion_factor| Config {
            patch_length: 16,
            patch_stride,
            d_model: 48,
            num_layers,
            expansion_factor,
            ..seed.clone()
        };
        match self {
            Shape::Notebook => wider(16, 3, 3),
            Shape::Large => wider(8, 8, 5),
            Shape::Long => Config { context_length: 16_384, num_layers: 2, ..seed },
            Shape::Longest => {
                Config { context_length: 131_072, num_input_channels: 1, num_layers: 1, ..seed }
            }
            Shape::Wide => Config { num_input_channels: 130, mode: "mix_channel".into(), ..seed },
            Shape::Widest => {
                Config { num_input_channels: 1000, mode: "mix_channel".into(), ..seed }
            }
            Shape::Seed => seed,
        }
    }
}

/// Windows of a slow wave with a fast one added.
pub(super) fn windows(config: &Config, size: usize) -> Batch {
    let (context_length, num_channels) = (config.context_length, config.num_input_channels);
    let mut batch = Batch::zeros(BatchShape { size, context_length, num_channels });
    for (i, x) in batch.past_values_mut().iter_mut().enumerate() {
        let i = i as f32;
        *x = (i * 0.003).sin() + 0.3 * (i * 12.9898).sin();
    }
    batch
}
