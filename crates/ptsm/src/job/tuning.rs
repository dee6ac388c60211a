//! Runs a search for a recipe: every trial is a job on the same data.

use super::event::Silent;
use super::store::{RecipeStore, Subject, TrainedRecipe};
use super::used::check_seed;
use crate::train::{Recipe, SearchOptions, SearchSpace, Trial, best_trial, search};
use crate::{Error, ErrorKind, Result};

/// An event of a running search.
#[derive(Debug)]
#[non_exhaustive]
pub enum TuneEvent<'a> {
    /// A trial begins.
    Began(&'a Trial),
    /// A trial is over.
    Done {
        /// The trial.
        trial: &'a Trial,
        /// Its validation loss and the seconds of its training.
        outcome: (f64, f64),
        /// In what its training diverged, if it did.
        diverged: Option<String>,
    },
    /// A recipe did not fit the data, or could not be trained; the search continues.
    Failed {
        /// The trial.
        trial: &'a Trial,
        /// The reason.
        error: &'a Error,
    },
}

/// The result of a search.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tuned {
    /// The best recipe.
    pub recipe: Recipe,
    /// The model trained with it.
    pub model: TrainedRecipe,
    /// Its trial.
    pub best: Trial,
    /// Every trial, in order.
    pub trials: Vec<Trial>,
}

/// Searches `space` on a subject. Trained models are kept in `store`, from which the same search
/// resumes if it is interrupted.
///
/// # Errors
///
/// `InvalidConfig` for an impossible space or options; the last error of a recipe if every one
/// failed; `Io` if something cannot be written.
pub fn tune(
    space: &SearchSpace,
    subject: &Subject,
    store: &RecipeStore,
    options: SearchOptions,
    tell: &mut dyn FnMut(&TuneEvent<'_>),
) -> Result<Tuned> {
    let mut space = space.clone();
    if space.base.training.seed != options.seed {
        check_seed(&space.base.training).map_err(|e| e.at("base"))?;
    }
    space.base.training.seed = options.seed;
    let mut last = None;
    let trials = search(&space, options, &mut |recipe, trial| {
        tell(&TuneEvent::Began(trial));
        match store.obtain(subject, recipe, &mut Silent) {
            Ok(trained) => {
                let outcome = (trained.validation()?, trained.seconds());
                let diverged = trained.record.history.divergence();
                tell(&TuneEvent::Done { trial, outcome, diverged });
                Ok((Some(outcome.0), outcome.1))
            }
            Err(error) if is_of_the_recipe(&error) => {
                tell(&TuneEvent::Failed { trial, error: &error });
                last = Some(error);
                Ok((None, 0.0))
            }
            Err(error) => Err(error.at(place(trial))),
        }
    })?;
    let Some(best) = best_trial(&trials).cloned() else {
        let error = last.unwrap_or_else(|| Error::internal("a search without a trial"));
        return Err(error.at("every recipe failed; the last error"));
    };
    let recipe = space.recipe(&best.choices, best.epochs)?;
    let model = store.obtain(subject, &recipe, &mut Silent)?;
    Ok(Tuned { recipe, model, best, trials })
}

/// Name of a trial in messages.
fn place(trial: &Trial) -> String {
    format!("rung {}, recipe {} ({} epochs)", trial.rung, trial.number, trial.epochs)
}

/// Whether an error comes from the recipe, so that another one may succeed: settings that do not
/// fit the data, a loss that is not finite, too little memory.
fn is_of_the_recipe(error: &Error) -> bool {
    use ErrorKind::{InvalidConfig, InvalidInput, OutOfMemory};
    matches!(error.kind(), InvalidConfig | InvalidInput | OutOfMemory)
}
