//! A search for a recipe by successive halving (Jamieson and Talwalkar, AISTATS 2016, arXiv
//! 1502.07943): many recipes are trained for a few epochs, the best third of them three times as
//! long, and so on, so that every rung takes about the same time.

use std::collections::HashSet;
use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::recipe::{Member, Recipe};
use crate::spec::{DataSpec, with_nearest};
use crate::{Error, ErrorKind, Result};

/// Reduction factor: one of so many recipes is promoted to the next rung and trained so many times
/// as long.
const SHARE: usize = 3;

/// The search space: a recipe, and the ways in which it may vary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSpace {
    /// The recipe that is varied; its number of epochs is that of the last rung.
    pub base: Recipe,
    /// The ways in which recipes differ, independent of each other.
    pub axes: Vec<Axis>,
}

/// One way in which recipes differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Name in reports.
    pub name: String,
    /// The choices; the first is the default.
    pub choices: Vec<Member>,
}

/// Seed, time limit and rungs of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchOptions {
    /// Seed of the draws.
    pub seed: u64,
    /// Seconds of training that may be spent; the last trial may exceed it.
    pub seconds: f64,
    /// Rungs, at least 1.
    pub rungs: u32,
}

/// One recipe on one rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Number of the draw, from 0, which is the default of every axis.
    pub number: usize,
    /// The choice on every axis.
    pub choices: Vec<usize>,
    /// Rung, from 0.
    pub rung: u32,
    /// Epochs of this rung.
    pub epochs: u32,
    /// Validation loss; `None` if the recipe could not be trained.
    pub loss: Option<f64>,
    /// Seconds of its training.
    pub seconds: f64,
}

impl Trial {
    /// The loss, with failed trials after all others.
    fn rank(&self) -> f64 {
        self.loss.unwrap_or(f64::INFINITY)
    }
}

impl SearchSpace {
    /// Reads a space from a TOML file: `[base]` as a recipe, `[[axes]]`.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidConfig`, naming the place in it.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
        Self::from_toml(&text).map_err(|e| e.at(path.display().to_string()))
    }

    /// Reads a space from the text of a TOML file.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the axis.
    pub fn from_toml(text: &str) -> Result<Self> {
        let space: Self = toml::from_str(text).map_err(|e| {
            let cause = with_nearest(&e.to_string());
            Error::new(ErrorKind::InvalidConfig, "is not a valid search space").because(cause)
        })?;
        space.base.training.validate()?;
        let data = space.base.data != DataSpec::default();
        for (name, used) in [("data", data), ("members", !space.base.members.is_empty())] {
            if used {
                return Err(Error::config(format!("base.{name}"), "is not allowed in a search"));
            }
        }
        for axis in &space.axes {
            let place = |choice: usize| format!("axis \"{}\", choice {choice}", axis.name);
            if axis.choices.is_empty() {
                return Err(Error::config(place(0), "is missing, wanted at least one"));
            }
            for (number, choice) in axis.choices.iter().enumerate() {
                if let Some(name) = choice.changes_the_measure() {
                    let text = "changes what the loss measures: losses would not compare";
                    return Err(Error::config(format!("{}, {name}", place(number)), text));
                }
                space.base.with(choice).map_err(|e| e.at(place(number)))?;
            }
        }
        Ok(space)
    }

    /// The recipe of some choices, trained for `epochs`.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the choices make no recipe together.
    pub fn recipe(&self, choices: &[usize], epochs: u32) -> Result<Recipe> {
        let mut recipe = self.base.clone();
        for (axis, &choice) in self.axes.iter().zip(choices) {
            recipe = recipe.with(&axis.choices[choice])?;
        }
        recipe.training.epochs = epochs;
        Ok(recipe)
    }

    /// Number of different recipes.
    pub fn len(&self) -> usize {
        self.axes.iter().fold(1, |all, axis| all.saturating_mul(axis.choices.len()))
    }

    /// Whether there is nothing to choose.
    pub fn is_empty(&self) -> bool {
        self.axes.is_empty()
    }

    /// Choices not drawn before: the default first, then random ones; `None` when all are drawn.
    fn draw(&self, random: &mut ChaCha8Rng, seen: &mut HashSet<Vec<usize>>) -> Option<Vec<usize>> {
        if seen.is_empty() {
            let default = vec![0; self.axes.len()];
            seen.insert(default.clone());
            return Some(default);
        }
        while seen.len() < self.len() {
            let draw = |axis: &Axis| random.random_range(0..axis.choices.len());
            let choices: Vec<usize> = self.axes.iter().map(draw).collect();
            if seen.insert(choices.clone()) {
                return Some(choices);
            }
        }
        None
    }
}

