//! The Tenstorrent backends from the command line.

#![allow(clippy::unwrap_used)]

mod common;

use common::{json, ok, ptsm, run, stderr, trained};
use ptsm::core::{WideTensor, read_tensors};

fn column(csv: &str, name: &str) -> Vec<f64> {
    let mut lines = csv.lines();
    let place = lines.next().unwrap().split(',').position(|field| field == name).unwrap();
    lines.map(|line| line.split(',').nth(place).unwrap().parse().unwrap()).collect()
}

#[test]
fn the_emulator_forecasts_and_scores_as_the_cpu_does() {
    let folder = trained();
    let folder = folder.path();
    let predict = "predict --model model --data data.csv -q";
    let exact = ok(folder, predict);
    let emulated = ok(folder, &format!("{predict} --backend tenstorrent-emulator"));
    assert_ne!(exact, emulated, "bfloat16 has fewer digits");
    for (x, y) in column(&exact, "load").iter().zip(column(&emulated, "load")) {
        assert!((x - y).abs() < 0.02, "{x} {y}");
    }
    let evaluate = "evaluate --model model --data data.csv --no-baselines";
    let exact = json(folder, evaluate);
    let said = run(folder, &format!("{evaluate} --backend tenstorrent-emulator"));
    assert!(stderr(&said).contains("device and CPU correlate to 0.99"), "{}", stderr(&said));
    let refused = run(folder, &format!("{evaluate} --allow-disagreement"));
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("another backend than the CPU"), "{}", stderr(&refused));
    let emulated = json(folder, &format!("{evaluate} --backend tenstorrent-emulator"));
    assert_eq!(exact["windows"], emulated["windows"]);
    let (x, y) = (exact["mse"].as_f64().unwrap(), emulated["mse"].as_f64().unwrap());
    assert!((x - y).abs() < 0.005 * x, "{x} {y}");
}

#[test]
fn a_trace_on_another_backend_has_the_outputs() {
    let folder = trained();
    let folder = folder.path();
    let values = (0..2 * 24 * 2).map(|i| f64::from(i).sin()).collect();
    let past = WideTensor { shape: vec![2, 24, 2], values };
    let tensor = ptsm::core::NamedTensor {
        name: "in.past_values".into(),
        shape: past.shape.clone(),
        values: past.values.iter().map(|&x| x as f32).collect(),
    };
    ptsm::core::write_tensors(&folder.join("in.safetensors"), &[tensor]).unwrap();
    let trace = "trace --model model --inputs in.safetensors --outputs";
    ok(folder, &format!("{trace} cpu.safetensors"));
    ok(folder, &format!("{trace} tt.safetensors --backend tenstorrent-emulator"));
    let exact = read_tensors(&folder.join("cpu.safetensors")).unwrap();
    let emulated = read_tensors(&folder.join("tt.safetensors")).unwrap();
    let names: Vec<&str> = emulated.keys().map(String::as_str).collect();
    assert_eq!(names, ["out.loc", "out.prediction", "out.scale"]);
    for (name, tensor) in &emulated {
        assert_eq!(tensor.shape, exact[name].shape, "{name}");
        for (x, y) in tensor.values.iter().zip(&exact[name].values) {
            assert!((x - y).abs() < 0.02, "{name}: {x} {y}");
        }
    }
    let arguments = format!("{trace} x.safetensors --backend tenstorrent-emulator --gradients");
    let output = run(folder, &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("gives outputs in evaluation only"));
}

#[test]
fn a_plan_has_the_keys_that_scripts_read() {
    let folder = trained();
    let folder = folder.path();
    let plan = json(folder, "tt-plan --model model --batch 4 --arch wormhole-n300-chip --compare");
    for key in ["device_ops", "tile_waste", "l1_peak_bytes"] {
        assert!(plan[key].as_f64().unwrap() > 0.0, "{key}");
    }
    for key in ["predicted_latency_ms", "predicted_sequences_per_s"] {
        let [least, fitted, most] =
            ["least", "fitted", "most"].map(|end| plan[key][end].as_f64().unwrap());
        assert!(0.0 < least && least < fitted && fitted < most, "{key}");
    }
    assert_eq!(
        plan["steps"].as_array().unwrap().len(),
        plan["device_ops"].as_u64().unwrap() as usize
    );
    assert_eq!(plan["arch"], "wormhole-n300-chip");
    let first = plan["program"]["steps"][0]["op"].as_str().unwrap();
    assert!(["embed", "linear"].contains(&first), "{first}");
    assert_eq!(plan["variants"].as_array().unwrap().len(), 9);
    let text = ok(folder, "tt-plan --model model --optimisations fold,trace");
    assert!(text.contains("nothing was measured on a device"), "{text}");
    assert!(!text.contains("activation=gelu"), "fusion was not asked for: {text}");
    for (arguments, says) in [
        ("tt-plan --model model --arch grayskull", "wormhole-n150"),
        ("tt-plan --model model --optimisations magic", "bfloat8-weights"),
        ("tt-plan --model model --batch 0", "--batch"),
    ] {
        let output = run(folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(stderr(&output).contains(says), "{arguments}: {}", stderr(&output));
    }
}

#[test]
fn a_missing_device_is_named_and_not_replaced() {
    let folder = trained();
    let arguments = "predict --model model --data data.csv --backend tenstorrent";
    let command = |python: Option<&str>| {
        let mut command = ptsm(folder.path());
        command.args(arguments.split_whitespace()).env_remove("PTSM_TTNN_PYTHON");
        if let Some(python) = python {
            command.env("PTSM_TTNN_PYTHON", python);
        }
        command.output().unwrap()
    };
    let unset = command(None);
    assert_eq!(unset.status.code(), Some(5));
    assert!(stderr(&unset).contains("PTSM_TTNN_PYTHON: is not set"), "{}", stderr(&unset));
    let nowhere = command(Some("/nowhere/python"));
    assert_eq!(nowhere.status.code(), Some(5));
    assert!(stderr(&nowhere).contains("/nowhere/python"), "{}", stderr(&nowhere));
}

#[test]
fn the_doctor_says_how_to_get_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = ptsm(folder.path());
    command.args(["doctor", "--no-measure", "--json"]).env_remove("PTSM_TTNN_PYTHON");
    let output = command.env("TT_METAL_SIMULATOR", "/nowhere.so").output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = value["tenstorrent"].as_array().unwrap();
    let text = |i: usize| findings[i]["text"].as_str().unwrap();
    assert!(findings.iter().all(|finding| finding["ready"] == false));
    assert!(text(0).contains("pip install ttnn") && text(1).contains("/nowhere.so is not there"));
}

#[test]
fn bench_times_another_backend_and_claims_no_share_of_this_machine() {
    let folder = trained();
    let arguments = "bench --model model --batch 2 --seconds 0.1 --backend tenstorrent-emulator -q";
    let report = json(folder.path(), arguments);
    assert_eq!(report["backend"], "tenstorrent-emulator");
    assert!(report["results"][0]["share_of_peak"].is_null());
    assert!(report["max_rel_error"].as_f64().unwrap() < 0.03);
}
