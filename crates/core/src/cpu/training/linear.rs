//! Linear layers in training: packed for both directions, with the sums of their gradients, and the
//! layout of the activations between them.

use std::ops::Range;

use ptsm_kernels::{
    ColumnLinear, Draws, Finish, Isa, Matrix, MatrixMut, MatrixShape, ProductShape, RowLinear,
    Strided, add_lanes, add_rows, dropout_columns, product, sum_lanes, transpose,
};

use super::super::sizes::{Sizes, spread};
use super::common::{DropoutSite, WeightSums};
use crate::layers::Dropout;
use crate::network::Axis;
use crate::weights::LinearSlot;

/// The layout of one sample's activations `[C][D][pitch]` as the matrices that a layer multiplies;
/// the layer mixes `width` numbers with each other.
///
/// A layer over channels sees one matrix `[C][D pitch]` and mixes down its columns; one over
/// patches sees one matrix `[C D][pitch]` and mixes along its rows; one over features sees a matrix
/// `[D][pitch]` for each channel and mixes down its columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) axis: Axis,
    pub(super) width: usize,
    /// Numbers from the start of one row to the start of the next.
    pitch: usize,
    sizes: Sizes,
}

impl Shape {
    pub(super) fn new(isa: Isa, axis: Axis, width: usize, sizes: &Sizes) -> Self {
        let pitch = match axis {
            Axis::Channels => sizes.row(),
            Axis::Features => sizes.pitch,
            Axis::Patches => spread(isa, width),
        };
        Self { axis, width, pitch, sizes: *sizes }
    }

    /// How many matrices there are; they follow each other in memory.
    pub(super) fn groups(self) -> usize {
        if self.axis == Axis::Features { self.sizes.num_channels } else { 1 }
    }

    /// Rows of each matrix.
    pub(super) fn rows(self) -> usize {
        match self.axis {
            Axis::Patches => self.sizes.num_channels * self.sizes.d_model,
            Axis::Channels | Axis::Features => self.width,
        }
    }

    /// Numbers from the start of one row to the start of the next.
    pub(super) fn pitch(self) -> usize {
        self.pitch
    }

    /// Numbers of one matrix.
    pub(super) fn matrix(self) -> usize {
        self.rows() * self.pitch()
    }

    /// Numbers of one sample.
    pub(super) fn len(self) -> usize {
        self.groups() * self.matrix()
    }

    /// Rows and padded columns of one matrix.
    pub(super) fn columns(self) -> MatrixShape {
        MatrixShape { rows: self.rows(), columns: self.pitch() }
    }

    /// The sample in blocks of rows. Within a block, the draws of dropout are fixed steps apart;
    /// they are numbered in the layout of the definition, which has no padding. The padding takes
    /// draws too, whose outcome nothing reads.
    pub(super) fn draw_blocks(self) -> impl Iterator<Item = DrawBlock> {
        let Sizes { num_patches: n, d_model: d, pitch, .. } = self.sizes;
        let (width, own, matrix) = (self.width, self.pitch(), self.matrix());
        let blocks = match self.axis {
            Axis::Patches => 1,
            Axis::Features => self.groups(),
            Axis::Channels => width,
        };
        (0..blocks).map(move |i| match self.axis {
            // `[C, D, N]` in the definition.
            Axis::Patches => DrawBlock {
                place: 0..matrix,
                shape: self.columns(),
                first: 0,
                row_step: width as u64,
                column_step: 1,
            },
            // `[C, N, D]` in the definition.
            Axis::Features => DrawBlock {
                place: i * matrix..(i + 1) * matrix,
                shape: self.columns(),
                first: (i * n * width) as u64,
                row_step: 1,
                column_step: width as u64,
            },
            // `[N, D, C]` in the definition.
            Axis::Channels => DrawBlock {
                place: i * own..(i + 1) * own,
                shape: MatrixShape { rows: d, columns: pitch },
                first: i as u64,
                row_step: width as u64,
                column_step: (d * width) as u64,
            },
        })
    }

