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
    /// `[B]` numbers of classes, or `[B, num_targets]` values, for classification and regression.
    pub target_values: Option<Vec<T>>,
    /// `[B, C, N]`, 1 = hidden from the model, for pretraining.
    pub patch_mask: Option<Vec<T>>,
}

impl<T: Copy> Batch<T> {
    /// The windows `range` as a batch of their own.
    ///
    /// # Panics
    ///
    /// If the range ends behind the batch.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let cut = |values: &Vec<T>| {
            let each = values.len() / self.size.max(1);
            values[range.start * each..range.end * each].to_vec()
        };
        Self {
            size: range.len(),
            context_length: self.context_length,
            num_channels: self.num_channels,
            past_values: cut(&self.past_values),
            observed_mask: self.observed_mask.as_ref().map(cut),
            future_values: self.future_values.as_ref().map(cut),
            future_observed_mask: self.future_observed_mask.as_ref().map(cut),
            target_values: self.target_values.as_ref().map(cut),
            patch_mask: self.patch_mask.as_ref().map(cut),
        }
    }
}
