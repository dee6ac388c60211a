//! A mixer block that learns, on the activations of one sample.

use std::ops::Range;

use ptsm_kernels::{
    Aligned, Columns, Finish, Gated, Isa, KeptNorm, Normed, add, gate_columns_backward,
    gate_columns_keeping, gate_rows_backward, gate_rows_keeping, gelu_dropout, multiply,
    normalise_columns_backward, normalise_columns_keeping, sum_lanes,
};

use super::super::plan::Sizes;
use super::linear::{Axis, DrawBlock, Linear, drop};
use crate::model::Dropout;
use crate::weights::{BlockSlot, NormSlot};

/// Layer norm over features.
#[derive(Debug)]
struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
    places: [Range<usize>; 2],
    /// Place of the sums of its gradients, by lanes.
    sums: Range<usize>,
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
    /// Normalised, without and with weight and bias, and what it was divided by `[C][pitch]`.
    z: Aligned,
    normed: Aligned,
    inverse_deviation: Aligned,
    /// The gated input of the channel mixer.
    gated: Aligned,
    /// The hidden layer behind GELU and dropout, and the slope of both.
    active: Aligned,
    slope: Aligned,
    y: Aligned,
    /// The gate's softmax.
    shares: Aligned,
}

/// Gradients in work.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    d_y: Aligned,
    d_logits: Aligned,
    d_hidden: Aligned,
    turned: Aligned,
}

/// Where gradients of weights are added.
pub(super) struct Sums<'a> {
    /// Of layers, padded or by lanes.
    pub(super) layers: &'a mut [f32],
    /// Of all weights, as in the layout.
    pub(super) grads: &'a mut [f32],
}

/// What all blocks of a model share.
pub(super) struct Common<'a> {
    pub(super) isa: Isa,
    pub(super) sizes: &'a Sizes,
    pub(super) eps: f32,
    pub(super) probability: f64,
}

impl LayerNorm {
    fn new(slot: &NormSlot, common: &Common<'_>, sums: &mut usize) -> Self {
        let (start, len) = (*sums, slot.weight.len());
        *sums += 2 * len * common.isa.lanes();
        Self {
            weight: vec![0.0; len],
            bias: vec![0.0; len],
            eps: common.eps,
            places: [slot.weight.clone(), slot.bias.clone()],
            sums: start..*sums,
        }
    }

    fn load(&mut self, trained: &[f32]) {
        let [weight, bias] = &self.places;
        self.weight.copy_from_slice(&trained[weight.clone()]);
        self.bias.copy_from_slice(&trained[bias.clone()]);
    }
}

impl Block {
    /// Makes room for the weights of a block.
    pub(super) fn new(
        slot: &BlockSlot,
        common: &Common<'_>,
        (axis, site): (Axis, u64),
        sums: &mut usize,
    ) -> Self {
        let Common { isa, sizes, probability, .. } = *common;
        let norm = LayerNorm::new(&slot.norm, common, sums);
        let mut linear = |slot| Linear::new(isa, (axis, sizes), slot, sums);
        Self {
            isa,
            axis,
            sizes: *sizes,
            norm,
            fc1: linear(&slot.fc1),
            fc2: linear(&slot.fc2),
            gate: slot.gate.as_ref().map(linear),
            probability,
            site,
        }
    }

    /// Packs the weights as they are now.
    pub(super) fn load(&mut self, trained: &[f32]) {
        self.norm.load(trained);
        self.fc1.load(trained);
        self.fc2.load(trained);
        if let Some(gate) = &mut self.gate {
            gate.load(trained);
        }
    }

    /// Whether the gate stands in front of the MLP.
    fn gates_first(&self) -> bool {
        self.axis == Axis::Channels
    }

