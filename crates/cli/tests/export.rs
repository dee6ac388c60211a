//! `ptsm export`: what is written, what is said, and what is refused before anything is written.

#![allow(clippy::unwrap_used)]

mod common;

use common::{json, ok, ptsm, run, stderr, trained};

#[test]
fn a_file_is_checked_and_told() {
    let folder = trained();
    // Without a Python, which the tests of the crate run where there is one.
    let told = json(folder.path(), "export model --onnx model.onnx --missing mask");
    let size = std::fs::metadata(folder.path().join("model.onnx")).map(|file| file.len());
    assert_eq!(size.ok(), told["bytes"].as_u64(), "{told}");
    let names: Vec<&str> = told["inputs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|input| input["name"].as_str())
        .collect();
    assert_eq!(names, ["past_values", "observed_mask"]);
    assert_eq!(told["notes"], serde_json::json!([]), "{told}");
}

#[test]
fn what_the_file_leaves_out_is_said() {
    let folder = trained();
    ok(folder.path(), "calibrate --model model --data data.csv -q");
    let output = run(folder.path(), "export model --onnx model.onnx");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("calibrated intervals are not in the file"), "{output:?}");
}

#[test]
fn a_directory_as_output_is_refused_by_name() {
    let folder = trained();
    let output = run(folder.path(), "export model --onnx model");
    assert!(!output.status.success());
    let text = stderr(&output);
    assert!(text.contains("model") && text.contains("folder"), "{text}");
    let checked = ok(folder.path(), "verify model");
    assert!(!checked.contains("onnx"), "{checked}");
    let output = run(folder.path(), "export model --onnx nowhere/model.onnx");
    assert!(stderr(&output).contains("must exist first"), "{}", stderr(&output));
}

#[test]
fn nothing_is_written_where_the_check_fails() {
    let folder = trained();
    let output = ptsm(folder.path())
        .args(["export", "model", "--onnx", "model.onnx", "--check"])
        .env("PTSM_ONNX_PYTHON", "false")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => panic!("{error}"),
    };
    assert!(!output.status.success());
    assert!(stderr(&output).contains("has no onnxruntime"), "{}", stderr(&output));
    assert!(!folder.path().join("model.onnx").exists());
}

#[test]
fn options_that_are_not_used_are_refused() {
    let folder = trained();
    for (options, wanted) in [
        ("--member 0", "is for ensembles"),
        ("--heads other", "is not there, only main"),
        ("--quantiles 0.5", "trained for quantiles"),
    ] {
        let output = run(folder.path(), &format!("export model --onnx model.onnx {options}"));
        let text = stderr(&output);
        assert!(!output.status.success() && text.contains(wanted), "{options}: {text}");
        assert!(!folder.path().join("model.onnx").exists(), "{options}");
    }
}
