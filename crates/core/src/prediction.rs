//! What a backend gives for one batch.

/// What a model's head produces for one batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prediction {
    /// As the head gives it, see [`Outputs`](crate::Outputs); a point forecast is `[B, H, C']`, in
    /// the units of `past_values`.
    pub prediction: Vec<f32>,
    /// Sums of segments, `[B, S, C']`, with the hierarchical head; empty without.
    pub aggregates: Vec<f32>,
    /// Shift of every window and channel, `[B, C]`, which a law is relative to; empty for a plain
    /// point forecast, which is un-scaled already.
    pub loc: Vec<f32>,
    /// Scale of every window and channel, `[B, C]`; as `loc`.
    pub scale: Vec<f32>,
}

impl Prediction {
    /// Empties every field and keeps its memory.
    pub fn clear(&mut self) {
        let Self { prediction, aggregates, loc, scale } = self;
        [prediction, aggregates, loc, scale].into_iter().for_each(Vec::clear);
    }
}
