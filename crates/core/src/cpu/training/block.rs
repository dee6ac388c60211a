//! A mixer block in training, forward and backward, on the activations of one sample.

use ptsm_kernels::{
    Aligned, Finish, GateGradients, Gated, Isa, Matrix, MatrixMut, PaddedRows, Write, add,
    gate_columns_backward, gate_columns_keeping, gate_rows_backward, gate_rows_keeping,
    gelu_dropout, multiply,
};

use super::super::sizes::Sizes;
use super::attention::{Attention, AttentionCache, AttentionScratch};
use super::common::{DropoutSite, LayerGradients, SamplePass, WeightSums};
use super::linear::{DrawBlock, Linear, apply_dropout};
use super::norm::{Norm, NormCache, Slopes, Statistics};
use crate::layers::{Dropout, Place};
use crate::network::{Axis, MixerBlock};
use crate::weights::{BlockSlot, Parameters};

/// One block with its weights packed.
#[derive(Debug)]
pub(super) struct Block {
    isa: Isa,
    /// Whether the gate comes before the MLP.
    gates_first: bool,
    norm: Norm,
    fc1: Linear,
    fc2: Linear,
    gate: Option<Linear>,
    attention: Option<Attention>,
    /// Dropout of the MLP's hidden layer.
    hidden_site: DropoutSite,
    /// Dropout of the MLP's output.
    output_site: DropoutSite,
}

/// One sample between two layers: its activations in the forward pass, their gradients in the
/// backward pass; `[C][D][pitch]` each.
#[derive(Debug, Default)]
pub(super) struct Activations {
    /// Input and output of the blocks.
    pub(super) x: Aligned,
    /// Input of the norm that follows an attention: the sum of attention and mixing.
    sum: Aligned,
    /// Gradient of the output of a block's first norm.
    d_normed: Aligned,
}

/// What a block keeps of one sample for the gradient; layouts as [`Shape`](super::linear::Shape)
/// says.
#[derive(Debug, Default)]
pub(super) struct Cache {
    norm: NormCache,
    /// Input of the MLP after the gate, where the gate comes first.
    gated: Aligned,
    /// The hidden layer after GELU and dropout, and the slope of both.
    active: Aligned,
    slope: Aligned,
    /// Output of the MLP after dropout.
    y: Aligned,
    /// The gate's softmax.
    softmax: Aligned,
    attention: AttentionCache,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    d_y: Aligned,
    d_logits: Aligned,
    d_hidden: Aligned,
    transposed: Aligned,
    attention: AttentionScratch,
}

impl Activations {
    pub(super) fn reserve(&mut self, len: usize) {
        for buffer in [&mut self.x, &mut self.sum, &mut self.d_normed] {
            buffer.reserve(len);
        }
    }

    /// Gives the activations, or their gradient, another shape.
    pub(super) fn reshape(&mut self, from: &Sizes, to: &Sizes) {
        // Between two blocks `sum` is not in use.
        let rows = self.x.chunks_exact(from.row()).zip(self.sum.chunks_exact_mut(to.row()));
        rows.take(from.num_channels).for_each(|(x, out)| from.reshape(to, x, out));
        std::mem::swap(&mut self.x, &mut self.sum);
    }
}

