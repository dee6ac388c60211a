//! A mixer block that learns, on the activations of one sample.

use std::ops::Range;

use ptsm_kernels::{
    Aligned, Columns, Finish, Isa, add_columns, dropout_strided, gelu, gelu_backward, multiply,
    normalise_columns, normalise_columns_backward, softmax_columns, softmax_columns_backward,
    softmax_rows, softmax_rows_backward,
};

use super::super::plan::Sizes;
use super::linear::{Axis, Linear, Shape};
use crate::model::Dropout;
use crate::weights::{BlockSlot, NormSlot};

/// Layer norm over features.
#[derive(Debug)]
struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
    places: [Range<usize>; 2],
}

/// One block with its weights packed.
#[derive(Debug)]
pub(super) struct Block {
    isa: Isa,
    axis: Axis,
    sizes: Sizes,
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    gate: Option<Linear>,
    probability: f64,
    /// Number of its first draw site.
    site: u64,
}

/// What one block of one sample leaves for the gradient; layouts as [`Shape`] says.
#[derive(Debug, Default)]
pub(super) struct Cache {
    x: Aligned,
    z: Aligned,
    /// The gated input of the channel mixer.
    gated: Aligned,
    hidden: Aligned,
    active: Aligned,
    y: Aligned,
    weights: Aligned,
}

/// Gradients in work.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    d_y: Aligned,
    d_logits: Aligned,
    d_hidden: Aligned,
    d_active: Aligned,
    turned: Aligned,
}

/// Where gradients of weights are added.
pub(super) struct Sums<'a> {
    /// Of linear layers, padded.
    pub(super) linear: &'a mut [f32],
    /// Of all weights, as in the layout.
    pub(super) grads: &'a mut [f32],
}

/// What all blocks of a model share.
pub(super) struct Common<'a> {
    pub(super) isa: Isa,
    pub(super) sizes: &'a Sizes,
    pub(super) eps: f32,
    pub(super) probability: f64,
    pub(super) trained: &'a [f32],
}

impl LayerNorm {
    fn new(slot: &NormSlot, common: &Common<'_>) -> Self {
        Self {
            weight: common.trained[slot.weight.clone()].to_vec(),
            bias: common.trained[slot.bias.clone()].to_vec(),
            eps: common.eps,
            places: [slot.weight.clone(), slot.bias.clone()],
        }
    }
}

impl Block {
    pub(super) fn new(
        slot: &BlockSlot,
        common: &Common<'_>,
        (axis, site): (Axis, u64),
        sums: &mut usize,
    ) -> Self {
        let Common { isa, sizes, trained, probability, .. } = *common;
        let mut linear = |slot| Linear::new(isa, (axis, sizes), (slot, trained), sums);
        Self {
            isa,
            axis,
            sizes: *sizes,
            norm: LayerNorm::new(&slot.norm, common),
            fc1: linear(&slot.fc1),
            fc2: linear(&slot.fc2),
            gate: slot.gate.as_ref().map(linear),
            probability,
            site,
        }
    }

    /// Whether the gate stands in front of the MLP.
    fn gates_first(&self) -> bool {
        self.axis == Axis::Channels
    }

    /// `x` `[C][D][pitch]` of one sample, in place.
    pub(super) fn forward(&self, x: &mut [f32], cache: &mut Cache, draws: Option<Dropout>) {
        let (shape, isa) = (self.fc1.from, self.isa);
        cache.reserve(self);
        let Cache { x: input, z, gated, hidden, active, y, weights } = cache;
        let len = x.len();
        let (z, y, weights) = (&mut z[..len], &mut y[..len], &mut weights[..len]);
        input[..len].copy_from_slice(x);
        self.normalise(x, z);
        let mut read = &*z;
        if let (Some(gate), true) = (&self.gate, self.gates_first()) {
            gate.apply(z, weights);
            softmax(isa, shape, weights);
            multiply(isa, (z, weights), false, &mut gated[..len]);
            read = &gated[..len];
        }
        let wide = self.fc1.to.len();
        self.fc1.apply(read, &mut hidden[..wide]);
        gelu(isa, &hidden[..wide], &mut active[..wide]);
        self.drop(0, draws, &mut active[..wide]);
        self.fc2.apply(&active[..wide], y);
        self.drop(1, draws, y);
        match &self.gate {
            Some(gate) if !self.gates_first() => {
                gate.apply(y, weights);
                softmax(isa, shape, weights);
                multiply(isa, (y, weights), true, x);
            }
            _ => add(isa, y, x),
        }
    }