    /// The draws at `site` for the rows `block` of the first sample of `dropout`.
    pub(super) fn draws(self, site: DropoutSite, dropout: Dropout, block: &DrawBlock) -> Draws {
        let Sizes { num_channels, num_patches, d_model, .. } = self.sizes;
        // How often a sample has `width` numbers in the definition, which has no padding.
        let others = match self.axis {
            Axis::Channels => num_patches * d_model,
            Axis::Patches => num_channels * d_model,
            Axis::Features => num_channels * num_patches,
        };
        Draws {
            key: dropout.key(site.number),
            counter: dropout.first_sample * (others * self.width) as u64 + block.first,
            row: block.row_step,
            column: block.column_step,
            probability: site.probability as f32,
        }
    }
}

/// Some rows of a sample, and which draws of dropout they take.
pub(super) struct DrawBlock {
    /// Their range in the sample's activations.
    pub(super) place: Range<usize>,
    pub(super) shape: MatrixShape,
    /// Number of the first element's draw, counted from the sample's first.
    pub(super) first: u64,
    /// Draws from one row to the next.
    pub(super) row_step: u64,
    /// Draws from one column to the next.
    pub(super) column_step: u64,
}

/// Dropout of one sample's activations, or of their gradient on the way back.
pub(super) fn apply_dropout(
    isa: Isa,
    site: DropoutSite,
    shape: Shape,
    draws: Option<Dropout>,
    x: &mut [f32],
) {
    let Some(dropout) = draws.filter(|_| site.probability > 0.0) else { return };
    for block in shape.draw_blocks() {
        let draws = shape.draws(site, dropout, &block);
        let DrawBlock { place, shape, .. } = block;
        dropout_columns(isa, shape, draws, MatrixMut::new(&mut x[place], shape.columns));
    }
}

/// Weights for one direction.
#[derive(Debug)]
enum Packed {
    Row(RowLinear),
    Column(ColumnLinear),
}

impl Packed {
    fn zeros(isa: Isa, axis: Axis, [inputs, outputs]: [usize; 2]) -> Self {
        match axis {
            Axis::Patches => Packed::Row(RowLinear::zeros(isa, inputs, outputs)),
            _ => Packed::Column(ColumnLinear::zeros(isa, inputs, outputs)),
        }
    }

    fn pack(&mut self, weight: &[f32], bias: &[f32]) {
        match self {
            Packed::Row(linear) => linear.pack(weight, bias),
            Packed::Column(linear) => linear.pack(weight, bias),
        }
    }

    /// Packs the way back through `weight`.
    fn pack_transposed(&mut self, weight: &[f32]) {
        match self {
            Packed::Row(linear) => linear.pack_transposed(weight),
            Packed::Column(linear) => linear.pack_transposed(weight),
        }
    }

    /// `x`, laid out as `from`, gives `out`, laid out as `to`.
    fn apply(&self, from: Shape, x: &[f32], finish: Finish, to: Shape, out: &mut [f32]) {
        match self {
            Packed::Row(linear) => {
                let (x, out) = (Matrix::new(x, from.pitch()), MatrixMut::new(out, to.pitch()));
                linear.apply(from.rows(), x, finish, out);
            }
            Packed::Column(linear) => {
                let matrices = x.chunks_exact(from.matrix());
                for (x, out) in matrices.zip(out.chunks_exact_mut(to.matrix())) {
                    let pitch = from.pitch();
                    linear.apply(pitch, Matrix::new(x, pitch), finish, MatrixMut::new(out, pitch));
                }
            }
        }
    }
}

/// A linear layer of the backbone; `weight` and `bias` are its ranges among the trained numbers.
#[derive(Debug)]
pub(super) struct Linear {
    isa: Isa,
    pub(super) from: Shape,
    pub(super) to: Shape,
    forward: Packed,
    backward: Packed,
    weight: Range<usize>,
    bias: Range<usize>,
    /// Range of the padded sums of its gradients among those of all layers.
    sums: Range<usize>,
}

