//! The mixer blocks for forecasts, on rows whose hidden state is laid out as `[D][pitch]`.

use ptsm_kernels::{
    Finish, Matrix, MatrixMut, MatrixShape, PaddedRows, ProductShape, Strided, Write, add_columns,
    gate_columns, gate_rows, product, softmax_columns,
};

use super::arena::{AttentionScratch, ColumnScratch, PatchScratch, Worker};
use super::pack::{ColumnBlock, PackedAttention, PackedBlock, RowBlock};
use super::plan::{Plan, Run};
use super::sizes::Sizes;

impl Plan {
    /// The blocks of a run on `x` `[rows][D][pitch]`, at most a stack of rows.
    pub(super) fn mix_rows(&self, run: &Run, x: &mut [f32], worker: &mut Worker) {
        let Worker { patch, attention, column_block, .. } = worker;
        for block in &run.blocks {
            match block {
                PackedBlock::Patches(block) => match &block.attention {
                    None => self.patch_mixer(block, x, patch),
                    Some(packed) => {
                        self.patch_mixer_with_attention(block, packed, x, patch, attention)
                    }
                },
                PackedBlock::Features(block) => {
                    for x in x.chunks_exact_mut(block.sizes.row()) {
                        self.feature_mixer(block, x, column_block);
                    }
                }
            }
        }
    }

    /// `x += gate(mlp(norm(x)))` along the patches.
    fn patch_mixer(&self, block: &RowBlock, x: &mut [f32], scratch: &mut PatchScratch) {
        let pitch = block.sizes.pitch;
        self.norm_rows(block, x, scratch);
        let rows = x.len() / pitch;
        match &block.gate {
            None => self.patch_mlp(block, rows, scratch, Finish::Add, x),
            Some(gate) => {
                let mut value = std::mem::take(&mut scratch.value);
                self.patch_mlp(block, rows, scratch, Finish::Store, &mut value);
                let logits = &mut scratch.logits[..x.len()];
                let from = Matrix::new(&value, pitch);
                gate.apply(rows, from, Finish::Store, MatrixMut::new(logits, pitch));
                let rows = PaddedRows { width: block.sizes.num_patches, pitch };
                gate_rows(self.isa, rows, logits, &value[..x.len()], x, Write::Add);
                scratch.value = value;
            }
        }
    }

    fn norm_rows(&self, block: &RowBlock, x: &[f32], scratch: &mut PatchScratch) {
        let (row, pitch) = (block.sizes.row(), block.sizes.pitch);
        for (x, normed) in x.chunks_exact(row).zip(scratch.normed.chunks_exact_mut(row)) {
            block.norm.apply(pitch, Matrix::new(x, pitch), MatrixMut::new(normed, pitch));
        }
    }

    /// The MLP on the normalised rows; `finish` says whether `out` is overwritten or added to.
    fn patch_mlp(
        &self,
        block: &RowBlock,
        rows: usize,
        scratch: &mut PatchScratch,
        finish: Finish,
        out: &mut [f32],
    ) {
        let (pitch, hidden_pitch) = (block.sizes.pitch, block.hidden_pitch);
        let normed = Matrix::new(&scratch.normed, pitch);
        let hidden = MatrixMut::new(&mut scratch.hidden, hidden_pitch);
        block.fc1.apply(rows, normed, Finish::Gelu, hidden);
        let hidden = Matrix::new(&scratch.hidden, hidden_pitch);
        block.fc2.apply(rows, hidden, finish, MatrixMut::new(out, pitch));
    }

    /// `z = norm(x)`, `x += norm_attn(gate(mlp(z)) + attention(z))`.
    fn patch_mixer_with_attention(
        &self,
        block: &RowBlock,
        attention: &PackedAttention,
        x: &mut [f32],
        scratch: &mut PatchScratch,
        attention_scratch: &mut AttentionScratch,
    ) {
        let (row, pitch, len) = (block.sizes.row(), block.sizes.pitch, x.len());
        self.norm_rows(block, x, scratch);
        let mut sum = std::mem::take(&mut attention_scratch.attended);
        for (normed, sum) in scratch.normed[..len].chunks_exact(row).zip(sum.chunks_exact_mut(row))
        {
            self.attend(attention, normed, attention_scratch, sum);
        }
        let rows = len / pitch;
        match &block.gate {
            None => self.patch_mlp(block, rows, scratch, Finish::Add, &mut sum),
            Some(gate) => {
                let mut value = std::mem::take(&mut scratch.value);
                self.patch_mlp(block, rows, scratch, Finish::Store, &mut value);
                let logits = &mut scratch.logits[..len];
                let from = Matrix::new(&value, pitch);
                gate.apply(rows, from, Finish::Store, MatrixMut::new(logits, pitch));
                let rows = PaddedRows { width: block.sizes.num_patches, pitch };
                let sum = &mut sum[..len];
                gate_rows(self.isa, rows, logits, &value[..len], sum, Write::Add);
                scratch.value = value;
            }
        }
        let shape = MatrixShape { rows: block.sizes.d_model, columns: pitch };
        for (x, sum) in x.chunks_exact_mut(row).zip(sum.chunks_exact(row)) {
            let normed = &mut scratch.normed[..row];
            attention.norm.apply(pitch, Matrix::new(sum, pitch), MatrixMut::new(normed, pitch));
            add_columns(self.isa, shape, Matrix::new(normed, pitch), MatrixMut::new(x, pitch));
        }
        attention_scratch.attended = sum;
    }

