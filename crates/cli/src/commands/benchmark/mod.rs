//! `ptsm benchmark`: trains and scores a table of data sets and horizons, as a suite file says.
//!
//! Every recipe that a row of the suite may take is trained; for each data set and horizon the one
//! with the least validation error is taken, and it alone is scored on the test part. What was
//! trained and scored is kept, so a repeated command continues where the last one stopped.
//! A suite of panels is for the default forecaster, see `panels`.

mod args;
mod outcome;
mod panels;
mod report;
mod suite;
mod tables;

use std::collections::BTreeMap;

use ptsm::data::{WindowShape, prepare};
use ptsm::evaluate::{BaselinePlan, BaselineScore, EvaluateOptions, score_baselines};
use ptsm::job::{RecipeStore, Silent, Subject, TrainedRecipe};
use ptsm::model_dir::{read_json, write_json};
use ptsm::spec::DataSpec;
use ptsm::{Error, Result};
use serde_json::json;

use crate::global::Global;
use crate::output::{answer, remark};
use crate::progress::Progress;
use crate::source::{read_series, summary};
pub(crate) use args::Args;
use outcome::{Outcome, RowOutcome, SeedOutcome, Tried, errors};
use suite::{Candidate, Suite, SuiteRow};

/// One data set and horizon with everything trained on it.
struct Stage<'a> {
    suite: &'a Suite,
    store: &'a RecipeStore,
    subject: &'a Subject,
    horizon: usize,
    trained: BTreeMap<(String, u64), TrainedRecipe>,
}

/// Trains, chooses, scores, reports.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let Some(path) = &args.suite else { return panels::run_on(global, args) };
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
    if has_panels(&text) {
        return panels::run(global, args, &text);
    }
    let suite = Suite::from_toml(&text).map_err(|e| e.at(path.display().to_string()))?;
    let suite = chosen(suite, args)?;
    // All of them before any is read.
    suite.data.iter().try_for_each(|name| DataSpec::of(name).check_there())?;
    let store = RecipeStore::new(&args.out.join("cells"))?;
    let mut subjects = Vec::new();
    for name in &suite.data {
        let (split, season) = (suite.split, suite.season);
        let spec = DataSpec { split, season, ..DataSpec::of(name) };
        let subject = Subject::new(read_series(global, &spec)?.0);
        remark(global, &summary(&subject.data().name, subject.set()));
        subjects.push(subject);
    }
    let mut work = Work::new(global, &suite, &store, &subjects)?;
    let mut outcomes = Vec::new();
    for (name, subject) in suite.data.iter().zip(&subjects) {
        for &horizon in &suite.horizons {
            let trained = work.train(name, subject, horizon)?;
            let stage = Stage { suite: &suite, store: &store, subject, horizon, trained };
            let place = format!("{name}, {horizon} steps");
            let outcome = stage.evaluate(name).map_err(|e| e.at(place))?;
            work.progress.line(&line(&outcome));
            outcomes.push(outcome);
            // After every stage: a run that is stopped keeps a report of what it has.
            report::write(&args.out, &suite, &outcomes)?;
        }
    }
    work.progress.finish();
    let value = json!({"out": args.out, "outcomes": outcomes});
    answer(global, &value, &report::summary(&suite, &outcomes))
}

/// Whether a suite is one of panels; what is no TOML is said when it is read as the other kind.
fn has_panels(text: &str) -> bool {
    text.parse::<toml::Table>().is_ok_and(|suite| suite.contains_key("panels"))
}

/// The suite, restricted to what the options ask for.
fn chosen(mut suite: Suite, args: &Args) -> Result<Suite> {
    if let Some(seeds) = &args.seeds {
        suite.seeds.clone_from(seeds);
    }
    if let Some(only) = &args.only {
        if let Some(name) = only.iter().find(|name| !suite.data.contains(name)) {
            let text = format!("\"{name}\" is not in the suite ({})", suite.data.join(", "));
            return Err(Error::config("--only", text));
        }
        suite.data.retain(|name| only.contains(name));
    }
    if let Some(horizons) = &args.horizons {
        if let Some(steps) = horizons.iter().find(|steps| !suite.horizons.contains(steps)) {
            return Err(Error::config("--horizons", format!("{steps} is not in the suite")));
        }
        suite.keep_horizons(horizons);
    }
    Ok(suite)
}

