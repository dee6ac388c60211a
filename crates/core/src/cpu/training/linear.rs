//! Linear layers that learn: packed forwards and backwards, and the sums of their gradients.

use std::ops::Range;

use ptsm_kernels::{
    Aligned, ColumnLinear, Draws, Finish, Isa, Matrix, MatrixMut, MatrixShape, ProductShape,
    RowLinear, Strided, add_lanes, add_rows, dropout_columns, product, sum_lanes, transpose,
};

use super::super::sizes::{Sizes, spread};
use crate::layers::Dropout;
use crate::network::Axis;
use crate::weights::LinearSlot;

/// The activations of one sample between two layers: `width` numbers are mixed with each other.
///
/// Where channels are mixed, `[C][D][pitch]` is `[C][D pitch]`, down columns, all channels at once;
/// where patches are, `[C D][pitch]`, along rows; where features are, `[D][pitch]` for each channel,
/// down columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) axis: Axis,
    pub(super) width: usize,
    /// From one row to the next.
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

    /// Matrices that stand one after the other.
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

    /// From one row to the next.
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

    pub(super) fn columns(self) -> MatrixShape {
        MatrixShape { rows: self.rows(), columns: self.pitch() }
    }

    /// Blocks of rows whose elements take draws of dropout at fixed distances in the definition's
    /// layout; what follows a width takes draws too, which nothing reads.
    pub(super) fn draw_blocks(self) -> impl Iterator<Item = DrawBlock> {
        let Sizes { num_patches: n, d_model: d, pitch, .. } = self.sizes;
        let (width, own, matrix) = (self.width, self.pitch(), self.matrix());
        let blocks = match self.axis {
            Axis::Patches => 1,
            Axis::Features => self.groups(),
            Axis::Channels => width,
        };
        (0..blocks).map(move |i| match self.axis {
            // `[C, D, N]`.
            Axis::Patches => DrawBlock {
                place: 0..matrix,
                shape: self.columns(),
                first: 0,
                steps: (width as u64, 1),
            },
            // `[C, N, D]`.
            Axis::Features => DrawBlock {
                place: i * matrix..(i + 1) * matrix,
                shape: self.columns(),
                first: (i * n * width) as u64,
                steps: (1, width as u64),
            },
            // `[N, D, C]`.
            Axis::Channels => DrawBlock {
                place: i * own..(i + 1) * own,
                shape: MatrixShape { rows: d, columns: pitch },
                first: i as u64,
                steps: (width as u64, (d * width) as u64),
            },
        })
    }
}

impl Shape {
    /// The draws of some rows of the sample that `dropout` names.
    pub(super) fn draws(
        self,
        site: u64,
        (dropout, probability): (Dropout, f64),
        block: &DrawBlock,
    ) -> Draws {
        let Sizes { num_channels, num_patches, d_model, .. } = self.sizes;
        // Elements of a sample in the definition, which has no padding.
        let others = match self.axis {
            Axis::Channels => num_patches * d_model,
            Axis::Patches => num_channels * d_model,
            Axis::Features => num_channels * num_patches,
        };
        Draws {
            key: dropout.key(site),
            counter: dropout.first_sample * (others * self.width) as u64 + block.first,
            row: block.steps.0,
            column: block.steps.1,
            probability: probability as f32,
        }
    }
}

/// Some rows of a sample with the draws of dropout that they take.
pub(super) struct DrawBlock {
    /// Where they stand, one after the other.
    pub(super) place: Range<usize>,
    pub(super) shape: MatrixShape,
    /// Draw of the first element, counted from the sample's first.
    pub(super) first: u64,
    /// From one row's draw to the next one's, and from one column's.
    pub(super) steps: (u64, u64),
}

/// Dropout of one sample's activations, or its backward; `site` is that of the definition.
pub(super) fn drop(
    isa: Isa,
    (site, shape): (u64, Shape),
    (draws, probability): (Option<Dropout>, f64),
    x: &mut [f32],
) {
    let Some(draws) = draws.filter(|_| probability > 0.0) else { return };
    for block in shape.draw_blocks() {
        let draws = shape.draws(site, (draws, probability), &block);
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

    fn apply(&self, (from, x): (Shape, &[f32]), finish: Finish, (to, out): (Shape, &mut [f32])) {
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

/// A linear layer of the backbone with its place in the layout.
#[derive(Debug)]
pub(super) struct Linear {
    isa: Isa,
    pub(super) from: Shape,
    pub(super) to: Shape,
    forward: Packed,
    backward: Packed,
    weight: Range<usize>,
    bias: Range<usize>,
    /// Place of the padded sums of its gradients among those of all layers.
    sums: Range<usize>,
}

impl Linear {
    /// Makes room for the weights; `sums` says where its sums start, and moves on.
    pub(super) fn new(
        isa: Isa,
        (axis, sizes): (Axis, &Sizes),
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

    /// The layer of one sample.
    pub(super) fn apply(&self, x: &[f32], out: &mut [f32]) {
        self.forward.apply((self.from, x), Finish::Store, (self.to, out));
    }

    /// The gradient of its input; the bias of the backward direction is zero.
    pub(super) fn backward(&self, d_out: &[f32], finish: Finish, d_x: &mut [f32]) {
        self.backward.apply((self.to, d_out), finish, (self.from, d_x));
    }

    /// Adds the gradients of weight and bias to the sums. `turned` is scratch.
    pub(super) fn learn(
        &self,
        x: &[f32],
        d_out: &[f32],
        (sums, turned): (&mut [f32], &mut Aligned),
    ) {
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
        turned.reserve(columns * inputs + padded);
        let matrices = x.chunks_exact(from.matrix()).zip(d_out.chunks_exact(to.matrix()));
        for (x, d_out) in matrices {
            let shape = MatrixShape { rows: inputs, columns };
            transpose(isa, shape, Matrix::new(x, columns), MatrixMut::new(turned, inputs));
            let d = Strided { values: d_out, row: columns, step: 1 };
            let shape = ProductShape { rows: outputs, columns: padded, inner: columns };
            let (x, sums) = (Matrix::new(turned, inputs), MatrixMut::new(weight, padded));
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
