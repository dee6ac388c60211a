//! `ptsm backtest`: its files, its scores, what it refuses, and how it resumes after it was killed.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{TINY, csv, json, ok, ptsm, run, stderr, trained};

/// A long table of series of different lengths.
fn panel(series: usize) -> String {
    let mut text = "id,time,y\n".to_owned();
    for number in 0..series {
        for row in 0..60 + number % 7 {
            let t = row as f64;
            let value = 20.0 + number as f64 + 4.0 * (t * 0.5).sin() + (row % 5) as f64;
            text += &format!("s{number},{row},{value:.3}\n");
        }
    }
    text
}

#[test]
fn a_row_for_each_step_goes_into_every_format() {
    let folder = trained();
    let folder = folder.path();
    let backtest = "backtest --model model --data data.csv --windows 3 -q --out";
    let printed = ok(folder, &format!("{backtest} f.csv"));
    assert!(printed.contains("repeat_last") && printed.contains("model from cutoff"), "{printed}");
    let text = std::fs::read_to_string(folder.join("f.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), "cutoff,time,load_actual,wind_actual,load,wind");
    assert_eq!(lines.clone().count(), 3 * 4);
    // 400 hourly rows: the last cutoff is the row before the last four.
    let last = "2024-01-17 11:00,2024-01-17 12:00,";
    assert!(lines.clone().any(|line| line.starts_with(last)), "{text}");
    for name in ["f.parquet", "f.arrow", "f.json", "f.jsonl"] {
        ok(folder, &format!("{backtest} {name}"));
        let again = ok(folder, &format!("inspect {name} --timestamp time"));
        assert!(again.contains("12 rows"), "{name}: {again}");
    }
    // The network has no intervals, the model inside the binary has.
    let names = "--windows 1 --prediction-length 3 -q --interval-names nixtla --out n.csv";
    ok(folder, &format!("backtest --model builtin --data data.csv {names}"));
    let text = std::fs::read_to_string(folder.join("n.csv")).unwrap();
    let wanted = "cutoff,time,load_actual,wind_actual,load,load-lo-95,load-lo-80,load-hi-80,";
    assert!(text.starts_with(wanted), "{text}");
    assert!(!folder.join("f.csv.partial").exists());
}

#[test]
fn a_cutoff_is_forecast_as_predict_forecasts_the_cut_file() {
    let folder = trained();
    let folder = folder.path();
    let rows: Vec<String> = csv(400).lines().map(str::to_owned).collect();
    std::fs::write(folder.join("cut.csv"), rows[..=400 - 12].join("\n") + "\n").unwrap();
    for model in ["model", "builtin"] {
        let steps = if model == "builtin" { "--prediction-length 4" } else { "" };
        ok(
            folder,
            &format!("backtest --model {model} --data data.csv --windows 3 {steps} -q --out f.csv"),
        );
        let predicted = ok(folder, &format!("predict --model {model} --data cut.csv {steps} -q"));
        // The first cutoff without the columns of cutoff and truth.
        let text = std::fs::read_to_string(folder.join("f.csv")).unwrap();
        let kept = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[1..2], &cells[4..]].concat().join(",")
        };
        let found: Vec<String> = text.lines().take(5).map(kept).collect();
        assert_eq!(found, predicted.lines().collect::<Vec<_>>(), "{model}");
    }
}

#[test]
fn json_has_scores_overall_and_by_cutoff_step_and_series() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("panel.csv"), panel(12)).unwrap();
    let arguments = "backtest --model builtin --data panel.csv --windows 2 --step 3 \
                     --prediction-length 6 --season 5 --versus builtin";
    let got = json(folder, arguments);
    assert_eq!(
        (got["windows"].as_u64(), got["step"].as_u64(), got["steps"].as_u64()),
        (Some(2), Some(3), Some(6))
    );
    let models = got["models"].as_array().unwrap();
    assert_eq!(
        (models[0]["name"].as_str(), models[1]["name"].as_str()),
        (Some("builtin"), Some("builtin_"))
    );
    for scores in models.iter().chain(got["baselines"].as_array().unwrap()) {
        for key in ["mae", "rmse", "mase", "rmsse", "smape", "mape", "wape"] {
            assert!(scores["overall"][key].is_f64(), "{key}: {}", scores["overall"]);
        }
        assert_eq!(scores["by_cutoff"].as_array().unwrap().len(), 2);
        assert_eq!(scores["by_step"].as_array().unwrap().len(), 6);
        assert_eq!(scores["by_series"].as_array().unwrap().len(), 12);
    }
    let overall = &models[0]["overall"];
    assert_eq!(
        (overall["points"].as_u64(), overall["quantiles"].as_array().unwrap().len()),
        (Some(144), 9)
    );
    assert!(overall["crps"].is_f64() && overall["intervals"][0]["msis"].is_f64());
    let rival = &got["comparisons"][0];
    assert_eq!(
        (rival["with"].as_str(), rival["metrics"][0]["won"].as_f64()),
        (Some("builtin_"), Some(0.0))
    );
    let names: Vec<&str> = got["baselines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["repeat_last", "seasonal_naive", "drift", "theta", "ridge"]);
    let bare = json(folder, &format!("{arguments} --no-baselines"));
    assert_eq!(bare["baselines"].as_array().unwrap().len(), 0);
}