    /// Self-attention of one row `z` `[D][pitch]` into `out`, strip by strip of its queries.
    fn attend(
        &self,
        attention: &PackedAttention,
        z: &[f32],
        scratch: &mut AttentionScratch,
        out: &mut [f32],
    ) {
        let Sizes { num_patches: n, d_model, pitch, .. } = attention.sizes;
        let isa = self.isa;
        let AttentionScratch { query, key, value, mixed, weights, .. } = scratch;
        let projections = [
            (&attention.query, &mut *query),
            (&attention.key, &mut *key),
            (&attention.value, &mut *value),
        ];
        for (layer, projected) in projections {
            let (z, out) = (Matrix::new(z, pitch), MatrixMut::new(projected, pitch));
            layer.apply(pitch, z, Finish::Store, out);
        }
        let dim = d_model / attention.heads;
        for head in 0..attention.heads {
            let start = head * dim * pitch;
            for (first, columns) in strips(pitch, attention.columns) {
                // Transposed, so that the softmax runs down the columns: weights[j][i] of key j
                // for query i.
                let keys = Strided { values: &key[start..], row: 1, step: pitch };
                let queries = Matrix::new(&query[start + first..], pitch);
                let shape = ProductShape { rows: n, columns, inner: dim };
                let out = MatrixMut::new(weights, columns);
                product(isa, shape, keys, queries, Finish::Store, out);
                let shape = MatrixShape { rows: n, columns };
                softmax_columns(isa, shape, MatrixMut::new(weights, columns));
                let values = Strided { values: &value[start..], row: pitch, step: 1 };
                let shape = ProductShape { rows: dim, columns, inner: n };
                let weights = Matrix::new(weights, columns);
                let out = MatrixMut::new(&mut mixed[start + first..], pitch);
                product(isa, shape, values, weights, Finish::Store, out);
            }
        }
        let (mixed, out) = (Matrix::new(mixed, pitch), MatrixMut::new(out, pitch));
        attention.out.apply(pitch, mixed, Finish::Store, out);
    }

    /// `x += gate(mlp(norm(x)))` down the features of one row `[D][pitch]`, strip by strip.
    fn feature_mixer(&self, block: &ColumnBlock, x: &mut [f32], scratch: &mut ColumnScratch) {
        let (pitch, rows) = (block.sizes.pitch, block.sizes.d_model);
        let ColumnScratch { normed, hidden, value, logits } = scratch;
        for (first, columns) in strips(pitch, block.columns) {
            let x = &mut x[first..];
            block.norm.apply(columns, Matrix::new(x, pitch), MatrixMut::new(normed, columns));
            let (from, to) = (Matrix::new(normed, columns), MatrixMut::new(hidden, columns));
            block.fc1.apply(columns, from, Finish::Gelu, to);
            let (hidden, x) = (Matrix::new(hidden, columns), MatrixMut::new(x, pitch));
            let Some(gate) = &block.gate else {
                block.fc2.apply(columns, hidden, Finish::Add, x);
                continue;
            };
            block.fc2.apply(columns, hidden, Finish::Store, MatrixMut::new(value, columns));
            let value = Matrix::new(value, columns);
            gate.apply(columns, value, Finish::Store, MatrixMut::new(logits, columns));
            let shape = MatrixShape { rows, columns };
            let logits = MatrixMut::new(logits, columns);
            gate_columns(self.isa, shape, logits, value, x, Write::Add);
        }
    }

    /// Writes what the channel mixer adds to `columns` columns, `mlp(gate(z))` down the channels,
    /// to `out` `[C][columns]`. `z` is `[C][D pitch]`, from the first of the columns on.
    pub(super) fn channel_mixer(
        &self,
        block: &ColumnBlock,
        z: &[f32],
        columns: usize,
        scratch: &mut ColumnScratch,
        out: &mut [f32],
    ) {
        let z = Matrix::new(z, block.sizes.row());
        let ColumnScratch { hidden, value, logits, .. } = scratch;
        let gated = match &block.gate {
            None => z,
            Some(gate) => {
                gate.apply(columns, z, Finish::Store, MatrixMut::new(logits, columns));
                let shape = MatrixShape { rows: block.sizes.num_channels, columns };
                let (logits, out) =
                    (MatrixMut::new(logits, columns), MatrixMut::new(value, columns));
                gate_columns(self.isa, shape, logits, z, out, Write::Overwrite);
                Matrix::new(value, columns)
            }
        };
        block.fc1.apply(columns, gated, Finish::Gelu, MatrixMut::new(hidden, columns));
        let (hidden, out) = (Matrix::new(hidden, columns), MatrixMut::new(out, columns));
        block.fc2.apply(columns, hidden, Finish::Store, out);
    }
}

/// Cuts `total` columns into strips of `most`: (first, count) of each.
pub(super) fn strips(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..total).step_by(most).map(move |first| (first, most.min(total - first)))
}
