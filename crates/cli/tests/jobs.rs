//! Every command trains by the same job: one recipe is one model, and no option is written down
//! that was not used.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{TINY, csv, json, ok, run, stderr};

const RECIPE: &str = "[model]\ncontext_length = 24\nprediction_length = 4\npatch_length = 4\n\
    patch_stride = 4\nd_model = 4\nnum_layers = 1\nptsm = { linear_skip = true }\n\
    [training]\nepochs = 2\nbatch_size = 32\nskip_rate = 0.5\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data.csv"), csv(400)).unwrap();
    std::fs::write(folder.path().join("r.toml"), RECIPE).unwrap();
    let mut cases = "@classLabel true slow fast\n@data\n".to_owned();
    for i in 0..20 {
        let row: Vec<String> = (0..24).map(|t| ((t * (1 + i % 2) + i) % 7).to_string()).collect();
        cases += &format!("{}:{}\n", row.join(","), ["slow", "fast"][i % 2]);
    }
    std::fs::write(folder.path().join("cases.ts"), cases).unwrap();
    folder
}

/// The weights of the only model below a folder.
fn only_weights(dir: &Path) -> Vec<u8> {
    let found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("model.safetensors"))
        .filter(|path| path.is_file())
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    std::fs::read(&found[0]).unwrap()
}

#[test]
fn the_same_recipe_gives_one_model_whichever_command_trains_it() {
    let folder = folder();
    let folder = folder.path();
    ok(folder, "train --data data.csv --recipe r.toml --out model -q");
    let weights = std::fs::read(folder.join("model/model.safetensors")).unwrap();

    let space = RECIPE.replace("[model]", "[base.model]").replace("[training]", "[base.training]");
    std::fs::write(folder.join("space.toml"), space).unwrap();
    let found = json(folder, "tune --data data.csv --space space.toml --out tuned --rungs 1");
    assert_eq!(found["trials"], 1);
    assert!(only_weights(&folder.join("tuned/cells")) == weights, "tune");

    let recipe = RECIPE.replace("prediction_length = 4\n", "");
    let suite = format!(
        "title = \"t\"\ndata = [\"data.csv\"]\nhorizons = [4]\nseeds = [0]\n{recipe}\
         [[recipes]]\nname = \"it\"\n[[rows]]\nname = \"it\"\ncandidates = [{{ recipes = [\"it\"] }}]\n"
    );
    std::fs::write(folder.join("suite.toml"), suite).unwrap();
    let table = json(folder, "benchmark --suite suite.toml --out table");
    assert!(only_weights(&folder.join("table/cells")) == weights, "benchmark");

    // ablate keeps no model; its scores are those of the same weights.
    let ablated =
        json(folder, "ablate --data data.csv --recipe r.toml --segment-length 2 --seeds 0");
    let plain = &ablated["rows"][0];
    assert_eq!(plain["name"], "independent");
    let scored = json(folder, "evaluate --model model --data data.csv --no-baselines");
    let tested = &table["outcomes"][0]["rows"][0]["seeds"][0];
    for error in ["mse", "mae"] {
        assert_eq!(plain[error][0], scored[error], "{error}");
        assert_eq!(tested[error], scored[error], "{error}");
    }
}

