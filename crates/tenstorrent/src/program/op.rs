//! Operations: the names and arguments of `ttnn` 0.81, and the shapes that they give.

use ptsm_core::{Error, Result};
use serde::{Deserialize, Serialize};

use super::attention::AttentionTiles;
use super::channels::ChannelTiles;
use super::embed::EmbedTiles;
use super::mixer::MixerTiles;
use super::tensor::{DataType, TILE, TensorSpec};
use crate::chip::CoreGrid;

/// With how many bits of its operands a product is computed: more bits take more passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MathFidelity {
    /// Upper bits only.
    LoFi,
    /// All bits of the weights, all but the last of the activations.
    HiFi2,
    /// All bits.
    HiFi4,
}

/// A function that a linear layer applies to its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x Phi(x)`, looked up in a table, which a core does twelve times as fast as it computes it.
    #[serde(rename = "gelu_approx")]
    Gelu,
}

/// `ttnn.MinimalMatmulConfig`: sides of the blocks of a product, in tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// Rows.
    pub rows: usize,
    /// Of the axis that is summed.
    pub inner: usize,
    /// Columns.
    pub columns: usize,
    /// Cores that take part.
    pub core_grid: CoreGrid,
}

impl Blocks {
    /// Blocks of at most four tiles a side for a product of `[.., inner]` by `[inner, columns]`.
    pub fn for_tiles(inner: usize, columns: usize, core_grid: CoreGrid) -> Self {
        let side = |tiles: usize| tiles.clamp(1, 4);
        Self { rows: 4, inner: side(inner), columns: side(columns), core_grid }
    }
}

