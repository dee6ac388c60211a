//! One job does the work of every command: the same recipe gives the same model, whoever runs it.

#![allow(clippy::unwrap_used)]

use std::f64::consts::TAU;
use std::ops::ControlFlow;

use ptsm::core::Location;
use ptsm::data::{LabelledSet, Labels, ReadOptions, Repair, Roles, Series, SeriesSet, Table};
use ptsm::job::{
    Ablation, CaseSearch, ChoiceJob, Cuts, FoldScores, Job, JobData, Metric, RecipeStore, Save,
    SaveMode, SearchCell, SearchWatch, SeriesData, Silent, Start, Subject, Trained,
    automatic_recipe, tune,
};
use ptsm::model_dir::ModelDir;
use ptsm::spec::ModelSpec;
use ptsm::train::{Recipe, SearchOptions, SearchSpace, Training};
use ptsm::{ErrorKind, FitOptions, Forecaster, Task};

/// Two channels of waves, with gaps.
fn series() -> SeriesData {
    let mut text = "x,y\n".to_owned();
    for row in 0..400 {
        let x = f64::from(row);
        let y = if row % 29 == 7 { String::new() } else { format!("{}", row % 17) };
        text += &format!("{:.4},{y}\n", (x * 0.26).sin() + 0.3 * (x * 1.7).cos());
    }
    let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
    let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
    SeriesData::new("t", set)
}

const RECIPE: &str = "[model]\ncontext_length = 24\nprediction_length = 4\npatch_length = 4\n\
    patch_stride = 4\nd_model = 4\nnum_layers = 1\nptsm = { linear_skip = true }\n\
    [training]\nepochs = 2\nbatch_size = 32\nskip_rate = 0.5\n";

fn recipe() -> Recipe {
    Recipe::from_toml(RECIPE).unwrap()
}

fn job<'a>(data: &'a JobData, recipe: &Recipe) -> Job<'a> {
    Job {
        data,
        task: Task::Forecasting,
        model: recipe.model.clone(),
        training: recipe.training.clone(),
        start: None,
        few_shot: None,
        save: None,
    }
}

fn ablation(recipe: Recipe) -> Ablation {
    Ablation {
        recipe,
        seeds: vec![0],
        segment_length: Some(2),
        cross_channel_context: 1,
        few_shot: None,
    }
}

#[test]
fn our_own_recipes_are_understood() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut searches = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        if text.contains("\ntask = ") {
            searches += 1;
            assert!(!CaseSearch::from_toml(&text).unwrap().all_settings().unwrap().is_empty());
        } else {
            Recipe::from_toml(&text).unwrap();
        }
    }
    assert!(searches > 2, "{searches}");
}

#[test]
fn one_recipe_gives_one_model_through_train_ablate_tune_and_benchmark() {
    let folder = tempfile::tempdir().unwrap();
    let data = JobData::from(series());
    let saved = ModelDir::new(folder.path().join("model"));
    let save = Some(Save { dir: saved.clone(), mode: SaveMode::New });
    let trained = Job { save, ..job(&data, &recipe()) }.run(&mut Silent).unwrap();
    let weights = std::fs::read(saved.weights()).unwrap();

    let mut plain = None;
    let rows = ablation(recipe())
        .run(&data, &mut |row, trained: &Trained| {
            if row.name == "independent" {
                plain = Some(trained.model.parameters.clone());
            }
        })
        .unwrap();
    assert_eq!(rows.len(), 8);
    assert!(plain.unwrap() == trained.model.parameters, "ablate, the plain row");

    let subject = Subject::new(series());
    let store = RecipeStore::new(&folder.path().join("tune")).unwrap();
    let space = SearchSpace { base: recipe(), axes: Vec::new() };
    let options = SearchOptions { seed: 0, seconds: 60.0, rungs: 1 };
    let tuned = tune(&space, &subject, &store, options, &mut |_| ()).unwrap();
    assert_eq!(tuned.trials.len(), 1);
    assert!(std::fs::read(tuned.model.dir.weights()).unwrap() == weights, "tune");

    let store = RecipeStore::new(&folder.path().join("benchmark")).unwrap();
    let found = store.obtain(&subject, &recipe(), &mut Silent).unwrap();
    assert!(std::fs::read(found.dir.weights()).unwrap() == weights, "benchmark");
    assert!(!found.found && !found.dir.checkpoints().exists());
    assert!(store.obtain(&subject, &recipe(), &mut Silent).unwrap().found);
}