    /// Turns the gradient `d` of the block's output into that of its input.
    pub(super) fn backward(
        &self,
        cache: &Cache,
        d: &mut [f32],
        (scratch, draws): (&mut Scratch, Option<Dropout>),
        sums: &mut Sums<'_>,
    ) {
        let (shape, isa, len, wide) = (self.fc1.from, self.isa, d.len(), self.fc1.to.len());
        let Scratch { d_y, d_logits, d_hidden, d_active, turned } = scratch;
        [&mut *d_y, &mut *d_logits].into_iter().for_each(|buffer| buffer.reserve(len));
        [&mut *d_hidden, &mut *d_active].into_iter().for_each(|buffer| buffer.reserve(wide));
        let (d_y, d_logits) = (&mut d_y[..len], &mut d_logits[..len]);
        let (d_hidden, d_active) = (&mut d_hidden[..wide], &mut d_active[..wide]);
        let (z, y, weights) = (&cache.z[..len], &cache.y[..len], &cache.weights[..len]);
        match &self.gate {
            Some(gate) if !self.gates_first() => {
                multiply(isa, (d, y), false, d_logits);
                softmax_backward(isa, shape, weights, d_logits);
                multiply(isa, (d, weights), false, d_y);
                gate.backward(d_logits, Finish::Add, d_y);
                gate.learn(y, d_logits, (sums.linear, turned));
            }
            _ => d_y.copy_from_slice(d),
        }
        self.drop(1, draws, d_y);
        self.fc2.backward(d_y, Finish::Store, d_active);
        self.fc2.learn(&cache.active[..wide], d_y, (sums.linear, turned));
        self.drop(0, draws, d_active);
        gelu_backward(isa, &cache.hidden[..wide], d_active, d_hidden);
        // From here on `d_y` is the gradient of the normed input.
        self.fc1.backward(d_hidden, Finish::Store, d_y);
        let read = if self.gate.is_some() && self.gates_first() { &cache.gated[..len] } else { z };
        self.fc1.learn(read, d_hidden, (sums.linear, turned));
        if let (Some(gate), true) = (&self.gate, self.gates_first()) {
            multiply(isa, (d_y, z), false, d_logits);
            softmax_backward(isa, shape, weights, d_logits);
            let through = &mut d_active[..len];
            multiply(isa, (d_y, weights), false, through);
            gate.backward(d_logits, Finish::Add, through);
            gate.learn(z, d_logits, (sums.linear, turned));
            d_y.copy_from_slice(through);
        }
        self.normalise_backward(&cache.x[..len], d_y, d, sums.grads);
    }

    /// Adds what the linear layers learnt to the gradients of all weights.
    pub(super) fn flush(&self, sums: &mut Sums<'_>) {
        for linear in [Some(&self.fc1), Some(&self.fc2), self.gate.as_ref()].into_iter().flatten() {
            linear.flush(sums.linear, sums.grads);
        }
    }

    fn rows(&self) -> (Columns, usize) {
        let Sizes { d_model, pitch, .. } = self.sizes;
        (Columns { rows: d_model, columns: pitch }, pitch)
    }

