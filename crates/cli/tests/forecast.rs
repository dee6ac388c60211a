//! Forecasts by the model inside the binary, through the command.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{csv, json, ok, run, stderr, trained};

/// Monthly rows of two channels of other size, with a season of twelve.
fn monthly(rows: usize) -> String {
    let mut text = "month,small,large\n".to_owned();
    for row in 0..rows {
        let season = (row as f64 * std::f64::consts::TAU / 12.0).sin();
        let noise = ((row * row * 7 + row) % 11) as f64 / 11.0;
        let value = 10.0 + 3.0 * season + 0.02 * row as f64 + 0.2 * noise;
        let (year, month) = (2000 + row / 12, row % 12 + 1);
        text += &format!("{year}-{month:02}-01,{value},{}\n", 1e6 * value);
    }
    text
}

fn folder(rows: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), monthly(rows)).unwrap();
    folder
}

/// The median forecasts of one channel.
fn values(folder: &Path, arguments: &str, channel: usize) -> Vec<f64> {
    let all = json(folder, arguments);
    let steps = all["forecasts"][0]["values"].as_array().unwrap().iter();
    steps.map(|step| step[channel].as_f64().unwrap()).collect()
}

#[test]
fn a_table_is_forecast_without_training() {
    let folder = folder(96);
    let folder = folder.path();
    let output = run(folder, "forecast data.csv --plot p.svg --out f.parquet");
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("12 steps ahead, a season of 12 steps"), "{said}");
    assert!(folder.join("p.svg").is_file() && folder.join("f.parquet").is_file());
    let text = ok(folder, "forecast data.csv --levels 50 --horizon 2 -q");
    assert_eq!(
        text.lines().next().unwrap(),
        "month,small_q0.25,small,small_q0.75,large_q0.25,large,large_q0.75"
    );
    assert!(text.contains("\n2008-01-01,"), "{text}");
    let small = values(folder, "forecast data.csv", 0);
    let large = values(folder, "forecast data.csv", 1);
    for (step, (small, large)) in small.iter().zip(&large).enumerate() {
        let season = (step as f64 * std::f64::consts::TAU / 12.0).sin();
        let wanted = 12.0 + 3.0 * season;
        assert!((small - wanted).abs() < 0.8, "{small} {wanted}");
        assert!((large / small / 1e6 - 1.0).abs() < 1e-3, "{small} {large}");
    }
}

#[test]
fn commands_agree_and_longer_forecasts_begin_as_shorter_ones() {
    let folder = folder(96);
    let folder = folder.path();
    let long = values(folder, "forecast data.csv --horizon 100", 0);
    assert_eq!(long.len(), 100);
    let short = values(folder, "forecast data.csv --horizon 12", 0);
    assert_eq!(long[..12], short);
    let predicted =
        values(folder, "predict --model builtin --data data.csv --prediction-length 12", 0);
    assert_eq!(predicted, short);
    let stream =
        "stream --model builtin --like data.csv --prediction-length 12 --input data.csv -q";
    let lines = ok(folder, stream);
    let last = lines.lines().rfind(|line| line.contains("\"forecast\"")).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    let first = last["forecast"]["small"][0].as_f64().unwrap();
    assert_eq!(first, short[0], "{last}");
    let scores = json(folder, "evaluate --model builtin --data data.csv --split last:12");
    assert_eq!(scores["prediction_length"], 12);
    assert!(scores["mase"].as_f64().unwrap() < 1.0, "{scores}");
    assert!(scores["probabilistic"]["intervals"][0]["coverage"].is_f64(), "{scores}");
    let model = json(folder, "inspect builtin");
    assert!(model["num_parameters"].as_u64().unwrap() > 100_000);
}

#[test]
fn training_starts_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(1200)).unwrap();
    let train = "train --data data.csv --out tuned --init builtin --few-shot 0.2 --epochs 1 -q";
    ok(folder, &format!("{train} --horizon 4"));
    let tuned = json(folder, "inspect tuned");
    assert_eq!(tuned["config"]["context_length"], 128);
    let whole = train.replace("tuned", "whole");
    let kept = format!("{whole} --targets load --keep-head --horizon 48 --loss quantile");
    ok(folder, &format!("{kept} --quantiles 0.025,0.1,0.5,0.9,0.975"));
}

