//! Suites and searches, as a user would run them.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{csv, json, ok, ptsm, run, stderr};
use serde_json::Value;

fn folder_with_data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), csv(500)).unwrap();
    folder
}

const SUITE: &str = r#"
title = "Small things"
data = ["data.csv"]
horizons = [2, 4]
seeds = [0, 1]

[model]
context_length = 24
patch_length = 8
patch_stride = 8
d_model = 4
num_layers = 1

[training]
epochs = 2
batch_size = 32

[[recipes]]
name = "plain"

[[recipes]]
name = "short patches"
model = { patch_length = 4, patch_stride = 4 }
[[recipes.overrides]]
horizons = [4]
training = { epochs = 1 }

[[rows]]
name = "one model"
candidates = [{ recipes = ["plain"] }]

[[rows]]
name = "best"
candidates = [{ recipes = ["plain"] }, { recipes = ["plain", "short patches"] }]

[[published]]
name = "theirs"
source = "nowhere"
mse = { "data.csv" = [0.5, 0.6] }
"#;

fn suite(folder: &Path, arguments: &str) -> Value {
    json(folder, &format!("benchmark --suite suite.toml --out table {arguments}"))
}

#[test]
fn a_suite_may_have_a_split_of_its_own() {
    let folder = folder_with_data();
    let folder = folder.path();
    let split = "horizons = [4]\nsplit = \"last:4\"\nseason = 12";
    let text = SUITE.replace("horizons = [2, 4]", split).replace("seeds = [0, 1]", "seeds = [0]");
    std::fs::write(folder.join("suite.toml"), text.replace("[0.5, 0.6]", "[0.5]")).unwrap();
    let outcome = &suite(folder, "")["outcomes"][0];
    assert_eq!(outcome["windows"], 1, "the last four rows: {outcome}");
    let results = std::fs::read_to_string(folder.join("table/results.json")).unwrap();
    assert!(results.contains("last:4"), "{results}");
}

