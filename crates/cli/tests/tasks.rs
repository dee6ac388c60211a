//! Every task from the command line: training, scoring, predicting, transfer, several heads.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{TINY, csv, json, ok, run, stderr};

const MODEL: &str = "--context-length 24 --patch-length 4 --patch-stride 4 --d-model 4 \
    --num-layers 1 --epochs 2 --batch-size 32 -q";

fn folder_with_data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), csv(500)).unwrap();
    std::fs::write(folder.path().join("cases.ts"), cases(true)).unwrap();
    std::fs::write(folder.path().join("values.ts"), cases(false)).unwrap();
    folder
}

/// Two channels, waves of two speeds; some points are missing.
fn cases(classes: bool) -> String {
    let header = if classes { "@classLabel true slow fast" } else { "@targetLabel true" };
    let mut text = format!("@problemName waves\n{header}\n@data\n");
    for i in 0..40 {
        let speed = 0.3 + 0.4 * f64::from(i % 2);
        let row = |phase: f64| {
            let point = |t: i32| match (t + i) % 11 {
                0 => "?".to_owned(),
                _ => format!("{:.3}", (f64::from(t) * speed + phase + f64::from(i)).sin()),
            };
            (0..24 + i % 3).map(point).collect::<Vec<String>>().join(",")
        };
        let label =
            if classes { ["slow", "fast"][i as usize % 2].to_owned() } else { speed.to_string() };
        text += &format!("{}:{}:{label}\n", row(0.0), row(1.0));
    }
    text
}

fn train(folder: &Path, arguments: &str) {
    ok(folder, &format!("train --data data.csv --prediction-length 4 {MODEL} {arguments}"));
}

#[test]
fn a_linear_skip_is_trained_saved_and_goes_on_a_transfer() {
    let folder = folder_with_data();
    let folder = folder.path();
    train(folder, "--out skip --linear-skip --ema-decay 0.9 --huber-delta 1");
    let scored = json(folder, "evaluate --model skip --data data.csv");
    let ridge = scored["baselines"].as_array().unwrap().iter().find(|b| b["name"] == "ridge");
    let (ours, floor) = (scored["mse"].as_f64().unwrap(), ridge.unwrap()["mse"].as_f64().unwrap());
    assert!(ours < 1.2 * floor, "{ours} {floor}");
    let shown = json(folder, "inspect skip");
    assert_eq!(shown["config"]["ptsm"]["linear_skip"], true);
    train(folder, "--out last --linear-skip --location last");
    train(folder, "--out tuned --init last");
    assert_eq!(json(folder, "inspect tuned")["config"]["ptsm"]["location"], "last");
    let few = format!("--prediction-length 4 {MODEL} --out few --linear-skip --few-shot 0.5");
    let error = stderr(&run(folder, &format!("train --data data.csv {few}")));
    assert!(error.contains("--skip-start zero"), "{error}");
}

#[test]
fn an_ensemble_is_trained_joined_and_used_like_a_model() {
    let folder = folder_with_data();
    let folder = folder.path();
    let recipe = "[[members]]\nmodel = { patch_length = 4, patch_stride = 4 }\n\
                  [[members]]\ntraining = { seed = 1 }\n";
    std::fs::write(folder.join("both.toml"), recipe).unwrap();
    // The flags would win over the members' patches.
    let lengths = "--context-length 24 --prediction-length 4 --d-model 4 --num-layers 1";
    let flags = format!("{lengths} --epochs 2 --batch-size 32 -q");
    ok(folder, &format!("train --data data.csv --recipe both.toml --out both {flags}"));
    let score = |model: &str| {
        let arguments = format!("evaluate --model {model} --data data.csv --no-baselines");
        json(folder, &arguments)["mse"].as_f64().unwrap()
    };
    let parts = (score("both/members/0"), score("both/members/1"));
    assert!(
        score("both") < 0.5 * (parts.0 + parts.1),
        "the error of a mean is below the mean error"
    );
    ok(folder, "ensemble both/members/0 both/members/1 --out again");
    assert_eq!(score("again"), score("both"));
    assert_eq!(json(folder, "inspect both")["members"].as_array().unwrap().len(), 2);
    ok(folder, "predict --model both --data data.csv --out forecast.csv -q");
    let error = stderr(&run(folder, "trace --model both --inputs x --outputs y"));
    assert!(error.contains("name one of its networks, such as both/members/0"), "{error}");
}