#[test]
fn options_that_a_command_would_not_use_are_refused_by_name() {
    let folder = folder();
    let folder = folder.path();
    ok(folder, &format!("train --data data.csv --out main -q {TINY}"));
    let flags = "--epochs 1 --data main=data.csv --model main --out out";
    let search = "task = \"classification\"\n[model]\npatch_length = 4\npatch_stride = 4\n\
                  [training]\nepochs = 1\npatience = 2\n";
    std::fs::write(folder.join("s.toml"), search).unwrap();
    std::fs::write(folder.join("seeded.toml"), format!("{RECIPE}seed = 4\n")).unwrap();
    let mut table = vec![
        ("train --data data.csv --out out TINY --class-weights 1,2".to_owned(), "class_weights"),
        ("train --data data.csv --out out TINY --skip-start zero".to_owned(), "skip_start"),
        ("train --data data.csv --out out TINY --loss nll --mae-share 0.5".to_owned(), "mae_share"),
        (
            "train --data data.csv --out out TINY --head-aggregation avg_pool".to_owned(),
            "head_aggregation",
        ),
        ("train --data data.csv --out out TINY --hold-out 0.1".to_owned(), "hold_out"),
        (
            "train --task classification --data cases.ts --out out --epochs 1 --window-step 3"
                .to_owned(),
            "window_step",
        ),
        (
            "train --task classification --data cases.ts --out out --class-weights 1,2,3"
                .to_owned(),
            "wanted one for each of the 2 classes",
        ),
        ("train --task classification --data cases.ts --out out --split 7:1:2".to_owned(), "split"),
        ("train --task pretraining --data data.csv --out out TINY --loss nll".to_owned(), "loss"),
        ("train --data data.csv --out out TINY --metric smape".to_owned(), "--metric"),
        ("train --data data.csv --out out TINY --scaling level".to_owned(), "scaling"),
        (
            "train --data data.csv --out out TINY --percent-loss smape --transform log1p"
                .to_owned(),
            "percent_loss",
        ),
        (
            "train --data data.csv --out out TINY --percent-loss mape --mae-share 1".to_owned(),
            "percent_loss",
        ),
        (
            "train --data data.csv --out out TINY --linear-skip --skip-start season".to_owned(),
            "skip_start",
        ),
        (
            "train --data data.csv --out out TINY --with-validation --min-delta 0.1".to_owned(),
            "min_delta",
        ),
        (
            "train --task classification --data cases.ts --out out --partial-windows".to_owned(),
            "partial_windows",
        ),
        ("select --data cases.ts --recipe s.toml --folds 2".to_owned(), "patience"),
        ("ablate --data data.csv --recipe seeded.toml --segment-length 2".to_owned(), "seed"),
        (format!("heads joint {flags} --recipe r.toml"), "model"),
    ];
    for (flag, field) in [
        ("--ema-decay 0.9", "ema_decay"),
        ("--skip-rate 0.5", "skip_rate"),
        ("--skip-start zero", "skip_start"),
        ("--freeze backbone", "freeze_backbone"),
        ("--transform log1p", "transform"),
        ("--init-style normal", "init"),
        ("--class-weights 1,2", "class_weights"),
        ("--checkpoint-steps 3", "checkpoint_steps"),
        ("--epoch-steps 3", "epoch_steps"),
        ("--partial-windows", "partial_windows"),
        ("--with-validation", "with_validation"),
    ] {
        table.push((format!("heads joint {flags} {flag}"), field));
    }
    for (arguments, field) in table {
        let output = run(folder, &arguments.replace("TINY", TINY));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        // An option that was typed is named as it was.
        let option = format!("--{}", field.replace('_', "-"));
        assert!(said.contains(field) || said.contains(&option), "{arguments}: {said}");
        assert!(!folder.join("out/model.safetensors").exists(), "{arguments}");
    }
    // What joint training does use changes what it trains.
    let mut trained = Vec::new();
    for (out, flag) in [("a", ""), ("b", "--mae-share 0.5"), ("c", "--huber-delta 0.1")] {
        ok(
            folder,
            &format!("heads joint {} {flag} -q", flags.replace("out out", &format!("out {out}"))),
        );
        trained.push(std::fs::read(folder.join(out).join("model.safetensors")).unwrap());
    }
    assert!(trained[0] != trained[1] && trained[0] != trained[2] && trained[1] != trained[2]);
}

#[test]
fn loose_values_of_a_recipe_are_refused_with_the_known_and_the_nearest() {
    let folder = folder();
    let folder = folder.path();
    for (line, says) in [
        ("mode = \"mix_chanel\"", ["`common_channel`", "did you mean `mix_channel`?"]),
        (
            "scaling = \"standard\"",
            ["`std`, `mean`, `level`, `none`", "unknown variant `standard`"],
        ),
        ("norm_mlp = \"btach\"", ["`LayerNorm` or `BatchNorm`", "unknown variant `btach`"]),
        // Of the many fields only the one that was meant.
        ("num_layer = 2", ["unknown field `num_layer` (did you", "did you mean `num_layers`?"]),
        ("loss = \"quantiles\"", ["`mse`, `nll`, `quantile`", "did you mean `quantile`?"]),
    ] {
        std::fs::write(folder.join("bad.toml"), format!("[model]\n{line}\n")).unwrap();
        for command in ["train --out out", "ablate"] {
            let arguments = format!("{command} --data data.csv --recipe bad.toml");
            let output = run(folder, &arguments);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{line}: {said}");
            assert!(says.iter().all(|part| said.contains(part)), "{line}: {said}");
            assert!(said.contains("bad.toml") && said.contains("line 2"), "{said}");
        }
    }
}

#[test]
fn tune_and_ensembles_say_which_training_diverged() {
    let folder = folder();
    let folder = folder.path();
    // Finite, and far from any forecast.
    let wild = RECIPE
        .replace("ptsm = { linear_skip = true }\n", "scaling = \"none\"\n")
        .replace("skip_rate = 0.5", "learning_rate = 20.0\nseed = 0");
    let space = wild.replace("[model]", "[base.model]").replace("[training]", "[base.training]");
    std::fs::write(folder.join("space.toml"), space.replace("seed = 0", "")).unwrap();
    let output = run(folder, "tune --data data.csv --space space.toml --out tuned --rungs 1");
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(answer.contains("the training of the best recipe diverged"), "{answer}");
    assert!(stderr(&output).contains(" diverged: the best"), "{}", stderr(&output));

    let calm = wild.replace("learning_rate = 20.0", "learning_rate = 0.001");
    let members = "[[members]]\n[[members]]\ntraining = { learning_rate = 20.0 }\n";
    std::fs::write(folder.join("e.toml"), calm + members).unwrap();
    let found = json(folder, "train --data data.csv --recipe e.toml --out both");
    assert!(found["members"][0]["diverged"].is_null(), "{found}");
    let told = found["members"][1]["diverged"].as_str().unwrap();
    assert!(told.starts_with("the best validation loss is"), "{found}");
    let text = ok(folder, "train --data data.csv --recipe e.toml --out both --overwrite -q");
    assert!(text.contains("the training of both/members/1"), "{text}");
}
