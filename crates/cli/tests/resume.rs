//! A run that was killed and resumed ends with the same bits as one that was never stopped.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{TINY, csv, ok, ptsm};

fn start(folder: &Path, out: &str, resume: bool) -> Child {
    let line = arguments(out, resume);
    ptsm(folder)
        .args(line.split_whitespace())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn arguments(out: &str, resume: bool) -> String {
    let resume = if resume { "--resume" } else { "" };
    format!(
        "train --data data.csv --out {out} -q {TINY} --epochs 6 --dropout 0.3 \
         --checkpoint-steps 1 --norm-mlp BatchNorm {resume}"
    )
    .replace("--epochs 2", "")
}

/// What must be equal, bit for bit: the weights, and the history but for its seconds.
fn outcome(folder: &Path, out: &str) -> (Vec<u8>, serde_json::Value) {
    let dir = folder.join(out);
    let weights = std::fs::read(dir.join("model.safetensors")).unwrap();
    let text = std::fs::read_to_string(dir.join("training.json")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    for epoch in record["history"]["epochs"].as_array_mut().unwrap() {
        epoch["seconds"] = 0.into();
    }
    (weights, record)
}

/// Kills the child as soon as a save has begun and is not ended: its temporary file is there.
fn kill_inside_a_save(child: &mut Child, checkpoints: &Path, skip: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut seen = 0;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        let names = std::fs::read_dir(checkpoints).into_iter().flatten().flatten();
        if names.map(|e| e.file_name()).any(|n| n.to_string_lossy().ends_with(".tmp")) {
            seen += 1;
        }
        if seen > skip {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(600)).unwrap();
    let began = Instant::now();
    ok(folder, &arguments("whole", false));
    let whole_time = began.elapsed();
    let whole = outcome(folder, "whole");
    // Shares of the whole run's time that are in no step with its epochs.
    for (i, share) in [0.13, 0.31, 0.52, 0.68, 0.87].into_iter().enumerate() {
        let out = format!("timed{i}");
        let mut child = start(folder, &out, false);
        std::thread::sleep(whole_time.mul_f64(share));
        child.kill().unwrap();
        child.wait().unwrap();
        ok(folder, &arguments(&out, true));
        assert!(outcome(folder, &out) == whole, "killed after {share} of the time");
    }
}

#[test]
fn a_run_killed_inside_saves_resumes_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(600)).unwrap();
    ok(folder, &arguments("whole", false));
    let whole = outcome(folder, "whole");
    for skip in [0, 3, 11] {
        let out = format!("saving{skip}");
        let checkpoints = folder.join(&out).join("checkpoints");
        kill_inside_a_save(&mut start(folder, &out, false), &checkpoints, skip);
        // Once more, in a save of the resumed run.
        kill_inside_a_save(&mut start(folder, &out, true), &checkpoints, skip);
        ok(folder, &arguments(&out, true));
        assert!(outcome(folder, &out) == whole, "killed in a save after {skip} looks");
        let left = std::fs::read_dir(&checkpoints).unwrap().map(|e| e.unwrap().file_name());
        let left: Vec<_> = left.filter(|n| n.to_string_lossy().ends_with(".tmp")).collect();
        assert!(left.is_empty(), "not removed: {left:?}");
    }
}

#[test]
fn a_changed_setting_or_table_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(600)).unwrap();
    ok(folder, &arguments("a", false));
    for (change, what) in [
        ("--seed 1", "--seed: is 1 here, and was not given when the run in a was started"),
        ("--d-model 8", "--d-model: is 8 here, and was 4 when"),
        ("--linear-skip", "--linear-skip: was not given when"),
    ] {
        let line = arguments("a", true).replace("--d-model 4", "") + " " + change;
        let line = if change.contains("d-model") { line } else { line + " --d-model 4" };
        let output = common::run(folder, &line);
        assert_eq!(output.status.code(), Some(2), "{}", common::stderr(&output));
        assert!(common::stderr(&output).contains(what), "{}", common::stderr(&output));
    }
    // What is not an option, the checkpoint notices, also where nothing says what the run was asked for.
    std::fs::remove_file(folder.join("a/checkpoints/run.json")).unwrap();
    let line = arguments("a", true) + " --seed 1";
    let output = common::run(folder, &line);
    assert!(common::stderr(&output).contains("training settings"), "{}", common::stderr(&output));
    std::fs::write(folder.join("data.csv"), csv(601)).unwrap();
    let output = common::run(folder, &arguments("a", true));
    assert!(common::stderr(&output).contains("data or their split"), "{}", common::stderr(&output));
}

