//! `ptsm tune`: a recipe by successive halving, within a time budget.

use std::path::PathBuf;

use ptsm::train::{Recipe, SearchOptions, SearchSpace, Trial, best_trial, search};
use ptsm::{Error, ErrorKind, Result};
use serde_json::json;

use crate::args::Global;
use crate::cells::{Cells, Subject, write_json};
use crate::output::{answer, remark, write_text};
use crate::progress::Progress;
use crate::source::DataArgs;

/// The space that is searched if none is given.
const SPACE: &str = include_str!("tune_space.toml");

/// Options of `tune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Folder for the recipe, the trials and what they trained; a repeated command goes on in it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// TOML file with the tables base (a recipe) and axes; our own space if not given
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// Time of training that may be spent, such as 30m, 2h or 90s
    #[arg(long, default_value = "30m", value_parser = parse_budget, value_name = "TIME")]
    budget: f64,
    /// Rungs of the search: on each, a third of the recipes is trained three times as long
    #[arg(long, default_value_t = 3)]
    rungs: u32,
    /// Seed of the draws, and of every training
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Borders of the parts; the data set's own, or 7:1:2, if not given
    #[arg(long)]
    split: Option<ptsm::data::Split>,
    /// Past time steps that the model sees, if not the space's
    #[arg(long)]
    context_length: Option<usize>,
    /// Future time steps that are forecast, if not the space's
    #[arg(long)]
    prediction_length: Option<usize>,
}

/// Searches and writes the best recipe.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let mut space = match &args.space {
        Some(path) => SearchSpace::from_file(path)?,
        None => SearchSpace::from_toml(SPACE)?,
    };
    let lengths =
        [("context_length", args.context_length), ("prediction_length", args.prediction_length)];
    for (name, length) in lengths {
        if let Some(length) = length {
            space.base.model.insert(name.into(), length.into());
        }
    }
    space.base.training.seed = args.seed;
    let mut subject = Subject::read(global, &args.data, args.split)?;
    remark(global, &subject.summary());
    remark(global, &format!("{} different recipes in the space", space.len()));
    let cells = Cells::new(&args.out.join("cells"))?;
    let mut progress = Progress::new(global, "seconds of training", args.budget.ceil() as u64);
    let options = SearchOptions { seed: args.seed, seconds: args.budget, rungs: args.rungs };
    let (mut spent, mut last) = (0.0, None);
    let trials = search(&space, options, &mut |recipe, trial| {
        progress.update(spent as u64, &format!("rung {}", trial.rung));
        let place =
            format!("rung {}, recipe {} ({} epochs)", trial.rung, trial.number, trial.epochs);
        let cell = match cells.obtain(global, &mut subject, recipe) {
            Ok(cell) => cell,
            Err(error) if is_of_the_recipe(&error) => {
                progress.line(&format!("{place}: {error}"));
                last = Some(error);
                return Ok((None, 0.0));
            }
            Err(error) => return Err(error.at(place)),
        };
        let (loss, seconds) = (cell.validation()?, cell.seconds());
        spent += seconds;
        progress.line(&format!("{place}: validation {loss:.4}, {seconds:.1} s"));
        Ok((Some(loss), seconds))
    })?;
    progress.finish();
    let Some(best) = best_trial(&trials) else {
        let error = last.unwrap_or_else(|| Error::internal("a search without a trial"));
        return Err(error.at("every recipe failed; the last"));
    };
    let recipe = space.recipe(&best.choices, best.epochs)?;
    let model = cells.obtain(global, &mut subject, &recipe)?.dir;
    let recipe_path = args.out.join("recipe.toml");
    write_text(&recipe_path, &commented(recipe, args, (&subject, best))?)?;
    write_json(&args.out.join("trials.json"), &json!({"space": space, "trials": trials}))?;
    let value = json!({
        "recipe": recipe_path, "model": model, "validation_loss": best.loss, "best": best,
        "trials": trials.len(), "seconds": spent,
    });
    answer(global, &value, &report(&space, &trials, best, &recipe_path.display().to_string()))
}

/// Whether another recipe may do better: settings that do not fit the data, a loss that is not finite,
/// too little memory.
fn is_of_the_recipe(error: &Error) -> bool {
    use ErrorKind::{InvalidConfig, InvalidInput, OutOfMemory};
    matches!(error.kind(), InvalidConfig | InvalidInput | OutOfMemory)
}

/// The recipe with where it comes from.
fn commented(
    mut recipe: Recipe,
    args: &Args,
    (subject, best): (&Subject, &Trial),
) -> Result<String> {
    recipe.data.insert("split".into(), subject.split().to_string().into());
    if let Some(targets) = &args.data.targets {
        recipe.data.insert("targets".into(), json!(targets));
    }
    let name = subject.name();
    let loss = best.loss.unwrap_or(f64::NAN);
    let text = recipe.to_toml()?;
    Ok(format!("# Found by `ptsm tune` on {name}: validation loss {loss:.4}.\n{text}"))
}

fn report(space: &SearchSpace, trials: &[Trial], best: &Trial, path: &str) -> String {
    let mut text =
        format!("{:>5} {:>7} {:>11} {:>8}  choices\n", "rung", "epochs", "validation", "s");
    let mut sorted: Vec<&Trial> = trials.iter().collect();
    let loss = |trial: &Trial| trial.loss.unwrap_or(f64::INFINITY);
    sorted.sort_by(|a, b| b.rung.cmp(&a.rung).then(loss(a).total_cmp(&loss(b))));
    for trial in sorted {
        let choices = space.axes.iter().zip(&trial.choices);
        let choices: Vec<String> =
            choices.map(|(axis, choice)| format!("{} {choice}", axis.name)).collect();
        let mark = if trial == best { " *" } else { "" };
        text += &format!(
            "{:>5} {:>7} {:>11.4} {:>8.1}  {}{mark}\n",
            trial.rung,
            trial.epochs,
            loss(trial),
            trial.seconds,
            choices.join(", ")
        );
    }
    text + &format!("{path}: the recipe of the line with *\n")
}

/// `30m`, `2h`, `90s` or a number of seconds.
fn parse_budget(text: &str) -> std::result::Result<f64, String> {
    let units = [("h", 3600.0), ("m", 60.0), ("s", 1.0), ("", 1.0)];
    let found = units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * factor)
    });
    found
        .filter(|seconds| seconds.is_finite() && *seconds > 0.0)
        .ok_or_else(|| format!("\"{text}\" is no time (wanted 30m, 2h or 90s)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_with_their_unit() {
        assert_eq!(parse_budget("30m"), Ok(1800.0));
        assert_eq!(parse_budget("1.5h"), Ok(5400.0));
        assert_eq!(parse_budget("90"), Ok(90.0));
        for text in ["", "m", "0s", "-1m", "1 day"] {
            assert!(parse_budget(text).is_err(), "{text}");
        }
    }

    #[test]
    fn our_own_space_is_one() {
        assert!(SearchSpace::from_toml(SPACE).unwrap().len() > 50);
    }
}
