//! Runs the real `ptsm` in folders of its own.

// Each test file uses its share of these.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command that runs in `folder`, with an environment that does not reach the user's data.
pub(crate) fn ptsm(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ptsm"));
    command.current_dir(folder).env("XDG_CACHE_HOME", folder.join("cache"));
    command.env_remove("PTSM_DATA_DIR");
    command
}

/// Runs `ptsm` with arguments between spaces.
pub(crate) fn run(folder: &Path, arguments: &str) -> Output {
    ptsm(folder).args(arguments.split_whitespace()).output().unwrap()
}

/// Runs `ptsm`, which must end well, and gives its stdout.
pub(crate) fn ok(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "ptsm {arguments}\n{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `ptsm --json`, which must print one object and nothing else.
pub(crate) fn json(folder: &Path, arguments: &str) -> serde_json::Value {
    let text = ok(folder, &format!("{arguments} --json"));
    assert_eq!(text.trim_end().lines().count(), 1, "one line: {text}");
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Flags of a model that trains in a blink.
pub(crate) const TINY: &str = "--context-length 24 --prediction-length 4 --patch-length 4 \
    --patch-stride 4 --d-model 4 --num-layers 1 --epochs 2 --batch-size 32";

/// Hourly rows of two channels; some cells are missing.
pub(crate) fn csv(rows: usize) -> String {
    let mut text = "time,load,wind\n".to_owned();
    for row in 0..rows {
        let (day, hour) = (row / 24, row % 24);
        let (month, day) = (day / 28 + 1, day % 28 + 1);
        let load = (row as f64 * 0.26).sin() + 0.3 * (row as f64 * 1.7).cos();
        let wind = if row % 29 == 7 { String::new() } else { format!("{:.3}", row % 17) };
        text += &format!("2024-{month:02}-{day:02} {hour:02}:00,{load:.4},{wind}\n");
    }
    text
}

/// A folder with `data.csv` and, trained on it, `model`.
pub(crate) fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), csv(400)).unwrap();
    ok(folder.path(), &format!("train --data data.csv --out model -q {TINY}"));
    folder
}

/// The compact golden set of the project.
pub(crate) fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case)
}