#[test]
fn rows_with_heads_keep_what_the_recipe_says_of_the_extension() {
    let mut recipe = recipe();
    recipe.model.extension_mut().location = Location::Last;
    let mut rows = Vec::new();
    let data = JobData::from(series());
    ablation(recipe)
        .run(&data, &mut |row, trained| {
            let extension = trained.model.config().extension();
            assert!(extension.linear_skip && extension.location == Location::Last, "{}", row.name);
            assert_eq!(extension.hierarchy.is_some(), row.hierarchy);
            assert_eq!(extension.cross_channel.is_some(), row.cross_channel);
            rows.push(row.name.clone());
        })
        .unwrap();
    assert_eq!(rows.len(), 8);
}

#[test]
fn quantiles_are_ablated_without_heads_and_what_rows_decide_is_refused() {
    let data = JobData::from(series());
    let text = RECIPE.replace("ptsm = { linear_skip = true }", "loss = \"quantile\"");
    let text = text.replace("skip_rate = 0.5\n", "");
    let quantiles = ablation(Recipe::from_toml(&text).unwrap());
    let rows = quantiles.run(&data, &mut |_, _| ()).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["independent", "mixing"]);
    assert!(rows.iter().all(|row| row.mse[0].is_finite()));
    for (old, new, field) in [
        ("d_model", "mode = \"mix_channel\"\nd_model", "mode"),
        ("linear_skip = true", "hierarchy = { segment_length = 2 }", "ptsm.hierarchy"),
        ("epochs", "seed = 3\nepochs", "seed"),
        ("epochs", "checkpoint_steps = 3\nepochs", "independent: checkpoint_steps"),
        ("[training]", "[[members]]\n[training]", "members"),
    ] {
        let recipe = Recipe::from_toml(&RECIPE.replace(old, new)).unwrap();
        let error = ablation(recipe).run(&data, &mut |_, _| ()).unwrap_err();
        assert_eq!(error.place(), Some(field), "{error}");
    }
}

#[test]
fn a_job_refuses_settings_that_it_would_not_use() {
    let data = JobData::from(series());
    let plain = ModelSpec { ptsm: None, ..recipe().model };
    let base = || Training { epochs: 1, ..Training::default() };
    let counts: ModelSpec =
        serde_json::from_str("{\"loss\": \"nll\", \"distribution_output\": \"negative_binomial\"}")
            .unwrap();
    for (model, training, field) in [
        (plain.clone(), Training { skip_rate: 0.5, ..base() }, "skip_rate"),
        (plain.clone(), Training { class_weights: Some(vec![1.0]), ..base() }, "class_weights"),
        (plain.clone(), Training { checkpoint_steps: 7, ..base() }, "checkpoint_steps"),
        (
            ModelSpec { loss: Some(ptsm::spec::LossChoice::Nll), ..plain.clone() },
            Training { huber_delta: Some(1.0), ..base() },
            "huber_delta",
        ),
        (ModelSpec { output_range: Some([0.0, 1.0]), ..plain.clone() }, base(), "output_range"),
        (
            plain.clone().with(&counts),
            Training { transform: ptsm::data::Transform::Log1p, ..base() },
            "transform",
        ),
    ] {
        let job = Job { model, training, ..job(&data, &recipe()) };
        let error = job.run(&mut Silent).unwrap_err();
        assert_eq!((error.place(), error.kind()), (Some(field), ErrorKind::InvalidConfig));
    }
    // Without windows to pick an epoch by, nothing is waited for.
    let SeriesData { set, .. } = series();
    let whole = SeriesData { split: "1:0:0".parse().unwrap(), ..SeriesData::new("t", set) };
    let data = JobData::from(whole);
    let waits = Training { patience: Some(2), ..base() };
    let job = Job { model: plain, training: waits, ..job(&data, &recipe()) };
    assert_eq!(job.run(&mut Silent).unwrap_err().place(), Some("patience"));
}

