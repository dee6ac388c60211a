//! `ptsm select`: settings for labelled cases by cross-validation on the training file alone, then
//! one look at the test file.

use std::path::PathBuf;

use ptsm::data::LabelledSet;
use ptsm::train::Training;
use ptsm::{Cpu, Error, ErrorKind, LabelScores, Labeller, Result, Task};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::args::Global;
use crate::commands::train::{CasePlan, read_cases};
use crate::output::{answer, remark, write_text};
use crate::progress::Progress;
use crate::source::DataArgs;
use crate::statistics::spread;

/// Options of `select`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// TOML file: task, [model], [training], and [grid] with a list of values for each field that
    /// is searched; [[settings]] lists fields that change together
    #[arg(long, value_name = "FILE")]
    recipe: PathBuf,
    /// Columns of the labels, for tables [default: label, class or target]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Parts of the cross-validation
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Cross-validations, each with cuts and a seed of its own; their scores are averaged
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    repeats: u64,
    /// Labelled cases that the chosen settings are scored on, once
    #[arg(long, value_name = "FILE")]
    test: Option<String>,
    /// Seeds of the final models
    #[arg(long, value_delimiter = ',', default_value = "0,1,2,3,4", value_name = "N,...")]
    seeds: Vec<u64>,
    /// File for everything that was measured (.json)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is searched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    task: Task,
    #[serde(default)]
    model: Map<String, Value>,
    #[serde(default)]
    training: Map<String, Value>,
    #[serde(default)]
    grid: Map<String, Value>,
    #[serde(default)]
    settings: Vec<Map<String, Value>>,
}

/// One cell of the search.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    setting: Map<String, Value>,
    /// Accuracy, or RMSE in data units, over all held-out cases.
    score: f64,
    /// Cross entropy of a classifier, which breaks ties.
    loss: f64,
}

/// Mean and spread over seeds.
#[derive(Debug, Clone, Serialize)]
struct Final {
    seeds: Vec<u64>,
    scores: Vec<f64>,
    mean: f64,
    /// Sample standard deviation; 0 for one seed.
    deviation: f64,
}

/// Searches, prints, and scores the winner.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let search = read_search(args)?;
    let (name, set) = read_cases(&args.data, args.label.as_ref(), search.task)?;
    let cuts: Vec<Vec<Vec<usize>>> =
        (0..args.repeats).map(|seed| set.folds(args.folds, seed)).collect::<Result<_>>()?;
    let fits = cuts.iter().map(Vec::len).sum::<usize>();
    let settings = search.all_settings()?;
    remark(global, &format!("{name}: {} cases, {} settings", set.len(), settings.len()));
    let total = (settings.len() * fits) as u64;
    let mut progress = Progress::new(global, "searching", total);
    let mut cells = Vec::new();
    for setting in settings {
        let mut tick = |fit: usize| {
            progress.update((cells.len() * fits + fit) as u64, "");
        };
        let cell = search.cross_validate(&set, &cuts, setting, &mut tick)?;
        progress.line(&format!("{:.4}  {}", cell.score, describe(&cell.setting)));
        cells.push(cell);
    }
    progress.finish();
    let rising = search.task == Task::Regression;
    cells.sort_by(|a, b| {
        let by_score =
            if rising { a.score.total_cmp(&b.score) } else { b.score.total_cmp(&a.score) };
        by_score.then(a.loss.total_cmp(&b.loss))
    });
    let test = args.test.as_ref().map(|test| {
        let data = DataArgs { data: Some(test.clone()), ..args.data.clone() };
        let (_, test) = read_cases(&data, args.label.as_ref(), search.task)?;
        search.final_scores(&set, &test, &cells[0].setting, &args.seeds)
    });
    report(global, args, (&search, &cells), test.transpose()?)
}

fn read_search(args: &Args) -> Result<Search> {
    let path = &args.recipe;
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
    let search: Search = toml::from_str(&text).map_err(|e| {
        Error::new(ErrorKind::InvalidConfig, "is no search")
            .at(path.display().to_string())
            .because(e)
    })?;
    match search.task {
        Task::Classification | Task::Regression => Ok(search),
        _ => Err(Error::config("task", "wanted classification or regression")),
    }
}

fn report(
    global: &Global,
    args: &Args,
    (search, cells): (&Search, &[Cell]),
    test: Option<Final>,
) -> Result<()> {
    let metric = if search.task == Task::Regression { "rmse" } else { "accuracy" };
    let value = json!({
        "metric": metric, "folds": args.folds, "repeats": args.repeats, "best": cells[0], "cells": cells, "test": test,
    });
    if let Some(path) = &args.out {
        let text = serde_json::to_string_pretty(&value)
            .map_err(|e| Error::internal("the report cannot be written").because(e))?;
        write_text(path, &(text + "\n"))?;
    }
    let mut text = format!("cross-validated {metric}\n");
    for cell in cells.iter().take(10) {
        text += &format!("{:.4}  {}\n", cell.score, describe(&cell.setting));
    }
    if let Some(found) = &test {
        let each: Vec<String> = found.scores.iter().map(|score| format!("{score:.4}")).collect();
        text += &format!(
            "test {metric} of the first: {:.4} +- {:.4} over {} seeds ({})\n",
            found.mean,
            found.deviation,
            found.seeds.len(),
            each.join(" ")
        );
    }
    answer(global, &value, &text)
}