#[test]
fn probabilistic_heads_have_intervals_that_calibration_corrects() {
    let folder = folder_with_data();
    let folder = folder.path();
    for (name, flags) in [
        ("distribution", "--loss nll"),
        ("normal", "--loss nll --distribution-output normal"),
        ("quantiles", "--loss quantile --quantiles 0.1,0.5,0.9"),
        ("points", ""),
    ] {
        train(folder, &format!("--out {name} {flags}"));
        let before =
            json(folder, &format!("evaluate --model {name} --data data.csv --no-baselines"));
        assert_eq!(before["probabilistic"].is_object(), name != "points", "{name}: {before}");
        ok(folder, &format!("calibrate --model {name} --data data.csv --levels 0.5,0.8 -q"));
        let after =
            json(folder, &format!("evaluate --model {name} --data data.csv --no-baselines"));
        let interval = &after["probabilistic"]["intervals"][1];
        assert_eq!(interval["level"], 0.8, "{name}");
        assert!(interval["coverage"].as_f64().unwrap() > 0.6, "{name}: {after}");
        let text = ok(folder, &format!("predict --model {name} --data data.csv -q"));
        let header = "time,load_q0.1,load_q0.25,load,load_q0.75,load_q0.9,wind_q0.1,";
        assert!(text.starts_with(header), "{name}: {text}");
        ok(
            folder,
            &format!("predict --model {name} --data data.csv --out f.csv --plot {name}.svg -q"),
        );
    }
    let drawn = ok(folder, "predict --model distribution --data data.csv --samples 3 -q");
    assert_eq!(drawn.lines().count(), 1 + 3 * 4, "{drawn}");
    let output = run(folder, "predict --model points --data data.csv --samples 3 -q");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("nothing to draw from"), "{}", stderr(&output));
}

#[test]
fn a_default_answer_with_few_points_is_calibrated_and_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "t,y\n".to_owned();
    for row in 1..=60 {
        text += &format!("{row},{}\n", 100 + row + 7 * (row % 4) + row * row % 11);
    }
    std::fs::write(folder.join("short.csv"), text).unwrap();
    let train = "train --data short.csv --split last:6 --horizon 6 --season 4 --out short -q";
    ok(folder, train);
    // The intervals that come with the choice.
    let text = ok(folder, "predict --model short --data short.csv --interval-names nixtla");
    assert!(text.starts_with("t,y,y-lo-95,y-lo-80,y-hi-80,y-hi-95"), "{text}");
    let text = ok(folder, "calibrate --model short --data short.csv --split test");
    assert!(text.contains("80 % interval: a step has too few known points"), "{text}");
    assert!(text.contains("95 % interval: 6 known points in all are too few"), "{text}");
    let header = |arguments: &str| {
        let text = ok(folder, &format!("predict --model short --data short.csv -q {arguments}"));
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(header(""), "t,y_q0.025,y_q0.1,y,y_q0.9,y_q0.975");
    assert_eq!(header("--interval-names nixtla"), "t,y,y-lo-95,y-lo-80,y-hi-80,y-hi-95");
    let line = ok(folder, "stream --model short --input short.csv -q --every 60");
    assert!(line.contains("\"intervals\""), "{line}");
}

#[test]
fn reconciliation_heads_report_their_coherence() {
    let folder = folder_with_data();
    let folder = folder.path();
    train(folder, "--out both --mode hybrid --segment-length 2 --cross-channel-past");
    let scores = json(folder, "evaluate --model both --data data.csv");
    assert!(scores["coherence"]["relative"].is_number(), "{scores}");
    let config = std::fs::read_to_string(folder.join("both/config.json")).unwrap();
    assert!(config.contains("\"common_channel\"") && config.contains("\"prepend_past\": true"));
    let recipe = "[model]\ncontext_length = 24\nprediction_length = 4\npatch_length = 4\n\
                  patch_stride = 4\nd_model = 4\nnum_layers = 1\n[training]\nepochs = 1\n";
    std::fs::write(folder.join("r.toml"), recipe).unwrap();
    let table =
        json(folder, "ablate --data data.csv --recipe r.toml --segment-length 2 --seeds 0,1");
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    assert!(rows.iter().all(|row| row["mse"].as_array().unwrap().len() == 2), "{table}");
}