#[test]
fn a_run_is_resumed_by_its_folder_alone_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(600)).unwrap();
    ok(folder, &arguments("whole", false));
    let mut child = start(folder, "half", false);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !folder.join("half/checkpoints/last.safetensors").is_file() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The command again would throw away what is done.
    let output = common::run(folder, &arguments("half", false));
    assert_eq!(output.status.code(), Some(2), "{}", common::stderr(&output));
    let said = common::stderr(&output);
    assert!(said.contains("half: holds a run that stopped"), "{said}");
    assert!(
        said.contains("ptsm train --resume half resumes it, --overwrite starts anew"),
        "{said}"
    );
    let log = ok(folder, "train --resume half");
    assert!(log.starts_with("half: best epoch"), "{log}");
    assert!(outcome(folder, "half") == outcome(folder, "whole"));
    // The same options may be given again, and the folder as --out.
    ok(folder, &(arguments("half", true) + " --threads 1"));
    ok(folder, "train --out half --resume -q");
}

#[test]
fn what_cannot_be_resumed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(600)).unwrap();
    ok(folder, &arguments("a", false));
    std::fs::create_dir(folder.join("empty")).unwrap();
    for (line, says) in [
        ("train --resume nosuch", "--resume: nosuch: no such file or folder"),
        ("train --resume empty", "empty: holds no run to resume"),
        ("train --resume", "--resume: names no run"),
        ("train --resume a --out b", "--out: is not a, which is resumed"),
        ("pretrain --resume a", "a: holds a run of ptsm train"),
        ("train --resume a --epochs 9", "use --init a --keep-head"),
    ] {
        let output = common::run(folder, line);
        assert!(!output.status.success(), "{line}");
        assert!(common::stderr(&output).contains(says), "{line}: {}", common::stderr(&output));
    }
    // What is finished is not done again, whether its options are given or not.
    for line in
        ["train --resume a", "train --out a --resume", &arguments("a", true).replace("-q", "")]
    {
        let output = common::run(folder, line);
        assert!(output.status.success(), "{line}: {}", common::stderr(&output));
        assert_eq!(common::stderr(&output), "a is finished: nothing to do\n", "{line}");
    }
    assert_eq!(common::json(folder, "train --resume a")["finished"], true);
    let output = common::run(folder, "train --data data.csv --out a");
    let said = common::stderr(&output);
    assert!(said.contains("finished (use --overwrite") && !said.contains("--resume"), "{said}");
    // As a run leaves it that was stopped after its last epoch. A table that has moved is named anew; another one is
    // noticed.
    std::fs::remove_file(folder.join("a/training.json")).unwrap();
    ok(folder, "verify a --accept");
    let output = common::run(folder, "predict --model a --data data.csv");
    let said = common::stderr(&output);
    assert!(
        said.contains("a: its run stopped after epoch 6 of 6 (ptsm train --resume a)"),
        "{said}"
    );
    let output = common::run(folder, "train --data data.csv --out a");
    let said = common::stderr(&output);
    assert!(
        said.contains("stopped after epoch 6 of 6 (ptsm train --resume a resumes it"),
        "{said}"
    );
    std::fs::rename(folder.join("data.csv"), folder.join("moved.csv")).unwrap();
    let output = common::run(folder, "train --resume a");
    assert!(
        common::stderr(&output).contains("data.csv: no such file"),
        "{}",
        common::stderr(&output)
    );
    ok(folder, "train --resume a --data moved.csv -q");
}