#[test]
fn what_it_cannot_do_is_refused() {
    let folder = folder(40);
    let folder = folder.path();
    for (arguments, wanted) in [
        ("forecast data.csv --levels 99", "levels: 99 must be a percentage from 1 to 95"),
        ("forecast data.csv --horizon 0", "0 must be from 1 to 10000"),
        ("calibrate --model builtin --data data.csv", "builtin is no model directory"),
        ("train --data data.csv --out builtin", "use ./builtin"),
        ("predict --model builtin --data data.csv --heads main", "heads"),
        ("stream --model builtin --input data.csv", "like: is missing"),
        ("forecast data.csv --out data.csv", "it would be written over"),
        ("stream --model builtin --like data.csv --state data.csv", "it would be written over"),
        ("forecast data.csv --horizon 10001", "10001 must be from 1 to 10000"),
        ("forecast data.csv --levels 0.001", "must be a percentage"),
        ("evaluate --model builtin --data data.csv --heads main", "without heads"),
    ] {
        let output = run(folder, arguments);
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(wanted), "{arguments}: {said}");
    }
}

#[test]
fn a_trained_model_keeps_its_own_steps_and_season() {
    let folder = trained();
    let folder = folder.path();
    for (arguments, wanted) in [
        ("predict --model model --data data.csv --season 12", "season"),
        (
            "evaluate --model model --data data.csv --prediction-length 3",
            "--prediction-length: is for",
        ),
        ("forecast data.csv --model model", "use ptsm predict"),
        ("stream --model model --like data.csv --input data.csv", "like"),
    ] {
        let output = run(folder, arguments);
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(wanted), "{arguments}: {said}");
    }
}

/// The value of a row.
type Value = fn(i32) -> f64;

#[test]
fn odd_tables_are_forecast_and_what_is_unknown_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &str, rows: &[String]| {
        std::fs::write(folder.join(name), format!("a,b\n{}\n", rows.join("\n"))).unwrap();
    };
    let wave = |t: i32| 2.0 + (f64::from(t) * 0.5).sin();
    // b has no value in the last 200 rows.
    let old = |t: i32| if t < 50 { format!("{},1", wave(t)) } else { format!("{},", wave(t)) };
    write("old.csv", &(0..250).map(old).collect::<Vec<_>>());
    let output = run(folder, "forecast old.csv --season 1 --horizon 2");
    let said = stderr(&output);
    assert!(output.status.success() && said.contains("b: no value in the last 128 rows"), "{said}");
    write("short.csv", &(0..20).map(|t| format!("{},{t}", wave(t))).collect::<Vec<_>>());
    let output = run(folder, "evaluate --model builtin --data short.csv --prediction-length 9");
    let said = stderr(&output);
    assert!(output.status.success() && said.contains("too short for training"), "{said}");
    let sampled = ok(folder, "predict --model builtin --data short.csv --samples 3 -q");
    assert_eq!(sampled.lines().count(), 1 + 3 * 2, "{sampled}");
    // A spike, growth and zeros: finite, ordered, never below zero, at most a hundred times beyond.
    let cases: [(&str, Value); 3] = [
        ("spike.csv", |t| if t == 59 { 1e9 } else { 100.0 + f64::from(t % 7) }),
        ("growth.csv", |t| (f64::from(t) / 3.0).exp()),
        ("zeros.csv", |t| if t % 3 == 0 { f64::from(t % 4) } else { 0.0 }),
    ];
    for (name, value) in cases {
        write(name, &(0..60).map(|t| format!("{},1", value(t))).collect::<Vec<_>>());
        let most = (0..60).map(value).fold(0.0, f64::max);
        let text = ok(folder, &format!("forecast {name} --horizon 60 -q"));
        for line in text.lines().skip(1) {
            let cells = line.split(',').skip(1).take(5).map(|cell| cell.parse().unwrap());
            let cells: Vec<f64> = cells.collect();
            assert!(cells.windows(2).all(|pair| pair[0] <= pair[1]), "{name}: {line}");
            assert!(cells[0] >= 0.0 && cells[4] <= 101.0 * most, "{name}: {line}");
        }
    }
}

#[test]
fn baselines_see_what_is_forecast_from_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Ten weeks are looked at for a component of a week; these rows hold less than three.
    std::fs::write(folder.join("hourly.csv"), csv(480)).unwrap();
    let line = "evaluate --model builtin --data hourly.csv --targets load --split last:24";
    let output = run(folder, line);
    assert!(!stderr(&output).contains("shorter than a window"), "{}", stderr(&output));
    let scores = json(folder, line);
    assert_eq!(scores["context_length"], 1680);
    let baselines = scores["baselines"].as_array().unwrap();
    assert_eq!(baselines.len(), 5, "{scores}");
    for baseline in baselines {
        assert!(baseline["mase"].is_number(), "{baseline}");
    }
}
