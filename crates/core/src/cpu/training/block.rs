//! A mixer block that learns, on the activations of one sample.

use ptsm_kernels::{
    Aligned, Finish, GateGradients, Gated, Isa, Matrix, MatrixMut, PaddedRows, Write, add,
    gate_columns_backward, gate_columns_keeping, gate_rows_backward, gate_rows_keeping,
    gelu_dropout, multiply,
};

use super::super::sizes::Sizes;
use super::attention::{Attention, AttentionCache, AttentionScratch};
use super::common::{Common, Sums};
use super::linear::{DrawBlock, Linear, drop};
use super::norm::{Norm, NormCache, Slopes, Statistics};
use crate::layers::{Dropout, Place};
use crate::network::{Axis, MixerBlock};
use crate::weights::{BlockSlot, Parameters};

/// One block with its weights packed.
#[derive(Debug)]
pub(super) struct Block {
    isa: Isa,
    /// Whether the gate is in front of the MLP.
    gates_first: bool,
    norm: Norm,
    fc1: Linear,
    fc2: Linear,
    gate: Option<Linear>,
    attention: Option<Attention>,
    probability: f64,
    /// Number of its first draw site.
    site: u64,
}

/// One sample on its way, `[C][D][pitch]` each.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Its activations; on the way back their gradient.
    pub(super) x: Aligned,
    /// What the norm behind an attention reads, or its gradient.
    sum: Aligned,
    /// The gradient of what a block's first norm gave.
    d_normed: Aligned,
}

/// What one block of one sample leaves for the gradient; layouts as [`Shape`](super::linear::Shape)
/// says.
#[derive(Debug, Default)]
pub(super) struct Cache {
    norm: NormCache,
    /// The gated input of the channel mixer.
    gated: Aligned,
    /// The hidden layer behind GELU and dropout, and the slope of both.
    active: Aligned,
    slope: Aligned,
    y: Aligned,
    /// The gate's softmax.
    shares: Aligned,
    attention: AttentionCache,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    d_y: Aligned,
    d_logits: Aligned,
    d_hidden: Aligned,
    turned: Aligned,
    attention: AttentionScratch,
}

impl Flow {
    pub(super) fn reserve(&mut self, len: usize) {
        for buffer in [&mut self.x, &mut self.sum, &mut self.d_normed] {
            buffer.reserve(len);
        }
    }

    /// Gives the activations, or their gradient, another shape.
    pub(super) fn reshape(&mut self, from: &Sizes, to: &Sizes) {
        // Between two blocks nothing is in `sum` that is needed.
        let rows = self.x.chunks_exact(from.row()).zip(self.sum.chunks_exact_mut(to.row()));
        rows.take(from.num_channels).for_each(|(x, out)| from.reshape(to, x, out));
        std::mem::swap(&mut self.x, &mut self.sum);
    }
}

impl Block {
    /// Makes room for the weights of a block.
    pub(super) fn new(isa: Isa, sizes: &Sizes, slot: &BlockSlot, sums: &mut usize) -> Self {
        let MixerBlock { axis, dropout: probability, place, .. } = slot.block;
        let (common, site) = (Common { isa, sizes, probability }, Place::new(place).site());
        let norm = Norm::new(&slot.norm, &common, sums);
        let mut linear = |slot| Linear::new(isa, (axis, sizes), slot, sums);
        let (fc1, fc2) = (linear(&slot.fc1), linear(&slot.fc2));
        let gate = slot.gate.as_ref().map(linear);
        let attention = slot.attention.as_ref();
        Self {
            isa,
            gates_first: slot.block.gates_first(),
            norm,
            fc1,
            fc2,
            gate,
            attention: attention.map(|slot| Attention::new(slot, &common, site + 2, sums)),
            probability,
            site,
        }
    }

    /// Packs the weights as they are now.
    pub(super) fn load(&mut self, parameters: &Parameters<f32>) {
        let trained = &parameters.trained;
        self.norm.load(parameters);
        self.fc1.load(trained);
        self.fc2.load(trained);
        if let Some(gate) = &mut self.gate {
            gate.load(trained);
        }
        if let Some(attention) = &mut self.attention {
            attention.load(parameters);
        }
    }

    /// Numbers of one sample.
    fn len(&self) -> usize {
        self.fc1.from.len()
    }

    /// Number of its norms: with self-attention a second one follows the mixing.
    pub(super) fn num_norms(&self) -> usize {
        1 + usize::from(self.attention.is_some())
    }

    /// Norm number `i`.
    pub(super) fn norm(&self, i: usize) -> &Norm {
        match &self.attention {
            Some(attention) if i > 0 => &attention.norm,
            _ => &self.norm,
        }
    }

