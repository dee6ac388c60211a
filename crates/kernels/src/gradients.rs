//! Where kernels add the gradients of a layer's parameters.

/// The gradients of a weight and its bias; kernels add to them.
#[derive(Debug)]
pub struct AffineGradients<'a> {
    /// Gradient of the weight.
    pub weight: &'a mut [f32],
    /// Gradient of the bias.
    pub bias: &'a mut [f32],
}
