//! Training: loss, optimiser, schedule, loop, checkpoints.

mod loss;

pub use loss::{Loss, known_points, mse};
