//! Training: loss, optimiser, learning rate, loop, checkpoints.

mod adamw;
mod checkpoint;
mod history;
mod joint;
mod on_cpu;
mod schedule;
mod skip;
mod stepper;
mod trainer;
mod training;
mod transfer;

/// Raised with every change to a bit of training on some instruction set: what an earlier build has
/// begun is not resumed, and what it has scored is not taken for this one's.
pub const NUMERICS: u32 = 2;

pub use crate::backend::Score;
pub use crate::loss::{Loss, LossOptions, LossWeight, PercentLoss, PointLoss, loss, loss_weight};
pub use crate::samples::{Samples, Subset, numbers_fingerprint};
pub use adamw::AdamW;
pub use checkpoint::{
    CHECKPOINT_FILE, CHECKPOINT_FOLDER, Reached, check_checkpoint, checkpoint_reached,
};
#[cfg(feature = "testing")]
pub use checkpoint::{read_resealed, write_unbegun};
pub use history::{Epoch, History};
pub use joint::{JointEpoch, JointOutcome, JointTask, train_jointly, train_jointly_on};
pub use on_cpu::score;
pub use schedule::Schedule;
pub use skip::{SkipStart, start_skip_at, start_skip_at_season};
pub use stepper::Stepper;
pub use trainer::{Event, Observer, Outcome, TrainData, Trainer};
pub use training::Training;
pub use transfer::take_backbone;