/// The training of all recipes, and how far it is.
struct Work<'a> {
    suite: &'a Suite,
    store: &'a RecipeStore,
    progress: Progress,
    /// GFLOP of the recipes that are trained.
    done: u64,
}

impl<'a> Work<'a> {
    fn new(
        global: &Global,
        suite: &'a Suite,
        store: &'a RecipeStore,
        subjects: &[Subject],
    ) -> Result<Self> {
        let mut total = 0;
        for (name, subject) in suite.data.iter().zip(subjects) {
            for &horizon in &suite.horizons {
                for recipe in suite.recipes_on(name) {
                    let place = || format!("recipe \"{recipe}\" on {name}");
                    let resolved = suite.resolve(recipe, name, horizon)?;
                    let cost = subject.cost(&resolved).map_err(|e| e.at(place()))?;
                    total += cost * suite.seeds.len() as u64;
                }
            }
        }
        Ok(Self { suite, store, progress: Progress::new(global, "GFLOP", total), done: 0 })
    }

    /// Trains every recipe of a data set and horizon with every seed.
    fn train(
        &mut self,
        name: &str,
        subject: &Subject,
        horizon: usize,
    ) -> Result<BTreeMap<(String, u64), TrainedRecipe>> {
        let (suite, store) = (self.suite, self.store);
        let mut trained = BTreeMap::new();
        for recipe_name in suite.recipes_on(name) {
            for &seed in &suite.seeds {
                let mut recipe = suite.resolve(recipe_name, name, horizon)?;
                recipe.training.seed = seed;
                self.progress.update(self.done, &format!("{name} {horizon} {recipe_name}"));
                let place = || format!("{name}, {horizon} steps, recipe \"{recipe_name}\"");
                let found =
                    store.obtain(subject, &recipe, &mut Silent).map_err(|e| e.at(place()))?;
                self.done += subject.cost(&recipe)?;
                if !found.found {
                    let (loss, seconds) = (found.validation()?, found.seconds());
                    let text = format!("validation {loss:.4}, {seconds:.0} s");
                    self.progress.line(&format!("{}, seed {seed}: {text}", place()));
                }
                trained.insert((recipe_name.to_owned(), seed), found);
            }
        }
        Ok(trained)
    }
}