#[test]
fn what_the_model_was_trained_on_is_said_and_refits_are_not() {
    let folder = trained();
    let folder = folder.path();
    let printed = ok(folder, "backtest --model model --data data.csv --windows 60 -q");
    assert!(printed.contains("(trained on)") && printed.contains("a refit before"), "{printed}");
    let output = run(folder, "backtest --model model --data data.csv --windows 60");
    let fair = "ptsm backtest --model model --data data.csv --windows 60 --refit every:1";
    assert!(stderr(&output).contains(fair), "{}", stderr(&output));
    let again = ok(folder, "backtest --model model --data data.csv --windows 3 --refit every:2 -q");
    assert!(!again.contains("trained on"), "{again}");
}

#[test]
fn pictures_and_the_report_are_there() {
    let folder = trained();
    let folder = folder.path();
    ok(
        folder,
        "backtest --model model --data data.csv --windows 3 -q --plot b.png --report b.html",
    );
    let png = std::fs::read(folder.join("b.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    let page = std::fs::read_to_string(folder.join("b.html")).unwrap();
    for wanted in ["Backtest of model on data.csv", "Error by step", "By cutoff", "<svg"] {
        assert!(page.contains(wanted), "{wanted}");
    }
}

#[test]
fn heads_are_compared_with_each_other() {
    let folder = trained();
    let folder = folder.path();
    ok(
        folder,
        &format!(
            "train --data data.csv --out long -q --init model --freeze backbone {TINY} --seed 5"
        ),
    );
    ok(folder, "heads add --model model --from long --name long -q");
    let got = json(folder, "backtest --model model --data data.csv --windows 2 --heads main,long");
    let names: Vec<&str> =
        got["models"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["main", "long"]);
    assert_eq!(got["comparisons"][0]["with"], "long");
    let output =
        run(folder, "backtest --model model --data data.csv --heads main,long --refit every:1");
    assert!(stderr(&output).contains("refit: is for whole models"), "{}", stderr(&output));
}

#[test]
fn what_is_not_used_or_impossible_is_refused() {
    let folder = trained();
    let folder = folder.path();
    for (arguments, wanted) in [
        ("--model builtin --refit every:1", "--refit: would not be used"),
        ("--model model --refit sometimes", "never or every:K"),
        ("--model model --windows 0", "--windows: 0 must be at least 1"),
        ("--model model --step 0", "--step: 0 must be at least 1"),
        ("--model model --prediction-length 500", "500 rows before the end"),
        ("--model model --out f.xls", "ends in .csv"),
        ("--model model --interval-names nixtla", "--out"),
        (
            "--model model --interval-names nixtla --out f.csv",
            "--interval-names: would not be used",
        ),
    ] {
        let output = run(folder, &format!("backtest --data data.csv {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(wanted), "{arguments}: {}", stderr(&output));
    }
    assert!(!folder.join("f.xls.partial").exists());
}

/// Waits for so many whole lines in a file.
fn wait_for(path: &Path, lines: usize) {
    let began = Instant::now();
    let count =
        || std::fs::read(path).map_or(0, |bytes| bytes.iter().filter(|&&b| b == b'\n').count());
    while count() < lines {
        assert!(began.elapsed() < Duration::from_secs(120), "{} does not grow", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_run_goes_on_to_the_same_file_and_scores() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("panel.csv"), panel(700)).unwrap();
    let arguments = |out: &str| {
        format!(
            "backtest --model builtin --data panel.csv --windows 6 --prediction-length 7 --json --threads 1 --out {out}"
        )
    };
    let whole = ok(folder, &(arguments("whole.csv") + " -q"));
    let begun = arguments("killed.csv");
    let mut child = ptsm(folder).args(begun.split_whitespace()).spawn().unwrap();
    wait_for(&folder.join("killed.csv.partial"), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join("killed.csv").exists(), "it was killed before its end");
    let output = run(folder, &begun);
    assert!(stderr(&output).contains("resumes from killed.csv.partial"), "{}", stderr(&output));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), whole);
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(bytes("killed.csv") == bytes("whole.csv"));
    assert!(!folder.join("killed.csv.partial").exists());
}