    /// `x` `[C][D][pitch]` of one sample, in place.
    pub(super) fn forward(&self, x: &mut [f32], cache: &mut Cache, draws: Option<Dropout>) {
        let (len, wide) = (x.len(), self.fc1.to.len());
        cache.reserve(self);
        self.normalise(x, cache);
        let Cache { normed, gated, active, slope, y, shares, .. } = cache;
        let (normed, y, shares) = (&normed[..len], &mut y[..len], &mut shares[..len]);
        let (active, slope) = (&mut active[..wide], &mut slope[..wide]);
        let mut read = normed;
        if let (Some(gate), true) = (&self.gate, self.gates_first()) {
            gate.apply(normed, shares);
            self.gate(shares, normed, &mut gated[..len], false);
            read = &gated[..len];
        }
        self.fc1.apply(read, active);
        self.activate(draws, active, slope);
        self.fc2.apply(active, y);
        self.drop(draws, y);
        match &self.gate {
            Some(gate) if !self.gates_first() => {
                gate.apply(y, shares);
                self.gate(shares, y, x, true);
            }
            _ => add(self.isa, x, y),
        }
    }

    /// Turns the gradient `d` of the block's output into that of its input.
    pub(super) fn backward(
        &self,
        cache: &Cache,
        d: &mut [f32],
        (scratch, draws): (&mut Scratch, Option<Dropout>),
        sums: &mut [f32],
    ) {
        let (isa, len, wide) = (self.isa, d.len(), self.fc1.to.len());
        scratch.reserve(len, wide);
        let Scratch { d_y, d_logits, d_hidden, turned } = scratch;
        let (d_y, d_logits) = (&mut d_y[..len], &mut d_logits[..len]);
        let d_hidden = &mut d_hidden[..wide];
        let (normed, y, share) = (&cache.normed[..len], &cache.y[..len], &cache.shares[..len]);
        match &self.gate {
            Some(gate) if !self.gates_first() => {
                self.gate_backward(d, Gated { value: y, share }, (d_y, d_logits));
                gate.backward(d_logits, Finish::Add, d_y);
                gate.learn(y, d_logits, (sums, turned));
            }
            _ => d_y.copy_from_slice(d),
        }
        self.drop(draws, d_y);
        self.fc2.backward(d_y, Finish::Store, d_hidden);
        self.fc2.learn(&cache.active[..wide], d_y, (sums, turned));
        multiply(isa, d_hidden, &cache.slope[..wide]);
        // From here on `d_y` is the gradient of what the MLP reads.
        self.fc1.backward(d_hidden, Finish::Store, d_y);
        let gate = self.gate.as_ref().filter(|_| self.gates_first());
        let read = if gate.is_some() { &cache.gated[..len] } else { normed };
        self.fc1.learn(read, d_hidden, (sums, turned));
        let Some(gate) = gate else { return self.normalise_backward(cache, d_y, d, sums) };
        let through = &mut d_hidden[..len];
        self.gate_backward(d_y, Gated { value: normed, share }, (through, d_logits));
        gate.backward(d_logits, Finish::Add, through);
        gate.learn(normed, d_logits, (sums, turned));
        self.normalise_backward(cache, through, d, sums);
    }

    /// Adds what the layers learnt to the gradients of all weights.
    pub(super) fn flush(&self, sums: &mut Sums<'_>) {
        let LayerNorm { places, sums: place, .. } = &self.norm;
        let parts = sums.layers[place.clone()].chunks_exact(place.len() / 2);
        for (place, part) in places.iter().zip(parts) {
            sum_lanes(self.isa, part, &mut sums.grads[place.clone()]);
        }
        for linear in [Some(&self.fc1), Some(&self.fc2), self.gate.as_ref()].into_iter().flatten() {
            linear.flush(sums.layers, sums.grads);
        }
    }

    fn rows(&self) -> (Columns, usize) {
        let Sizes { d_model, pitch, .. } = self.sizes;
        (Columns { rows: d_model, columns: pitch }, pitch)
    }