#[test]
fn a_start_gives_its_backbone_or_all_of_itself() {
    let data = JobData::from(series());
    let first = job(&data, &recipe()).run(&mut Silent).unwrap().model;
    let start = |keep_head| Start { model: first.clone(), standardiser: None, keep_head };
    let next = |start: Start, training: Training| {
        let model = ModelSpec {
            ptsm: recipe().model.ptsm,
            prediction_length: Some(4),
            ..ModelSpec::default()
        };
        Job { start: Some(start), model, training, ..job(&data, &recipe()) }
    };
    let trained = next(start(false), recipe().training).run(&mut Silent).unwrap();
    assert!(trained.record.init);
    assert_eq!(trained.model.config().d_model, 4);
    // Nothing moves where the rate is next to nothing and only the head is trained.
    let still = Training { learning_rate: 1e-30, freeze_backbone: true, ..recipe().training };
    let kept = next(start(true), still.clone()).run(&mut Silent).unwrap();
    assert!(kept.model.parameters.trained == first.parameters.trained);
    let drawn = Training { init: ptsm::core::Init::Normal, ..still };
    let error = next(start(true), drawn).run(&mut Silent).unwrap_err();
    assert_eq!(error.place(), Some("init"));
}

#[test]
fn a_directory_that_holds_a_model_is_left_alone_unless_it_is_to_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let data = JobData::from(series());
    let into = |mode, seed| {
        let save = Some(Save { dir: ModelDir::new(folder.path()), mode });
        let training = Training { seed, ..recipe().training };
        Job { save, training, ..job(&data, &recipe()) }.run(&mut Silent)
    };
    into(SaveMode::New, 0).unwrap();
    let dir = ModelDir::new(folder.path());
    let before = std::fs::read(dir.weights()).unwrap();
    std::fs::write(dir.calibration(), "{}").unwrap();
    let error = into(SaveMode::New, 1).unwrap_err().to_string();
    assert!(error.contains("holds a model already"), "{error}");
    assert!(std::fs::read(dir.weights()).unwrap() == before && dir.calibration().exists());
    into(SaveMode::Replace, 1).unwrap();
    assert!(std::fs::read(dir.weights()).unwrap() != before && !dir.calibration().exists());
}

/// Waves of two frequencies, which are the classes.
fn waves(shift: f64) -> LabelledSet {
    let case = |number: usize| {
        let frequency = 0.3 + 0.4 * (number % 2) as f64;
        let value = |step: usize| (step as f64 * frequency + number as f64 + shift).sin();
        Series::new(number.to_string(), 1, (0..24).map(value).collect()).unwrap()
    };
    let names = vec!["slow".to_owned(), "fast".to_owned()];
    let labels = Labels::Classes { names, of: (0..12).map(|number| number % 2).collect() };
    LabelledSet::new(vec!["x".into()], (0..12).map(case).collect(), labels).unwrap()
}

