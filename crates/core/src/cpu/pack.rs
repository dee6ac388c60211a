//! The parts of a plan: norms, blocks and attention with their weights packed.

use ptsm_kernels::{
    CentredAffine, ColumnLinear, Isa, LayerNorm, Matrix, MatrixMut, MatrixShape, RowLinear,
    affine_columns, normalise_columns,
};

use super::sizes::{Sizes, spread, stack, strip};
use crate::network::{Axis, Norm};
use crate::weights::{AttentionSlot, BlockSlot, LinearSlot, NormSlot, Parameters};

/// Packs the parts of one model.
#[derive(Clone, Copy)]
pub(super) struct Packer<'a> {
    pub(super) isa: Isa,
    pub(super) parameters: &'a Parameters<f32>,
}

/// A norm over features, in evaluation.
#[derive(Debug)]
pub(super) struct PackedNorm {
    isa: Isa,
    /// Running mean of batch norm; `None` for layer norm, which measures its own.
    mean: Option<Vec<f32>>,
    /// Divided by the running deviation for batch norm.
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

/// A block that needs one row of the hidden state only.
#[derive(Debug)]
pub(super) enum PackedBlock {
    Patches(RowBlock),
    Features(ColumnBlock),
}

/// A block that mixes along rows: the patch mixer.
#[derive(Debug)]
pub(super) struct RowBlock {
    pub(super) sizes: Sizes,
    /// From one feature's patches to the next one's in the hidden layer.
    pub(super) hidden_pitch: usize,
    /// (sample, channel) rows that should pass it together.
    pub(super) stack: usize,
    pub(super) norm: PackedNorm,
    pub(super) fc1: RowLinear,
    pub(super) fc2: RowLinear,
    pub(super) gate: Option<RowLinear>,
    pub(super) attention: Option<Box<PackedAttention>>,
}

/// A block that mixes down columns: the feature and the channel mixer.
#[derive(Debug)]
pub(super) struct ColumnBlock {
    pub(super) sizes: Sizes,
    /// Numbers that are mixed with each other.
    pub(super) width: usize,
    /// Columns that pass it together.
    pub(super) columns: usize,
    pub(super) norm: PackedNorm,
    pub(super) fc1: ColumnLinear,
    pub(super) fc2: ColumnLinear,
    pub(super) gate: Option<ColumnLinear>,
}

/// Self-attention over patches, and the norm that follows it.
#[derive(Debug)]
pub(super) struct PackedAttention {
    pub(super) sizes: Sizes,
    /// Divided by the root of a head's width.
    pub(super) query: ColumnLinear,
    pub(super) key: ColumnLinear,
    pub(super) value: ColumnLinear,
    pub(super) out: ColumnLinear,
    pub(super) norm: PackedNorm,
    pub(super) heads: usize,
    /// Queries that are computed together.
    pub(super) columns: usize,
}

impl PackedNorm {
    /// Writes `x` `[D][columns]`, normalised and mapped by weight and bias, to `out`.
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
        let Self { isa, parameters } = *self;
        let eps = slot.eps as f32;
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

    /// Packs a block that mixes patches.
    pub(super) fn row_block(&self, slot: &BlockSlot, sizes: Sizes) -> RowBlock {
        let (n, hidden) = (slot.fc1.inputs, slot.fc1.outputs);
        let gate = if slot.gate.is_some() { n * n } else { 0 };
        let columns = || {
            let hidden = sizes.d_model * (hidden / n);
            strip(self.isa, sizes.d_model, hidden, sizes.pitch)
        };
        RowBlock {
            sizes,
            hidden_pitch: spread(self.isa, hidden),
            stack: stack(2 * n * hidden + gate),
            norm: self.norm(&slot.norm),
            fc1: self.row_linear(&slot.fc1),
            fc2: self.row_linear(&slot.fc2),
            gate: slot.gate.as_ref().map(|gate| self.row_linear(gate)),
            attention: slot
                .attention
                .as_ref()
                .map(|slot| Box::new(self.attention(slot, sizes, columns()))),
        }
    }

    /// Packs a block that mixes features or channels.
    pub(super) fn column_block(&self, slot: &BlockSlot, sizes: Sizes) -> ColumnBlock {
        let (width, hidden) = (slot.fc1.inputs, slot.fc1.outputs);
        let available = match slot.block.axis {
            Axis::Channels => sizes.row(),
            Axis::Patches | Axis::Features => sizes.pitch,
        };
        ColumnBlock {
            sizes,
            width,
            columns: strip(self.isa, width, hidden, available),
            norm: self.norm(&slot.norm),
            fc1: self.column_linear(&slot.fc1),
            fc2: self.column_linear(&slot.fc2),
            gate: slot.gate.as_ref().map(|gate| self.column_linear(gate)),
        }
    }

    fn attention(&self, slot: &AttentionSlot, sizes: Sizes, columns: usize) -> PackedAttention {
        let heads = slot.heads;
        let scale = 1.0 / ((slot.query.outputs / heads) as f32).sqrt();
        let (weight, bias) = self.weight_and_bias(&slot.query);
        let scaled = |x: &[f32]| x.iter().map(|x| x * scale).collect::<Vec<f32>>();
        let (inputs, outputs) = (slot.query.inputs, slot.query.outputs);
        PackedAttention {
            sizes,
            query: ColumnLinear::new(self.isa, inputs, outputs, &scaled(weight), &scaled(bias)),
            key: self.column_linear(&slot.key),
            value: self.column_linear(&slot.value),
            out: self.column_linear(&slot.out),
            norm: self.norm(&slot.norm),
            heads,
            columns,
        }
    }
}
