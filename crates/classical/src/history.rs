//! The input of every method.

/// The past of one series.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The observed values, oldest first, one each step; NaN = missing. Any affine units.
    ///
    /// Infinite values count as missing. The history begins with the first observed value. Theta
    /// and ETS fill a gap with the value a season before, or else linearly between its
    /// neighbours, and use at most the last 1000 steps or 12 seasons, whichever is more.
    pub values: &'a [f64],
    /// Steps of a season; 0 or 1 = none.
    pub season: usize,
    /// The value that stands for nothing sold, nobody there: zero in the data's own units.
    ///
    /// Multiplicative components are allowed only if it is given and every value lies above it;
    /// `None` = only additive ones.
    pub zero: Option<f64>,
}