/// One operation; its tensors are in the [`Step`](super::Step), in the order given here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// `ttnn.linear(a, weight[, bias])`: `[.., M, K]` by `[1, 1, K, N]`.
    Linear {
        /// `a` is read as `[.., K, M]`; costs no operation of its own.
        transpose_a: bool,
        /// Applied after the bias, in the same operation.
        #[serde(skip_serializing_if = "Option::is_none")]
        activation: Option<Activation>,
        /// Cores; without it `ttnn` adds bias and activation as operations of their own.
        #[serde(skip_serializing_if = "Option::is_none")]
        core_grid: Option<CoreGrid>,
        /// Bits of a product.
        math_fidelity: MathFidelity,
    },
    /// `ttnn.matmul(a, b)`: `[.., M, K]` by `[.., K, N]`; an `a` with one matrix is used for every `b`.
    Matmul {
        /// Bits of a product.
        math_fidelity: MathFidelity,
    },
    /// `ttnn.experimental.dit_minimal_matmul_addcmul_fused(x, weight, 1.0, residual, gate, bias)`:
    /// `residual + (x weight + bias) * gate`. Rows must be whole tiles.
    MatmulAddcmul {
        /// Tiles that a core works on at a time; what `ttnn` takes by itself fills most of L1.
        config: Blocks,
        /// Bits of a product.
        math_fidelity: MathFidelity,
    },
    /// A kernel of ours: windows `[B, C, 1, L]`, not in tiles, are cut into patches, which go
    /// through the embedding, `[B, C, N, D]`. The table holds its weight and bias, see
    /// [`EmbedTiles`].
    Embed {
        /// How windows are cut.
        #[serde(flatten)]
        tiles: EmbedTiles,
        /// Tiles of every circular buffer.
        buffers: Vec<usize>,
        /// Numbers of an embedded patch.
        d_model: usize,
        /// Cores that share the units.
        core_grid: CoreGrid,
        /// Bits of a product.
        math_fidelity: MathFidelity,
    },
    /// A kernel of ours through `ttnn.generic_op([x, table, out], program)`: a whole mixer block,
    /// `x + z * softmax(logits)` or `x + z`, where norm, two layers and gate compute both from `x`. The table
    /// holds all its numbers as tiles, see [`MixerTiles`].
    Mixer {
        /// Its sizes.
        #[serde(flatten)]
        tiles: MixerTiles,
        /// Tiles of every circular buffer.
        buffers: Vec<usize>,
        /// Added to the variance.
        epsilon: f64,
        /// Cores that share the units.
        core_grid: CoreGrid,
        /// Bits of a product.
        math_fidelity: MathFidelity,
    },
    /// A kernel of ours: a whole channel mixer, `x + second(gelu(first(z * softmax(gate(z)))))` or the same of `z`, where `z` is
    /// the norm of `x`, along the second axis. The table holds all its numbers, see [`ChannelTiles`].
    Channels {
        /// Its sizes.
        #[serde(flatten)]
        tiles: ChannelTiles,
        /// Tiles of every circular buffer.
        buffers: Vec<usize>,
        /// Added to the variance.
        epsilon: f64,
        /// Cores that share the units.
        core_grid: CoreGrid,
        /// Bits of a product.
        math_fidelity: MathFidelity,
    },
    /// A kernel of ours on `x`, its table and what a block's layers `mixed`: `x + last_norm(mixed + attention(norm(x)))`, with
    /// all heads. The table holds all its numbers, see [`AttentionTiles`].
    Attention {
        /// Its sizes.
        #[serde(flatten)]
        tiles: AttentionTiles,
        /// Tiles of every circular buffer.
        buffers: Vec<usize>,
        /// Added to the variance, in both norms.
        epsilon: f64,
        /// Cores that share the units.
        core_grid: CoreGrid,
        /// Bits of a product.
        math_fidelity: MathFidelity,
    },
    /// `ttnn.layer_norm(x, weight, bias[, residual_input_tensor])` over the last axis.
    LayerNorm {
        /// Added to the variance.
        epsilon: f64,
    },
    /// `ttnn.softmax(x, dim)`.
    Softmax {
        /// -1 or -2.
        dim: i32,
    },
    /// `ttnn.gelu(x)`.
    Gelu,
    /// `ttnn.transpose(x, -2, -1)`.
    Transpose,
    /// `ttnn.permute(x, dims)`.
    Permute {
        /// Which axis of the input each axis of the output is.
        dims: [usize; 4],
    },
    /// `ttnn.reshape(x, shape)`.
    Reshape {
        /// The new shape.
        shape: [usize; 4],
    },
    /// `ttnn.add(a, b)`; axes of length 1 of `b` are repeated.
    Add,
    /// `ttnn.multiply(a, b)`.
    Multiply,
    /// `ttnn.addcmul(a, b, c)`: `a + b * c`.
    Addcmul,
    /// `ttnn.max(x, dim=-2, keepdim=True)`.
    Max,
    /// `ttnn.fill_implicit_tile_padding(x, value)`.
    FillImplicitTilePadding {
        /// What the padding becomes.
        value: f32,
    },
    /// `ttnn.to_memory_config(x, memory_config)`.
    ToMemoryConfig,
}

