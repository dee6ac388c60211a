//! Training: loss, optimiser, learning rate, loop, checkpoints.

mod adamw;
mod auto;
mod checkpoint;
mod joint;
mod loss;
mod recipe;
mod samples;
mod schedule;
mod search;
mod skip;
mod step;
mod stepper;
mod trainer;
mod transfer;

/// Raised with every change to a bit of training on some instruction set: what an earlier build has
/// begun is not gone on with, and what it has scored is not taken for this one's.
pub const NUMERICS: u32 = 2;

pub use adamw::AdamW;
pub use auto::{DataFacts, auto_recipe};
pub use checkpoint::{CHECKPOINT_FILE, CHECKPOINT_FOLDER};
pub use joint::{JointEpoch, JointOutcome, JointTask, train_jointly};
pub use loss::{Loss, LossOptions, LossWeight, PointLoss, loss, loss_weight};
pub use recipe::{Member, Recipe, Training};
pub(crate) use samples::numbers_fingerprint;
pub use samples::{Samples, Subset};
pub use schedule::Schedule;
pub use search::{Axis, SearchOptions, SearchSpace, Trial, TrialRunner, best_trial, search};
pub use skip::{SkipStart, start_skip};
pub use step::{Score, score};
pub use stepper::Stepper;
pub use trainer::{Epoch, Event, History, Observer, Outcome, TrainData, Trainer};
pub use transfer::take_backbone;
