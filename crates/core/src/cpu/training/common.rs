//! What the layers of a block share, and where their gradients are summed.

use ptsm_kernels::Isa;

use super::super::sizes::Sizes;

/// Where gradients of weights are added.
pub(super) struct Sums<'a> {
    /// Of layers, padded or by lanes.
    pub(super) layers: &'a mut [f32],
    /// Of all weights, as in the layout.
    pub(super) grads: &'a mut [f32],
}

/// What the layers of a block share.
pub(super) struct Common<'a> {
    pub(super) isa: Isa,
    pub(super) sizes: &'a Sizes,
    pub(super) probability: f64,
}
