//! `ptsm tune`: searches for a recipe by successive halving, within a time budget.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ptsm::job::{RecipeStore, Subject, SuitedSpace, TuneEvent, Tuned, tune};
use ptsm::model_dir::write_json;
use ptsm::spec::DataSpec;
use ptsm::train::{Recipe, SearchOptions, SearchSpace, Trial};
use ptsm::{Error, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::commands::train::divergence_warning;
use crate::global::Global;
use crate::numbers::seconds;
use crate::output::{answer, flag, remark, write_text};
use crate::progress::Progress;
use crate::run_state::quoted;
use crate::source::{DataArgs, read_series, summary};
use crate::words::counted;

/// The space that is searched if none is given.
const SPACE: &str = include_str!("tune_space.toml");

/// Recipes whose losses are told besides the best.
const NEXT: usize = 4;

/// Options of `tune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the recipe, the trials and what they trained; a repeated command continues in it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// TOML file with the tables base (a recipe) and axes; the built-in space if not given
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// Time of training that may be spent, such as 30m, 2h or 90s; measured, so that a busy machine tries fewer recipes.
    /// Reading the data and scoring come on top
    #[arg(long, default_value = "30m", value_parser = seconds, value_name = "TIME")]
    budget: f64,
    /// Rungs of the search: on each, a third of the recipes is trained three times as long
    #[arg(long, value_name = "N", default_value_t = 3)]
    rungs: u32,
    /// Seed of the draws, and of every training
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Borders of the parts; the data set's own, or 7:1:2, if not given
    #[arg(long, value_name = "SPLIT")]
    split: Option<ptsm::data::Split>,
    /// Past time steps that the model sees; the space's, or by the length of the series, if not given
    #[arg(long, value_name = "STEPS")]
    context_length: Option<usize>,
    /// Future time steps that are forecast; the space's, or the usual ones of the frequency, if not given
    #[arg(long, value_name = "STEPS", visible_alias = "horizon")]
    prediction_length: Option<usize>,
    #[command(flatten)]
    data: DataArgs,
}

/// Searches and writes the best recipe.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let mut space = match &args.space {
        Some(path) => SearchSpace::from_file(path)?,
        None => SearchSpace::from_toml(SPACE)?,
    };
    let model = &mut space.base.model;
    model.context_length = args.context_length.or(model.context_length);
    model.prediction_length = args.prediction_length.or(model.prediction_length);
    let spec = DataSpec { split: args.split, ..args.data.spec() };
    let subject = Subject::new(read_series(global, &spec)?.0);
    remark(global, &summary(&subject.data().name, subject.set()));
    let SuitedSpace { space: suited, notes, .. } = SuitedSpace::new(&space, &subject)?;
    space = suited;
    notes.iter().for_each(|note| remark(global, &format!("  {note}")));
    remark(global, &format!("{} different recipes in the space", space.len()));
    let store = RecipeStore::new(&args.out.join("cells"))?;
    let mut progress = Progress::without_end(global, "searching");
    let began = Instant::now();
    let options = SearchOptions { seed: args.seed, seconds: args.budget, rungs: args.rungs };
    let mut told = Told { budget: args.budget, rungs: args.rungs, ..Told::default() };
    let tuned = tune(&space, &subject, &store, options, &mut |event| {
        told.event(&mut progress, event);
    })?;
    told.end_of_rung(&progress);
    progress.finish();
    let Tuned { recipe, model, best, trials, .. } = tuned;
    let diverged = model.record.history.divergence();
    space.base.training.seed = args.seed;
    let recipe_path = args.recipe();
    write_text(&recipe_path, &commented(recipe, args, &subject, &best)?)?;
    write_json(&args.trials(), &json!({"space": space, "trials": trials}))?;
    let value = json!({
        "recipe": recipe_path, "model": model.dir.path(), "validation_loss": best.loss,
        "best": best, "trials": trials.len(), "seconds": told.seconds, "diverged": diverged,
    });
    let clock = began.elapsed().as_secs_f64();
    let mut text = report(&space, &trials, &best, args)?;
    let data = quoted(Path::new(args.data.data.as_deref().unwrap_or("FILE")));
    remark(
        global,
        &format!(
            "{clock:.0} s by the clock; beside the default forecaster, which compares ridge regressions and classical methods, too:\n  \
             ptsm train --data {data} --out default\n  ptsm backtest --data {data} --model tuned --versus default"
        ),
    );
    if let Some(why) = diverged {
        text += &divergence_warning("the training of the best recipe", &why);
    }
    answer(global, &value, &text)
}

/// What was told of a running search: a line for every recipe that is the best of its rung so far, and one for every
/// rung; the other recipes are counted.
#[derive(Default)]
struct Told {
    /// Seconds of training that may be spent, and rungs.
    budget: f64,
    rungs: u32,
    /// Seconds of training.
    seconds: f64,
    rung: Option<Rung>,
}

/// The rung in progress.
struct Rung {
    number: u32,
    epochs: u32,
    recipes: usize,
    best: Option<(f64, usize)>,
}

impl Told {
    /// Tells an event.
    fn event(&mut self, progress: &mut Progress, event: &TuneEvent<'_>) {
        match event {
            TuneEvent::Began(trial) => {
                if self.rung.as_ref().is_none_or(|rung| rung.number != trial.rung) {
                    self.end_of_rung(progress);
                    let Trial { rung: number, epochs, .. } = **trial;
                    self.rung = Some(Rung { number, epochs, recipes: 0, best: None });
                }
                let done = self.rung.as_ref().map_or(0, |rung| rung.recipes);
                let text = format!(
                    "rung {} of {}, recipe {}, {:.0} of {:.0} s of training used",
                    trial.rung + 1,
                    self.rungs,
                    done + 1,
                    self.seconds,
                    self.budget
                );
                progress.update(0, &text);
            }
            TuneEvent::Done { trial, outcome: (loss, seconds), diverged } => {
                self.seconds += seconds;
                if let Some(why) = diverged {
                    progress.line(&format!("recipe {} diverged: {why}", trial.number));
                }
                if let Some(line) = self.rung.as_mut().and_then(|rung| rung.add(trial, *loss)) {
                    progress.line(&line);
                }
            }
            TuneEvent::Failed { trial, error } => {
                let error = error.spelled(flag);
                progress.line(&format!("recipe {}: {error}", trial.number));
            }
            _ => {}
        }
    }