#[test]
fn pretraining_transfers_to_a_frozen_backbone_with_several_heads() {
    let folder = folder_with_data();
    let folder = folder.path();
    ok(folder, &format!("train --task pretraining --data data.csv --out pre {MODEL}"));
    let scores = json(folder, "evaluate --model pre --data data.csv --plot hidden.png");
    assert!(scores["masked_mse"].as_f64().unwrap() > 0.0, "{scores}");
    assert!(folder.join("hidden.png").metadata().unwrap().len() > 1000);

    let tune = "--data data.csv --init pre --prediction-length 4 --epochs 1 -q --few-shot 0.5";
    ok(folder, &format!("train {tune} --freeze backbone --out main"));
    ok(folder, &format!("train {tune} --out tuned"));
    let probe = "--init main --freeze backbone --epochs 1 -q";
    ok(
        folder,
        &format!("train {probe} --data data.csv --prediction-length 4 --loss quantile --out q"),
    );
    ok(folder, &format!("train {probe} --task classification --data cases.ts --out class"));
    for name in ["q", "class"] {
        ok(folder, &format!("heads add --model main --from {name} --name {name}"));
    }
    let heads = json(folder, "heads list --model main");
    assert_eq!(heads["heads"].as_array().unwrap().len(), 3, "{heads}");
    let text = ok(folder, "predict --model main --data data.csv --heads main,q,class -q");
    let header = text.lines().next().unwrap();
    assert!(header.starts_with("time,main.load,main.wind,q.load_q0.1,q.load_q0.2,"), "{header}");
    assert!(header.ends_with(",q.wind_q0.9,class.label,class.probability"), "{header}");
    let alone = ok(folder, "predict --model main --data data.csv -q");
    let cell = |text: &str, column: usize| {
        text.lines().nth(1).unwrap().split(',').nth(column).unwrap().to_owned()
    };
    assert_eq!([0, 1].map(|c| cell(&text, c)), [0, 1].map(|c| cell(&alone, c)), "as alone");
    let quantiles = ok(folder, "predict --model q --data data.csv -q");
    assert_eq!(cell(&text, 4), cell(&quantiles, 2), "its quantiles, too: {quantiles}");
    let output = run(folder, "heads add --model main --from class --name q");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("use --overwrite"), "{}", stderr(&output));
    ok(folder, "heads add --model main --from q --name q --overwrite");

    let data = "--data main=data.csv --data q=data.csv --data class=cases.ts";
    let together =
        format!("heads joint --model main --out joint {data} --weight class=0.1 --epochs 2");
    let found = json(folder, &together);
    assert_eq!(found["validation_losses"].as_array().unwrap().len(), 3, "{found}");
    let text = ok(folder, "predict --model joint --data data.csv --heads main,q,class -q");
    let alone = ok(folder, "predict --model joint --data data.csv -q");
    assert_eq!(cell(&text, 1), cell(&alone, 1), "one backbone for all");
    let output = run(folder, "heads joint --model main --out again --data main=data.csv");
    assert!(stderr(&output).contains("missing for head \"class\""), "{}", stderr(&output));

    ok(folder, &format!("train {probe} --data data.csv --prediction-length 7 --out long"));
    ok(folder, "heads add --model main --from long --name long");
    let text = ok(folder, "predict --model main --data data.csv --heads main,long,class -q");
    let alone = ok(folder, "predict --model long --data data.csv -q");
    assert_eq!(text.lines().count(), 1 + 7, "as many rows as the longest horizon: {text}");
    for (line, alone) in text.lines().zip(alone.lines()).skip(1) {
        let cells = |line: &str, from: usize| -> Vec<String> {
            line.split(',').skip(from).take(2).map(str::to_owned).collect()
        };
        assert_eq!(cells(line, 3), cells(alone, 1), "the same bits as alone");
    }
    let last: Vec<&str> = text.lines().last().unwrap().split(',').collect();
    assert_eq!((last[1], last[2]), ("", ""), "a shorter forecast ends before: {text}");
    assert!(!last[5].is_empty(), "a label is that of every step: {text}");
    ok(folder, "predict --model main --data data.csv --heads long -q");
    let scores = json(folder, "evaluate --model main --data data.csv --heads main,long,q");
    for (name, dir) in [("main", "main"), ("long", "long"), ("q", "q")] {
        let alone = json(folder, &format!("evaluate --model {dir} --data data.csv --no-baselines"));
        for key in ["mse", "mae", "mase", "windows", "points", "prediction_length"] {
            assert_eq!(scores["heads"][name][key], alone[key], "{name} {key}: {scores}");
        }
    }
    let output = run(folder, "evaluate --model main --data data.csv --heads main,class");
    assert!(stderr(&output).contains("\"class\" forecasts nothing"), "{}", stderr(&output));
    let left = json(folder, "heads remove --model main long");
    assert_eq!(left["heads"].as_array().unwrap().len(), 3, "{left}");
    let output = run(folder, "heads remove --model main long");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("only class, q"), "{}", stderr(&output));

    let files = || {
        let entries = std::fs::read_dir(folder.join("main/heads")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let output = run(folder, "heads add --model main --from pre --name pre");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hidden patches"), "{}", stderr(&output));
    assert_eq!(files(), before, "a command that fails leaves the directory as it was");
    ok(folder, "heads list --model main");
    let output = run(folder, "heads add --model main --from tuned --name tuned");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("another backbone"), "{}", stderr(&output));
    let output = run(folder, "predict --model main --data data.csv --heads main,none");
    assert!(stderr(&output).contains("\"none\" is not there"), "{}", stderr(&output));
}