    fn normalise(&self, x: &[f32], cache: &mut Cache) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        let LayerNorm { weight, bias, eps, .. } = &self.norm;
        let kept = cache.z.chunks_exact_mut(row).zip(cache.inverse_deviation.chunks_mut(pitch));
        let rows = x.chunks_exact(row).zip(cache.normed.chunks_exact_mut(row));
        for ((x, normed), (z, inverse_deviation)) in rows.zip(kept) {
            let kept = KeptNorm { z: (z, pitch), inverse_deviation };
            let affine = (&weight[..], &bias[..], *eps);
            normalise_columns_keeping(self.isa, shape, (x, pitch), affine, (normed, pitch), kept);
        }
    }

    fn normalise_backward(&self, cache: &Cache, d: &[f32], d_x: &mut [f32], all: &mut [f32]) {
        let ((shape, pitch), row) = (self.rows(), self.sizes.row());
        let LayerNorm { weight, sums, .. } = &self.norm;
        let (d_weight, d_bias) = all[sums.clone()].split_at_mut(sums.len() / 2);
        let kept = cache.z.chunks_exact(row).zip(cache.inverse_deviation.chunks_exact(pitch));
        let rows = d.chunks_exact(row).zip(d_x.chunks_exact_mut(row));
        for ((d, d_x), (z, inverse_deviation)) in rows.zip(kept) {
            let normed = Normed { z: (z, pitch), inverse_deviation, weight };
            let to = (&mut *d_weight, &mut *d_bias);
            normalise_columns_backward(self.isa, shape, normed, (d, pitch), to, (d_x, pitch));
        }
    }

    /// `out = value * softmax(logits)` over the mixed axis, or added; leaves the softmax in
    /// `logits`. Along rows it is always added: no block gates along rows in front of its MLP.
    fn gate(&self, logits: &mut [f32], value: &[f32], out: &mut [f32], add: bool) {
        let (isa, shape) = (self.isa, self.fc1.from);
        let (pitch, matrix) = (shape.pitch(), shape.matrix());
        if shape.axis == Axis::Patches {
            return gate_rows_keeping(isa, (shape.width, pitch), logits, value, out);
        }
        let matrices = logits.chunks_exact_mut(matrix).zip(value.chunks_exact(matrix));
        for ((logits, value), out) in matrices.zip(out.chunks_exact_mut(matrix)) {
            let (logits, out) = ((logits, pitch), (out, pitch));
            gate_columns_keeping(isa, shape.columns(), logits, (value, pitch), out, add);
        }
    }

    /// The gradient of a gate, for what it gated and for the logits.
    fn gate_backward(
        &self,
        d: &[f32],
        Gated { value, share }: Gated<'_>,
        (d_value, d_logits): (&mut [f32], &mut [f32]),
    ) {
        let (isa, shape) = (self.isa, self.fc1.from);
        let (pitch, matrix) = (shape.pitch(), shape.matrix());
        if shape.axis == Axis::Patches {
            let gated = Gated { value, share };
            return gate_rows_backward(isa, pitch, d, gated, (d_value, d_logits));
        }
        let kept = value.chunks_exact(matrix).zip(share.chunks_exact(matrix));
        let to = d_value.chunks_exact_mut(matrix).zip(d_logits.chunks_exact_mut(matrix));
        for ((d, (value, share)), to) in d.chunks_exact(matrix).zip(kept).zip(to) {
            gate_columns_backward(isa, (shape.columns(), pitch), d, Gated { value, share }, to);
        }
    }

    /// GELU and dropout of the hidden layer in place, and their slope.
    fn activate(&self, draws: Option<Dropout>, x: &mut [f32], slope: &mut [f32]) {
        for block in self.fc1.to.draw_blocks() {
            let with = |draws| self.fc1.to.draws(self.site, (draws, self.probability), &block);
            let draws = draws.map(with);
            let DrawBlock { place, shape, .. } = block;
            let pitch = shape.columns;
            gelu_dropout(self.isa, shape, draws, (&mut x[place.clone()], &mut slope[place]), pitch);
        }
    }

    /// Dropout behind the MLP, or its backward.
    fn drop(&self, draws: Option<Dropout>, x: &mut [f32]) {
        drop(self.isa, (self.site + 1, self.fc1.from), (draws, self.probability), x);
    }
}

impl Cache {
    fn reserve(&mut self, block: &Block) {
        let (len, wide) = (block.fc1.from.len(), block.fc1.to.len());
        for buffer in [&mut self.z, &mut self.normed, &mut self.y, &mut self.shares] {
            buffer.reserve(len);
        }
        self.inverse_deviation.reserve(len / block.sizes.d_model);
        if block.gates_first() {
            self.gated.reserve(len);
        }
        self.active.reserve(wide);
        self.slope.reserve(wide);
    }
}

impl Scratch {
    fn reserve(&mut self, len: usize, wide: usize) {
        self.d_y.reserve(len);
        self.d_logits.reserve(len);
        self.d_hidden.reserve(wide);
    }
}
