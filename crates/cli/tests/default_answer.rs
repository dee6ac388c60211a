//! `ptsm train` without options of the model: what it chooses, and that every command serves it.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::{TINY, json, ok, ptsm, run, stderr};
use serde_json::Value;

/// Months with a trend and a season that grows with it.
fn months(rows: usize, id: Option<&str>) -> String {
    let mut text = String::new();
    for row in 0..rows {
        let season = (row as f64 * std::f64::consts::TAU / 12.0).sin();
        let noise = 0.02 * ((row * 37 % 11) as f64 - 5.0) / 5.0;
        let value = (100.0 + 3.0 * row as f64) * (1.0 + 0.3 * season + noise);
        let (year, month) = (2000 + row / 12, row % 12 + 1);
        let id = id.map_or(String::new(), |id| format!("{id},"));
        text += &format!("{id}{year}-{month:02}-01,{value:.3}\n");
    }
    text
}

fn folder(rows: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("month,sales\n{}", months(rows, None));
    std::fs::write(folder.path().join("data.csv"), text).unwrap();
    folder
}

fn sentence(folder: &Path, arguments: &str) -> Value {
    json(folder, &format!("train --data data.csv --out m -q {arguments}"))
}

#[test]
fn the_shortest_command_beats_the_seasonal_naive_and_says_what_it_chose() {
    let folder = folder(150);
    let folder = folder.path();
    let trained = sentence(folder, "");
    let choice = &trained["choice"];
    assert_eq!(choice["rule"], 4);
    let names: Vec<&str> = choice["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for name in [
        "network",
        "level_networks",
        "log_ridge",
        "ridge",
        "theta",
        "ets",
        "drift",
        "seasonal_naive",
        "repeat_last",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    let weights = choice["candidates"].as_array().unwrap().iter();
    let sum: f64 = weights.map(|one| one["weight"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{choice}");
    let errors: Vec<f64> = choice["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["error"].as_f64().unwrap())
        .collect();
    assert!(errors.is_sorted() && choice["error"].as_f64().unwrap() <= errors[0], "{choice}");
    assert!(trained["sentence"].as_str().unwrap().contains("validation windows"), "{trained}");
    let kept: Value =
        serde_json::from_slice(&std::fs::read(folder.join("m/choice.json")).unwrap()).unwrap();
    assert_eq!(kept, *choice);
    // 12 months, as is usual for months.
    assert_eq!(ok(folder, "predict --model m --data data.csv -q").lines().count(), 13);
    let scores = json(folder, "evaluate --model m --data data.csv -q");
    let naive = &scores["baselines"][1];
    assert_eq!(naive["name"], "seasonal_naive");
    assert!(scores["mase"].as_f64() < naive["mase"].as_f64(), "{scores}");
    let table = ok(folder, "evaluate --model m --data data.csv -q");
    assert!(table.contains(" than the best baseline, ") || table.contains("as good as"), "{table}");
    assert!(
        ok(folder, "inspect m").contains(": weight ") || !folder.join("m/ensemble.json").exists()
    );
}

#[test]
fn a_stream_of_the_default_forecaster_forecasts_what_predict_does() {
    let folder = folder(120);
    let folder = folder.path();
    sentence(folder, "--horizon 6");
    let wanted = ok(folder, "predict --model m --data data.csv -q");
    let mut child = ptsm(folder)
        .args(["stream", "--model", "m"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = std::fs::read(folder.join("data.csv")).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let column = |name: &str| wanted.lines().next().unwrap().split(',').position(|c| c == name);
    // The intervals come with the choice.
    assert!(column("sales_q0.025") < column("sales") && column("sales") < column("sales_q0.975"));
    for (step, line) in wanted.lines().skip(1).enumerate() {
        let value: f64 = line.split(',').nth(column("sales").unwrap()).unwrap().parse().unwrap();
        assert_eq!(last["forecast"]["sales"][step].as_f64().unwrap(), value, "step {step}");
    }
}

#[test]
fn many_series_get_a_mean_whose_networks_saw_the_validation_part() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "unique_id,t,y\n".to_owned();
    for id in 0..24_u32 {
        let mut level = 10.0_f64.powi((id % 5) as i32);
        for row in 0..30 + id {
            // A random walk of the level, from a simple formula.
            let shock = f64::from((row * 7919 + id * 104_729) % 997) / 997.0 - 0.45;
            level *= 1.0 + 0.2 * shock;
            text += &format!("s{id},{row},{level:.4}\n");
        }
    }
    std::fs::write(folder.join("data.csv"), text).unwrap();
    let trained = sentence(folder, "--split last:6 --metric smape");
    let choice = &trained["choice"];
    assert_eq!(choice["metric"], "smape");
    let candidates = choice["candidates"].as_array().unwrap();
    let taken = candidates.iter().filter(|one| one["weight"].as_f64().unwrap() > 0.0);
    assert!(taken.count() > 1, "{choice}");
    if choice["refitted"] == true {
        let output = run(folder, "calibrate --model m --data data.csv");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("validation part"), "{}", stderr(&output));
    }
    let level = "--scaling level --context-length 12 --horizon 6 --patch-length 4 --epochs 1 -q";
    ok(folder, &format!("train --data data.csv --split last:6 --season 4 --out level {level}"));
    assert!(ok(folder, "inspect level").contains("level (around the last 4 values)"));
    let scores = json(folder, "evaluate --model m --data data.csv -q");
    let last = &scores["baselines"][0];
    assert_eq!(last["name"], "repeat_last");
    assert!(scores["smape"].as_f64() < last["smape"].as_f64(), "{scores}");
    ok(folder, "calibrate --model m --data data.csv --split test");
}

#[test]
fn series_of_a_long_table_that_are_short_are_chosen_for_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "unique_id,ds,y\n".to_owned();
    for (id, rows) in [("a", 40), ("b", 60), ("c", 31), ("d", 75)] {
        text += &months(rows, Some(id));
    }
    std::fs::write(folder.join("data.csv"), text).unwrap();
    let trained = sentence(folder, "--split last:6");
    assert!(trained["choice"]["windows"].as_u64().unwrap() >= 4, "{trained}");
    let forecasts = ok(folder, "predict --model m --data data.csv -q");
    assert_eq!(forecasts.lines().count(), 1 + 4 * 6);
    // The same bits whatever the number of threads.
    let again = ptsm(folder)
        .args(["predict", "--model", "m", "--data", "data.csv", "-q"])
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), forecasts);
}

#[test]
fn a_directory_holds_one_answer_at_a_time() {
    let folder = folder(150);
    let folder = folder.path();
    sentence(folder, "");
    let refused = run(folder, "train --data data.csv --out m");
    assert!(stderr(&refused).contains("holds a model already"), "{}", stderr(&refused));
    // A network alone replaces the mean, and nothing of that is left.
    ok(folder, &format!("train --data data.csv --out m --overwrite -q {TINY}"));
    for stale in ["choice.json", "ensemble.json", "members"] {
        assert!(!folder.join("m").join(stale).exists(), "{stale}");
    }
    sentence(folder, "--overwrite");
    assert!(folder.join("m/choice.json").exists());
    let broken = std::fs::read_to_string(folder.join("m/ensemble.json"));
    if let Ok(text) = broken {
        std::fs::write(folder.join("m/ensemble.json"), text.replace("\"weight\"", "\"wait\""))
            .unwrap();
        ok(folder, "verify m --accept");
        let error = stderr(&run(folder, "predict --model m --data data.csv"));
        assert!(error.contains("does not describe an ensemble"), "{error}");
    }
}

#[test]
fn gaps_and_a_missing_validation_part_do_not_stop_a_training() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "day,x\n".to_owned();
    for row in 0..400usize {
        let value =
            5.0 + (row as f64 * std::f64::consts::TAU / 7.0).sin() + (row % 13) as f64 * 0.05;
        let cell = if row % 7 == 3 { String::new() } else { format!("{value:.3}") };
        text += &format!("{row},{cell}\n");
    }
    std::fs::write(folder.join("data.csv"), &text).unwrap();
    let trained = sentence(folder, "");
    assert!(trained["choice"]["windows"].as_u64().unwrap() > 0, "{trained}");
    ok(folder, "predict --model m --data data.csv -q");
    std::fs::write(folder.join("data.csv"), format!("month,sales\n{}", months(150, None))).unwrap();
    let trained = sentence(folder, "--overwrite --split 1:0:0");
    assert!(trained["sentence"].as_str().unwrap().contains("no validation part"), "{trained}");
}

#[test]
fn resuming_a_finished_training_is_refused_and_foreign_files_stay() {
    let folder = folder(150);
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("m/members/x")).unwrap();
    std::fs::write(folder.join("m/members/people.csv"), "precious").unwrap();
    sentence(folder, "");
    sentence(folder, &format!("--overwrite {TINY}"));
    sentence(folder, "--overwrite");
    assert!(folder.join("m/members/people.csv").exists() && folder.join("m/members/x").exists());
    ok(folder, &format!("train --data data.csv --out plain -q {TINY}"));
    // As an earlier version left it: nothing says what the run was asked for.
    std::fs::remove_file(folder.join("plain/checkpoints/run.json")).unwrap();
    let refused = run(folder, "train --data data.csv --out plain --resume");
    assert!(stderr(&refused).contains("nothing to resume"), "{}", stderr(&refused));
}

#[test]
fn a_network_that_is_described_is_trained_alone() {
    let folder = folder(150);
    let folder = folder.path();
    ok(folder, "train --data data.csv --out m -q --recipe auto --epochs 1");
    assert!(folder.join("m/model.safetensors").exists() && !folder.join("m/choice.json").exists());
}