#[test]
fn logarithms_are_undone_in_the_forecast() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut table = "time,sales\n".to_owned();
    for row in 0..400 {
        let sales = (6.0 + 3.0 * (f64::from(row) * 0.5).sin()).exp();
        table += &format!("2024-01-{:02} {:02}:00,{sales:.2}\n", row / 24 + 1, row % 24);
    }
    std::fs::write(folder.join("data.csv"), table).unwrap();
    train(folder, "--out model --transform log1p --window-step 2");
    let saved = std::fs::read_to_string(folder.join("model/preprocessor.json")).unwrap();
    assert!(saved.contains("\"transform\": \"log1p\""), "{saved}");
    ok(folder, "predict --model model --data data.csv --out forecast.csv -q");
    let forecast = std::fs::read_to_string(folder.join("forecast.csv")).unwrap();
    let values = forecast.lines().skip(1).map(|line| line.rsplit(',').next().unwrap());
    let values: Vec<f64> = values.map(|value| value.parse().unwrap()).collect();
    assert_eq!(values.len(), 4);
    // The mean of the logarithms is 6: without undoing them no value would pass 20.
    assert!(values.iter().all(|&x| (0.0..20_000.0).contains(&x)), "{forecast}");
    assert!(values.iter().any(|&x| x > 20.0), "{forecast}");
}

#[test]
fn cases_are_learned_scored_and_labelled() {
    let folder = folder_with_data();
    let folder = folder.path();
    let flags = "--patch-length 4 --patch-stride 4 --d-model 4 --num-layers 1 --epochs 3 -q";
    ok(folder, &format!("train --task classification --data cases.ts --out class {flags}"));
    let scores = json(folder, "evaluate --model class --data cases.ts --plot classes.svg");
    for key in ["accuracy", "balanced_accuracy", "macro_f1"] {
        assert!(scores[key].is_number(), "{scores}");
    }
    let text = ok(folder, "predict --model class --data cases.ts -q");
    assert!(text.starts_with("case,predicted,probability slow,probability fast\n"), "{text}");
    assert_eq!(text.lines().count(), 41);

    ok(folder, &format!("train --task regression --data values.ts --out value {flags} --loss nll"));
    let scores = json(folder, "evaluate --model value --data values.ts --plot values.png");
    assert!(scores["rmse"].is_number() && scores["training_mean_rmse"].is_number(), "{scores}");
    let search = "task = \"classification\"\n[model]\nd_model = 4\nnum_layers = 1\npatch_length = 4\n\
                  patch_stride = 4\n[training]\nepochs = 1\n[grid]\nscaling = [\"std\", \"none\"]\n";
    std::fs::write(folder.join("s.toml"), search).unwrap();
    let found = json(
        folder,
        "select --data cases.ts --test cases.ts --recipe s.toml --folds 2 --repeats 2 --seeds 0,1",
    );
    assert_eq!(found["repeats"], 2, "{found}");
    assert_eq!(found["cells"].as_array().unwrap().len(), 2, "{found}");
    assert_eq!(found["test"]["scores"].as_array().unwrap().len(), 2, "{found}");
}