#[test]
fn a_selection_that_was_stopped_resumes_with_the_same_scores() {
    let text = "task = \"classification\"\n[model]\npatch_length = 4\nnum_layers = 1\n\
                [training]\nepochs = 2\n[grid]\nd_model = [4, 8, 12]\n";
    let search = CaseSearch::from_toml(text).unwrap();
    let (set, settings) = (waves(0.0), search.all_settings().unwrap());
    let cuts = Cuts::draw(&set, 3, 1).unwrap();
    let run = |set: &LabelledSet, kept: Option<&mut FoldScores>, stop: usize| {
        let mut told = Vec::new();
        let mut tick = |done| {
            told.push(done);
            if done == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let watch = SearchWatch { tick: &mut tick, kept };
        let cells: ptsm::Result<Vec<SearchCell>> = search.compare(set, &cuts, &settings, watch);
        (cells, told)
    };
    let wanted = run(&set, None, 0).0.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json.partial");
    let what = search.described(&set, &cuts).unwrap();
    let mut kept = FoldScores::open(&path, &what).unwrap();
    let stopped = run(&set, Some(&mut kept), 4).0.unwrap_err();
    assert_eq!(stopped.kind(), ErrorKind::Interrupted);
    assert!((4..9).contains(&kept.len()), "{}", kept.len());
    drop(kept);
    let mut kept = FoldScores::open(&path, &what).unwrap();
    let (cells, told) = run(&set, Some(&mut kept), 0);
    assert_eq!(cells.unwrap(), wanted);
    assert_eq!(told, (1..=9).collect::<Vec<_>>());
    // Every score is there now: a search over other cases with this file computes nothing.
    assert_eq!(kept.len(), 9);
    assert_eq!(run(&waves(0.5), Some(&mut kept), 0).0.unwrap(), wanted);
    drop(kept);
    // Which is why a file is of one selection only.
    let other = search.described(&waves(0.5), &cuts).unwrap();
    let error = FoldScores::open(&path, &other).err().unwrap().to_string();
    assert!(error.contains("parts of another selection"), "{error}");
    FoldScores::open(&path, &what).unwrap().remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_fit_without_options_is_the_default_forecaster() {
    let folder = tempfile::tempdir().unwrap();
    let months = (0..96).map(|t| 100.0 + f64::from(t) + 20.0 * (f64::from(t) * TAU / 12.0).sin());
    let text: String = months
        .enumerate()
        .map(|(t, y)| format!("{}-{:02}-01,{y}\n", 2010 + t / 12, 1 + t % 12))
        .collect();
    let text = format!("month,y\n{text}");
    let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
    let options = FitOptions::steps(6).seed(3);
    let mut fitted = Forecaster::fit(&table, &options).unwrap();

    // The same by hand.
    let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap();
    let series = SeriesData::new("data", set);
    let model = ModelSpec { prediction_length: Some(6), ..ModelSpec::default() };
    let (mut recipe, _) = automatic_recipe(&series, &model);
    recipe.training.seed = 3;
    let dir = folder.path().join("by-hand");
    let (data, metric, save) = (JobData::from(series), Metric::default(), Save::new(&dir));
    let chosen =
        ChoiceJob { data: &data, recipe, metric, save, budget: None }.run(&mut Silent).unwrap();
    assert!(chosen.choice.candidates.len() > 3, "{:?}", chosen.choice);
    let mut by_hand = Forecaster::from_dir(&dir, &ptsm::Cpu::default()).unwrap();
    let wanted = by_hand.forecast(&table).unwrap();
    assert_eq!(fitted.forecast(&table).unwrap(), wanted);
    assert_eq!(wanted[0].intervals.len(), 2);

    // Saved, and read again.
    let dir = folder.path().join("saved");
    Forecaster::fit(&table, &options.clone().save_to(&dir)).unwrap();
    assert!(ModelDir::new(&dir).is_ensemble());
    let mut saved = Forecaster::from_dir(&dir, &ptsm::Cpu::default()).unwrap();
    assert_eq!(saved.forecast(&table).unwrap(), wanted);
    // With an option of a network it is one network.
    let single = folder.path().join("single");
    Forecaster::fit(&table, &options.epochs(1).save_to(&single)).unwrap();
    assert!(!ModelDir::new(&single).is_ensemble());
}
