//! The examples of the README, as they stand there, in their order, in a folder with nothing but a user's own files.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{TINY, csv, ok};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

/// The page.
const README: &str = include_str!("../../../README.md");

/// What takes long as it stands, in a shorter form: the same command and options with smaller numbers.
const SHORTER: [(&str, &str); 9] = [
    ("cargo run --release -p ptsm-cli -- demo", "ptsm demo --epochs 1"),
    ("--epochs 8", "--epochs 1"),
    ("--budget 30m", "--budget 2s"),
    ("--out moves --task classification", "--out moves --task classification --budget 1s"),
    ("--series 10000", "--series 20"),
    ("--windows 30M", "--windows 256 --validate-every 1 --d-model 8 --num-layers 1"),
    // Do not end.
    ("serve --model load=model --port 8080", "serve --model load=model --check"),
    ("tail -n +1 -f ", "cat "),
    ("--recipe recipes/ablation.toml", "--recipe recipes/ablation.toml --seeds 0"),
];

/// Beginnings and ends of lines that build and test the project, or need a device or a server.
const ELSEWHERE: [&str; 4] = ["curl ", "cargo test", "cargo install", "--backend tenstorrent"];

/// The command lines of the blocks of shell, each without its comment.
fn lines() -> Vec<String> {
    let blocks = README.split("```sh\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap().replace("\\\n", ""));
    let line = |line: &str| line.split(" #").next().unwrap().trim().to_owned();
    blocks.flat_map(|block| block.lines().map(line).collect::<Vec<_>>()).collect()
}

fn is_elsewhere(line: &str) -> bool {
    ELSEWHERE.iter().any(|part| line.starts_with(part) || line.ends_with(part))
}

/// Cases of two channels and two classes.
fn cases() -> String {
    let mut text = "@problemName moves\n@timeStamps false\n@univariate false\n@dimensions 2\n\
                    @classLabel true up down\n@data\n"
        .to_owned();
    for case in 0..12 {
        let sign = if case % 2 == 0 { 1.0 } else { -1.0 };
        let at = |step: i32| f64::from(step) * 0.3 + f64::from(case);
        let one: Vec<String> =
            (0..40).map(|s| format!("{:.3}", sign * f64::from(s) * 0.1 + at(s).sin())).collect();
        let two: Vec<String> = (0..40).map(|s| format!("{:.3}", at(s).cos())).collect();
        let class = if sign > 0.0 { "up" } else { "down" };
        text += &format!("{}:{}:{class}\n", one.join(","), two.join(","));
    }
    text
}

/// Daily sales of 300 days, which fall with the price and rise with a promotion; and the plan of 60 days after them.
fn sales() -> [String; 2] {
    let mut tables = ["day,sold,price,promo\n".to_owned(), "day,price,promo\n".to_owned()];
    let months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().zip(1..);
    let dates = months.flat_map(|(days, month)| (1..=days).map(move |day| (month, day)));
    for ((month, of_month), day) in dates.zip(0..360) {
        let date = format!("2023-{month:02}-{of_month:02}");
        let (price, promo) = (3.0 + f64::from(day * 7 % 11) / 10.0, u8::from(day % 9 < 2));
        let sold = 50.0 + f64::from(day % 7) - 8.0 * price + 12.0 * f64::from(promo);
        match day < 300 {
            true => tables[0] += &format!("{date},{sold:.2},{price:.2},{promo}\n"),
            false => tables[1] += &format!("{date},{price:.2},{promo}\n"),
        }
    }
    tables
}

/// The files that a reader has: a table, cases, the recipes of this repository, and a folder from Hugging Face.
fn prepare(folder: &Path) {
    std::fs::write(folder.join("load.csv"), csv(1200)).unwrap();
    let [sales, plan] = sales();
    std::fs::write(folder.join("sales.csv"), sales).unwrap();
    std::fs::write(folder.join("plan.csv"), plan).unwrap();
    for name in ["moves.ts", "moves_TRAIN.ts", "moves_TEST.ts"] {
        std::fs::write(folder.join(name), cases()).unwrap();
    }
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    std::fs::create_dir(folder.join("recipes")).unwrap();
    for entry in std::fs::read_dir(recipes).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join("recipes").join(path.file_name().unwrap())).unwrap();
    }
    ok(folder, &format!("train --data load.csv --out theirs -q {TINY}"));
    std::fs::create_dir(folder.join("checkpoint-500")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        let to = folder.join("checkpoint-500").join(name);
        std::fs::rename(folder.join("theirs").join(name), to).unwrap();
    }
    std::fs::remove_dir_all(folder.join("theirs")).unwrap();
}

/// A batch for the model that `ptsm trace` runs, whose shape only the trained model tells.
fn write_inputs(folder: &Path) {
    let text = std::fs::read_to_string(folder.join("bands/config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    let size = |name: &str| config[name].as_u64().unwrap() as usize;
    let channels = size("num_input_channels");
    let bytes = |steps: usize| -> Vec<u8> {
        (0..steps * channels).flat_map(|i| (i as f32).sin().to_le_bytes()).collect()
    };
    let (past, future) = (size("context_length"), size("prediction_length"));
    let (seen, ahead) = (bytes(past), bytes(future));
    let view = |steps, bytes| TensorView::new(Dtype::F32, vec![1, steps, channels], bytes).unwrap();
    let tensors =
        [("in.past_values", view(past, &seen)), ("in.future_values", view(future, &ahead))];
    safetensors::serialize_to_file(tensors, None, &folder.join("in.safetensors")).unwrap();
}

/// Runs a line in a shell that finds `ptsm`.
fn shell(folder: &Path, line: &str) {
    let bin = Path::new(env!("CARGO_BIN_EXE_ptsm")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", path)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env_remove("PTSM_DATA_DIR")
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(unix)]
#[test]
fn the_examples_of_the_readme_run_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let mut ran = 0;
    for line in lines().iter().filter(|line| !line.is_empty() && !is_elsewhere(line)) {
        if line.starts_with("ptsm trace") {
            write_inputs(folder);
        }
        if line.starts_with("ptsm compare") {
            // What another implementation would have written.
            let (ours, theirs) = ("ours.safetensors", "reference.safetensors");
            std::fs::copy(folder.join(ours), folder.join(theirs)).unwrap();
        }
        let shorter = |line: String, (long, short): &(&str, &str)| line.replace(long, short);
        shell(folder, &SHORTER.iter().fold(line.clone(), shorter));
        ran += 1;
    }
    assert!(ran > 30, "{ran} lines were run");
    for name in
        ["forecast.svg", "report.html", "forecast.png", "forecasts.jsonl", "any/config.json"]
    {
        assert!(folder.join(name).is_file(), "{name} was not written");
    }
}

#[test]
fn what_is_shortened_or_left_out_is_in_the_readme() {
    let lines = lines();
    for (long, _) in SHORTER {
        assert!(lines.iter().any(|line| line.contains(long)), "{long}");
    }
    for part in ELSEWHERE {
        let found = |line: &&String| line.starts_with(part) || line.ends_with(part);
        assert_eq!(lines.iter().filter(found).count(), 1, "{part}");
    }
}
