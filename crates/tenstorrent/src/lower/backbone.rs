//! Embedding and mixer layers as steps. The hidden state is `[B, C, N, D]` between blocks.
//!
//! The patch mixer mixes along N, the rows of each matrix `[N, D]`, whereas `ttnn`'s linear layer
//! mixes columns. Its first layer therefore reads the normalised state transposed (`transpose_a`),
//! which takes no step of its own up to 32 features, and leaves bias and GELU fused; wider states are transposed by a step, as
//! `ttnn` reads several matrices so only if each then has one row of tiles. The next layers compute on
//! `[D, N]`, and one transpose turns the result back. If D is whole tiles, the second layer, gate
//! and residual are one step on the transposed state. Weights on the left of the state (`W x`)
//! would need no transpose at all, but `ttnn` then divides the work among cores by rows of `W` only
//! (two cores for 64 patches), and cannot add a bias that differs from row to row. Our own kernel
//! can: with it a whole mixer is one step.

use ptsm_core::network::{
    Axis, Embedding, Gate, MixerBlock, Network, Norm, NormLayer, SelfAttention, Stage, State,
};
use ptsm_core::{Error, Result};

use super::attention::{AttentionHead, attention_head};
use super::builder::{Apply, Builder, LinearWeights};
use super::kernel_choice::Kernels;
use super::weights::Weights;
use super::windows::Windows;
use crate::options::Optimisation;
use crate::program::{DataType, MathFidelity, Op, TILE, TensorId};

/// Most patches for which gate and second layer are multiplied into one on the host.
const MAX_FOLDED: usize = 1024;

const SOFTMAX: Op = Op::Softmax { dim: -1 };
const MATMUL: Op = Op::Matmul { math_fidelity: MathFidelity::HiFi4 };
/// `[B, C, N, D]` to `[B, D, N, C]`, and back.
const SWAP_CHANNELS: Op = Op::Permute { dims: [0, 3, 2, 1] };
const SWAP_PATCHES: Op = Op::Permute { dims: [0, 1, 3, 2] };
const PLAIN: Apply = Apply { transpose_a: false, gelu: false };
const GELU: Apply = Apply { transpose_a: false, gelu: true };

/// The layers of one block.
pub(super) struct Block<'a> {
    pub(super) mixer: &'a MixerBlock,
    pub(super) fc1: LinearWeights,
    pub(super) fc2: LinearWeights,
    pub(super) gate: Option<LinearWeights>,
}

/// What the kernel of self-attention adds to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mixed {
    /// The hidden state.
    pub(super) state: TensorId,
    /// What the block's layers made of it.
    pub(super) mixed: TensorId,
}

/// What the layers of a patch mixer read.
#[derive(Debug, Clone, Copy)]
struct MixerInput {
    /// The hidden state, which is added to the mixer's result.
    state: TensorId,
    /// Its norm.
    normed: TensorId,
}

/// Lowers the backbone of one model.
pub(super) struct Backbone<'a> {
    pub(super) network: &'a Network,
    pub(super) weights: &'a Weights<'a>,
    pub(super) kernels: Kernels,
}

impl<'a> Backbone<'a> {
    /// From patches `[B, C, N, p]`, or from windows that are cut here, to the last hidden state
    /// `[B, C, N, D]`.
    pub(super) fn lower(
        &self,
        b: &mut Builder<'_>,
        batch: usize,
        windows: Option<Windows>,
    ) -> Result<TensorId> {
        let Embedding { state, patch_length, linear, positions, .. } = &self.network.embedding;
        let (State { channels, patches, features }, linear) =
            (*state, self.weights.linear(linear)?);
        let mut h = match windows {
            Some(windows) => self.embedding_kernel(b, &linear, batch, windows)?,
            None => {
                let patches = b.input("patches", [batch, channels, patches, *patch_length]);
                b.linear(patches, &linear, PLAIN)?
            }
        };
        if let Some(positions) = positions {
            let values = self.weights.values(&positions.name)?.to_vec();
            let shape = [1, 1, patches, features];
            let table = b.constant(&positions.name, shape, DataType::Bfloat16, || values);
            h = b.step("positions", Op::Add, &[h, table])?;
        }
        for stage in &self.network.stages {
            let Stage::Mixer(mixer) = stage else {
                let text = "splits or merges patches between its blocks, which this backend does \
                            not do (use the backend \"cpu\")";
                return Err(Error::config("network", text));
            };
            h = match mixer.axis {
                Axis::Channels => self.channel_mixer(b, mixer, h)?,
                Axis::Patches => self.patch_mixer(b, mixer, h)?,
                Axis::Features => self.feature_mixer(b, mixer, h)?,
            };
        }
        Ok(h)
    }

