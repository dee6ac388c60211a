//! `ptsm select`: chooses settings for labelled cases by cross-validation on the training file, and
//! scores them once on the test file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ptsm::job::{CaseData, CaseSearch, Cuts, FoldScores, SearchCell, SearchWatch, SeedScores};
use ptsm::spec::DataSpec;
use ptsm::{Error, Result, Task};
use serde_json::{Map, Value, json};

use crate::global::Global;
use crate::interrupt::partial_of;
use crate::output::{answer, remark, write_text};
use crate::progress::Progress;
use crate::source::{DataArgs, check_named};
use crate::words::recipe_words;

/// Options of `select`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TOML file: task, [model], [training], and [grid] with a list of values for each field that
    /// is searched; [[settings]] lists fields that change together. Without one, all scalers, poolings, patches, widths
    /// and lengths of training that `train` chooses among
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// classification or regression, where no recipe says it
    #[arg(long, value_parser = recipe_words::<Task>(["classification", "regression"]), conflicts_with = "recipe")]
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
    let given = args.recipe.as_deref().map(read_search).transpose()?;
    let task =
        given.as_ref().map(|search| search.task).or(args.task).unwrap_or(Task::Classification);
    let (name, set) = spec.read_cases(task)?;
    let search = given.unwrap_or_else(|| CaseSearch::built_in(task, &set));
    let cuts = Cuts::draw(&set, args.folds, args.repeats)?;
    let settings = search.all_settings()?;
    remark(global, &format!("{name}: {} cases, {} settings", set.len(), settings.len()));
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
    search.sort(&mut cells);
    let test = args.test.as_ref().map(|test| {
        let (_, test) =
            DataSpec { data: Some(test.clone()), ..spec.clone() }.read_cases(search.task)?;
        search.test(&set, &test, &cells[0].setting, &args.seeds)
    });
    report(global, args, &search, &cells, test.transpose()?)?;
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

fn read_search(path: &Path) -> Result<CaseSearch> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "cannot be read", e))?;
    CaseSearch::from_toml(&text).map_err(|e| e.at(path.display().to_string()))
}

fn report(
    global: &Global,
    args: &Args,
    search: &CaseSearch,
    cells: &[SearchCell],
    test: Option<SeedScores>,
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
        text += &match each.as_slice() {
            [only] => format!("test {metric} of the first: {only} (one seed)\n"),
            several => format!(
                "test {metric} of the first: {:.4} +- {:.4} over {} seeds ({})\n",
                found.mean,
                found.deviation,
                several.len(),
                several.join(" ")
            ),
        };
    }
    answer(global, &value, &text)
}

fn describe(setting: &Map<String, Value>) -> String {
    let parts: Vec<String> =
        setting.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if parts.is_empty() { "the recipe itself".into() } else { parts.join(" ") }
}
