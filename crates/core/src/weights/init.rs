//! The initial weights of a model, drawn from a seed in one of two styles.

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::layout::{Role, TensorLayout, TensorStore};
use super::positions::sincos_positions;
use super::{Layout, Parameters};

/// Style of the initial weights.
///
/// The styles are those of two major versions of transformers, and lead to different results. The
/// published results were trained from `PyTorch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// Linear weights and biases uniform within `1 / sqrt(inputs)`, random positions N(0, 1):
    /// PyTorch's own, which transformers 4 left in place.
    #[default]
    PyTorch,
    /// Linear weights N(0, `init_std`^2), biases 0, random positions N(0, 0.1^2): transformers 5.
    Normal,
}

impl Parameters<f32> {
    /// Draws the initial numbers of a model; the same seed gives the same bits everywhere.
    pub fn init(layout: &Layout, init: Init, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut parameters = Parameters {
            trained: vec![0.0; layout.len(TensorStore::Trained)],
            buffers: vec![0.0; layout.len(TensorStore::Buffer)],
            counters: vec![0; layout.len(TensorStore::Counter)],
        };
        for tensor in layout.tensors() {
            let values = match tensor.store {
                TensorStore::Trained => &mut parameters.trained[tensor.range.clone()],
                TensorStore::Buffer => &mut parameters.buffers[tensor.range.clone()],
                TensorStore::Counter => continue,
            };
            fill(values, tensor, layout.init_std, init, &mut random);
        }
        parameters
    }
}

fn fill(
    values: &mut [f32],
    tensor: &TensorLayout,
    init_std: f64,
    init: Init,
    random: &mut ChaCha8Rng,
) {
    match (tensor.role, init) {
        (Role::LinearWeight { inputs } | Role::LinearBias { inputs }, Init::PyTorch) => {
            let bound = 1.0 / (inputs as f64).sqrt();
            for value in values {
                *value = (bound * (2.0 * uniform(random) - 1.0)) as f32;
            }
        }
        (Role::LinearWeight { .. }, Init::Normal) => fill_normal(values, init_std, random),
        (Role::LinearBias { .. }, Init::Normal) => values.fill(0.0),
        (Role::PositionRandom, Init::PyTorch) => fill_normal(values, 1.0, random),
        (Role::PositionRandom, Init::Normal) => fill_normal(values, 0.1, random),
        (Role::PositionSinCos, _) => {
            let table = sincos_positions(tensor.shape[0], tensor.shape[1]);
            for (value, entry) in values.iter_mut().zip(table) {
                *value = entry as f32;
            }
        }
        (Role::One, _) => values.fill(1.0),
        (Role::Zero, _) => values.fill(0.0),
    }
}

/// Uniform in [0, 1) with 53 bits.
fn uniform(random: &mut ChaCha8Rng) -> f64 {
    random.random::<f64>()
}

/// Fills with N(0, deviation^2) by the Box-Muller transform, through `libm` so that every platform
/// gives the same bits.
fn fill_normal(values: &mut [f32], deviation: f64, random: &mut ChaCha8Rng) {
    for pair in values.chunks_mut(2) {
        // 1 - u is in (0, 1], so the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - uniform(random)));
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * uniform(random));
        for (value, direction) in pair.iter_mut().zip([cos, sin]) {
            *value = (deviation * radius * direction) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn layout(config: &Config) -> Layout {
        Layout::new(&config.network().unwrap()).unwrap()
    }

    fn wide() -> Config {
        Config { d_model: 64, num_layers: 1, patch_length: 4, patch_stride: 4, ..Config::default() }
    }

    #[test]
    fn pytorch_style_is_uniform_within_the_fan_in_bound() {
        let config = wide();
        let layout = layout(&config);
        let parameters = Parameters::init(&layout, Init::PyTorch, 7);
        let fc1 =
            layout.tensors().iter().find(|t| t.name.ends_with("feature_mixer.mlp.fc1.weight"));
        let weights = &parameters.trained[fc1.unwrap().range.clone()];
        let bound = 1.0 / 8.0;
        assert!(weights.iter().all(|w| w.abs() <= bound));
        let mean_square = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!((mean_square / (bound * bound / 3.0) - 1.0).abs() < 0.05, "{mean_square}");
    }

    #[test]
    fn normal_style_has_init_std_and_zero_biases() {
        let config = wide();
        let layout = layout(&config);
        let parameters = Parameters::init(&layout, Init::Normal, 7);
        let fc1 =
            layout.tensors().iter().find(|t| t.name.ends_with("feature_mixer.mlp.fc1.weight"));
        let weights = &parameters.trained[fc1.unwrap().range.clone()];
        let mean_square = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!((mean_square / 0.0004 - 1.0).abs() < 0.05, "{mean_square}");
        let bias = layout.tensors().iter().find(|t| t.name.ends_with("patcher.bias")).unwrap();
        assert!(parameters.trained[bias.range.clone()].iter().all(|&b| b == 0.0));
    }

    #[test]
    fn the_seed_decides_every_bit() {
        let config = wide();
        let layout = layout(&config);
        let draw = |seed| Parameters::init(&layout, Init::PyTorch, seed);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