fn describe(setting: &Map<String, Value>) -> String {
    let parts: Vec<String> =
        setting.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if parts.is_empty() { "the recipe itself".into() } else { parts.join(" ") }
}

impl Search {
    /// Every combination of the grid with every listed setting.
    fn all_settings(&self) -> Result<Vec<Map<String, Value>>> {
        let mut all = match self.settings.is_empty() {
            true => vec![Map::new()],
            false => self.settings.clone(),
        };
        for (name, values) in &self.grid {
            let Value::Array(values) = values else {
                return Err(Error::config(format!("[grid] {name}"), "wanted a list of values"));
            };
            let with = |setting: &Map<String, Value>, value: &Value| {
                let mut setting = setting.clone();
                setting.insert(name.clone(), value.clone());
                setting
            };
            all = all
                .iter()
                .flat_map(|setting| values.iter().map(|value| with(setting, value)))
                .collect();
        }
        Ok(all)
    }

    /// A run with one setting: fields of training go there, all others to the model.
    fn plan(&self, train: LabelledSet, setting: &Map<String, Value>) -> Result<CasePlan> {
        let known = serde_json::to_value(Training::default())
            .map_err(|e| Error::internal("the settings cannot be listed").because(e))?;
        let (mut model, mut training) = (self.model.clone(), self.training.clone());
        for (name, value) in setting {
            let to = if known.get(name).is_some() { &mut training } else { &mut model };
            to.insert(name.clone(), value.clone());
        }
        for name in ["scaling", "head_aggregation"] {
            if model.get(name).and_then(Value::as_str) == Some("none") {
                model.insert(name.into(), Value::Null);
            }
        }
        let training: Training = serde_json::from_value(Value::Object(training))
            .map_err(|e| Error::config("[training]", "is not understood").because(e))?;
        Ok(CasePlan {
            name: String::new(),
            task: self.task,
            train,
            validation: None,
            model,
            training,
            start: None,
            few_shot: None,
            keep_head: false,
        })
    }

    fn score(&self, plan: &CasePlan, held_out: &LabelledSet) -> Result<(f64, f64)> {
        let (model, preprocessor, _) = plan.lay_out()?.fit(&plan.training)?;
        let mut labeller = Labeller::new(&model, preprocessor, &Cpu::default())?;
        Ok(match labeller.score(held_out)?.1 {
            LabelScores::Classes(scores) => (scores.accuracy, scores.cross_entropy),
            LabelScores::Values(scores) => (scores.rmse, scores.rmse),
        })
    }

    fn cross_validate(
        &self,
        set: &LabelledSet,
        cuts: &[Vec<Vec<usize>>],
        setting: Map<String, Value>,
        tick: &mut dyn FnMut(usize),
    ) -> Result<Cell> {
        let (mut score, mut loss) = (0.0, 0.0);
        let squared = self.task == Task::Regression;
        let fits =
            cuts.iter().zip(0..).flat_map(|(folds, seed)| folds.iter().map(move |f| (f, seed)));
        for (number, (fold, seed)) in fits.enumerate() {
            tick(number);
            let rest: Vec<usize> = (0..set.len()).filter(|i| !fold.contains(i)).collect();
            let mut plan = self.plan(set.subset(&rest), &setting)?;
            plan.training.seed += seed;
            let (found, entropy) = self.score(&plan, &set.subset(fold))?;
            let share = fold.len() as f64 / (set.len() * cuts.len()) as f64;
            score += share * if squared { found * found } else { found };
            loss += share * entropy;
        }
        Ok(Cell { setting, score: if squared { score.sqrt() } else { score }, loss })
    }

    fn final_scores(
        &self,
        train: &LabelledSet,
        test: &LabelledSet,
        setting: &Map<String, Value>,
        seeds: &[u64],
    ) -> Result<Final> {
        let mut scores = Vec::new();
        for &seed in seeds {
            let mut plan = self.plan(train.clone(), setting)?;
            plan.training.seed = seed;
            scores.push(self.score(&plan, test)?.0);
        }
        let (mean, deviation) = spread(&scores);
        Ok(Final { seeds: seeds.to_vec(), scores, mean, deviation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_every_combination() {
        let text = "task = \"classification\"\n[grid]\nd_model = [8, 16]\nscaling = [\"std\", \"none\"]\n\
                    [[settings]]\npatch_length = 4\n[[settings]]\npatch_length = 8\n";
        let search: Search = toml::from_str(text).unwrap();
        let all = search.all_settings().unwrap();
        assert_eq!(all.len(), 8);
        let texts: std::collections::BTreeSet<String> = all.iter().map(describe).collect();
        assert_eq!(texts.len(), 8);
        assert!(texts.contains("patch_length=8 d_model=16 scaling=\"none\""), "{texts:?}");
    }
}