impl Op {
    /// The name in `ttnn`.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Linear { .. } => "linear",
            Op::Matmul { .. } => "matmul",
            Op::MatmulAddcmul { .. } => "dit_minimal_matmul_addcmul_fused",
            Op::Embed { .. } => "embed",
            Op::Mixer { .. } => "mixer",
            Op::Channels { .. } => "channels",
            Op::Attention { .. } => "attention",
            Op::LayerNorm { .. } => "layer_norm",
            Op::Softmax { .. } => "softmax",
            Op::Gelu => "gelu",
            Op::Transpose => "transpose",
            Op::Permute { .. } => "permute",
            Op::Reshape { .. } => "reshape",
            Op::Add => "add",
            Op::Multiply => "multiply",
            Op::Addcmul => "addcmul",
            Op::Max => "max",
            Op::FillImplicitTilePadding { .. } => "fill_implicit_tile_padding",
            Op::ToMemoryConfig => "to_memory_config",
        }
    }

    /// Whether this is a product of matrices.
    pub fn is_product(&self) -> bool {
        self.math_fidelity().is_some()
    }

    /// Whether this is a kernel of ours: it reads interleaved bfloat16, and its second tensor is its table.
    pub fn is_ours(&self) -> bool {
        self.buffers().is_some()
    }

    /// Tiles of every circular buffer of a kernel of ours.
    pub(crate) fn buffers(&self) -> Option<&[usize]> {
        match self {
            Op::Embed { buffers, .. }
            | Op::Mixer { buffers, .. }
            | Op::Channels { buffers, .. }
            | Op::Attention { buffers, .. } => Some(buffers),
            _ => None,
        }
    }

    /// With how many bits it multiplies, if it is a product.
    pub fn math_fidelity(&self) -> Option<MathFidelity> {
        match self {
            Op::Linear { math_fidelity, .. }
            | Op::Matmul { math_fidelity }
            | Op::Embed { math_fidelity, .. }
            | Op::Mixer { math_fidelity, .. }
            | Op::Channels { math_fidelity, .. }
            | Op::Attention { math_fidelity, .. }
            | Op::MatmulAddcmul { math_fidelity, .. } => Some(*math_fidelity),
            _ => None,
        }
    }

    /// Changes the bits of its products, if it has any.
    pub(crate) fn set_math_fidelity(&mut self, chosen: MathFidelity) {
        match self {
            Op::Linear { math_fidelity, .. }
            | Op::Matmul { math_fidelity }
            | Op::Embed { math_fidelity, .. }
            | Op::Mixer { math_fidelity, .. }
            | Op::Channels { math_fidelity, .. }
            | Op::Attention { math_fidelity, .. }
            | Op::MatmulAddcmul { math_fidelity, .. } => *math_fidelity = chosen,
            _ => {}
        }
    }

    /// Fewest and most tensors that it reads.
    fn arity(&self) -> (usize, usize) {
        match self {
            Op::Linear { .. } => (2, 3),
            Op::Matmul { .. } | Op::Embed { .. } | Op::Mixer { .. } | Op::Channels { .. } => (2, 2),
            Op::Add | Op::Multiply => (2, 2),
            Op::Attention { .. } => (3, 3),
            Op::MatmulAddcmul { .. } => (5, 5),
            Op::LayerNorm { .. } => (3, 4),
            Op::Addcmul => (3, 3),
            _ => (1, 1),
        }
    }

    /// Device programs that are launched for it, as counted with `ttnn` 0.81.
    pub fn dispatches(&self, inputs: &[&TensorSpec]) -> usize {
        match self {
            // Another view of the same tiles.
            Op::Reshape { shape } if shape[2..] == inputs[0].shape[2..] => 0,
            // The reduction over rows is followed by one over tiles.
            Op::Max => 2,
            Op::Linear { core_grid: None, activation, .. } => {
                inputs.len() - 1 + usize::from(activation.is_some())
            }
            _ => 1,
        }
    }

    /// Shape of the output.
    ///
    /// # Errors
    ///
    /// `Internal` if the operation does not take such inputs.
    pub fn output_shape(&self, inputs: &[&TensorSpec]) -> Result<[usize; 4]> {
        let (fewest, most) = self.arity();
        let shapes: Vec<[usize; 4]> = inputs.iter().map(|input| input.shape).collect();
        let refuse = || Error::internal(format!("does not take {shapes:?}")).at(self.name());
        if !(fewest..=most).contains(&inputs.len()) {
            return Err(refuse());
        }
        let found = match self {
            Op::Linear { transpose_a, .. } => linear(&shapes, *transpose_a),
            Op::Matmul { .. } => matmul(&shapes),
            Op::MatmulAddcmul { .. } => {
                let product = [shapes[0], shapes[1], shapes[4]];
                linear(&product, false).filter(|&out| out == shapes[2] && out == shapes[3])
            }
            Op::Embed { tiles, buffers, d_model, .. } => {
                let [batch, channels, rows, length] = shapes[0];
                let fits = [rows, length] == [1, tiles.window()]
                    && shapes[1] == tiles.table_shape()
                    && tiles.columns == d_model.div_ceil(TILE)
                    && *buffers == tiles.buffers();
                fits.then_some([batch, channels, tiles.patches, *d_model])
            }
            Op::Mixer { tiles, buffers, .. } => {
                let fits = mixes(shapes[0], *tiles) && shapes[1] == tiles.table_shape();
                (fits && *buffers == tiles.buffers()).then_some(shapes[0])
            }
            Op::Channels { tiles, buffers, .. } => {
                let fits = mixes_channels(shapes[0], *tiles) && shapes[1] == tiles.table_shape();
                (fits && *buffers == tiles.buffers()).then_some(shapes[0])
            }
            Op::Attention { tiles, buffers, .. } => {
                let sides = [tiles.rows, tiles.columns];
                let fits = sides == [2, 3].map(|axis| shapes[0][axis].div_ceil(TILE))
                    && shapes[1] == tiles.table_shape()
                    && shapes[2] == shapes[0];
                (fits && *buffers == tiles.buffers()).then_some(shapes[0])
            }
            Op::LayerNorm { .. } => {
                let row = [1, 1, 1, shapes[0][3]];
                let residual = shapes.get(3).is_none_or(|&r| r == shapes[0]);
                (shapes[1] == row && shapes[2] == row && residual).then_some(shapes[0])
            }
            Op::Softmax { dim } => matches!(dim, -1 | -2).then_some(shapes[0]),
            Op::Gelu | Op::FillImplicitTilePadding { .. } | Op::ToMemoryConfig => Some(shapes[0]),
            Op::Transpose => {
                let [a, b, c, d] = shapes[0];
                Some([a, b, d, c])
            }
            Op::Permute { dims } => {
                let mut sorted = *dims;
                sorted.sort_unstable();
                (sorted == [0, 1, 2, 3]).then(|| dims.map(|axis| shapes[0][axis]))
            }
            Op::Reshape { shape } => {
                let volume = |shape: &[usize; 4]| shape.iter().product::<usize>();
                (volume(shape) == volume(&shapes[0])).then_some(*shape)
            }
            Op::Add | Op::Multiply => broadcasts(shapes[1], shapes[0]).then_some(shapes[0]),
            Op::Addcmul => (shapes[1] == shapes[0] && shapes[2] == shapes[0]).then_some(shapes[0]),
            Op::Max => {
                let [a, b, _, d] = shapes[0];
                Some([a, b, 1, d])
            }
        };
        found.ok_or_else(refuse)
    }

    /// The data type of the output, where the operation does not choose.
    pub fn output_dtype(&self, inputs: &[&TensorSpec]) -> DataType {
        inputs[0].dtype
    }
}

