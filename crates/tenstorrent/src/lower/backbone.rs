//! Embedding and mixer layers as steps. The hidden state is `[B, C, N, D]` between blocks.
//!
//! The patch mixer mixes N, which stands in rows. Its first layer reads the normalised state
//! transposed (`transpose_a`), which costs no step, so its bias and GELU are fused and the rest runs
//! along N; one transpose brings the result back. Where D is whole tiles, the second layer, gate and
//! residual are one step on the transposed state. Weights on the left of the state (`W x`) would
//! need no transpose at all, but `ttnn` spreads one left operand for many right ones over the
//! operand's rows only, two cores for 64 patches, and has no bias down rows. Our own kernel does
//! that: there a whole mixer is one step.

use ptsm_core::{Config, Norm, Result};

use super::Kernels;
use super::builder::{Apply, Builder, LinearWeights};
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
pub(super) struct Block {
    pub(super) name: String,
    pub(super) fc1: LinearWeights,
    pub(super) fc2: LinearWeights,
    pub(super) gate: Option<LinearWeights>,
}

/// Lowers the backbone of one model.
pub(super) struct Backbone<'a> {
    pub(super) config: &'a Config,
    pub(super) weights: &'a Weights<'a>,
    pub(super) kernels: Kernels,
}

impl Backbone<'_> {
    /// From patches `[B, C, N, p]`, or from windows that are cut here, to the last hidden state
    /// `[B, C, N, D]`.
    pub(super) fn lower(
        &self,
        b: &mut Builder<'_>,
        (batch, windows): (usize, Option<Windows>),
    ) -> Result<TensorId> {
        let (config, embedding) = (self.config, self.weights.linear("model.encoder.patcher")?);
        let mut h = match windows {
            Some(windows) => self.embedding_kernel(b, &embedding, (batch, windows))?,
            None => {
                let channels = config.num_input_channels;
                let shape = [batch, channels, config.num_patches(), config.patch_length];
                let patches = b.input("patches", shape);
                b.linear(patches, &embedding, PLAIN)?
            }
        };
        let table = "model.encoder.positional_encoder.position_enc";
        if self.weights.has(table) {
            let shape = [1, 1, self.config.num_patches(), self.config.d_model];
            let values = self.weights.values(table)?.to_vec();
            let table = b.constant(table, (shape, DataType::Bfloat16), || values);
            h = b.step("positions", Op::Add, &[h, table])?;
        }
        for layer in 0..self.config.num_layers {
            let name = format!("model.encoder.mlp_mixer_encoder.mixers.{layer}");
            if self.config.mixes_channels() {
                h = self.channel_mixer(b, &format!("{name}.channel_feature_mixer"), h)?;
            }
            h = self.patch_mixer(b, &format!("{name}.patch_mixer"), h)?;
            h = self.feature_mixer(b, &format!("{name}.feature_mixer"), h)?;
        }
        Ok(h)
    }

    fn block(&self, name: &str) -> Result<Block> {
        let gate = match self.config.gated_attn {
            true => Some(self.weights.linear(&format!("{name}.gating_block.attn_layer"))?),
            false => None,
        };
        Ok(Block {
            name: name.into(),
            fc1: self.weights.linear(&format!("{name}.mlp.fc1"))?,
            fc2: self.weights.linear(&format!("{name}.mlp.fc2"))?,
            gate,
        })
    }

    /// Batch norm as `x * slope + offset`, slope and offset `[D]`.
    fn batch_norm(&self, name: &str) -> Result<(Vec<f32>, Vec<f32>)> {
        let part = |part: &str| self.weights.values(&format!("{name}.norm.batchnorm.{part}"));
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let eps = self.config.norm_eps as f32;
        let slope: Vec<f32> =
            weight.iter().zip(variance).map(|(w, v)| w / (v + eps).sqrt()).collect();
        let offset = (0..slope.len()).map(|d| bias[d] - mean[d] * slope[d]).collect();
        Ok((slope, offset))
    }

    /// The norm `name` of `x`, plus `residual` first where there is one.
    fn norm(&self, b: &mut Builder<'_>, name: &str, x: TensorId) -> Result<TensorId> {
        let width = self.config.d_model;
        if self.config.norm() == Norm::Batch {
            let (slope, offset) = self.batch_norm(name)?;
            let mut weight = vec![0.0; width * width];
            slope.iter().enumerate().for_each(|(d, &s)| weight[d * width + d] = s);
            let layer = LinearWeights {
                name: name.into(),
                inputs: width,
                outputs: width,
                weight,
                bias: offset,
            };
            return b.linear(x, &layer, PLAIN);
        }
        let mut row = |part: &str| -> Result<TensorId> {
            let name = format!("{name}.norm.{part}");
            let values = self.weights.values(&name)?;
            Ok(b.row(&name, values, width))
        };
        let (weight, bias) = (row("weight")?, row("bias")?);
        let op = Op::LayerNorm { epsilon: self.config.norm_eps };
        b.step(name, op, &[x, weight, bias])
    }

    fn patch_mixer(&self, b: &mut Builder<'_>, name: &str, h: TensorId) -> Result<TensorId> {
        let block = self.block(name)?;
        if self.kernels.patches
            && !self.config.self_attn
            && let Some(mixed) = self.mixer_kernel(b, &block, (h, true))?
        {
            return Ok(mixed);
        }
        let z = self.norm(b, &format!("{name}.norm"), h)?;
        let whole = b.shape(h)[3].is_multiple_of(TILE) && b.shape(h)[2] <= MAX_FOLDED;
        let fuses = b.has(Optimisation::Layout) && b.has(Optimisation::Fusion) && whole;
        if let Some(gate) = block.gate.as_ref().filter(|_| fuses && !self.config.self_attn) {
            return self.mix_fused(b, (&block, gate), (h, z));
        }
        let mixed = self.mix_transposed(b, &block, z)?;
        match self.config.self_attn {
            true => self.attend(b, name, (h, z, mixed)),
            false => b.step(name, Op::Add, &[h, mixed]),
        }
    }

    /// The whole mixer behind its norm on the transposed state.
    fn mix_fused(
        &self,
        b: &mut Builder<'_>,
        (block, gate): (&Block, &LinearWeights),
        (h, z): (TensorId, TensorId),
    ) -> Result<TensorId> {
        let name = &block.name;
        let hidden = b.linear(z, &block.fc1, Apply { transpose_a: true, gelu: true })?;
        let logits = b.linear(hidden, &self.weights.composed(&block.fc2, gate)?, PLAIN)?;
        let gate = b.step(&format!("{name}.gate"), SOFTMAX, &[logits])?;
        let residual = b.step(&format!("{name}.residual"), Op::Transpose, &[h])?;
        let sum = format!("{name}.transposed");
        let sum = b.linear_gated(&sum, hidden, &block.fc2, (residual, gate))?;
        b.step(name, Op::Transpose, &[sum])
    }

    /// MLP and gate with the patches brought to the end and back.
    fn mix_transposed(&self, b: &mut Builder<'_>, block: &Block, z: TensorId) -> Result<TensorId> {
        let name = &block.name;
        let read_transposed = b.has(Optimisation::Layout);
        let hidden = if read_transposed {
            b.linear(z, &block.fc1, Apply { transpose_a: true, gelu: true })?
        } else {
            let moved = b.step(&format!("{name}.moved"), SWAP_PATCHES, &[z])?;
            b.linear(moved, &block.fc1, GELU)?
        };
        let mixed = b.linear(hidden, &block.fc2, PLAIN)?;
        let gated = self.gate(b, block, mixed)?;
        let back = if read_transposed { Op::Transpose } else { SWAP_PATCHES };
        b.step(&format!("{name}.moved back"), back, &[gated])
    }

    /// `x * softmax(gate(x))` over the last axis, in three steps.
    fn gate(&self, b: &mut Builder<'_>, block: &Block, x: TensorId) -> Result<TensorId> {
        let Some(gate) = &block.gate else { return Ok(x) };
        let logits = b.linear(x, gate, PLAIN)?;
        let weights = b.step(&format!("{}.gate", block.name), SOFTMAX, &[logits])?;
        b.step(&format!("{}.gated", block.name), Op::Multiply, &[x, weights])
    }

    fn feature_mixer(&self, b: &mut Builder<'_>, name: &str, h: TensorId) -> Result<TensorId> {
        let mut block = self.block(name)?;
        if self.kernels.features
            && let Some(mixed) = self.mixer_kernel(b, &block, (h, false))?
        {
            return Ok(mixed);
        }
        let norm = format!("{name}.norm");
        let z = if self.config.norm() == Norm::Batch && b.has(Optimisation::Fusion) {
            // An affine map in front of a linear layer is part of it.
            let (slope, offset) = self.batch_norm(&norm)?;
            block.fc1 = behind((&slope, &offset), block.fc1);
            h
        } else {
            self.norm(b, &norm, h)?
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
            return b.linear_gated(name, hidden, &block.fc2, (h, gate));
        }
        let mixed = b.linear(hidden, &block.fc2, PLAIN)?;
        b.step(name, Op::Addcmul, &[h, mixed, gate])
    }

    /// The channel mixer, whose gate comes first.
    fn channel_mixer(&self, b: &mut Builder<'_>, name: &str, h: TensorId) -> Result<TensorId> {
        let block = self.block(name)?;
        let z = self.norm(b, &format!("{name}.norm"), h)?;
        let z = b.step(&format!("{name}.moved"), SWAP_CHANNELS, &[z])?;
        let z = self.gate(b, &block, z)?;
        let hidden = b.linear(z, &block.fc1, GELU)?;
        let mixed = b.linear(hidden, &block.fc2, PLAIN)?;
        let back = b.step(&format!("{name}.moved back"), SWAP_CHANNELS, &[mixed])?;
        b.step(name, Op::Add, &[h, back])
    }

    /// Self-attention of `z` beside what was `mixed`, their norm, and the residual `h`.
    fn attend(
        &self,
        b: &mut Builder<'_>,
        name: &str,
        (h, z, mixed): (TensorId, TensorId, TensorId),
    ) -> Result<TensorId> {
        let keys = b.step(&format!("{name}.keys"), Op::Transpose, &[z])?;
        let mut sum = mixed;
        for head in 0..self.config.self_attn_heads {
            let (query, value) = self.attention_head(name, head, b.with_values())?;
            let query = b.linear(z, &query, PLAIN)?;
            let scores = b.step(&format!("{name}.scores.{head}"), MATMUL, &[query, keys])?;
            let mut weights = b.step(&format!("{name}.attention.{head}"), SOFTMAX, &[scores])?;
            if !self.config.num_patches().is_multiple_of(TILE) {
                // The next product sums over the padding.
                let fill = Op::FillImplicitTilePadding { value: 0.0 };
                weights = b.step(&format!("{name}.filled.{head}"), fill, &[weights])?;
            }
            let value = b.linear(z, &value, PLAIN)?;
            let attended = b.step(&format!("{name}.attended.{head}"), MATMUL, &[weights, value])?;
            sum = b.step(&format!("{name}.sum.{head}"), Op::Add, &[sum, attended])?;
        }
        let normed = self.norm(b, &format!("{name}.norm_attn"), sum)?;
        b.step(name, Op::Add, &[h, normed])
    }

    /// One head's layers from `z` to what the keys `z` are multiplied with, and from `z` to the
    /// head's share of the output. The bias of the keys cancels in the softmax; the weights of a
    /// row sum to 1, so biases behind the values pass through.
    fn attention_head(
        &self,
        name: &str,
        head: usize,
        with_values: bool,
    ) -> Result<(LinearWeights, LinearWeights)> {
        let part = |part: &str| self.weights.linear(&format!("{name}.self_attn_layer.{part}_proj"));
        let (query, key, value, out) = (part("q")?, part("k")?, part("v")?, part("out")?);
        let width = query.inputs;
        let layer = |part: &str| LinearWeights {
            name: format!("{name}.self_attn_layer.{part}.{head}"),
            inputs: width,
            outputs: width,
            weight: Vec::new(),
            bias: Vec::new(),
        };
        let (mut scores, mut values) = (layer("query_key"), layer("value_out"));
        if !with_values {
            return Ok((scores, values));
        }
        let size = width / self.config.self_attn_heads;
        let features = head * size..(head + 1) * size;
        let scale = 1.0 / (size as f32).sqrt();
        let sum = |f: &dyn Fn(usize) -> f32| features.clone().map(f).sum::<f32>();
        for o in 0..width {
            for i in 0..width {
                let at = |f: usize| query.weight[f * width + i] * key.weight[f * width + o];
                scores.weight.push(scale * sum(&at));
                let at = |f: usize| out.weight[o * width + f] * value.weight[f * width + i];
                values.weight.push(sum(&at));
            }
            scores.bias.push(scale * sum(&|f| query.bias[f] * key.weight[f * width + o]));
            let own = if head == 0 { out.bias[o] } else { 0.0 };
            values.bias.push(own + sum(&|f| out.weight[o * width + f] * value.bias[f]));
        }
        Ok((scores, values))
    }
}

/// An affine map of the features and then `layer`, as one layer.
pub(super) fn behind((slope, offset): (&[f32], &[f32]), mut layer: LinearWeights) -> LinearWeights {
    let rows = layer.weight.chunks_exact_mut(layer.inputs).zip(&mut layer.bias);
    for (row, bias) in rows {
        for (d, weight) in row.iter_mut().enumerate() {
            *bias += *weight * offset[d];
            *weight *= slope[d];
        }
    }
    layer
}