impl Stage<'_> {
    /// Chooses a candidate for every row, and scores it on the test part.
    fn evaluate(&self, name: &str) -> Result<Outcome> {
        let (mut rows, mut tried) = (Vec::new(), Vec::new());
        for row in &self.suite.rows {
            let candidate = self.pick(row, name, &mut tried)?;
            let seeds = self.suite.seeds.iter().map(|&seed| self.test(candidate, seed));
            rows.push(RowOutcome {
                row: row.name.clone(),
                picked: candidate.name(),
                seeds: seeds.collect::<Result<_>>()?,
            });
        }
        let (windows, baselines) = self.baselines()?;
        Ok(Outcome {
            data: name.to_owned(),
            horizon: self.horizon,
            windows,
            rows,
            baselines,
            tried,
        })
    }

    /// The candidate with the least validation error; all of them go to `tried`.
    fn pick<'a>(
        &self,
        row: &'a SuiteRow,
        name: &str,
        tried: &mut Vec<Tried>,
    ) -> Result<&'a Candidate> {
        let first = tried.len();
        let mut best: Option<(f64, &Candidate, usize)> = None;
        for candidate in row.candidates_on(name) {
            let mse = self.validation(candidate)?;
            if best.is_none_or(|(least, ..)| mse < least) {
                best = Some((mse, candidate, tried.len() - first));
            }
            tried.push(Tried {
                row: row.name.clone(),
                candidate: candidate.name(),
                validation_mse: mse,
                picked: false,
            });
        }
        let (_, candidate, place) =
            best.ok_or_else(|| Error::internal("a row without a candidate"))?;
        tried[first + place].picked = true;
        Ok(candidate)
    }

    /// The models that a candidate averages.
    fn members(&self, candidate: &Candidate, seed: u64) -> Result<Vec<&TrainedRecipe>> {
        let cell = |name: &String| {
            let found = self.trained.get(&(name.clone(), seed));
            found.ok_or_else(|| Error::internal("a candidate was not trained"))
        };
        candidate.recipes.iter().map(cell).collect()
    }

    fn validation(&self, candidate: &Candidate) -> Result<f64> {
        let mut sum = 0.0;
        for &seed in &self.suite.seeds {
            let members = self.members(candidate, seed)?;
            sum += match members.as_slice() {
                // Its best epoch was chosen by this very error, unless it learnt a distribution or
                // quantiles.
                [only] if only.minimises_squares()? => only.validation()?,
                several => {
                    let dir = self.store.average(several)?;
                    self.store.score(self.subject, &dir, false)?.metrics.mse
                }
            };
        }
        Ok(sum / self.suite.seeds.len() as f64)
    }

    fn test(&self, candidate: &Candidate, seed: u64) -> Result<SeedOutcome> {
        let members = self.members(candidate, seed)?;
        let model = self.store.average(&members)?;
        let score = self.store.score(self.subject, &model, true)?;
        Ok(SeedOutcome {
            seed,
            parameters: members.iter().map(|cell| cell.record.num_parameters).sum(),
            mse: score.metrics.mse,
            mae: score.metrics.mae,
            correlation: score.metrics.correlation,
            training_seconds: members.iter().map(|cell| cell.seconds()).sum(),
            sequences_per_s: score.metrics.windows as f64 / score.seconds.max(1e-9),
            model: model.path().to_path_buf(),
        })
    }

    /// Test windows and baselines, computed once.
    fn baselines(&self) -> Result<(usize, Vec<BaselineScore>)> {
        let context_length = self.context_length()?;
        let season = self.subject.data().seasonal_period;
        let lengths = format!("{context_length} {} {season}", self.horizon);
        let path = self.store.path("baselines", self.subject, &lengths)?;
        if let Some(found) = read_json(&path)? {
            return Ok(found);
        }
        let shape = WindowShape { context_length, prediction_length: self.horizon, step: 1 };
        let split = self.subject.split();
        // All recipes of a suite have the same transform.
        let transform = self.trained.values().next().map(|cell| cell.record.training.transform);
        let prepared = prepare(self.subject.set(), &split, shape, transform, None)?;
        let plan = BaselinePlan {
            season_length: (season > 1).then_some(season),
            every_theta: false,
            ridge: Some((&prepared.train, &prepared.validation)),
        };
        let options = EvaluateOptions { batch_size: 256, ..EvaluateOptions::default() };
        let scores = score_baselines(&prepared.test, &plan, &options)?;
        let found = (prepared.test.len(), scores);
        write_json(&path, &found)?;
        Ok(found)
    }

    /// The longest context of all recipes, so that baselines see as much of the past as any model.
    fn context_length(&self) -> Result<usize> {
        let lengths = self.trained.values().map(|cell| Ok(cell.config()?.context_length));
        let lengths: Vec<usize> = lengths.collect::<Result<_>>()?;
        lengths.into_iter().max().ok_or_else(|| Error::internal("nothing was trained"))
    }
}

/// One line for one stage.
fn line(outcome: &Outcome) -> String {
    let mut text = format!("{} {}:", outcome.data, outcome.horizon);
    for row in &outcome.rows {
        let (mse, mae) = row.means();
        text += &format!("  {} {mse:.4}/{mae:.4} ({})", row.row, row.picked);
    }
    for baseline in &outcome.baselines {
        if let Some((mse, mae)) = errors(baseline) {
            text += &format!("  {} {mse:.4}/{mae:.4}", baseline.name);
        }
    }
    text
}
