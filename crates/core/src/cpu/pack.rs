//! The parts of a plan: norms, blocks and attention with their weights packed.

use ptsm_kernels::{
    CentredAffine, ColumnLinear, Isa, LayerNorm, Matrix, MatrixMut, MatrixShape, RowLinear,
    affine_columns, normalise_columns,
};

use crate::config::{Config, Norm};
use crate::weights::{AttentionSlot, BlockSlot, LayerSlot, LinearSlot, NormSlot, Parameters};

/// Packs the parts of one model.
#[derive(Clone, Copy)]
pub(super) struct Packer<'a> {
    pub(super) isa: Isa,
    pub(super) config: &'a Config,
    pub(super) parameters: &'a Parameters<f32>,
}

/// A norm over features, in evaluation.
#[derive(Debug)]
pub(super) struct PackedNorm {
    isa: Isa,
    /// Running mean of batch norm; `None` for layer norm, which measures its own.
    mean: Option<Vec<f32>>,
    /// With the running deviation in it for batch norm.
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

/// A block that mixes along rows: the patch mixer.
#[derive(Debug)]
pub(super) struct RowBlock {
    pub(super) norm: PackedNorm,
    pub(super) fc1: RowLinear,
    pub(super) fc2: RowLinear,
    pub(super) gate: Option<RowLinear>,
}

/// A block that mixes down columns: the feature and the channel mixer.
#[derive(Debug)]
pub(super) struct ColumnBlock {
    pub(super) norm: PackedNorm,
    pub(super) fc1: ColumnLinear,
    pub(super) fc2: ColumnLinear,
    pub(super) gate: Option<ColumnLinear>,
}

/// Self-attention over patches with the norm behind it.
#[derive(Debug)]
pub(super) struct PackedAttention {
    /// With one over the root of a head's width in it.
    pub(super) query: ColumnLinear,
    pub(super) key: ColumnLinear,
    pub(super) value: ColumnLinear,
    pub(super) out: ColumnLinear,
    pub(super) norm: PackedNorm,
    pub(super) heads: usize,
}

/// One mixer layer.
#[derive(Debug)]
pub(super) struct PackedLayer {
    pub(super) channel: Option<ColumnBlock>,
    pub(super) patch: RowBlock,
    pub(super) attention: Option<PackedAttention>,
    pub(super) feature: ColumnBlock,
}

impl PackedNorm {
    /// `x` `[D][columns]` gives the normalised and mapped `out`.
    pub(super) fn apply(&self, columns: usize, x: Matrix<'_>, out: MatrixMut<'_>) {
        let shape = MatrixShape { rows: self.weight.len(), columns };
        match &self.mean {
            None => {
                let norm = LayerNorm { weight: &self.weight, bias: &self.bias, eps: self.eps };
                normalise_columns(self.isa, shape, x, norm, out);
            }
            Some(mean) => {
                let map = CentredAffine { mean, weight: &self.weight, bias: &self.bias };
                affine_columns(self.isa, shape, x, map, out);
            }
        }
    }
}

impl Packer<'_> {
    fn weight_and_bias(&self, slot: &LinearSlot) -> (&[f32], &[f32]) {
        let trained = &self.parameters.trained;
        (&trained[slot.weight.clone()], &trained[slot.bias.clone()])
    }

    pub(super) fn row_linear(&self, slot: &LinearSlot) -> RowLinear {
        let (weight, bias) = self.weight_and_bias(slot);
        RowLinear::new(self.isa, slot.inputs, slot.outputs, weight, bias)
    }

    pub(super) fn column_linear(&self, slot: &LinearSlot) -> ColumnLinear {
        let (weight, bias) = self.weight_and_bias(slot);
        ColumnLinear::new(self.isa, slot.inputs, slot.outputs, weight, bias)
    }

    fn norm(&self, slot: &NormSlot) -> PackedNorm {
        let Self { isa, config, parameters } = *self;
        let eps = config.norm_eps as f32;
        let mut weight = parameters.trained[slot.weight.clone()].to_vec();
        let bias = parameters.trained[slot.bias.clone()].to_vec();
        let mean = match slot.kind {
            Norm::Layer => None,
            Norm::Batch => {
                let variance = &parameters.buffers[slot.running_var.clone()];
                weight.iter_mut().zip(variance).for_each(|(w, v)| *w /= (v + eps).sqrt());
                Some(parameters.buffers[slot.running_mean.clone()].to_vec())
            }
        };
        PackedNorm { isa, mean, weight, bias, eps }
    }

    fn row_block(&self, slot: &BlockSlot) -> RowBlock {
        RowBlock {
            norm: self.norm(&slot.norm),
            fc1: self.row_linear(&slot.fc1),
            fc2: self.row_linear(&slot.fc2),
            gate: slot.gate.as_ref().map(|gate| self.row_linear(gate)),
        }
    }

    fn column_block(&self, slot: &BlockSlot) -> ColumnBlock {
        ColumnBlock {
            norm: self.norm(&slot.norm),
            fc1: self.column_linear(&slot.fc1),
            fc2: self.column_linear(&slot.fc2),
            gate: slot.gate.as_ref().map(|gate| self.column_linear(gate)),
        }
    }

    fn attention(&self, slot: &AttentionSlot) -> PackedAttention {
        let heads = self.config.self_attn_heads;
        let scale = 1.0 / ((slot.query.outputs / heads) as f32).sqrt();
        let (weight, bias) = self.weight_and_bias(&slot.query);
        let scaled = |x: &[f32]| x.iter().map(|x| x * scale).collect::<Vec<f32>>();
        let (inputs, outputs) = (slot.query.inputs, slot.query.outputs);
        PackedAttention {
            query: ColumnLinear::new(self.isa, inputs, outputs, &scaled(weight), &scaled(bias)),
            key: self.column_linear(&slot.key),
            value: self.column_linear(&slot.value),
            out: self.column_linear(&slot.out),
            norm: self.norm(&slot.norm),
            heads,
        }
    }

    pub(super) fn layer(&self, slot: &LayerSlot) -> PackedLayer {
        PackedLayer {
            channel: slot.channel.as_ref().map(|slot| self.column_block(slot)),
            patch: self.row_block(&slot.patch),
            attention: slot.attention.as_ref().map(|slot| self.attention(slot)),
            feature: self.column_block(&slot.feature),
        }
    }
}
