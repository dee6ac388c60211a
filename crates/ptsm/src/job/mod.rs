//! Training jobs: from data, a model specification and training settings to a saved model.
//!
//! [`Job`] is what the commands `train`, `ablate`, `select`, `tune` and `benchmark` run, and what
//! a server or a binding runs; [`JointJob`] trains the heads of one backbone together.

mod ablation;
mod again;
mod automatic;
mod case_choice;
mod cases;
mod choice;
mod covariates;
mod data;
mod event;
mod fold_scores;
mod joint;
mod members;
mod plan;
mod reckoned;
mod run;
mod samples;
mod seen;
mod selection;
mod spread;
mod store;
mod suited_space;
mod tuning;
mod used;
mod windows;

pub use ablation::{Ablation, AblationRow, SEGMENT_LENGTH};
pub use again::Again;
pub use automatic::{automatic_recipe, check_lengths};
pub use case_choice::{CASE_BUDGET, CASE_RULE, CaseChoice, CaseChoiceJob, CaseChosen};
pub use choice::{Candidate, Choice, ChoiceJob, Chosen, Metric, RULE};
pub use data::{CaseData, JobData, SeriesData};
pub use event::{JobEvent, Observer, Ready, SearchRound, Silent};
pub use fold_scores::FoldScores;
pub use joint::{JointHead, JointJob, JointTrained};
pub use members::EnsembleJob;
pub use plan::{Job, Save, SaveMode, Start};
pub(crate) use run::{Finished, save_trained};
pub use run::{Trained, save_model};
pub use samples::LaidSamples;
pub use seen::trained_on_validation;
pub use selection::{CaseSearch, Cuts, SearchCell, SearchWatch, SeedScores};
pub use spread::spread;
pub use store::{RecipeStore, Score, Subject, TrainedRecipe};
pub use suited_space::SuitedSpace;
pub use tuning::{TuneEvent, Tuned, tune};
pub use used::{Usage, check_model_used, check_used};
pub(crate) use windows::{WindowedSeries, Windowing, counts};