    /// What norm `i` reads.
    pub(super) fn read<'a>(&self, i: usize, flow: &'a Flow) -> &'a [f32] {
        if i == 0 { &flow.x[..self.len()] } else { &flow.sum[..self.len()] }
    }

    /// On the way back, the gradient of what norm `i` gave.
    pub(super) fn given<'a>(&self, i: usize, flow: &'a Flow) -> &'a [f32] {
        if i == 0 { &flow.d_normed[..self.len()] } else { &flow.x[..self.len()] }
    }

    /// One sample through norm `i`, and on to the next norm. Batch norm takes `statistics`.
    pub(super) fn forward(
        &self,
        i: usize,
        (flow, cache): (&mut Flow, &mut Cache),
        (scratch, draws): (&mut Scratch, Option<Dropout>),
        statistics: Option<&Statistics>,
    ) {
        let len = self.len();
        let (x, sum) = (&mut flow.x[..len], &mut flow.sum[..len]);
        match &self.attention {
            Some(attention) if i > 0 => {
                attention.norm.forward(sum, &mut cache.attention.norm, statistics);
                add(self.isa, x, &cache.attention.norm.normed[..len]);
            }
            attention => {
                cache.reserve(self);
                self.norm.forward(x, &mut cache.norm, statistics);
                let Some(attention) = attention else { return self.mix(cache, draws, x) };
                let (normed, scratch) = (&cache.norm.normed[..len], &mut scratch.attention);
                attention.forward(normed, &mut cache.attention, (scratch, draws), sum);
                self.mix(cache, draws, sum);
            }
        }
    }

    /// Gate and MLP of what the norm gave, added to `out`.
    fn mix(&self, cache: &mut Cache, draws: Option<Dropout>, out: &mut [f32]) {
        let (len, wide) = (out.len(), self.fc1.to.len());
        let Cache { norm, gated, active, slope, y, shares, .. } = cache;
        let (normed, y, shares) = (&norm.normed[..len], &mut y[..len], &mut shares[..len]);
        let (active, slope) = (&mut active[..wide], &mut slope[..wide]);
        let mut read = normed;
        if let (Some(gate), true) = (&self.gate, self.gates_first) {
            gate.apply(normed, shares);
            self.gate(shares, normed, &mut gated[..len], Write::Overwrite);
            read = &gated[..len];
        }
        self.fc1.apply(read, active);
        self.activate(draws, active, slope);
        self.fc2.apply(active, y);
        self.drop(draws, y);
        match &self.gate {
            Some(gate) if !self.gates_first => {
                gate.apply(y, shares);
                self.gate(shares, y, out, Write::Add);
            }
            _ => add(self.isa, out, y),
        }
    }

    /// Takes the gradient of what follows norm `i` back to what that norm gave.
    pub(super) fn backward(
        &self,
        i: usize,
        (cache, flow): (&Cache, &mut Flow),
        (scratch, draws): (&mut Scratch, Option<Dropout>),
        sums: &mut [f32],
    ) {
        if i > 0 {
            return; // Nothing stands between the second norm and the sum that it is added to.
        }
        let len = self.len();
        scratch.reserve(len, self.fc1.to.len());
        let Flow { x, sum, d_normed } = flow;
        let d = if self.attention.is_some() { &sum[..len] } else { &x[..len] };
        let d_normed = &mut d_normed[..len];
        self.mix_backward(cache, (d, d_normed), (scratch, draws), sums);
        if let Some(attention) = &self.attention {
            let Scratch { attention: strips, turned, .. } = scratch;
            let read = (&cache.attention, &cache.norm.normed[..len]);
            attention.backward(read, d, (strips, draws), (sums, turned), d_normed);
        }
    }

    /// Takes the gradient back through norm `i`. Batch norm takes `slopes`.
    pub(super) fn backward_norm(
        &self,
        i: usize,
        (cache, flow): (&Cache, &mut Flow),
        (slopes, sums): (Option<&Slopes>, &mut [f32]),
    ) {
        let (len, norm, kept) = (self.len(), self.norm(i), cache.norm(i));
        let Flow { x, sum, d_normed } = flow;
        let (x, sum) = (&mut x[..len], &mut sum[..len]);
        if i == 0 {
            return norm.backward(kept, &d_normed[..len], x, (slopes, sums));
        }
        sum.fill(0.0);
        norm.backward(kept, x, sum, (slopes, sums));
    }

    /// The gradient of what the norm gave, from that of what [`Self::mix`] added.
    fn mix_backward(
        &self,
        cache: &Cache,
        (d, d_normed): (&[f32], &mut [f32]),
        (scratch, draws): (&mut Scratch, Option<Dropout>),
        sums: &mut [f32],
    ) {
        let (isa, len, wide) = (self.isa, d.len(), self.fc1.to.len());
        let Scratch { d_y, d_logits, d_hidden, turned, .. } = scratch;
        let (d_y, d_logits) = (&mut d_y[..len], &mut d_logits[..len]);
        let d_hidden = &mut d_hidden[..wide];
        let normed = &cache.norm.normed[..len];
        let (y, softmax) = (&cache.y[..len], &cache.shares[..len]);
        match &self.gate {
            Some(gate) if !self.gates_first => {
                let gradients = GateGradients { value: d_y, logits: d_logits };
                self.gate_backward(d, Gated { value: y, softmax }, gradients);
                gate.backward(d_logits, Finish::Add, d_y);
                gate.learn(y, d_logits, (sums, turned));
            }
            _ => d_y.copy_from_slice(d),
        }
        self.drop(draws, d_y);
        self.fc2.backward(d_y, Finish::Store, d_hidden);
        self.fc2.learn(&cache.active[..wide], d_y, (sums, turned));
        multiply(isa, d_hidden, &cache.slope[..wide]);
        let Some(gate) = self.gate.as_ref().filter(|_| self.gates_first) else {
            self.fc1.backward(d_hidden, Finish::Store, d_normed);
            return self.fc1.learn(normed, d_hidden, (sums, turned));
        };
        // From here on `d_y` is the gradient of what the MLP reads.
        self.fc1.backward(d_hidden, Finish::Store, d_y);
        self.fc1.learn(&cache.gated[..len], d_hidden, (sums, turned));
        let gradients = GateGradients { value: d_normed, logits: d_logits };
        self.gate_backward(d_y, Gated { value: normed, softmax }, gradients);
        gate.backward(d_logits, Finish::Add, d_normed);
        gate.learn(normed, d_logits, (sums, turned));
    }

    /// Adds what the layers learnt to the gradients of all weights.
    pub(super) fn flush(&self, sums: &mut Sums<'_>) {
        self.norm.flush(sums);
        for linear in [Some(&self.fc1), Some(&self.fc2), self.gate.as_ref()].into_iter().flatten() {
            linear.flush(sums.layers, sums.grads);
        }
        if let Some(attention) = &self.attention {
            attention.flush(sums);
        }
    }

    /// `out = value * softmax(logits)` over the mixed axis, or added; leaves the softmax in
    /// `logits`. Along rows it is always added: no block gates along rows in front of its MLP.
    fn gate(&self, logits: &mut [f32], value: &[f32], out: &mut [f32], write: Write) {
        let (isa, shape) = (self.isa, self.fc1.from);
        let (pitch, matrix) = (shape.pitch(), shape.matrix());
        if shape.axis == Axis::Patches {
            let rows = PaddedRows { width: shape.width, pitch };
            return gate_rows_keeping(isa, rows, logits, value, out);
        }
        let matrices = logits.chunks_exact_mut(matrix).zip(value.chunks_exact(matrix));
        for ((logits, value), out) in matrices.zip(out.chunks_exact_mut(matrix)) {
            let (logits, out) = (MatrixMut::new(logits, pitch), MatrixMut::new(out, pitch));
            let value = Matrix::new(value, pitch);
            gate_columns_keeping(isa, shape.columns(), logits, value, out, write);
        }
    }

    /// The gradient of a gate, for what it gated and for the logits.
    fn gate_backward(&self, d: &[f32], gated: Gated<'_>, gradients: GateGradients<'_>) {
        let (isa, shape) = (self.isa, self.fc1.from);
        let (pitch, matrix) = (shape.pitch(), shape.matrix());
        if shape.axis == Axis::Patches {
            return gate_rows_backward(isa, pitch, d, gated, gradients);
        }
        let GateGradients { value: d_value, logits: d_logits } = gradients;
        let kept = gated.value.chunks_exact(matrix).zip(gated.softmax.chunks_exact(matrix));
        let to = d_value.chunks_exact_mut(matrix).zip(d_logits.chunks_exact_mut(matrix));
        for ((d, (value, softmax)), (d_value, d_logits)) in d.chunks_exact(matrix).zip(kept).zip(to)
        {
            let gated = Gated { value, softmax };
            let gradients = GateGradients { value: d_value, logits: d_logits };
            gate_columns_backward(isa, shape.columns(), pitch, d, gated, gradients);
        }
    }

    /// GELU and dropout of the hidden layer in place, and their slope.
    fn activate(&self, draws: Option<Dropout>, x: &mut [f32], slope: &mut [f32]) {
        for block in self.fc1.to.draw_blocks() {
            let with = |draws| self.fc1.to.draws(self.site, (draws, self.probability), &block);
            let draws = draws.map(with);
            let DrawBlock { place, shape, .. } = block;
            let pitch = shape.columns;
            let x = MatrixMut::new(&mut x[place.clone()], pitch);
            gelu_dropout(self.isa, shape, draws, x, MatrixMut::new(&mut slope[place], pitch));
        }
    }

    /// Dropout behind the MLP, or its backward.
    fn drop(&self, draws: Option<Dropout>, x: &mut [f32]) {
        drop(self.isa, (self.site + 1, self.fc1.from), (draws, self.probability), x);
    }
}

impl Cache {
    /// What norm `i` left.
    pub(super) fn norm(&self, i: usize) -> &NormCache {
        if i == 0 { &self.norm } else { &self.attention.norm }
    }

    fn reserve(&mut self, block: &Block) {
        let (len, wide) = (block.fc1.from.len(), block.fc1.to.len());
        self.y.reserve(len);
        self.shares.reserve(len);
        if block.gates_first {
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
