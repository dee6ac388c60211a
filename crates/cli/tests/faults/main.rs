//! Faults of the system, one at a time: the process is killed as its nth write, sync or rename begins, or such a call fails as
//! on a damaged, full or read-only disk. Afterwards a model is the old one or the new one, and the same command, run again,
//! ends with the bits of one that nothing happened to.
//!
//! `strace` injects the faults; where it is not there, or may not trace, the tests say that they were skipped. Each scenario
//! meets some of its points, evenly spread; `PTSM_FAULTS=60` is that many of each (`make reliability`).

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../common/mod.rs"]
mod common;
mod inject;
mod outcome;
mod scenario;

use common::TINY;
use scenario::Scenario;

/// Options of a model that trains in a blink, on one thread: a thread's calls are counted by itself.
fn tiny() -> String {
    format!("-q --threads 1 {TINY}")
}

#[test]
fn a_training_ends_as_if_nothing_had_happened() {
    let command = format!("train --data data.csv --out m --checkpoint-steps 4 {}", tiny());
    Scenario { again: &[&format!("{command} --resume")], ..Scenario::of("train", &command) }.run();
}

#[test]
fn a_model_that_is_replaced_is_the_old_one_or_the_new_one() {
    let command = format!("train --data data.csv --out m --overwrite {}", tiny());
    let first = format!("train --data data.csv --out m --seed 5 {}", tiny());
    Scenario { before: &[&first], ..Scenario::of("overwrite", &command) }.run();
}

#[test]
fn the_default_forecaster_is_there_or_trained_again() {
    let command =
        "train --data data.csv --out m -q --threads 1 --context-length 24 --prediction-length 4";
    let again = format!("{command} --overwrite");
    Scenario { again: &[&again], ..Scenario::of("default", command) }.run();
}

#[test]
fn a_calibration_is_there_or_not() {
    let first = format!("train --data data.csv --out m {}", tiny());
    let command = "calibrate --data data.csv --model m -q";
    Scenario { before: &[&first], ..Scenario::of("calibrate", command) }.run();
}

#[test]
fn a_head_is_there_or_not() {
    let first = format!("train --data data.csv --out m {}", tiny());
    let second = format!("train --data data.csv --out p --init m --freeze backbone {}", tiny());
    let command = "heads add --model m --from p --name other";
    // A head that was added is not added again.
    let again = [command, "heads list --model m"];
    let before = [first.as_str(), &second];
    Scenario { before: &before, again: &again, ..Scenario::of("heads", command) }.run();
}

#[test]
fn an_import_is_there_or_not() {
    let first = format!("train --data data.csv --out m {}", tiny());
    let command = "import hf --data data.csv --out imported -q";
    let again = format!("{command} --overwrite");
    Scenario { before: &[&first], again: &[&again], ..Scenario::of("import", command) }.run();
}

#[test]
fn a_stream_resumes_after_the_last_row_of_its_state() {
    let first = format!("train --data data.csv --out m {}", tiny());
    let command = "stream --model m --state s.json --save-every 8 -q";
    Scenario { before: &[&first], rows: 40, ..Scenario::of("stream", command) }.run();
}

#[test]
fn tables_that_are_written_are_whole() {
    let first = format!("train --data data.csv --out m {}", tiny());
    for (name, command) in [
        ("predict", "predict --model m --data data.csv --out f.csv -q"),
        ("detect", "detect --model m --data data.csv --out f.parquet -q"),
        ("export", "export m --onnx m.onnx -q"),
    ] {
        Scenario { before: &[&first], ..Scenario::of(name, command) }.run();
    }
}

#[test]
fn a_backtest_keeps_what_is_finished() {
    let first = format!("train --data data.csv --out m {}", tiny());
    let command = "backtest --model m --data data.csv --windows 3 --threads 1 --out f.csv -q";
    Scenario { before: &[&first], ..Scenario::of("backtest", command) }.run();
}

#[test]
fn a_suite_and_a_search_keep_what_is_finished() {
    for (name, command) in [
        ("benchmark", "benchmark --suite suite.toml --out table --threads 1 -q"),
        ("tune", "tune --data data.csv --space space.toml --out found --budget 60s --threads 1 -q"),
    ] {
        Scenario::of(name, command).run();
    }
}
