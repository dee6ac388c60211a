//! `ptsm benchmark` for the default forecaster: panels of series, each with its own horizon, season and measure.
//!
//! The default forecaster is trained on each panel, once for each seed, and scored on the test part beside the
//! baselines. What was trained and scored is kept, so a repeated command continues where the last one stopped.

mod report;
mod scored;
mod suite;

use std::path::Path;
use std::time::Instant;

use ptsm::data::DATA_DIR_VARIABLE;
use ptsm::job::{
    Choice, ChoiceJob, RULE, RecipeStore, Save, SaveMode, Silent, Subject, automatic_recipe,
};
use ptsm::model_dir::{ModelDir, read_json, write_json};
use ptsm::score::ScoreOptions;
use ptsm::spec::{DataSpec, ModelSpec};
use ptsm::{Cpu, Error, Forecaster, Result};
use serde_json::json;

use super::args::Args;
use crate::global::Global;
use crate::output::{answer, remark};
use crate::progress::Progress;
use crate::source::{read_series, summary};
use scored::{Scored, errors};
use suite::{Panel, PanelSuite};

/// Runs the suite in this text.
pub(super) fn run(global: &Global, args: &Args, text: &str) -> Result<()> {
    let place = args.suite.as_deref().unwrap_or(Path::new("")).display().to_string();
    let suite = PanelSuite::from_toml(text).map_err(|e| e.at(place))?;
    run_suite(global, args, &restricted(suite, args)?)
}

/// Runs on the files of `--data`.
pub(super) fn run_on(global: &Global, args: &Args) -> Result<()> {
    let horizons = args.horizons.as_deref().unwrap_or_default();
    let mut suite = PanelSuite::of_files(&args.data, horizons, args.metric.unwrap_or_default())?;
    if let Some(seeds) = &args.seeds {
        suite.seeds.clone_from(seeds);
    }
    run_suite(global, args, &suite)
}

fn run_suite(global: &Global, args: &Args, suite: &PanelSuite) -> Result<()> {
    // All of them before any is trained on.
    suite.panels.iter().try_for_each(|panel| located(&panel.source).check_there())?;
    let store = RecipeStore::new(&args.out.join("cells"))?;
    let total = (suite.panels.len() * suite.seeds.len()) as u64;
    let mut progress = Progress::new(global, "panels", total);
    let mut all: Vec<Scored> = Vec::new();
    for panel in &suite.panels {
        let subject = Subject::new(read_series(global, &located(&panel.source))?.0);
        // Through the bar, which would stay above it otherwise.
        progress.line(&summary(&panel.name, subject.set()));
        for &seed in &suite.seeds {
            progress.update(all.len() as u64, &panel.name);
            let place = format!("{}, seed {seed}", panel.name);
            let found = obtain(&store, &subject, panel, seed).map_err(|e| e.at(place.clone()))?;
            let Obtained { scored, before } = found;
            let how = match before {
                true => "scored by an earlier run".to_owned(),
                false => format!("{:.0} s", scored.seconds),
            };
            progress.line(&format!("{place}: {}; {how}", scored.chosen));
            all.push(scored);
            // After every panel: a run that is stopped keeps a report of what it has.
            report::write(&args.out, suite, &all)?;
        }
    }
    progress.finish();
    remark(global, &format!("report: {}", args.out.join("report.html").display()));
    answer(global, &json!({"out": args.out, "scores": all}), &report::summary(suite, &all))
}

/// The suite, restricted to what the options ask for.
fn restricted(mut suite: PanelSuite, args: &Args) -> Result<PanelSuite> {
    if args.horizons.is_some() {
        return Err(Error::config("--horizons", "the panels of this suite have their own"));
    }
    if let Some(seeds) = &args.seeds {
        suite.seeds.clone_from(seeds);
    }
    if let Some(only) = &args.only {
        let known: Vec<&str> = suite.panels.iter().map(|panel| panel.name.as_str()).collect();
        if let Some(name) = only.iter().find(|name| !known.contains(&name.as_str())) {
            let text = format!("\"{name}\" is not in the suite ({})", known.join(", "));
            return Err(Error::config("--only", text));
        }
        // Of a group without one of its panels there is no mean.
        let whole = suite.clone();
        suite.panels.retain(|panel| only.contains(&panel.name));
        for panel in &mut suite.panels {
            let complete =
                |group: &&String| whole.members(group).all(|one| only.contains(&one.name));
            panel.group = panel.group.take().filter(|group| complete(&group));
        }
        let columns: Vec<String> = suite.columns().into_iter().map(str::to_owned).collect();
        suite
            .published
            .iter_mut()
            .for_each(|row| row.errors.retain(|name, _| columns.contains(name)));
    }
    Ok(suite)
}

/// The data with a file that is not here looked for in the folder of data sets.
fn located(source: &DataSpec) -> DataSpec {
    let mut source = source.clone();
    if let (Some(name), Some(folder)) = (&source.data, std::env::var_os(DATA_DIR_VARIABLE)) {
        let there = Path::new(&folder).join(name);
        if !Path::new(name).exists() && there.is_file() {
            source.data = Some(there.display().to_string());
        }
    }
    source
}

/// The scores of a panel and seed, and where they are from.
struct Obtained {
    scored: Scored,
    /// Whether an earlier run had scored them.
    before: bool,
}

/// Trains the default forecaster and scores it, or finds that it was done before.
fn obtain(store: &RecipeStore, subject: &Subject, panel: &Panel, seed: u64) -> Result<Obtained> {
    let data = subject.data();
    let &Panel { metric, horizon, .. } = panel;
    let circumstance =
        format!("rule {RULE} {metric:?} {horizon:?} {} {seed}", data.seasonal_period);
    let path = store.path("default", subject, &circumstance)?;
    if let Some(found) = read_json::<Scored>(&path)? {
        return Ok(Obtained {
            scored: Scored { panel: panel.name.clone(), ..found },
            before: true,
        });
    }
    let dir = ModelDir::new(path.with_extension(""));
    let began = Instant::now();
    let choice = match read_json::<Choice>(&dir.choice())? {
        Some(choice) => choice,
        None => {
            let wanted = ModelSpec { prediction_length: horizon, ..ModelSpec::default() };
            let (mut recipe, _) = automatic_recipe(data, &wanted);
            recipe.training.seed = seed;
            let save = Save { dir: dir.clone(), mode: SaveMode::Resume };
            ChoiceJob { data: subject.job_data(), recipe, metric, save, budget: None }
                .run(&mut Silent)?
                .choice
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let mut forecaster = Forecaster::from_dir(dir.path(), &Cpu::default())?;
    let prepared = forecaster.prepare(subject.set(), None)?;
    let options =
        ScoreOptions { every_theta: true, measure: metric.measure(), ..ScoreOptions::default() };
    let evaluation = forecaster.score(&prepared, &options)?;
    let scored = Scored {
        panel: panel.name.clone(),
        seed,
        model: dir.path().to_path_buf(),
        chosen: choice.sentence(),
        seconds,
        points: evaluation.model.points,
        errors: errors(&evaluation, metric),
    };
    write_json(&path, &scored)?;
    Ok(Obtained { scored, before: false })
}
