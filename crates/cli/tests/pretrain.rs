//! Simulated series and the forecaster that is trained on them, through the command.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{csv, json, ok, ptsm, run, stderr};

/// A run of six validations.
const SMALL: &str = "--validate-every 20 --batch-size 16 --context-length 48 --horizon 8 \
    --patch-length 8 --patch-stride 8 --d-model 8 --num-layers 1 --dropout 0.1 --checkpoint-steps 1 -q";

/// Weights, and log and record but for their seconds.
fn outcome(folder: &Path, out: &str) -> (Vec<u8>, Vec<serde_json::Value>) {
    let dir = folder.join(out);
    let weights = std::fs::read(dir.join("model.safetensors")).unwrap();
    let log = std::fs::read_to_string(dir.join("validation.jsonl")).unwrap();
    let record = std::fs::read_to_string(dir.join("training.json")).unwrap();
    let mut values: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    values.iter_mut().for_each(|row| row["seconds"] = 0.into());
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["simulation"]["hours"] = 0.into();
    for epoch in record["history"]["epochs"].as_array_mut().unwrap() {
        epoch["seconds"] = 0.into();
    }
    values.push(record);
    (weights, values)
}

/// Two monthly series with a season of twelve, and their last values.
fn monthly() -> String {
    let mut text = "unique_id,t,y\n".to_owned();
    for (name, level) in [("a", 100.0), ("b", 5.0)] {
        for t in 0..40 {
            let season = (f64::from(t) * std::f64::consts::TAU / 12.0).sin();
            text +=
                &format!("{name},{},{:.4}\n", t + 1, level * (2.0 + season + 0.01 * f64::from(t)));
        }
    }
    text
}

#[test]
fn a_killed_run_resumes_to_the_same_bits_and_threads_change_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("real.csv"), monthly()).unwrap();
    let line =
        |out: &str| format!("pretrain --out {out} --validate real.csv:6:12 --windows 1920 {SMALL}");
    let began = Instant::now();
    ok(folder, &line("whole"));
    let whole_time = began.elapsed();
    let whole = outcome(folder, "whole");
    assert_eq!(whole.1.len(), 7);
    ok(folder, &(line("one") + " --threads 1"));
    assert!(outcome(folder, "one") == whole);
    for (i, share) in [0.3, 0.55, 0.8].into_iter().enumerate() {
        let out = format!("killed{i}");
        let arguments = line(&out);
        let mut child = ptsm(folder).args(arguments.split_whitespace()).spawn().unwrap();
        std::thread::sleep(whole_time.mul_f64(share).max(Duration::from_millis(1)));
        child.kill().unwrap();
        child.wait().unwrap();
        ok(folder, &(arguments + " --resume"));
        assert!(outcome(folder, &out) == whole, "killed after {share} of the time");
    }
    let output = run(folder, &(line("whole") + " --resume --without walk"));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("resume"), "{}", stderr(&output));
}

#[test]
fn the_model_forecasts_short_and_long_files_under_any_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &format!("pretrain --out model {SMALL} --windows 320"));
    std::fs::write(folder.join("long.csv"), monthly()).unwrap();
    std::fs::write(folder.join("short.csv"), "y\n3\n4\n6\n5\n7\n8\n").unwrap();
    std::fs::write(folder.join("wide.csv"), csv(300)).unwrap();
    let forecast = ok(folder, "predict --model model --data long.csv --prediction-length 8");
    let header = "unique_id,t,y_q0.025,y_q0.1,y,y_q0.9,y_q0.975";
    assert!(forecast.starts_with(header), "{forecast}");
    assert_eq!(forecast.lines().count(), 17, "{forecast}");
    assert!(forecast.lines().nth(1).unwrap().starts_with("a,41,"), "{forecast}");
    for line in forecast.lines().skip(1) {
        let cells = line.split(',').skip(2).map(|cell| cell.parse().unwrap());
        let cells: Vec<f64> = cells.collect();
        assert!(cells.windows(2).all(|pair| pair[0] < pair[1]), "{line}");
    }
    let short = ok(folder, "predict --model model --data short.csv --prediction-length 20");
    assert_eq!(short.lines().count(), 21);
    let hourly = ok(folder, "predict --model model --data wide.csv --targets load");
    assert!(hourly.lines().nth(1).unwrap().starts_with("2024-01-13 12:00,"), "{hourly}");
    let both = ok(folder, "predict --model model --data wide.csv");
    assert!(both.lines().next().unwrap().contains(",load,") && both.contains(",wind,"), "{both}");
    // As many steps are forecast as are scored; the season is that of the rows.
    let scores = json(folder, "evaluate --model model --data long.csv --split last:6");
    assert_eq!((&scores["windows"], &scores["prediction_length"]), (&2.into(), &6.into()));
    assert_eq!(scores["model"]["points"], serde_json::Value::Null);
    assert_eq!(scores["probabilistic"]["points"], 12, "{scores}");
}

