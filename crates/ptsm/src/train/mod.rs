//! Training: loss, optimiser, learning rate, loop, checkpoints.

mod adamw;
mod checkpoint;
mod loss;
mod recipe;
mod schedule;
mod step;
mod trainer;

pub use adamw::AdamW;
pub use checkpoint::CHECKPOINT_FILE;
pub use loss::{Loss, known_points, mse};
pub use recipe::{Recipe, Training};
pub use schedule::Schedule;
pub use step::score;
pub use trainer::{Epoch, Event, History, Observer, Outcome, TrainData, Trainer};
