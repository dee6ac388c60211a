//! [`Band`]: both ends of an interval.

/// Both ends of an interval, `[B, H, C']` each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Band {
    /// Lower ends.
    pub lower: Vec<f64>,
    /// Upper ends, none below its lower one.
    pub upper: Vec<f64>,
}

impl Band {
    /// Widens it so that it contains `inner`.
    pub(super) fn cover(&mut self, inner: &Self) {
        let lower = self.lower.iter_mut().zip(&inner.lower);
        lower.for_each(|(low, inner)| *low = low.min(*inner));
        let upper = self.upper.iter_mut().zip(&inner.upper);
        upper.for_each(|(high, inner)| *high = high.max(*inner));
    }
}
