//! What the layers in training share: the parameters that they take together, as small structs.

use ptsm_kernels::Aligned;

use crate::layers::Dropout;

/// One dropout layer of the model.
#[derive(Debug, Clone, Copy)]
pub(super) struct DropoutSite {
    /// Its number, which tells its draws from those of other layers.
    pub(super) number: u64,
    /// Share of the numbers that it drops.
    pub(super) probability: f64,
}

/// How one sample passes a layer.
pub(super) struct SamplePass<'a, S> {
    /// Buffers of the thread.
    pub(super) scratch: &'a mut S,
    /// The sample's draws for dropout; `None` drops nothing.
    pub(super) draws: Option<Dropout>,
}

/// What the backward pass of a layer reads and writes.
pub(super) struct LayerGradients<'a> {
    /// Gradient of the layer's output, read.
    pub(super) output: &'a [f32],
    /// Gradient of its input, written or added to.
    pub(super) input: &'a mut [f32],
}

/// Where a linear layer adds the gradients of its weights.
pub(super) struct WeightSums<'a> {
    /// Sums of all layers, each of which has a range of its own.
    pub(super) sums: &'a mut [f32],
    /// Scratch for the transposed input.
    pub(super) transposed: &'a mut Aligned,
}