    fn block(&self, mixer: &'a MixerBlock) -> Result<Block<'a>> {
        let gate = mixer.gate.as_ref().map(Gate::linear);
        Ok(Block {
            mixer,
            fc1: self.weights.linear(&mixer.fc1)?,
            fc2: self.weights.linear(&mixer.fc2)?,
            gate: gate.map(|layer| self.weights.linear(layer)).transpose()?,
        })
    }

    /// Batch norm as `x * slope + offset`, slope and offset `[D]`.
    pub(super) fn batch_norm(&self, norm: &NormLayer) -> Result<(Vec<f32>, Vec<f32>)> {
        let part = |part: &str| self.weights.values(&norm.tensor(part));
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let eps = norm.eps as f32;
        let slope: Vec<f32> =
            weight.iter().zip(variance).map(|(w, v)| w / (v + eps).sqrt()).collect();
        let offset = (0..slope.len()).map(|d| bias[d] - mean[d] * slope[d]).collect();
        Ok((slope, offset))
    }

    /// The norm of `x`.
    fn norm(&self, b: &mut Builder<'_>, norm: &NormLayer, x: TensorId) -> Result<TensorId> {
        let (name, width) = (&norm.name, norm.width);
        if norm.kind == Norm::Batch {
            let (slope, offset) = self.batch_norm(norm)?;
            let mut weight = vec![0.0; width * width];
            slope.iter().enumerate().for_each(|(d, &s)| weight[d * width + d] = s);
            let layer = LinearWeights {
                name: name.clone(),
                inputs: width,
                outputs: width,
                weight,
                bias: offset,
            };
            return b.linear(x, &layer, PLAIN);
        }
        let mut row = |part: &str| -> Result<TensorId> {
            let name = norm.tensor(part);
            let values = self.weights.values(&name)?;
            Ok(b.row(&name, values, width))
        };
        let (weight, bias) = (row("weight")?, row("bias")?);
        let op = Op::LayerNorm { epsilon: norm.eps };
        b.step(name, op, &[x, weight, bias])
    }

    fn patch_mixer(
        &self,
        b: &mut Builder<'_>,
        mixer: &'a MixerBlock,
        h: TensorId,
    ) -> Result<TensorId> {
        let (block, attention) = (self.block(mixer)?, mixer.attention.as_ref());
        let kernel = match self.kernels.patches {
            true => self.mixer_kernel(b, &block, h)?,
            false => None,
        };
        let Some(attention) = attention else {
            return match kernel {
                Some(mixed) => Ok(mixed),
                None => self.mix(b, &block, h),
            };
        };
        let (mixed, normed) = match kernel {
            Some(mixed) => (mixed, None),
            None => {
                let normed = self.norm(b, &mixer.norm, h)?;
                (self.mix_transposed(b, &block, normed)?, Some(normed))
            }
        };
        if self.kernels.attention
            && let Some(made) =
                self.attention_kernel(b, &block, attention, Mixed { state: h, mixed })?
        {
            return Ok(made);
        }
        let normed = match normed {
            Some(normed) => normed,
            None => self.norm(b, &mixer.norm, h)?,
        };
        self.attend(b, mixer, attention, MixerInput { state: h, normed }, mixed)
    }

    /// A patch mixer without self-attention, of `ttnn`'s operations.
    fn mix(&self, b: &mut Builder<'_>, block: &Block<'_>, h: TensorId) -> Result<TensorId> {
        let mixer = block.mixer;
        let input = MixerInput { state: h, normed: self.norm(b, &mixer.norm, h)? };
        let whole = b.shape(h)[3].is_multiple_of(TILE) && b.shape(h)[2] <= MAX_FOLDED;
        let fuses = b.has(Optimisation::Layout) && b.has(Optimisation::Fusion) && whole;
        if let Some(gate) = block.gate.as_ref().filter(|_| fuses) {
            return self.mix_fused(b, block, gate, input);
        }
        let mixed = self.mix_transposed(b, block, input.normed)?;
        b.step(&mixer.name, Op::Add, &[h, mixed])
    }

    /// The mixer after its norm, on the transposed state.
    fn mix_fused(
        &self,
        b: &mut Builder<'_>,
        block: &Block<'_>,
        gate: &LinearWeights,
        input: MixerInput,
    ) -> Result<TensorId> {
        let name = &block.mixer.name;
        let hidden = self.first_transposed(b, block, input.normed)?;
        let logits = b.linear(hidden, &self.weights.composed(&block.fc2, gate)?, PLAIN)?;
        let gate = b.step(&format!("{name}.gate"), SOFTMAX, &[logits])?;
        let residual = b.step(&format!("{name}.residual"), Op::Transpose, &[input.state])?;
        let sum = format!("{name}.transposed");
        let sum = b.linear_gated(&sum, hidden, &block.fc2, residual, gate)?;
        b.step(name, Op::Transpose, &[sum])
    }

    /// The first layer of a patch mixer, `[B, C, D, hidden]`. `ttnn` reads several matrices transposed only if each then has one
    /// row of tiles.
    fn first_transposed(
        &self,
        b: &mut Builder<'_>,
        block: &Block<'_>,
        z: TensorId,
    ) -> Result<TensorId> {
        let (layout, [batch, channels, _, features]) = (b.has(Optimisation::Layout), b.shape(z));
        if layout && (features <= TILE || batch * channels == 1) {
            return b.linear(z, &block.fc1, Apply { transpose_a: true, gelu: true });
        }
        let turn = if layout { Op::Transpose } else { SWAP_PATCHES };
        let moved = b.step(&format!("{}.moved", block.mixer.name), turn, &[z])?;
        b.linear(moved, &block.fc1, GELU)
    }

    /// MLP and gate on the transposed state, and the transpose of their result.
    fn mix_transposed(
        &self,
        b: &mut Builder<'_>,
        block: &Block<'_>,
        z: TensorId,
    ) -> Result<TensorId> {
        let name = &block.mixer.name;
        let hidden = self.first_transposed(b, block, z)?;
        let mixed = b.linear(hidden, &block.fc2, PLAIN)?;
        let gated = self.gate(b, block, mixed)?;
        let back = if b.has(Optimisation::Layout) { Op::Transpose } else { SWAP_PATCHES };
        b.step(&format!("{name}.moved back"), back, &[gated])
    }

    /// `x * softmax(gate(x))` over the last axis, in three steps.
    fn gate(&self, b: &mut Builder<'_>, block: &Block<'_>, x: TensorId) -> Result<TensorId> {
        let Some(gate) = &block.gate else { return Ok(x) };
        let logits = b.linear(x, gate, PLAIN)?;
        let weights = b.step(&format!("{}.gate", block.mixer.name), SOFTMAX, &[logits])?;
        b.step(&format!("{}.gated", block.mixer.name), Op::Multiply, &[x, weights])
    }

    fn feature_mixer(
        &self,
        b: &mut Builder<'_>,
        mixer: &'a MixerBlock,
        h: TensorId,
    ) -> Result<TensorId> {
        let (mut block, name) = (self.block(mixer)?, &mixer.name);
        if self.kernels.features
            && let Some(mixed) = self.mixer_kernel(b, &block, h)?
        {
            return Ok(mixed);
        }
        let norm = &mixer.norm;
        let z = if norm.kind == Norm::Batch && b.has(Optimisation::Fusion) {
            // An affine map before a linear layer can be folded into it.
            let (slope, offset) = self.batch_norm(norm)?;
            block.fc1 = block.fc1.after_affine(&slope, &offset);
            h
        } else {
            self.norm(b, norm, h)?
        };
        let hidden = b.linear(z, &block.fc1, GELU)?;
        let Some(gate) = block.gate.as_ref().filter(|_| b.has(Optimisation::Fusion)) else {
            let mixed = b.linear(hidden, &block.fc2, PLAIN)?;
            let gated = self.gate(b, &block, mixed)?;
            return b.step(name, Op::Add, &[h, gated]);
        };
        let logits = b.linear(hidden, &self.weights.composed(&block.fc2, gate)?, PLAIN)?;
        let gate = b.step(&format!("{name}.gate"), SOFTMAX, &[logits])?;
        if b.shape(h)[2].is_multiple_of(TILE) {
            return b.linear_gated(name, hidden, &block.fc2, h, gate);
        }
        let mixed = b.linear(hidden, &block.fc2, PLAIN)?;
        b.step(name, Op::Addcmul, &[h, mixed, gate])
    }

    /// The channel mixer, whose gate comes before its MLP.
    fn channel_mixer(
        &self,
        b: &mut Builder<'_>,
        mixer: &'a MixerBlock,
        h: TensorId,
    ) -> Result<TensorId> {
        let (block, name) = (self.block(mixer)?, &mixer.name);
        if self.kernels.channels
            && let Some(mixed) = self.channel_kernel(b, &block, h)?
        {
            return Ok(mixed);
        }
        let z = self.norm(b, &mixer.norm, h)?;
        let z = b.step(&format!("{name}.moved"), SWAP_CHANNELS, &[z])?;
        let z = self.gate(b, &block, z)?;
        let hidden = b.linear(z, &block.fc1, GELU)?;
        let mixed = b.linear(hidden, &block.fc2, PLAIN)?;
        let back = b.step(&format!("{name}.moved back"), SWAP_CHANNELS, &[mixed])?;
        b.step(name, Op::Add, &[h, back])
    }

    /// Adds self-attention of the normalised state to what was `mixed`; gives the norm of that sum
    /// plus the state.
    fn attend(
        &self,
        b: &mut Builder<'_>,
        mixer: &MixerBlock,
        attention: &SelfAttention,
        input: MixerInput,
        mixed: TensorId,
    ) -> Result<TensorId> {
        let (name, z) = (&mixer.name, input.normed);
        let keys = b.step(&format!("{name}.keys"), Op::Transpose, &[z])?;
        let mut sum = mixed;
        for head in 0..attention.heads {
            let AttentionHead { query, value } =
                attention_head(self.weights, name, attention, head)?;
            let query = b.linear(z, &query, PLAIN)?;
            let scores = b.step(&format!("{name}.scores.{head}"), MATMUL, &[query, keys])?;
            let mut weights = b.step(&format!("{name}.attention.{head}"), SOFTMAX, &[scores])?;
            if !mixer.state.patches.is_multiple_of(TILE) {
                // The next product sums over the padding.
                let fill = Op::FillImplicitTilePadding { value: 0.0 };
                weights = b.step(&format!("{name}.filled.{head}"), fill, &[weights])?;
            }
            let value = b.linear(z, &value, PLAIN)?;
            let attended = b.step(&format!("{name}.attended.{head}"), MATMUL, &[weights, value])?;
            sum = b.step(&format!("{name}.sum.{head}"), Op::Add, &[sum, attended])?;
        }
        let normed = self.norm(b, &attention.norm, sum)?;
        b.step(name, Op::Add, &[input.state, normed])
    }
}

#[cfg(test)]
mod tests {
    use ptsm_core::network::Reshape;
    use ptsm_core::{Config, ErrorKind, Init, Model};

    use super::*;
    use crate::options::Options;

    #[test]
    fn a_network_with_levels_is_refused_by_name() {
        let model = Model::new(Config::default(), Init::PyTorch, 1).unwrap();
        let mut network = model.network().clone();
        let from = network.last_state();
        network.stages.push(Stage::Reshape(Reshape { from, to: from.split(2) }));
        let (weights, options) = (Weights::new(&model, false), Options::default());
        let backbone =
            Backbone { network: &network, weights: &weights, kernels: Kernels::default() };
        let error = backbone.lower(&mut Builder::new(&options, false), 1, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("splits or merges patches"), "{error}");
    }
}
