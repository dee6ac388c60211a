//! `ptsm select`: chooses settings for labelled cases by cross-validation on the training file, and
//! scores them once on the test file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ptsm::evaluate::SimpleLabels;
use ptsm::job::{CaseData, CaseSearch, Cuts, FoldScores, SearchCell, SearchWatch, SeedScores};
use ptsm::spec::DataSpec;
use ptsm::{Error, Result, Task};
use serde_json::{Map, Value, json};

use crate::global::Global;
use crate::interrupt::partial_of;
use crate::output::{answer, remark, write_text};
use crate::progress::Progress;
use crate::source::{DataArgs, check_named};
use crate::words::{counted, recipe_words};

/// Options of `select`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TOML file: task, [model], [training], and [grid] with a list of values for each field that
    /// is searched; [[settings]] lists fields that change together. Without one, all scalers, poolings, patches, widths
    /// and lengths of training that `train` chooses among
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// classification or regression, where the recipe does not say it [default: classification without a recipe]
    #[arg(long, value_name = "TASK", value_parser = recipe_words::<Task>(["classification", "regression"]))]
    task: Option<Task>,
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
    /// File for everything that was measured (.json); finished trainings are kept beside it (.partial) until it is
    /// written, and the same command resumes from them
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

/// Searches, prints, and scores the winner.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let spec = DataSpec { label: args.label.clone(), ..args.data.spec() };
    check_named(&spec)?;
    CaseData::refuse_series_options(&spec)?;
    let given = args.recipe.as_deref().map(|path| read_search(path, args.task)).transpose()?;
    let task =
        given.as_ref().map(|search| search.task).or(args.task).unwrap_or(Task::Classification);
    let (name, set) = spec.read_cases(task)?;
    let search = given.unwrap_or_else(|| CaseSearch::built_in(task, &set));
    let cuts = Cuts::draw(&set, args.folds, args.repeats)?;
    let settings = search.all_settings()?;
    remark(
        global,
        &format!(
            "{name}: {}, {} x {} = {}",
            counted(set.len(), "case"),
            counted(settings.len(), "setting"),
            counted(cuts.fits(), "fold"),
            counted(settings.len() * cuts.fits(), "training")
        ),
    );
    let mut kept = args.keep(global, &search.described(&set, &cuts)?)?;
    let mut progress = Progress::new(global, "searching", (settings.len() * cuts.fits()) as u64);
    let mut tick = |done: usize| {
        progress.update(done as u64, "");
        ControlFlow::Continue(())
    };
    let watch = SearchWatch { tick: &mut tick, kept: kept.as_mut() };
    let compared = search.compare(&set, &cuts, &settings, watch);
    if compared.is_err() && kept.as_ref().is_some_and(FoldScores::is_empty) {
        // Nothing to resume from.
        kept.take().map_or(Ok(()), FoldScores::remove)?;
    }
    let mut cells = compared?;
    progress.finish();
    // Beside the scores, which say little alone; where they cannot be computed the search is not worth less.
    let simple = SimpleLabels::cross_validated(&set, cuts.held_out()).ok();
    search.sort(&mut cells);
    let test = args.test.as_ref().map(|test| {
        let (_, test) =
            DataSpec { data: Some(test.clone()), ..spec.clone() }.read_cases(search.task)?;
        search.test(&set, &test, &cells[0].setting, &args.seeds)
    });
    let found = Found { search: &search, cells: &cells, simple, test: test.transpose()? };
    report(global, args, &found)?;
    kept.map_or(Ok(()), FoldScores::remove)
}

impl Args {
    /// Where finished trainings are kept beside the file for the result, if there is one.
    fn keep(&self, global: &Global, what: &str) -> Result<Option<FoldScores>> {
        let Some(out) = &self.out else { return Ok(None) };
        let partial = partial_of(out);
        let kept = FoldScores::open(&partial, what)?;
        if !kept.is_empty() {
            let text =
                format!("resumes from {} ({} finished trainings)", partial.display(), kept.len());
            remark(global, &text);
        }
        Ok(Some(kept))
    }
}