/// Trains a recipe, and returns its validation loss and the seconds that it took. The loss is
/// `None` where the recipe does not fit the data; this fails the trial, not the search.
pub type TrialRunner<'r> = dyn FnMut(&Recipe, &Trial) -> Result<(Option<f64>, f64)> + 'r;

/// Runs the search, calling `run` for every trial.
///
/// Returns every trial in its order; the best is that of [`best_trial`]. The same seed and the same
/// seconds, which a caller may have kept, give the same trials.
///
/// # Errors
///
/// `InvalidConfig` without rungs or seconds, and what `run` returns.
pub fn search(
    space: &SearchSpace,
    options: SearchOptions,
    run: &mut TrialRunner<'_>,
) -> Result<Vec<Trial>> {
    let SearchOptions { seed, seconds, rungs } = options;
    if rungs == 0 || seconds.is_nan() || seconds <= 0.0 {
        return Err(Error::config("search", "needs at least one rung and some time"));
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = HashSet::new();
    let mut trials: Vec<Trial> = Vec::new();
    let mut one = |trials: &mut Vec<Trial>, (number, choices, rung): (usize, Vec<usize>, u32)| {
        let epochs = epochs_of(space.base.training.epochs, rung, rungs);
        let recipe = space.recipe(&choices, epochs)?;
        let mut trial = Trial { number, choices, rung, epochs, loss: None, seconds: 0.0 };
        (trial.loss, trial.seconds) = run(&recipe, &trial)?;
        trials.push(trial);
        Ok::<(), Error>(())
    };
    let spent = |trials: &[Trial]| trials.iter().map(|trial| trial.seconds).sum::<f64>();
    // At least enough trials for the next rung to drop some, however short the time is.
    while spent(&trials) < seconds / f64::from(rungs) || trials.len() < SHARE {
        let Some(choices) = space.draw(&mut random, &mut seen) else { break };
        let number = trials.len();
        one(&mut trials, (number, choices, 0))?;
    }
    let mut stage = trials.clone();
    for rung in 1..rungs {
        stage.retain(|trial| trial.loss.is_some());
        stage.sort_by(|a, b| a.rank().total_cmp(&b.rank()).then(a.number.cmp(&b.number)));
        stage.truncate(stage.len().div_ceil(SHARE));
        let first = trials.len();
        for trial in stage {
            let expected = trial.seconds * SHARE as f64;
            if trials.len() > first && spent(&trials) + expected > seconds {
                break;
            }
            one(&mut trials, (trial.number, trial.choices, rung))?;
        }
        stage = trials[first..].to_vec();
    }
    Ok(trials)
}

/// The trial with the least loss on the highest rung that has any; `None` if every trial failed.
pub fn best_trial(trials: &[Trial]) -> Option<&Trial> {
    let trained = || trials.iter().filter(|trial| trial.loss.is_some());
    let top = trained().map(|trial| trial.rung).max()?;
    trained().filter(|trial| trial.rung == top).min_by(|a, b| a.rank().total_cmp(&b.rank()))
}

/// Epochs of a rung: a third of the next one's, at least 1.
fn epochs_of(last: u32, rung: u32, rungs: u32) -> u32 {
    last.div_ceil((SHARE as u32).saturating_pow(rungs - 1 - rung)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: &str = "[base.training]\nepochs = 9\n\
        [[axes]]\nname = \"rate\"\nchoices = [{ training = { learning_rate = 1e-3 } }, \
        { training = { learning_rate = 1e-2 } }, { training = { learning_rate = 1e-4 } }]\n\
        [[axes]]\nname = \"width\"\nchoices = [{ model = { d_model = 8 } }, \
        { model = { d_model = 16 } }, { model = { d_model = 32 } }, { model = { d_model = 64 } }]";

    /// The wider the better, and a rate of 1e-2 is best; a second an epoch.
    fn loss(recipe: &Recipe) -> (Option<f64>, f64) {
        let width = recipe.model.d_model.unwrap() as f64;
        let rate = recipe.training.learning_rate.log10();
        let loss = (rate + 2.0).powi(2) - 0.01 * width;
        let epochs = f64::from(recipe.training.epochs);
        (Some(loss + 1.0 / epochs), epochs)
    }

    fn options(seconds: f64) -> SearchOptions {
        SearchOptions { seed: 1, seconds, rungs: 3 }
    }

    #[test]
    fn halving_keeps_the_best_and_trains_them_longer() {
        let space = SearchSpace::from_toml(SPACE).unwrap();
        assert_eq!(space.len(), 12);
        let trials = search(&space, options(36.0), &mut |recipe, _| Ok(loss(recipe))).unwrap();
        let on = |rung: u32| trials.iter().filter(move |trial| trial.rung == rung);
        assert_eq!([on(0).count(), on(1).count(), on(2).count()], [12, 4, 1]);
        assert_eq!([0, 1, 2].map(|rung| on(rung).next().unwrap().epochs), [1, 3, 9]);
        assert_eq!(trials[0].choices, [0, 0]);
        let best = best_trial(&trials).unwrap();
        assert_eq!((best.rung, best.choices.as_slice()), (2, [1, 3].as_slice()));
        let again = search(&space, options(36.0), &mut |recipe, _| Ok(loss(recipe))).unwrap();
        assert_eq!(trials, again);
    }

    #[test]
    fn the_time_ends_a_search_but_every_rung_is_seen() {
        let space = SearchSpace::from_toml(SPACE).unwrap();
        let trials = search(&space, options(15.0), &mut |recipe, _| Ok(loss(recipe))).unwrap();
        let on = |rung: u32| trials.iter().filter(|trial| trial.rung == rung).count();
        assert_eq!([on(0), on(1), on(2)], [5, 2, 1]);
        let short = search(&space, options(0.1), &mut |recipe, _| Ok(loss(recipe))).unwrap();
        assert_eq!(short.len(), 5);
        assert!(search(&space, options(0.0), &mut |recipe, _| Ok(loss(recipe))).is_err());
    }

    #[test]
    fn a_recipe_that_fails_ends_its_trial_and_not_the_search() {
        let space = SearchSpace::from_toml(SPACE).unwrap();
        let mut run = |recipe: &Recipe, _: &Trial| match recipe.model.d_model == Some(64) {
            true => Ok((None, 0.0)),
            false => Ok(loss(recipe)),
        };
        let trials = search(&space, options(36.0), &mut run).unwrap();
        assert!(trials.iter().any(|trial| trial.loss.is_none()));
        let best = best_trial(&trials).unwrap();
        assert_eq!((best.rung, best.choices.as_slice()), (2, [1, 2].as_slice()));
        let failed = search(&space, options(1.0), &mut |_, _| Ok((None, 0.0))).unwrap();
        assert_eq!((failed.len(), best_trial(&failed)), (12, None));
    }

    #[test]
    fn mistakes_in_a_space_are_named() {
        let table = [
            ("learning_rate = 1e-2", "learning_rat = 1e-2", "axis \"rate\", choice 1"),
            ("epochs = 9", "epochs = 0", "epochs"),
            ("[[axes]]\nname = \"rate\"", "[[axes]]\nnam = \"rate\"", "not a valid search space"),
        ];
        for (old, new, wanted) in table {
            let error = SearchSpace::from_toml(&SPACE.replace(old, new)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