impl Block {
    /// Makes room for the weights of a block.
    pub(super) fn new(isa: Isa, sizes: &Sizes, slot: &BlockSlot, sums: &mut usize) -> Self {
        let MixerBlock { axis, dropout: probability, place, .. } = slot.block;
        let first_site = Place::new(place).site();
        let site = |offset| DropoutSite { number: first_site + offset, probability };
        let norm = Norm::new(isa, sizes, &slot.norm, sums);
        let mut linear = |slot| Linear::new(isa, axis, sizes, slot, sums);
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
            attention: attention.map(|slot| Attention::new(isa, sizes, slot, site(2), sums)),
            hidden_site: site(0),
            output_site: site(1),
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

    /// In the forward pass, the input of norm `i`.
    pub(super) fn norm_input<'a>(&self, i: usize, activations: &'a Activations) -> &'a [f32] {
        if i == 0 { &activations.x[..self.len()] } else { &activations.sum[..self.len()] }
    }

    /// In the backward pass, the gradient of the output of norm `i`.
    pub(super) fn norm_gradient<'a>(&self, i: usize, activations: &'a Activations) -> &'a [f32] {
        if i == 0 { &activations.d_normed[..self.len()] } else { &activations.x[..self.len()] }
    }

    /// Computes norm `i` of one sample, and what follows it up to the next norm. Batch norm takes
    /// `statistics`.
    pub(super) fn forward(
        &self,
        i: usize,
        activations: &mut Activations,
        cache: &mut Cache,
        pass: SamplePass<'_, Scratch>,
        statistics: Option<&Statistics>,
    ) {
        let (len, SamplePass { scratch, draws }) = (self.len(), pass);
        let (x, sum) = (&mut activations.x[..len], &mut activations.sum[..len]);
        match &self.attention {
            Some(attention) if i > 0 => {
                attention.norm.forward(sum, &mut cache.attention.norm, statistics);
                add(self.isa, x, &cache.attention.norm.normed[..len]);
            }
            attention => {
                cache.reserve(self);
                self.norm.forward(x, &mut cache.norm, statistics);
                let Some(attention) = attention else { return self.mix(cache, draws, x) };
                let pass = SamplePass { scratch: &mut scratch.attention, draws };
                attention.forward(&cache.norm.normed[..len], &mut cache.attention, pass, sum);
                self.mix(cache, draws, sum);
            }
        }
    }

    /// Adds gate and MLP of the norm's output to `out`.
    fn mix(&self, cache: &mut Cache, draws: Option<Dropout>, out: &mut [f32]) {
        let (len, wide) = (out.len(), self.fc1.to.len());
        let Cache { norm, gated, active, slope, y, softmax, .. } = cache;
        let (normed, y, softmax) = (&norm.normed[..len], &mut y[..len], &mut softmax[..len]);
        let (active, slope) = (&mut active[..wide], &mut slope[..wide]);
        let mut read = normed;
        if let (Some(gate), true) = (&self.gate, self.gates_first) {
            gate.apply(normed, softmax);
            self.gate(softmax, normed, &mut gated[..len], Write::Overwrite);
            read = &gated[..len];
        }
        self.fc1.apply(read, active);
        self.activate(draws, active, slope);
        self.fc2.apply(active, y);
        self.drop_output(draws, y);
        match &self.gate {
            Some(gate) if !self.gates_first => {
                gate.apply(y, softmax);
                self.gate(softmax, y, out, Write::Add);
            }
            _ => add(self.isa, out, y),
        }
    }

    /// Takes the gradient back through the layers between norm `i` and the next norm, to the output
    /// of norm `i`.
    pub(super) fn backward(
        &self,
        i: usize,
        activations: &mut Activations,
        cache: &Cache,
        pass: SamplePass<'_, Scratch>,
        sums: &mut [f32],
    ) {
        if i > 0 {
            return; // The output of the second norm is added to `x`, with no layer in between.
        }
        let (len, SamplePass { scratch, draws }) = (self.len(), pass);
        scratch.reserve(len, self.fc1.to.len());
        let Activations { x, sum, d_normed } = activations;
        let output = if self.attention.is_some() { &sum[..len] } else { &x[..len] };
        let input = &mut d_normed[..len];
        let gradients = LayerGradients { output, input: &mut *input };
        self.mix_backward(cache, gradients, SamplePass { scratch: &mut *scratch, draws }, sums);
        if let Some(attention) = &self.attention {
            let Scratch { attention: scratch, transposed, .. } = scratch;
            let gradients = LayerGradients { output, input };
            let pass = SamplePass { scratch, draws };
            let sums = &mut WeightSums { sums, transposed };
            let normed = &cache.norm.normed[..len];
            attention.backward(&cache.attention, normed, gradients, pass, sums);
        }
    }

    /// Takes the gradient back through norm `i`. Batch norm takes `slopes`.
    pub(super) fn backward_norm(
        &self,
        i: usize,
        activations: &mut Activations,
        cache: &Cache,
        slopes: Option<&Slopes>,
        sums: &mut [f32],
    ) {
        let len = self.len();
        let Activations { x, sum, d_normed } = activations;
        let (x, sum) = (&mut x[..len], &mut sum[..len]);
        let gradients = if i == 0 {
            LayerGradients { output: &d_normed[..len], input: x }
        } else {
            sum.fill(0.0);
            LayerGradients { output: x, input: sum }
        };
        self.norm(i).backward(cache.norm(i), gradients, slopes, sums);
    }

    /// The backward pass of [`Self::mix`], from the gradient of what that adds to the gradient of
    /// its input, the output of the norm.
    fn mix_backward(
        &self,
        cache: &Cache,
        LayerGradients { output: d, input: d_normed }: LayerGradients<'_>,
        pass: SamplePass<'_, Scratch>,
        sums: &mut [f32],
    ) {
        let (isa, len, wide) = (self.isa, d.len(), self.fc1.to.len());
        let SamplePass { scratch, draws } = pass;
        let Scratch { d_y, d_logits, d_hidden, transposed, .. } = scratch;
        let sums = &mut WeightSums { sums, transposed };
        let (d_y, d_logits) = (&mut d_y[..len], &mut d_logits[..len]);
        let d_hidden = &mut d_hidden[..wide];
        let normed = &cache.norm.normed[..len];
        let (y, softmax) = (&cache.y[..len], &cache.softmax[..len]);
        match &self.gate {
            Some(gate) if !self.gates_first => {
                let gradients = GateGradients { value: d_y, logits: d_logits };
                self.gate_backward(d, Gated { value: y, softmax }, gradients);
                gate.backward(d_logits, Finish::Add, d_y);
                gate.learn(y, d_logits, sums);
            }
            _ => d_y.copy_from_slice(d),
        }
        self.drop_output(draws, d_y);
        self.fc2.backward(d_y, Finish::Store, d_hidden);
        self.fc2.learn(&cache.active[..wide], d_y, sums);
        multiply(isa, d_hidden, &cache.slope[..wide]);
        let Some(gate) = self.gate.as_ref().filter(|_| self.gates_first) else {
            self.fc1.backward(d_hidden, Finish::Store, d_normed);
            return self.fc1.learn(normed, d_hidden, sums);
        };
        // From here on `d_y` is the gradient of what the MLP reads.
        self.fc1.backward(d_hidden, Finish::Store, d_y);
        self.fc1.learn(&cache.gated[..len], d_hidden, sums);
        let gradients = GateGradients { value: d_normed, logits: d_logits };
        self.gate_backward(d_y, Gated { value: normed, softmax }, gradients);
        gate.backward(d_logits, Finish::Add, d_normed);
        gate.learn(normed, d_logits, sums);
    }

    /// Adds the sums of its layers to the gradients `grads` of all weights.
    pub(super) fn flush(&self, sums: &[f32], grads: &mut [f32]) {
        self.norm.flush(sums, grads);
        for linear in [Some(&self.fc1), Some(&self.fc2), self.gate.as_ref()].into_iter().flatten() {
            linear.flush(sums, grads);
        }
        if let Some(attention) = &self.attention {
            attention.flush(sums, grads);
        }
    }

    /// Writes or adds `value * softmax(logits)`, a softmax over the mixed axis, and leaves the
    /// softmax in `logits`. Along rows it always adds: no block gates along rows before its MLP.
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
            let draws = draws.map(|draws| self.fc1.to.draws(self.hidden_site, draws, &block));
            let DrawBlock { place, shape, .. } = block;
            let pitch = shape.columns;
            let x = MatrixMut::new(&mut x[place.clone()], pitch);
            gelu_dropout(self.isa, shape, draws, x, MatrixMut::new(&mut slope[place], pitch));
        }
    }

    /// Dropout of the MLP's output, or of its gradient.
    fn drop_output(&self, draws: Option<Dropout>, x: &mut [f32]) {
        apply_dropout(self.isa, self.output_site, self.fc1.from, draws, x);
    }
}

impl Cache {
    /// What norm `i` kept.
    pub(super) fn norm(&self, i: usize) -> &NormCache {
        if i == 0 { &self.norm } else { &self.attention.norm }
    }

    fn reserve(&mut self, block: &Block) {
        let (len, wide) = (block.fc1.from.len(), block.fc1.to.len());
        self.y.reserve(len);
        self.softmax.reserve(len);
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
