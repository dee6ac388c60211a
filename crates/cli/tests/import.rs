//! `ptsm import`: a folder that Hugging Face wrote becomes a model directory.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{TINY, csv, json, ok, run, stderr, trained};
use serde_json::Value;

/// A copy of a model directory with the files that `save_pretrained` writes, and those of a Trainer.
fn as_checkpoint(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    for file in ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"] {
        std::fs::write(to.join(file), [0x80, 2]).unwrap();
    }
    std::fs::write(to.join("trainer_state.json"), "{\"global_step\": 500}").unwrap();
}

#[test]
fn a_checkpoint_of_a_trainer_answers_as_the_model_that_it_was() {
    let folder = trained();
    let folder = folder.path();
    as_checkpoint(&folder.join("model"), &folder.join("checkpoint-500"));
    for command in ["predict", "evaluate", "calibrate"] {
        let output = run(folder, &format!("{command} --model checkpoint-500 --data data.csv"));
        assert_eq!(output.status.code(), Some(3), "{command}");
        let wanted = "ptsm import checkpoint-500 --data TRAINING.csv --out MODEL";
        assert!(stderr(&output).contains(wanted), "{command}: {}", stderr(&output));
    }
    let output = run(folder, "stream --model checkpoint-500 --input data.csv");
    assert!(stderr(&output).contains("ptsm import checkpoint-500"), "{}", stderr(&output));
    assert!(ok(folder, "inspect checkpoint-500").contains("ptsm import checkpoint-500"));

    let found = json(folder, "import checkpoint-500 --data data.csv --out imported");
    assert_eq!(found["channels"], serde_json::json!(["load", "wind"]));
    assert_eq!(found["standardised"], true);
    for command in
        ["predict --data data.csv", "evaluate --data data.csv", "stream --input data.csv"]
    {
        let of = |model: &str| {
            let text = ok(folder, &format!("{command} -q --model {model}"));
            // The time that it took differs.
            text.lines().filter(|line| !line.contains(" s")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(of("imported"), of("model"), "{command}");
    }
    let read = |dir: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(dir).join("preprocessor.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(read("imported"), read("model"));
    ok(folder, "calibrate --model imported --data data.csv");

    let again = run(folder, "import checkpoint-500 --data data.csv --out imported");
    assert!(stderr(&again).contains("--overwrite"), "{}", stderr(&again));
    ok(folder, "import checkpoint-500 --data data.csv --out imported --overwrite");
    assert!(!folder.join("imported/calibration.json").exists(), "it was of other weights");
    let complete = run(folder, "import model --data data.csv --out other");
    assert!(stderr(&complete).contains("can be used as it is"), "{}", stderr(&complete));
    // In place.
    ok(folder, "import checkpoint-500 --data data.csv --out checkpoint-500 --overwrite");
    ok(folder, "predict --model checkpoint-500 --data data.csv -q");
}

#[test]
fn data_that_do_not_suit_the_model_are_refused_with_both_numbers() {
    let folder = trained();
    let folder = folder.path();
    as_checkpoint(&folder.join("model"), &folder.join("hf"));
    let mut text = "time,load,wind,heat\n".to_owned();
    for line in csv(60).lines().skip(1) {
        text += &format!("{line},3\n");
    }
    std::fs::write(folder.join("wide.csv"), text).unwrap();
    std::fs::write(folder.join("short.csv"), csv(9)).unwrap();
    for (arguments, wanted) in [
        ("--data wide.csv", "num_input_channels: is 2, the data have 3 channels: load, wind, heat"),
        ("--data wide.csv", "--targets A,B,..."),
        ("--data short.csv", "than --context-length 24 and --prediction-length 4"),
        ("--data data.csv --standardise false --transform log1p", "transform: would not be used"),
    ] {
        let output = run(folder, &format!("import hf --out out {arguments}"));
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(wanted), "{arguments}: {}", stderr(&output));
        assert!(!folder.join("out").exists());
    }
    let found = json(folder, "import hf --out out --data wide.csv --targets wind,load");
    assert_eq!(found["channels"], serde_json::json!(["wind", "load"]));
    json(folder, "import hf --out raw --data data.csv --standardise false");
    let text = std::fs::read_to_string(folder.join("raw/preprocessor.json")).unwrap();
    let raw: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(raw["standardiser"]["mean"], serde_json::json!([0.0, 0.0]));
}

#[test]
fn the_constants_of_hugging_face_stay_and_are_told() {
    let folder = trained();
    let folder = folder.path();
    as_checkpoint(&folder.join("model"), &folder.join("hf"));
    let path = folder.join("hf/config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("minimum_scale");
    config["dtype"] = "float16".into();
    std::fs::write(&path, config.to_string()).unwrap();
    let text = ok(folder, "import hf --data data.csv --out imported -q");
    assert!(text.contains("minimum_scale 1e-5") && text.contains("Hugging Face"), "{text}");
    let text = ok(folder, "inspect imported");
    assert!(text.contains("1e-5 (added to the variance") && text.contains("load, wind"), "{text}");
    assert!(ok(folder, "inspect model").contains("1e-12"));
    let text = std::fs::read_to_string(folder.join("imported/config.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written["dtype"], "float32", "that is how the weights are written");
    assert_eq!(written.get("minimum_scale"), None);
}

#[test]
fn pretrained_models_and_models_of_cases_are_imported_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("data.csv"), csv(400)).unwrap();
    let mut cases = "@problemName waves\n@classLabel true slow fast\n@data\n".to_owned();
    for i in 0..20 {
        let label = ["slow", "fast"][i % 2];
        let row: Vec<String> =
            (0..24).map(|t| format!("{:.3}", ((t * (1 + i % 2)) as f64).sin())).collect();
        cases += &format!("{}:{label}\n", row.join(","));
    }
    std::fs::write(folder.join("cases.ts"), cases).unwrap();
    let model = TINY.replace("--prediction-length 4", "");
    ok(folder, &format!("train --task pretraining --data data.csv --out pre -q {model}"));
    as_checkpoint(&folder.join("pre"), &folder.join("hf-pre"));
    ok(folder, "import hf-pre --data data.csv --out pre2");
    let of = |model: &str| json(folder, &format!("evaluate --model {model} --data data.csv"));
    assert_eq!(of("pre2"), of("pre"));

    let train = format!("train --task classification --data cases.ts --out class -q {model}");
    ok(folder, &format!("{train} --hold-out 0"));
    as_checkpoint(&folder.join("class"), &folder.join("hf-class"));
    ok(folder, "import hf-class --data cases.ts --out class2");
    let of = |model: &str| ok(folder, &format!("predict --model {model} --data cases.ts -q"));
    assert_eq!(of("class2"), of("class"));
    let output = run(folder, "import hf-class --data data.csv --out class3 --label wind");
    assert!(!output.status.success());

    // Without names of the logits nobody knows which class is which.
    let path = folder.join("hf-class/config.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config.as_object_mut().unwrap().remove("id2label");
    std::fs::write(&path, config.to_string()).unwrap();
    let output = run(folder, "import hf-class --data cases.ts --out class3");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("id2label") && said.contains("slow, fast"), "{said}");
}

#[test]
fn folders_that_transformers_wrote_are_imported() {
    let shared = std::env::var_os("PTSM_SHARED")
        .map(Into::into)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let from = shared.join("fixtures/s01_forecast_default");
    if !from.is_dir() {
        eprintln!("skipped: {} is not here", from.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = format!("time,{}\n", ["a", "b", "c", "d", "e", "f", "g"].join(","));
    for (row, line) in csv(1500).lines().skip(1).enumerate() {
        let time = line.split(',').next().unwrap();
        let cells: Vec<String> =
            (1..8).map(|c| format!("{:.3}", (row as f64 * 0.1 * f64::from(c)).sin())).collect();
        text += &format!("{time},{}\n", cells.join(","));
    }
    std::fs::write(folder.join("data.csv"), text).unwrap();
    let import = format!("import {} --data data.csv --out out --split 7:2:1", from.display());
    let output = run(folder, &import);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = ok(folder, "predict --model out --data data.csv -q");
    assert_eq!(text.lines().count(), 1 + 96);
}