impl Linear {
    /// Makes room for the weights. `sums` counts the sums of the layers made so far; this one's are
    /// added to it.
    pub(super) fn new(
        isa: Isa,
        axis: Axis,
        sizes: &Sizes,
        slot: &LinearSlot,
        sums: &mut usize,
    ) -> Self {
        let LinearSlot { inputs, outputs, .. } = *slot;
        let start = *sums;
        // The bias is summed in whole registers: one for some outputs, or one for each.
        let bias_sums = match axis {
            Axis::Patches => isa.pad(outputs),
            _ => outputs * isa.lanes(),
        };
        *sums += outputs * isa.pad(inputs) + bias_sums;
        Self {
            isa,
            from: Shape::new(isa, axis, inputs, sizes),
            to: Shape::new(isa, axis, outputs, sizes),
            forward: Packed::zeros(isa, axis, [inputs, outputs]),
            backward: Packed::zeros(isa, axis, [outputs, inputs]),
            weight: slot.weight.clone(),
            bias: slot.bias.clone(),
            sums: start..*sums,
        }
    }

    /// Packs the weights for both directions.
    pub(super) fn load(&mut self, trained: &[f32]) {
        let weight = &trained[self.weight.clone()];
        self.forward.pack(weight, &trained[self.bias.clone()]);
        self.backward.pack_transposed(weight);
    }

    /// Forward, for one sample.
    pub(super) fn apply(&self, x: &[f32], out: &mut [f32]) {
        self.forward.apply(self.from, x, Finish::Store, self.to, out);
    }

    /// The gradient of the input; the bias of the backward direction is zero.
    pub(super) fn backward(&self, d_out: &[f32], finish: Finish, d_x: &mut [f32]) {
        self.backward.apply(self.to, d_out, finish, self.from, d_x);
    }

    /// Adds the gradients of weight and bias to the sums.
    pub(super) fn learn(&self, x: &[f32], d_out: &[f32], sums: &mut WeightSums<'_>) {
        let WeightSums { sums, transposed } = sums;
        let Self { isa, from, to, .. } = *self;
        let (inputs, outputs) = (from.width, to.width);
        let padded = isa.pad(inputs);
        let (weight, bias) = sums[self.sums.clone()].split_at_mut(outputs * padded);
        if from.axis == Axis::Patches {
            let d = Strided { values: d_out, row: 1, step: to.pitch() };
            let shape = ProductShape { rows: outputs, columns: padded, inner: from.rows() };
            let (x, sums) = (Matrix::new(x, from.pitch()), MatrixMut::new(weight, padded));
            product(isa, shape, d, x, Finish::Add, sums);
            let shape = MatrixShape { rows: to.rows(), columns: bias.len() };
            return add_rows(isa, shape, Matrix::new(d_out, to.pitch()), bias);
        }
        let columns = from.pitch();
        transposed.reserve(columns * inputs + padded);
        let matrices = x.chunks_exact(from.matrix()).zip(d_out.chunks_exact(to.matrix()));
        for (x, d_out) in matrices {
            let shape = MatrixShape { rows: inputs, columns };
            transpose(isa, shape, Matrix::new(x, columns), MatrixMut::new(transposed, inputs));
            let d = Strided { values: d_out, row: columns, step: 1 };
            let shape = ProductShape { rows: outputs, columns: padded, inner: columns };
            let (x, sums) = (Matrix::new(transposed, inputs), MatrixMut::new(weight, padded));
            product(isa, shape, d, x, Finish::Add, sums);
            add_lanes(isa, to.columns(), Matrix::new(d_out, columns), bias);
        }
    }

    /// Adds the sums to the gradients of all weights.
    pub(super) fn flush(&self, sums: &[f32], grads: &mut [f32]) {
        let (inputs, outputs) = (self.from.width, self.to.width);
        let (weight, bias) = sums[self.sums.clone()].split_at(outputs * self.isa.pad(inputs));
        let rows = weight.chunks_exact(self.isa.pad(inputs));
        for (row, grads) in rows.zip(grads[self.weight.clone()].chunks_exact_mut(inputs)) {
            grads.iter_mut().zip(row).for_each(|(g, sum)| *g += sum);
        }
        let grads = &mut grads[self.bias.clone()];
        match self.from.axis {
            Axis::Patches => grads.iter_mut().zip(bias).for_each(|(g, sum)| *g += sum),
            _ => sum_lanes(self.isa, bias, grads),
        }
    }
}