#[test]
fn settings_for_labelled_cases_are_searched_and_networks_averaged() {
    let folder = folder_with_data();
    let folder = folder.path();
    let auto =
        "--recipe auto --patch-length 4 --patch-stride 4 --d-model 4 --num-layers 1 --epochs 2";
    let train = |task: &str, data: &str, out: &str| {
        json(folder, &format!("train --task {task} --data {data} --out {out} {auto}"))
    };
    let found = train("classification", "cases.ts", "class");
    let choice = &found["choice"];
    // 3 poolings and 2 scalers; everything else is settled.
    assert_eq!((choice["settings"].as_u64(), choice["networks"].as_u64()), (Some(6), Some(3)));
    for key in ["constant", "nearest"] {
        assert!(choice[key].is_number(), "{found}");
    }
    let score = choice["chosen"]["score"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&score), "{found}");
    let again = train("classification", "cases.ts", "again");
    assert_eq!(again["choice"], found["choice"], "the same command finds the same");
    let scored = json(folder, "evaluate --model class --data cases.ts");
    assert_eq!(scored["choice"], found["choice"]);
    let labels = ok(folder, "predict --model class --data cases.ts -q");
    assert_eq!(labels, ok(folder, "predict --model again --data cases.ts -q"));
    assert_eq!(json(folder, "inspect class")["members"].as_array().unwrap().len(), 3);
    ok(folder, "verify class");
    let found = train("regression", "values.ts", "value");
    assert!(found["sentence"].as_str().unwrap().contains("cross-validated RMSE"), "{found}");
    ok(folder, "evaluate --model value --data values.ts");
    let short = "@classLabel true slow fast\n@data\n1,2,3,4:2,3,4,5:slow\n";
    std::fs::write(folder.join("short.ts"), short).unwrap();
    let said = run(folder, "predict --model class --data short.ts");
    assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    assert!(stderr(&said).contains("1 of 1 cases are shorter than the"), "{}", stderr(&said));
    std::fs::write(folder.join("three.ts"), short.to_owned() + "1,2:2,3:fast\n1,3:2,3:fast\n")
        .unwrap();
    for (arguments, says) in [
        (
            format!("train --task classification --data three.ts --out x {auto}"),
            "3 labelled cases are too few",
        ),
        (
            format!("train --task classification --data cases.ts --out x {auto} --hold-out 0.1"),
            "--hold-out",
        ),
        (
            format!("train --task classification --data cases.ts --out x {auto} --metric mae"),
            "--metric",
        ),
        (
            format!("train --task classification --data cases.ts --out x {auto} --budget 0"),
            "\"0\" is no time",
        ),
        (
            "train --task classification --data cases.ts --out x --epochs 1 --budget 1".to_owned(),
            "--budget",
        ),
        ("train --data data.csv --out x --epochs 1 --budget 1".to_owned(), "--epochs shortens"),
        ("train --data data.csv --out x --budget 0".to_owned(), "--budget"),
        (
            format!("train --task classification --data cases.ts --out class {auto}"),
            "holds a model already",
        ),
    ] {
        let output = run(folder, &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments}: {}", stderr(&output));
    }
}

#[test]
fn mistakes_with_labels_and_levels_are_explained() {
    let folder = folder_with_data();
    let folder = folder.path();
    let flags = "--patch-length 4 --patch-stride 4 --d-model 4 --num-layers 1 --epochs 1 -q";
    ok(folder, &format!("train --task classification --data cases.ts --out class {flags}"));
    ok(folder, &format!("train --data data.csv --out model -q {TINY}"));
    let text = cases(true).replace("slow", "idle");
    std::fs::write(folder.join("other.ts"), text).unwrap();
    let one = "@classLabel true slow fast\n@data\n1,2,3,4:slow\n";
    std::fs::write(folder.join("one.ts"), one).unwrap();
    std::fs::write(folder.join("gaps.csv"), "case,x,label\na,1,\nb,2,up\n").unwrap();
    for (arguments, says) in [
        ("evaluate --model class --data other.ts", "\"idle\" was not there in training"),
        ("evaluate --model class --data one.ts", "the cases have 1 channels, the model wants 2"),
        ("train --task regression --data cases.ts --out x", "use --task classification"),
        ("train --task classification --data gaps.csv --out x", "1 labels are missing"),
        ("train --data data.csv --out x --loss quantile --quantiles 0.5,1.0", "1 must be above 0"),
        ("train --data data.csv --out x --quantiles 0.5", "needs --loss quantile"),
        ("calibrate --model model --data data.csv --levels 100", "must be above 0"),
        ("train --data data.csv --out x --segment-length 5", "divide prediction_length"),
        (
            "train --data data.csv --out x --loss nll --distribution-output negative_binomial TINY",
            "counts",
        ),
    ] {
        let output = run(folder, &arguments.replace("TINY", TINY));
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments}");
    }
}