#[test]
fn training_is_continued_on_new_windows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &format!("pretrain --out first {SMALL} --windows 320"));
    let more = "--validate-every 20 --batch-size 16 --windows 320 --seed 7 -q";
    // Without a learning rate the network stays what it was; with one it gets better on the held-back windows.
    let still = format!("pretrain --init first --out still {more} --learning-rate 1e-30");
    ok(folder, &still);
    assert_eq!(outcome(folder, "still").0, outcome(folder, "first").0);
    ok(folder, &format!("pretrain --init first --out second {more}"));
    let loss = |out: &str| {
        let last = &outcome(folder, out).1[0];
        last["validation_loss"].as_f64().unwrap()
    };
    assert!(loss("second") < loss("still"), "{} {}", loss("second"), loss("still"));
    assert_eq!(outcome(folder, "second").1.last().unwrap()["init"], true);
    let config = |out: &str| std::fs::read_to_string(folder.join(out).join("config.json")).unwrap();
    assert_eq!(config("second"), config("first"));
    std::fs::write(folder.join("real.csv"), csv(300)).unwrap();
    ok(folder, "train --data real.csv --out own --epochs 1 --context-length 32 --horizon 8 -q");
    for (wrong, says) in [
        ("--init first --d-model 8", "leave out the options of the model"),
        ("--init own", "is no network of ptsm pretrain"),
        ("--init nowhere", "nowhere"),
    ] {
        let output = run(folder, &format!("pretrain --out other {more} {wrong}"));
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{wrong}: {}", stderr(&output));
        assert!(!folder.join("other").exists(), "{wrong}");
    }
}

#[test]
fn forecasts_scale_and_shift_with_their_series() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, &format!("pretrain --out model {SMALL} --windows 320"));
    let rows = |times: f64, plus: f64| {
        let value = |t: i32| times * (f64::from(t) * 0.7).sin() + plus;
        let rows: String = (0..30).map(|t| format!("{}\n", value(t))).collect();
        format!("y\n{rows}")
    };
    let first = |text: String| {
        std::fs::write(folder.join("x.csv"), text).unwrap();
        let forecast = ok(folder, "predict --model model --data x.csv");
        forecast.lines().nth(1).unwrap().split(',').nth(3).unwrap().parse::<f64>().unwrap()
    };
    let (plain, moved) = (first(rows(1.0, 0.0)), first(rows(1000.0, 5e4)));
    assert!((moved - (1000.0 * plain + 5e4)).abs() < 2.0, "{plain} {moved}");
}

#[test]
fn simulated_tables_are_the_same_in_any_part_and_on_any_thread() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ok(folder, "simulate --out all.csv --series 6 --length 30 --seed 5");
    ok(folder, "simulate --out one.csv --series 6 --length 30 --seed 5 --threads 1");
    ok(folder, "simulate --out part.csv --series 2 --first 3 --length 30 --seed 5");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("all.csv"), read("one.csv"));
    let rows = |name: &str, series: &str| -> Vec<String> {
        let own = format!("{series},");
        read(name).lines().filter(|line| line.starts_with(&own)).map(str::to_owned).collect()
    };
    assert_eq!(rows("all.csv", "s4"), rows("part.csv", "s4"));
    assert_eq!(rows("all.csv", "s4").len(), 30);
    let counts = "simulate --out counts.parquet --series 9 --length 20 --family counts=1";
    assert_eq!(json(folder, counts)["series"], 9);
    let list = json(folder, "simulate --list");
    assert!(list["families"].as_array().unwrap().len() >= 8, "{list}");
    for (wrong, says) in [
        ("--family walks", "\"walks\" is not one of smoothing"),
        ("--effect floor", "has no chance"),
        ("--without none", "is not one of"),
        ("--length 3", "at least 8"),
    ] {
        let output = run(folder, &format!("simulate --out x.csv {wrong}"));
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn options_that_a_generator_has_no_use_for_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (option, says) in [
        ("--epochs 3", "epochs: is not used"),
        ("--patience 2", "patience: is not used"),
        ("--transform log1p", "transform: is not used"),
        ("--scaling mean --location mean", "scaling: "),
        ("--validate x.csv", "FILE:STEPS"),
        ("--windows many", "30M"),
    ] {
        let output = run(folder.path(), &format!("pretrain --out m {option}"));
        assert_eq!(output.status.code(), Some(2), "{option}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}