    fn normalise(&self, x: &[f32], z: &mut [f32]) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        let LayerNorm { weight, bias, eps, .. } = &self.norm;
        for (x, z) in x.chunks_exact(row).zip(z.chunks_exact_mut(row)) {
            normalise_columns(self.isa, shape, (x, pitch), (weight, bias, *eps), (z, pitch));
        }
    }

    fn normalise_backward(&self, x: &[f32], d: &[f32], d_x: &mut [f32], grads: &mut [f32]) {
        let (shape, row) = (self.rows(), self.sizes.row());
        let LayerNorm { weight, eps, places: [first, second], .. } = &self.norm;
        // The bias stands right behind the weight in every layout, so one split serves both.
        debug_assert_eq!(first.end, second.start);
        let (d_weight, d_bias) = grads[first.start..second.end].split_at_mut(first.len());
        let rows = x.chunks_exact(row).zip(d.chunks_exact(row));
        for ((x, d), d_x) in rows.zip(d_x.chunks_exact_mut(row)) {
            let to = (&mut *d_x, &mut *d_weight, &mut *d_bias);
            normalise_columns_backward(self.isa, shape, (x, d), (weight, *eps), to);
        }
    }

    /// Dropout at one of the two sites of the MLP, or its backward.
    fn drop(&self, site: u64, draws: Option<Dropout>, x: &mut [f32]) {
        let Some(draws) = draws.filter(|_| self.probability > 0.0) else { return };
        let shape = if site == 0 { self.fc1.to } else { self.fc1.from };
        let Sizes { num_channels, num_patches, d_model, .. } = self.sizes;
        // Elements of a sample in the definition, which has no padding.
        let own = match shape.axis {
            Axis::Channels => num_channels,
            Axis::Patches => num_patches,
            Axis::Features => d_model,
        };
        let each = (num_channels * num_patches * d_model / own * shape.width) as u64;
        let (key, first) = (draws.key(self.site + site), draws.first_sample * each);
        for (place, start, stride) in shape.runs() {
            let probability = self.probability as f32;
            dropout_strided(self.isa, key, (first + start, stride), probability, &mut x[place]);
        }
    }
}

impl Cache {
    fn reserve(&mut self, block: &Block) {
        let (len, wide) = (block.fc1.from.len(), block.fc1.to.len());
        for buffer in [&mut self.x, &mut self.z, &mut self.y, &mut self.weights] {
            buffer.reserve(len);
        }
        if block.gates_first() {
            self.gated.reserve(len);
        }
        self.hidden.reserve(wide);
        self.active.reserve(wide);
    }
}

fn add(isa: Isa, x: &[f32], y: &mut [f32]) {
    let shape = Columns { rows: 1, columns: x.len() };
    add_columns(isa, shape, (x, x.len()), (y, x.len()));
}

/// Softmax over the mixed axis, in place.
fn softmax(isa: Isa, shape: Shape, x: &mut [f32]) {
    let pitch = shape.pitch();
    match shape.axis {
        Axis::Patches if pitch == shape.width => softmax_rows(isa, shape.width, x),
        Axis::Patches => x
            .chunks_exact_mut(pitch)
            .for_each(|row| softmax_rows(isa, shape.width, &mut row[..shape.width])),
        _ => x
            .chunks_exact_mut(shape.matrix())
            .for_each(|x| softmax_columns(isa, shape.columns(), (x, pitch))),
    }
}

/// Its gradient, in place on `d`.
fn softmax_backward(isa: Isa, shape: Shape, y: &[f32], d: &mut [f32]) {
    let (pitch, width) = (shape.pitch(), shape.width);
    match shape.axis {
        Axis::Patches if pitch == width => softmax_rows_backward(isa, width, y, d),
        Axis::Patches => {
            for (y, d) in y.chunks_exact(pitch).zip(d.chunks_exact_mut(pitch)) {
                softmax_rows_backward(isa, width, &y[..width], &mut d[..width]);
            }
        }
        _ => {
            let matrices = y.chunks_exact(shape.matrix());
            for (y, d) in matrices.zip(d.chunks_exact_mut(shape.matrix())) {
                softmax_columns_backward(isa, (shape.columns(), pitch), y, d);
            }
        }
    }
}
