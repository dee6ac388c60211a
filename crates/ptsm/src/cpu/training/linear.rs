//! Linear layers that learn: packed forwards and backwards, and the sums of their gradients.

use std::ops::Range;

use ptsm_kernels::{
    Aligned, ColumnLinear, Columns, Finish, Isa, RowLinear, Strided, add_column_sums, add_row_sums,
    product, transpose,
};

use super::super::plan::Sizes;
use crate::weights::LinearSlot;

/// What a block mixes, and so how its activations stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// `[C][D][pitch]` as `[C][D pitch]`: down columns, all channels at once.
    Channels,
    /// `[C D][pitch]`: along rows.
    Patches,
    /// `[D][pitch]` for each channel: down columns.
    Features,
}

/// The activations of one sample between two layers: `width` numbers are mixed with each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) axis: Axis,
    pub(super) width: usize,
    sizes: Sizes,
}

impl Shape {
    pub(super) fn new(axis: Axis, width: usize, sizes: &Sizes) -> Self {
        Self { axis, width, sizes: *sizes }
    }

    /// The same activations with another width.
    fn wide(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// Matrices that stand one behind the other.
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
        match self.axis {
            Axis::Channels => self.sizes.d_model * self.sizes.pitch,
            Axis::Features => self.sizes.pitch,
            Axis::Patches if self.width == self.sizes.num_patches => self.sizes.pitch,
            Axis::Patches => self.sizes.hidden_pitch,
        }
    }

    /// Numbers of one matrix.
    pub(super) fn matrix(self) -> usize {
        self.rows() * self.pitch()
    }

    /// Numbers of one sample.
    pub(super) fn len(self) -> usize {
        self.groups() * self.matrix()
    }

    pub(super) fn columns(self) -> Columns {
        Columns { rows: self.rows(), columns: self.pitch() }
    }

    /// Each contiguous run of the elements that are draws of dropout in the definition's layout:
    /// its place here, its first draw, and the distance between draws.
    pub(super) fn runs(self) -> impl Iterator<Item = (Range<usize>, u64, u64)> {
        let Sizes { num_patches: n, d_model: d, pitch, .. } = self.sizes;
        let (width, own) = (self.width, self.pitch());
        let inner = if self.axis == Axis::Channels { d } else { 1 };
        (0..self.groups() * self.rows() * inner).map(move |run| match self.axis {
            // Rows as the definition has them, `[C, D, N]`.
            Axis::Patches => (run * own..run * own + width, (run * width) as u64, 1),
            // `[C, N, D]`.
            Axis::Features => {
                let (group, k) = (run / width, run % width);
                (run * pitch..run * pitch + n, (group * n * width + k) as u64, width as u64)
            }
            // `[N, D, C]`.
            Axis::Channels => {
                let (k, feature) = (run / d, run % d);
                let place = run * pitch..run * pitch + n;
                (place, (feature * width + k) as u64, (d * width) as u64)
            }
        })
    }
}

/// Weights for one direction.
#[derive(Debug)]
enum Packed {
    Row(RowLinear),
    Column(ColumnLinear),
}

impl Packed {
    fn new(isa: Isa, axis: Axis, [inputs, outputs]: [usize; 2], w: &[f32], b: &[f32]) -> Self {
        match axis {
            Axis::Patches => Packed::Row(RowLinear::new(isa, inputs, outputs, w, b)),
            _ => Packed::Column(ColumnLinear::new(isa, inputs, outputs, w, b)),
        }
    }

    fn apply(&self, (from, x): (Shape, &[f32]), finish: Finish, (to, out): (Shape, &mut [f32])) {
        match self {
            Packed::Row(linear) => {
                linear.apply(from.rows(), (x, from.pitch()), finish, (out, to.pitch()));
            }
            Packed::Column(linear) => {
                let matrices = x.chunks_exact(from.matrix());
                for (x, out) in matrices.zip(out.chunks_exact_mut(to.matrix())) {
                    let pitch = from.pitch();
                    linear.apply(pitch, (x, pitch), finish, (out, pitch));
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
    /// Packs the weights for both directions; `sums` says where its sums start, and moves on.
    pub(super) fn new(
        isa: Isa,
        (axis, sizes): (Axis, &Sizes),
        (slot, trained): (&LinearSlot, &[f32]),
        sums: &mut usize,
    ) -> Self {
        let LinearSlot { inputs, outputs, .. } = *slot;
        let (weight, bias) = (&trained[slot.weight.clone()], &trained[slot.bias.clone()]);
        let mut turned = vec![0.0; weight.len()];
        transpose(outputs, inputs, weight, &mut turned);
        let start = *sums;
        // The bias of rows is summed in whole registers.
        *sums += outputs * isa.pad(inputs) + isa.pad(outputs);
        Self {
            isa,
            from: Shape::new(axis, inputs, sizes),
            to: Shape::new(axis, inputs, sizes).wide(outputs),
            forward: Packed::new(isa, axis, [inputs, outputs], weight, bias),
            backward: Packed::new(isa, axis, [outputs, inputs], &turned, &vec![0.0; inputs]),
            weight: slot.weight.clone(),
            bias: slot.bias.clone(),
            sums: start..*sums,
        }
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
            let size = [outputs, padded, from.rows()];
            product(isa, size, d, (x, from.pitch()), Finish::Add, (weight, padded));
            let columns = Columns { rows: to.rows(), columns: bias.len() };
            return add_column_sums(isa, columns, (d_out, to.pitch()), bias);
        }
        let columns = from.pitch();
        turned.reserve(columns * inputs + padded);
        let matrices = x.chunks_exact(from.matrix()).zip(d_out.chunks_exact(to.matrix()));
        for (x, d_out) in matrices {
            transpose(inputs, columns, x, &mut turned[..columns * inputs]);
            let d = Strided { values: d_out, row: columns, step: 1 };
            let size = [outputs, padded, columns];
            product(isa, size, d, (&turned[..], inputs), Finish::Add, (weight, padded));
            add_row_sums(isa, to.columns(), (d_out, columns), &mut bias[..outputs]);
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
        grads[self.bias.clone()].iter_mut().zip(bias).for_each(|(g, sum)| *g += sum);
    }
}
