//! The search for a recipe, run: every trial is a job on the same data.

use super::event::Silent;
use super::store::{RecipeStore, Subject, TrainedRecipe};
use super::used::check_seed;
use crate::train::{Recipe, SearchOptions, SearchSpace, Trial, best_trial, search};
use crate::{Error, ErrorKind, Result};

/// What a search tells while it runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum TuneEvent<'a> {
    /// A trial begins.
    Began(&'a Trial),
    /// A trial is over.
    Done {
        /// Which.
        trial: &'a Trial,
        /// Its validation loss and the seconds of its training.
        outcome: (f64, f64),
    },
    /// A recipe did not fit the data, or could not be trained; the search goes on.
    Failed {
        /// Which.
        trial: &'a Trial,
        /// Why.
        error: &'a Error,
    },
}

/// What a search found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tuned {
    /// The best recipe.
    pub recipe: Recipe,
    /// The model that it gave.
    pub model: TrainedRecipe,
    /// Its trial.
    pub best: Trial,
    /// Every trial, in order.
    pub trials: Vec<Trial>,
}

/// Searches `space` on a subject; what is trained is kept in `store`, so that the same search goes
/// on where it stopped.
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
                tell(&TuneEvent::Done { trial, outcome });
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
        return Err(error.at("every recipe failed; the last"));
    };
    let recipe = space.recipe(&best.choices, best.epochs)?;
    let model = store.obtain(subject, &recipe, &mut Silent)?;
    Ok(Tuned { recipe, model, best, trials })
}

/// What a trial is called.
fn place(trial: &Trial) -> String {
    format!("rung {}, recipe {} ({} epochs)", trial.rung, trial.number, trial.epochs)
}

/// Whether another recipe may do better: settings that do not fit the data, a loss that is not
/// finite, too little memory.
fn is_of_the_recipe(error: &Error) -> bool {
    use ErrorKind::{InvalidConfig, InvalidInput, OutOfMemory};
    matches!(error.kind(), InvalidConfig | InvalidInput | OutOfMemory)
}
