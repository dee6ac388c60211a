//! What the model eats: equal-length windows side by side.

/// Windows of one length, ready for the model.
///
/// All tensors are row-major. A missing point holds the value 0 and the mask 0; no NaN is ever
/// in here.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch<T = f32> {
    /// Number of windows, B.
    pub size: usize,
    /// Past steps per window, L.
    pub context_length: usize,
    /// Channels, C.
    pub num_channels: usize,
    /// `[B, L, C]`, in the units that the model was trained on.
    pub past_values: Vec<T>,
    /// `[B, L, C]`, 1 = seen, 0 = missing; `None` = everything seen.
    pub observed_mask: Option<Vec<T>>,
    /// `[B, H, C]`, all channels, the truth to compare with; `None` when it is not known.
    pub future_values: Option<Vec<T>>,
    /// `[B, H, C]`, 1 = known, 0 = missing; `None` = everything known.
    pub future_observed_mask: Option<Vec<T>>,
}