/// The search of a recipe, for `task` where it does not say one.
fn read_search(path: &Path, task: Option<Task>) -> Result<CaseSearch> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
    CaseSearch::from_toml_for(&text, task).map_err(|e| e.at(path.display().to_string()))
}

/// What a search found.
struct Found<'a> {
    search: &'a CaseSearch,
    /// The best first.
    cells: &'a [SearchCell],
    /// Scores without training, by the same cross-validation.
    simple: Option<SimpleLabels>,
    /// Of the best setting on the test file.
    test: Option<SeedScores>,
}

fn report(global: &Global, args: &Args, found: &Found<'_>) -> Result<()> {
    let Found { search, cells, simple, test } = found;
    let metric = if search.task == Task::Regression { "rmse" } else { "accuracy" };
    let value = json!({
        "metric": metric, "folds": args.folds, "repeats": args.repeats, "best": cells[0], "cells": cells, "test": test,
        "simple": simple.map(|simple| json!({"constant": simple.constant, "nearest": simple.nearest})),
    });
    if let Some(path) = &args.out {
        let text = serde_json::to_string_pretty(&value)
            .map_err(|e| Error::internal("the report cannot be written").because(e))?;
        write_text(path, &(text + "\n"))?;
    }
    let mut text = format!("cross-validated {metric}\n");
    for cell in cells.iter().take(SHOWN) {
        text += &format!("{}  {}\n", shown(search.task, cell.score), describe(&cell.setting));
    }
    if let more @ 1.. = cells.len().saturating_sub(SHOWN) {
        text += &format!("and {} more\n", counted(more, "setting"));
    }
    if let Some(simple) = simple {
        let constant = match search.task {
            Task::Regression => "the mean value",
            _ => "the most frequent class",
        };
        text += &format!(
            "without training: {constant} {}, the nearest case (1-NN) {}\n",
            shown(search.task, simple.constant),
            shown(search.task, simple.nearest)
        );
    }
    if let Some(found) = test {
        text += &tested(search.task, metric, found, &cells[0]);
    }
    answer(global, &value, &text)
}

/// Settings that are told.
const SHOWN: usize = 10;

/// A score: per cent of the cases, or an error in the units of the labels.
fn shown(task: Task, score: f64) -> String {
    match task {
        Task::Regression => format!("{score:.4}"),
        _ => format!("{:.1} %", 100.0 * score),
    }
}

/// The scores on the test file, and whether they go together with those of the cross-validation.
fn tested(task: Task, metric: &str, found: &SeedScores, best: &SearchCell) -> String {
    let each: Vec<String> = found.scores.iter().map(|&score| shown(task, score)).collect();
    let mean = shown(task, found.mean);
    let mut text = match each.as_slice() {
        [_] => format!("test {metric} of the first: {mean} (one seed)\n"),
        several => format!(
            "test {metric} of the first: {mean} +- {} over {} seeds ({})\n",
            shown(task, found.deviation),
            several.len(),
            several.join(", ")
        ),
    };
    let worse = match task {
        Task::Regression => found.mean > UNLIKE * best.score,
        _ => 1.0 - found.mean > UNLIKE * (1.0 - best.score).max(0.05),
    };
    if worse {
        text += "far worse than in cross-validation: the test cases are unlike the training cases, or these settings \
                 train badly with some seeds (compare the scores of the seeds, and give more epochs)\n";
    }
    text
}

/// How many times the error on the test cases is that of cross-validation where that is remarked on.
const UNLIKE: f64 = 2.0;

fn describe(setting: &Map<String, Value>) -> String {
    let parts: Vec<String> =
        setting.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
    if parts.is_empty() { "the recipe itself".into() } else { parts.join(", ") }
}

/// A value without the quotes of a text.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