    /// Tells how the rung in progress ended, if there is one.
    fn end_of_rung(&mut self, progress: &Progress) {
        let Some(Rung { number, epochs, recipes, best: Some((loss, recipe)) }) = self.rung.take()
        else {
            return;
        };
        progress.line(&format!(
            "rung {}: {} of {} trained; best: recipe {recipe}, validation {}",
            number + 1,
            counted(recipes, "recipe"),
            counted(epochs as usize, "epoch"),
            loss_text(Some(loss))
        ));
    }
}

impl Rung {
    /// Counts a recipe; what to say if it is better than those before it.
    fn add(&mut self, trial: &Trial, loss: f64) -> Option<String> {
        self.recipes += 1;
        if self.best.is_some_and(|(best, _)| best.total_cmp(&loss).is_le()) {
            return None;
        }
        let first = self.best.replace((loss, trial.number)).is_none();
        let so_far = if first { "" } else { ", the best so far" };
        Some(format!("recipe {}: validation {}{so_far}", trial.number, loss_text(Some(loss))))
    }
}

/// The recipe as TOML, with a comment that says how it was found.
fn commented(mut recipe: Recipe, args: &Args, subject: &Subject, best: &Trial) -> Result<String> {
    recipe.data.split = Some(subject.split());
    recipe.data.targets.clone_from(&args.data.targets);
    let name = &subject.data().name;
    let loss = best.loss.unwrap_or(f64::NAN);
    let text = recipe.to_toml()?;
    Ok(format!("# Found by `ptsm tune` on {name}: validation loss {loss:.4}.\n{text}"))
}

/// The best recipe in words, how the next ones did, and the command that trains it.
fn report(space: &SearchSpace, trials: &[Trial], best: &Trial, args: &Args) -> Result<String> {
    let recipes: BTreeSet<usize> = trials.iter().map(|trial| trial.number).collect();
    let seconds: f64 = trials.iter().map(|trial| trial.seconds).sum();
    let all = if recipes.len() == space.len() { ", all of the space," } else { "" };
    let mut text = format!(
        "{}{all} tried in {seconds:.0} of {:.0} s of training; the best after {} has validation loss {} (as train \
         prints it for each epoch):\n",
        counted(recipes.len(), "recipe"),
        args.budget,
        counted(best.epochs as usize, "epoch"),
        loss_text(best.loss)
    );
    let width = space.axes.iter().map(|axis| axis.name.len()).max().unwrap_or_default();
    for (axis, &choice) in space.axes.iter().zip(&best.choices) {
        let words = in_words(&axis.choices[choice])?;
        text += &format!("  {:width$}  {words}\n", axis.name);
    }
    let mut others: Vec<&Trial> =
        trials.iter().filter(|one| one.rung == best.rung && one.number != best.number).collect();
    let loss = |trial: &Trial| trial.loss.unwrap_or(f64::INFINITY);
    others.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let next: Vec<String> = others.iter().take(NEXT).map(|trial| loss_text(trial.loss)).collect();
    if !next.is_empty() {
        text += &format!("next best: {} (all in {})\n", next.join(", "), args.trials().display());
    }
    let data = quoted(Path::new(args.data.data.as_deref().unwrap_or("FILE")));
    let recipe = quoted(&args.recipe());
    Ok(text + &format!("train it: ptsm train --data {data} --recipe {recipe} --out tuned\n"))
}

/// A loss with four digits that say something.
fn loss_text(loss: Option<f64>) -> String {
    match loss {
        Some(loss) if loss != 0.0 && loss.abs() < 0.01 => format!("{loss:.3e}"),
        Some(loss) => format!("{loss:.4}"),
        None => "none".to_owned(),
    }
}

/// The fields that a choice sets: `d_model 16, num_layers 3`.
fn in_words(choice: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(choice)
        .map_err(|e| Error::internal("a choice cannot be written").because(e))?;
    let mut fields = Vec::new();
    collect(&value, &mut fields);
    Ok(if fields.is_empty() { "nothing set".to_owned() } else { fields.join(", ") })
}

fn collect(value: &Value, fields: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => collect(value, fields),
            Value::String(word) => fields.push(format!("{name} {word}")),
            value => fields.push(format!("{name} {value}")),
        }
    }
}

impl Args {
    fn recipe(&self) -> PathBuf {
        self.out.join("recipe.toml")
    }

    fn trials(&self) -> PathBuf {
        self.out.join("trials.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_told_by_the_fields_that_it_sets() {
        let choice =
            json!({"model": {"d_model": 16, "ptsm": {"location": "last"}}, "training": {}});
        assert_eq!(in_words(&choice).unwrap(), "d_model 16, location last");
        assert_eq!(in_words(&json!({"model": {}})).unwrap(), "nothing set");
        let losses = [Some(0.41237), Some(0.000_123_4), None].map(loss_text);
        assert_eq!(losses, ["0.4124", "1.234e-4", "none"]);
    }

    #[test]
    fn the_default_space_can_be_read() {
        assert!(SearchSpace::from_toml(SPACE).unwrap().len() > 50);
    }
}
