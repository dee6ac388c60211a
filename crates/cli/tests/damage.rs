//! Damage of files that the program wrote is noticed: one flipped bit, wherever it is.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::{TINY, csv, ok, run, stderr, trained};

/// Flips in each file: evenly spread, in every bit of a byte.
const FLIPS: usize = 12;

fn flipped(bytes: &[u8], number: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let place = (bytes.len() - 1) * number / FLIPS.max(2);
    bytes[place] ^= 1 << (number % 8);
    bytes
}

/// Every file below a directory.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        match entry.path().is_dir() {
            true => files(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
    found.sort();
}

fn is_refused(output: &Output, what: &str) {
    let text = stderr(output);
    assert!(matches!(output.status.code(), Some(2 | 4)), "{what}: {:?} {text}", output.status);
    assert!(text.contains("error:") && !text.contains("defect"), "{what}: {text}");
}

/// Flips bits of every file of a model, one by one: `verify` finds each, and what uses the file too.
fn no_flip_is_silent(folder: &Path, model: &str, uses: &dyn Fn(&str) -> Option<String>) {
    let mut all = Vec::new();
    files(&folder.join(model), &mut all);
    assert!(all.len() > 4, "{all:?}");
    for path in all {
        let name = path.strip_prefix(folder.join(model)).unwrap().display().to_string();
        let sound = std::fs::read(&path).unwrap();
        for number in 0..FLIPS {
            std::fs::write(&path, flipped(&sound, number)).unwrap();
            let what = format!("{name}, flip {number}");
            is_refused(&run(folder, &format!("verify {model} -q")), &what);
            if let Some(command) = uses(&name) {
                is_refused(&run(folder, &command), &what);
            }
        }
        std::fs::write(&path, &sound).unwrap();
    }
    ok(folder, &format!("verify {model}"));
}

#[test]
fn no_flipped_bit_of_a_model_is_silent() {
    let folder = trained();
    let folder = folder.path();
    ok(folder, "calibrate --data data.csv --model model -q");
    ok(
        folder,
        &format!("train --data data.csv --out probe -q --init model --freeze backbone {TINY}"),
    );
    ok(folder, "heads add --model model --from probe --name other");
    no_flip_is_silent(folder, "model", &|name| {
        let command = match name {
            "training.json" => "calibrate --data data.csv --model model -q",
            "checkpoints/last.safetensors" => return None, // Another test resumes it.
            "checkpoints/run.json" => "train --resume model -q",
            "SHA256SUMS" => return None, // Each reader looks at the lines of its files.
            name if name.starts_with("heads/") => "heads list --model model",
            _ => "predict --data data.csv --model model -q",
        };
        Some(command.to_owned())
    });
}

#[test]
fn no_flipped_bit_of_an_ensemble_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(400)).unwrap();
    let lengths = "--context-length 24 --prediction-length 4";
    ok(folder, &format!("train --data data.csv --out best -q {lengths}"));
    let uses = |model: &'static str| {
        move |name: &str| {
            let used = name != "choice.json" && !name.ends_with("training.json");
            let used = used && !name.contains("checkpoints") && !name.ends_with("SHA256SUMS");
            used.then(|| format!("predict --data data.csv --model {model} -q"))
        }
    };
    no_flip_is_silent(folder, "best", &uses("best"));
    for (name, seed) in [("a", 1), ("b", 2)] {
        ok(folder, &format!("train --data data.csv --out {name} -q {TINY} --seed {seed}"));
    }
    ok(folder, "ensemble a b --out both");
    no_flip_is_silent(folder, "both", &uses("both"));
}