#[test]
fn a_suite_is_trained_chosen_scored_and_found_again() {
    let folder = folder_with_data();
    let folder = folder.path();
    std::fs::write(folder.join("suite.toml"), SUITE).unwrap();
    let first = suite(folder, "--horizons 4");
    assert_eq!(first["outcomes"].as_array().unwrap().len(), 1);
    let whole = suite(folder, "");
    let outcomes = whole["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 2);
    // The horizon that was there already has the same numbers, times included: nothing ran again.
    assert_eq!(outcomes[1], first["outcomes"][0]);
    for outcome in outcomes {
        let tried = outcome["tried"].as_array().unwrap();
        assert_eq!(tried.len(), 3);
        let best = outcome["rows"][1]["picked"].as_str().unwrap();
        let least = tried[1..].iter().min_by(|a, b| {
            let mse = |x: &Value| x["validation_mse"].as_f64().unwrap();
            mse(a).total_cmp(&mse(b))
        });
        assert_eq!(least.unwrap()["candidate"], best);
        // Every number can be had again from the folder that the report names.
        let seed = &outcome["rows"][1]["seeds"][1];
        let model = seed["model"].as_str().unwrap();
        let again = json(folder, &format!("evaluate --model {model} --data data.csv"));
        assert_eq!(again["mse"], seed["mse"]);
        assert_eq!(again["mae"], seed["mae"]);
    }
    let report = std::fs::read_to_string(folder.join("table/report.md")).unwrap();
    for part in ["# Small things", "| theirs | 0.5500 |", "plain + short patches", "ridge", "± "] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(folder.join("table/report.html").is_file());
    let error = run(folder, "benchmark --suite suite.toml --out table --only other");
    assert_eq!(error.status.code(), Some(2));
    assert!(stderr(&error).contains("\"other\" is not in the suite"), "{}", stderr(&error));
}

const PANELS: &str = r#"
title = "Small panels"
seeds = [0]
[[panels]]
name = "monthly"
group = "both"
metric = "smape"
source = { data = "panel.csv", split = "last:4", season = 12 }
[[panels]]
name = "half"
group = "both"
metric = "smape"
horizon = 2
source = { data = "panel.csv", targets = ["y"], split = "last:4", season = 12 }
[[published]]
name = "theirs"
source = "nowhere"
errors = { both = 7.5 }
"#;

/// Three series of months, each with a season of its own size.
fn panel() -> String {
    let mut text = "id,month,y\n".to_owned();
    for (number, id) in ["a", "b", "c"].into_iter().enumerate() {
        for row in 0..60 {
            let (year, month) = (2000 + row / 12, row % 12 + 1);
            let season = 1.0 + 0.2 * (number + 1) as f64 * (month as f64 * 0.52).sin();
            let value = season * (50.0 + row as f64) * 10f64.powi(number as i32);
            text += &format!("{id},{year}-{month:02}-01,{value:.3}\n");
        }
    }
    text
}

#[test]
fn a_suite_of_panels_scores_the_default_forecaster_and_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // The file is not here, but in the folder of data sets.
    std::fs::create_dir(folder.join("sets")).unwrap();
    std::fs::write(folder.join("sets/panel.csv"), panel()).unwrap();
    std::fs::write(folder.join("suite.toml"), PANELS).unwrap();
    let benchmark = |more: &str| {
        let arguments = format!("benchmark --suite suite.toml --out table --json {more}");
        let mut command = ptsm(folder);
        command.env("PTSM_DATA_DIR", folder.join("sets")).args(arguments.split_whitespace());
        command.output().unwrap()
    };
    let read = |output: std::process::Output| -> Value {
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let first = read(benchmark("--only monthly"));
    let all = read(benchmark(""));
    // What was there has the same numbers, seconds included: nothing ran again.
    assert_eq!(all["scores"][0], first["scores"][0]);
    let [monthly, half] = [&all["scores"][0], &all["scores"][1]];
    assert_eq!((&monthly["points"], &half["points"]), (&12.into(), &18.into()));
    let model = monthly["model"].as_str().unwrap();
    let again = json(folder, &format!("evaluate --model {model} --data sets/panel.csv"));
    assert_eq!(again["smape"], monthly["errors"]["ptsm"]);
    assert_eq!(again["verdict"]["measure"], "sMAPE");
    let naive =
        again["baselines"].as_array().unwrap().iter().find(|b| b["name"] == "seasonal_naive");
    assert_eq!(naive.unwrap()["smape"], monthly["errors"]["seasonal_naive"]);
    let report = std::fs::read_to_string(folder.join("table/report.md")).unwrap();
    for part in
        ["# Small panels", "| theirs | - | - | 7.50 |", "both, sMAPE %", "## What was chosen"]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(folder.join("table/report.html").is_file());
    let error = stderr(&benchmark("--horizons 4"));
    assert!(error.contains("have their own"), "{error}");
    let error = stderr(&benchmark("--only other"));
    assert!(error.contains("\"other\" is not in the suite (monthly, half)"), "{error}");
}

const SPACE: &str = r#"
[base.model]
context_length = 24
prediction_length = 4
patch_length = 8
patch_stride = 8
d_model = 4
num_layers = 1
[base.training]
epochs = 4
batch_size = 32
[[axes]]
name = "rate"
choices = [{ training = { learning_rate = 1e-3 } }, { training = { learning_rate = 1e-2 } }]
[[axes]]
name = "patches"
choices = [{}, { model = { patch_length = 4, patch_stride = 4 } }]
"#;

#[test]
fn a_search_finds_a_recipe_and_goes_on_where_it_stopped() {
    let folder = folder_with_data();
    let folder = folder.path();
    std::fs::write(folder.join("space.toml"), SPACE).unwrap();
    let arguments = "tune --data data.csv --space space.toml --out found --budget 60s --rungs 2";
    let found = json(folder, arguments);
    // All four recipes, and the better two of them for longer.
    assert_eq!(found["trials"], 6);
    let again = json(folder, arguments);
    assert_eq!(again, found);
    ok(folder, "train --data data.csv --recipe found/recipe.toml --out model -q");
    let trained = json(folder, "evaluate --model model --data data.csv --split validation");
    let searched = found["validation_loss"].as_f64().unwrap();
    assert!((trained["mse"].as_f64().unwrap() - searched).abs() < 1e-6 * searched);
    let error = stderr(&run(folder, "tune --data data.csv --out x --budget soon"));
    assert!(error.contains("wanted 30m, 2h, 90s or a number of seconds"), "{error}");
}

#[test]
fn an_automatic_recipe_trains_and_says_why() {
    let folder = folder_with_data();
    let folder = folder.path();
    let arguments = "train --data data.csv --recipe auto --prediction-length 4 --epochs 1 --out m";
    let output = run(folder, arguments);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    for part in ["recipe auto:", "in whole seasons", "ridge regression", "training windows"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let config = &json(folder, "inspect m")["config"];
    // A third of 350 training rows, in days; the flag about epochs wins over the recipe.
    assert_eq!(config["context_length"], 96);
    assert_eq!(config["ptsm"]["linear_skip"], true);
    let record = std::fs::read_to_string(folder.join("m/training.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["training"]["epochs"], 1);
}