fn linear(shapes: &[[usize; 4]], transpose_a: bool) -> Option<[usize; 4]> {
    let [a, b, c, d] = shapes[0];
    let (rows, steps) = if transpose_a { (d, c) } else { (c, d) };
    let [one, also_one, inputs, outputs] = shapes[1];
    let bias = shapes.get(2).is_none_or(|&bias| bias == [1, 1, 1, outputs]);
    (one == 1 && also_one == 1 && inputs == steps && bias).then_some([a, b, rows, outputs])
}

/// Whether a kernel of these sizes takes such a state.
fn mixes(state: [usize; 4], tiles: MixerTiles) -> bool {
    let rows = if tiles.left { state[2].div_ceil(TILE) } else { 1 };
    tiles.rows == rows && tiles.columns == state[3].div_ceil(TILE) && tiles.hidden > 0
}

/// The same for a kernel of channels.
fn mixes_channels(state: [usize; 4], tiles: ChannelTiles) -> bool {
    let [_, channels, _, features] = state;
    tiles.rows == channels.div_ceil(TILE)
        && tiles.columns == features.div_ceil(TILE)
        && tiles.side_by_side == ChannelTiles::patches_of_unit(features)
        && tiles.hidden > 0
}

fn matmul(shapes: &[[usize; 4]]) -> Option<[usize; 4]> {
    let ([a, b, rows, steps], [c, d, inputs, outputs]) = (shapes[0], shapes[1]);
    let batches = [a, b] == [1, 1] || [a, b] == [c, d];
    (batches && steps == inputs).then_some([c, d, rows, outputs])
}

fn broadcasts(small: [usize; 4], large: [usize; 4]) -> bool {
    small.iter().zip(large).all(|(&small, large)| small == large || small == 1)
}
