//! Models as steps of a graph. Inside, windows are `[B, C, L]` and hidden states `[B, C, N, D]`, so that time, the
//! axis of most sums and products, is the last one.
//!
//! | file | holds |
//! |---|---|
//! | `window.rs` | from the graph's inputs to the standardised window |
//! | `own_scale.rs` | shift and scale of a window by its own points |
//! | `logarithm.rs` | logarithms of one plus a number, and the way back |
//! | `units.rs` | from standardised numbers to the units of the data |
//! | `scaling.rs` | the scaler of a network: std, mean, level |
//! | `weights.rs` | weights by their names, as constants |
//! | `backbone.rs` | patches, embedding, mixer blocks |
//! | `forecast.rs`, `distribution.rs` | heads that forecast |
//! | `pooled.rs` | heads of classification and regression |
//! | `ridge.rs` | ridge regressions, members of ensembles |

pub(crate) mod backbone;
pub(crate) mod distribution;
pub(crate) mod forecast;
pub(crate) mod logarithm;
pub(crate) mod own_scale;
pub(crate) mod pooled;
pub(crate) mod ridge;
pub(crate) mod scaling;
pub(crate) mod units;
pub(crate) mod weights;
pub(crate) mod window;