#[test]
fn no_flipped_bit_of_a_checkpoint_is_silent() {
    let folder = trained();
    let folder = folder.path();
    let path = folder.join("model/checkpoints/last.safetensors");
    // As a run leaves it that is stopped after its last epoch: the checkpoint of one that is over is not read.
    std::fs::remove_file(folder.join("model/training.json")).unwrap();
    ok(folder, "verify model --accept");
    let sound = std::fs::read(&path).unwrap();
    let resume = format!("train --data data.csv --out model --resume -q {TINY}");
    for number in 0..FLIPS {
        std::fs::write(&path, flipped(&sound, number)).unwrap();
        let output = run(folder, &resume);
        assert_eq!(output.status.code(), Some(4), "flip {number}: {}", stderr(&output));
        assert!(stderr(&output).contains("last.safetensors"), "{}", stderr(&output));
    }
    std::fs::write(&path, &sound).unwrap();
    ok(folder, &resume);
}

#[test]
fn no_flipped_bit_of_the_state_of_a_stream_is_silent() {
    let folder = trained();
    let folder = folder.path();
    std::fs::write(folder.join("rows.csv"), csv(60)).unwrap();
    let stream = "stream --model model --input rows.csv --state state -q";
    ok(folder, stream);
    let path = folder.join("state");
    let sound = std::fs::read(&path).unwrap();
    for number in 0..FLIPS {
        let damaged = flipped(&sound, number);
        std::fs::write(&path, &damaged).unwrap();
        let output = run(folder, stream);
        assert_eq!(output.status.code(), Some(2), "flip {number}: {}", stderr(&output));
        assert!(stderr(&output).contains("start without a state"), "{}", stderr(&output));
        assert!(std::fs::read(&path).unwrap() == damaged, "the state was written over");
    }
}

#[test]
fn a_change_by_hand_is_named_and_can_be_accepted() {
    let folder = trained();
    let folder = folder.path();
    let path = folder.join("model/config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen('\n', "\n\n", 1)).unwrap();
    let output = run(folder, "predict --data data.csv --model model");
    assert_eq!(output.status.code(), Some(4));
    let text = stderr(&output);
    for part in ["model/config.json", "was changed", "ptsm verify model --accept"] {
        assert!(text.contains(part), "{text}");
    }
    let output = run(folder, "verify model");
    assert_eq!(output.status.code(), Some(4));
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(listed.contains("changed   model/config.json"), "{listed}");
    assert!(listed.contains("sound     model/model.safetensors"), "{listed}");
    ok(folder, "verify model --accept");
    ok(folder, "predict --data data.csv --model model");
}

#[test]
fn every_command_that_changes_a_model_keeps_its_checksums_true() {
    let folder = trained();
    let folder = folder.path();
    let sound = |model: &str| ok(folder, &format!("verify {model}"));
    sound("model");
    ok(folder, "calibrate --data data.csv --model model -q");
    assert!(sound("model").contains("calibration.json"));
    ok(
        folder,
        &format!("train --data data.csv --out probe -q --init model --freeze backbone {TINY}"),
    );
    ok(folder, "heads add --model model --from probe --name other");
    assert!(sound("model").contains("heads/other.safetensors"));
    ok(
        folder,
        "heads joint --model model --out joint --data main=data.csv --data other=data.csv -q --epochs 1",
    );
    sound("joint");
    ok(folder, "heads remove --model model other");
    assert!(!sound("model").contains("heads"));
    assert!(!folder.join("model/heads").exists());
    ok(folder, &format!("train --data data.csv --out model --overwrite -q {TINY}"));
    assert!(!sound("model").contains("calibration.json"));
    ok(folder, "ensemble model probe --out both");
    sound("both");
    let sums = std::fs::read_to_string(folder.join("model/SHA256SUMS")).unwrap();
    assert!(sums.lines().all(|line| line.len() > 66 && &line[64..66] == "  "), "{sums}");
    let left = |dir: &str| {
        let names = std::fs::read_dir(folder.join(dir)).unwrap().flatten();
        names.map(|e| e.file_name()).filter(|n| n.to_string_lossy().starts_with('.')).count()
    };
    assert_eq!(left("model") + left("both"), 0);
}
