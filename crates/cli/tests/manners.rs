//! How the command answers a person: what is missing, what was nearly right, what a picture shows, what a run was
//! asked for.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::{TINY, csv, json, ok, ptsm, run, stderr, trained};

/// What a command that fails says, and its exit code.
fn refused(folder: &Path, arguments: &str) -> (i32, String) {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "ptsm {arguments}");
    (output.status.code().unwrap(), stderr(&output))
}

/// Runs `ptsm` with these bytes on its standard input.
fn piped(folder: &Path, arguments: &str, bytes: &[u8]) -> std::process::Output {
    let mut child = ptsm(folder)
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read closes its end, which is its affair.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    child.wait_with_output().unwrap()
}

/// Hourly rows of three series, one of them with two rows alone.
fn long() -> String {
    let mut text = "time,id,y\n".to_owned();
    for (id, rows) in [("north", 200), ("south", 200), ("tiny", 2)] {
        for row in 0..rows {
            let (day, hour) = (row / 24 + 1, row % 24);
            let y = (f64::from(row) * 0.26).sin() + f64::from(row % 7) * 0.1;
            text += &format!("2024-01-{day:02} {hour:02}:00,{id},{y:.4}\n");
        }
    }
    text
}

#[test]
fn a_file_that_is_not_there_is_named_with_its_neighbour_by_every_command() {
    let folder = trained();
    let folder = folder.path();
    std::fs::write(folder.join("space.toml"), "").unwrap();
    let near = "laod.csv: no such file";
    for (arguments, says) in [
        ("train --data daat.csv --out m", "daat.csv: no such file (did you mean data.csv?)"),
        ("train --data data --out m", "(did you mean data.csv?)"),
        ("predict --model model --data laod.csv", near),
        ("evaluate --model model --data laod.csv", near),
        ("calibrate --model model --data laod.csv", near),
        ("forecast laod.csv", near),
        ("inspect laod.csv", near),
        ("tune --out t --data laod.csv", near),
        ("benchmark --out b --data laod.csv", near),
        ("benchmark --out b --suite laod.csv", near),
        ("ablate --data data.csv --recipe laod.csv", near),
        ("select --data laod.csv --recipe space.toml", ""),
        ("import model --data laod.csv --out m", near),
        ("train --data data.csv --out m --recipe laod.csv", near),
        ("tune --data data.csv --out t --space spcae.toml", "(did you mean space.toml?)"),
        (
            "evaluate --model modle --data data.csv",
            "modle: no such file or folder (did you mean model?)",
        ),
        ("trace --model model --inputs laod.csv --outputs o", near),
        ("compare laod.csv laod.csv", near),
    ] {
        let (_, text) = refused(folder, arguments);
        assert!(text.contains(says), "ptsm {arguments}: {text}");
        assert!(!text.contains("os error") && !text.contains("entity not found"), "{text}");
    }
}

#[test]
fn what_is_nearly_right_is_answered_with_what_is() {
    let folder = trained();
    let folder = folder.path();
    for (arguments, says) in [
        ("train --data data.csv --out m --shedule cosine", "'--schedule'"),
        ("train --data data.csv --out m --schedule cosin", "'cosine'"),
        ("train --data data.csv --out m --task classifcation", "'classification'"),
        ("train --data data.csv --out m --dates dayfirst", "'day-first'"),
        ("train --data data.csv --out m --duplicates frist", "'first'"),
        ("train --data data.csv --out m --metric smpae", "'smape'"),
        ("train --data data.csv --out m --targets laod", "(did you mean load?)"),
        ("train --data data.csv --out m --split ett-huor", "(did you mean ett-hour?)"),
        ("train --data data.csv --out m --prediction-channel-indices wimd", "(did you mean wind?)"),
        ("train --data nyc-wether --out m", "(did you mean nyc-weather?)"),
        ("evaluate --data data.csv --model builtin --split tset", "(did you mean test?)"),
        ("evaluate --data data.csv --model model --backend cup", "(did you mean cpu?)"),
        ("simulate --out s.csv --family wlak", "(did you mean walk?)"),
        ("tt-plan --shape seed --arch wormhole-n15", "'wormhole-n150'"),
    ] {
        let (_, text) = refused(folder, arguments);
        assert!(text.contains(says), "ptsm {arguments}: {text}");
    }
    assert!(!folder.join("m").exists());
}

#[test]
fn a_table_and_cases_are_read_from_standard_input() {
    let folder = trained();
    let folder = folder.path();
    let table = std::fs::read(folder.join("data.csv")).unwrap();
    for arguments in ["predict --model model -q --data", "forecast -q --horizon 3"] {
        let file = ok(folder, &format!("{arguments} data.csv"));
        let output = piped(folder, &format!("{arguments} -"), &table);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), file, "{arguments}");
    }
    ok(folder, "predict --model model --data data.csv --out rows.parquet -q");
    let parquet = std::fs::read(folder.join("rows.parquet")).unwrap();
    let output = piped(folder, "inspect -", &parquet);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("standard input: 4 rows"));
    let cases = b"# two\n@problemName two\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n\
                  1,2,3:a\n3,2,1:b\n";
    let output = piped(folder, "inspect -", cases);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("standard input: 2 cases"), "{text}{}", stderr(&output));
    let output = piped(folder, "inspect -", b"");
    assert!(stderr(&output).contains("standard input: holds nothing"), "{}", stderr(&output));
}

#[test]
fn channels_are_named_where_an_index_is_wanted() {
    let folder = trained();
    let folder = folder.path();
    let train = format!("train --data data.csv -q {TINY} --out");
    ok(folder, &format!("{train} by-name --prediction-channel-indices wind"));
    ok(folder, &format!("{train} by-number --prediction-channel-indices 1"));
    std::fs::write(
        folder.join("recipe.toml"),
        "[model]\nprediction_channel_indices = [\"wind\"]\n",
    )
    .unwrap();
    ok(folder, &format!("{train} by-recipe --recipe recipe.toml"));
    let weights = |name: &str| std::fs::read(folder.join(name).join("model.safetensors")).unwrap();
    assert_eq!(weights("by-name"), weights("by-number"));
    assert_eq!(weights("by-recipe"), weights("by-number"));
    let head = ok(folder, "predict --model by-name --data data.csv -q");
    assert!(head.starts_with("time,wind\n"), "{head}");
}

#[test]
fn a_series_of_which_nothing_is_known_is_skipped_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("long.csv"), long()).unwrap();
    std::fs::write(folder.join("all.csv"), long().replace(",tiny,", ",north2,")).unwrap();
    let both: String =
        long().lines().filter(|line| !line.contains("tiny")).map(|l| l.to_owned() + "\n").collect();
    std::fs::write(folder.join("both.csv"), both).unwrap();
    ok(folder, &format!("train --data both.csv --out model -q {TINY}"));
    for command in ["predict --model model --data long.csv", "forecast long.csv --horizon 4"] {
        let output = run(folder, &format!("{command} --rows-before-end 4"));
        assert!(output.status.success(), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(
            said.contains("skipped, as no value is known before the forecast: tiny (2 rows)"),
            "{said}"
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.lines().count(), 1 + 2 * 4, "{text}");
        let (code, said) = refused(folder, &format!("{command} --rows-before-end 900"));
        assert!(code == 2 && said.contains("no series has a value before the forecast"), "{said}");
    }
    let output = run(folder, "predict --model model --data long.csv");
    let said = stderr(&output);
    assert!(said.contains("fewer rows than the 24 that the model sees"), "{said}");
    assert!(said.contains("tiny (2 rows)"), "{said}");
}

#[test]
fn a_picture_shows_every_series_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("long.csv"), long()).unwrap();
    let output = run(folder, "forecast long.csv --plot all.svg --horizon 4");
    assert!(output.status.success(), "{}", stderr(&output));
    let picture = std::fs::read_to_string(folder.join("all.svg")).unwrap();
    for name in ["north", "south", "tiny"] {
        assert!(picture.contains(name), "{name}");
    }
    let note = stderr(&output);
    let line = note.lines().find(|line| line.starts_with("picture: ")).unwrap();
    assert_eq!(line, "picture: all.svg");
}

#[test]
fn tune_tells_the_best_recipe_in_ten_lines_and_how_to_train_it() {
    let folder = trained();
    let folder = folder.path();
    let text = ok(
        folder,
        "tune --data data.csv --out found --budget 1s --context-length 48 --prediction-length 4 -q",
    );
    assert!((8..=10).contains(&text.lines().count()), "{text}");
    for part in
        ["recipes tried", "patch_length ", "d_model ", "learning_rate ", "found/recipe.toml"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let line = text.lines().last().unwrap().strip_prefix("train it: ptsm ").unwrap();
    ok(folder, &format!("{line} -q"));
    assert!(
        folder.join("found/trials.json").is_file() && folder.join("tuned/config.json").is_file()
    );
}

#[test]
fn a_benchmark_needs_one_file_and_a_folder() {
    let folder = trained();
    let folder = folder.path();
    let text = ok(folder, "benchmark --data data.csv --horizons 4 --out bench -q");
    assert!(text.contains("data.csv 4, MASE") && text.contains("seasonal naive"), "{text}");
    let suite = "[[panels]]\nname = \"data.csv 4\"\nsource = { data = \"data.csv\" }\n";
    std::fs::write(folder.join("suite.toml"), suite).unwrap();
    let (code, said) = refused(folder, "benchmark --data data.csv --suite suite.toml --out bench");
    assert!(code == 2 && said.contains("cannot be used with"), "{said}");
}

#[test]
fn man_pages_of_all_commands_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let got = json(folder.path(), "man --out man");
    assert!(got["pages"].as_u64().unwrap() > 25, "{got}");
    let page = std::fs::read_to_string(folder.path().join("man/ptsm-train.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("context\\-length"), "{page}");
    assert!(page.contains("ptsm train \\-\\-data load.csv"), "{page}");
    // What `-h` leaves out is described, too.
    assert!(page.contains("Probability of dropping a value inside the mixers"), "{page}");
    let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").unwrap();
    assert!(examples.lines().any(|line| line.starts_with("ptsm train ")), "{examples}");
    let whole = std::fs::read_to_string(folder.path().join("man/ptsm.1")).unwrap();
    for name in whole.split("ptsm\\-").skip(1).filter_map(|rest| rest.split_once("(1)")) {
        let page = format!("man/ptsm-{}.1", name.0.replace('\\', ""));
        assert!(folder.path().join(&page).is_file(), "{page} is referred to");
    }
    assert!(folder.path().join("man/ptsm-heads-add.1").is_file());
    assert!(ok(folder.path(), "man").contains(".TH ptsm"));
}

#[test]
fn the_version_names_the_commit_and_the_instruction_set() {
    let folder = tempfile::tempdir().unwrap();
    let text = ok(folder.path(), "--version");
    let rest = text.trim().strip_prefix("ptsm ").unwrap();
    let (version, rest) = rest.split_once(" (commit ").unwrap();
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let (commit, set) = rest.strip_suffix(')').unwrap().split_once(", ").unwrap();
    assert!(commit == "unknown" || commit.chars().all(|c| c.is_ascii_hexdigit()), "{commit}");
    assert!(["avx512", "avx2", "portable"].contains(&set), "{set}");
    assert_eq!(json(folder.path(), "doctor --no-measure")["commit"], commit);
}

#[test]
fn a_model_with_parts_of_ours_is_marked_for_hugging_face_and_still_read() {
    let folder = trained();
    let folder = folder.path();
    let config = |model: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(folder.join(model).join("config.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(config("model")["model_type"], "patchtsmixer");
    assert!(config("model")["norm_mlp"].is_string());
    for (name, part) in [
        ("skip", "--linear-skip"),
        ("last", "--location last"),
        ("quantile", "--loss quantile"),
        ("hybrid", "--mode hybrid"),
        ("hierarchy", "--segment-length 2"),
        ("level", "--scaling level --targets load --transform none"),
    ] {
        let data = if name == "level" { "level.csv" } else { "data.csv" };
        let positive = csv(400).replace(",-", ",");
        std::fs::write(folder.join("level.csv"), positive).unwrap();
        ok(folder, &format!("train --data {data} --out {name} -q {TINY} {part}"));
        assert_eq!(config(name)["model_type"], "ptsm_patchtsmixer", "{name}");
        // Not a text, which the classes of transformers want there.
        assert!(config(name)["norm_mlp"].is_object(), "{name}");
        ok(folder, &format!("predict --data {data} --model {name} -q"));
        // As an earlier version wrote it.
        let mut old = config(name);
        old["model_type"] = "patchtsmixer".into();
        old["norm_mlp"] = "LayerNorm".into();
        std::fs::write(folder.join(name).join("config.json"), old.to_string()).unwrap();
        ok(folder, &format!("verify {name} --accept"));
        ok(folder, &format!("predict --data {data} --model {name} -q"));
    }
}

/// Two classes of waves, as a `.ts` file.
fn waves() -> String {
    let mut text = "@problemName waves\n@timeStamps false\n@univariate true\n@classLabel true slow fast\n@data\n".to_owned();
    for case in 0..12 {
        let (speed, name) = if case % 2 == 0 { (0.4, "slow") } else { (1.3, "fast") };
        let points = (0..16).map(|t| format!("{:.3}", (speed * f64::from(t + case)).sin()));
        text += &format!("{}:{name}\n", points.collect::<Vec<_>>().join(","));
    }
    text
}

#[test]
fn a_file_or_model_of_another_kind_is_answered_with_the_command_for_it() {
    let folder = trained();
    let folder = folder.path();
    std::fs::write(folder.join("my waves.ts"), waves()).unwrap();
    std::fs::copy(folder.join("my waves.ts"), folder.join("waves.ts")).unwrap();
    let network = "--patch-length 4 --patch-stride 4 --d-model 4 --num-layers 1 --epochs 1 -q";
    // The command that an error names is typed as it is.
    let output =
        ptsm(folder).args(["train", "--data", "my waves.ts", "--out", "a model"]).output().unwrap();
    let said = stderr(&output);
    let wanted = "ptsm train --data 'my waves.ts' --task classification --out 'a model'";
    assert!(said.contains(wanted) && !said.contains("trained so"), "{said}");
    let (_, said) = refused(folder, "train --data waves.ts --out labels");
    let (_, typed) = said.split_once("ptsm train ").unwrap();
    ok(folder, &format!("train {} {network}", typed.trim().trim_end_matches(')')));
    std::fs::copy(folder.join("waves.ts"), folder.join("waves_TEST.ts")).unwrap();
    for (arguments, says) in [
        ("predict --model model --data waves_TEST.ts", "ptsm train --data waves_TRAIN.ts --task"),
        ("stream --model labels", "labels: labels cases, and stream needs a model that forecasts"),
        ("detect --model labels --data data.csv", "labels: labels cases, and detect needs a model"),
        ("explain --model labels --data data.csv", "labels: labels cases, and explain needs a"),
        ("calibrate --model labels --data data.csv", "ptsm predict --data CASES --model labels"),
        ("predict --model labels --data data.csv", "labels labels cases: data.csv: has no column"),
        ("evaluate --model labels --data data.csv", "labels labels cases: data.csv: has no column"),
        ("predict --model model --data waves.ts", "and the model forecasts series"),
        ("inspect nothing", "nothing: no such file or folder, nor a data set"),
        ("compare data.csv data.csv", "ptsm backtest --model A --versus B --data FILE"),
        ("train --task classification --data data.csv --out x", "name it with --id"),
    ] {
        let (_, text) = refused(folder, arguments);
        assert!(text.contains(says), "ptsm {arguments}: {text}");
    }
    let text = ok(folder, "evaluate --model labels --data waves.ts --plot waves.svg -q");
    assert!(text.contains("true \\ predicted"), "{text}");
    let picture = std::fs::read_to_string(folder.join("waves.svg")).unwrap();
    assert!(picture.contains("true class") && picture.contains(" % of 12 cases"));
    assert_eq!(ok(folder, "inspect --model model"), ok(folder, "inspect model"));
}

#[test]
fn a_forecast_without_intervals_names_the_command_that_adds_them() {
    let folder = trained();
    let folder = folder.path();
    std::fs::rename(folder.join("data.csv"), folder.join("my data.csv")).unwrap();
    let line = ["predict", "--model", "model", "--data", "my data.csv"];
    let said = stderr(&ptsm(folder).args(line).output().unwrap());
    let wanted = "ptsm calibrate --model model --data 'my data.csv'";
    assert!(said.contains(wanted), "{said}");
    let output = ptsm(folder)
        .args(["calibrate", "--model", "model", "--data", "my data.csv"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn members_of_a_mean_that_read_other_channels_are_named_with_them() {
    let folder = trained();
    let folder = folder.path();
    ok(folder, &format!("train --data data.csv --targets wind --out wind -q {TINY}"));
    let (_, said) = refused(folder, "ensemble model wind --out both");
    assert!(said.contains("wind: reads wind, and model reads load, wind"), "{said}");
    ok(folder, "ensemble model model --out both");
    let text = ok(folder, "inspect both");
    for line in text.lines().filter(|line| line.contains("weight")) {
        let (place, _) = line.split_once(": ").unwrap();
        assert!(folder.join(place).join("config.json").is_file(), "{text}");
    }
}

#[test]
fn an_ablation_takes_segments_that_divide_the_horizon() {
    let folder = trained();
    let folder = folder.path();
    let recipe = "model.context_length = 24\nmodel.prediction_length = 6\nmodel.patch_length = 4\n\
                  model.patch_stride = 4\nmodel.d_model = 4\nmodel.num_layers = 1\ntraining.epochs = 1\n";
    std::fs::write(folder.join("r.toml"), recipe).unwrap();
    let ablate = "ablate --data data.csv --recipe r.toml --seeds 0";
    let output = run(folder, &format!("{ablate} --out all.json"));
    let (said, text) = (stderr(&output), String::from_utf8_lossy(&output.stdout).into_owned());
    assert!(said.contains("segments of 6 steps") && said.contains("measured: all.json"), "{said}");
    assert!(text.contains("1 seed ") && text.contains('*') && !text.contains("+-"), "{text}");
    assert!(text.contains("\nincoherence: "), "{text}");
    let (_, said) = refused(folder, &format!("{ablate} --segment-length 4"));
    let wanted = "--segment-length: 4 does not divide the horizon of 6 steps (one of 6, 3, 2 does)";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn a_search_takes_its_task_from_the_recipe_or_the_option() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("waves.ts"), waves()).unwrap();
    let recipe = "model.patch_length = 4\nmodel.patch_stride = 4\nmodel.d_model = 4\nmodel.num_layers = 1\n\
                  training.epochs = 1\ngrid.dropout = [0.0, 0.1]\n";
    std::fs::write(folder.join("r.toml"), recipe).unwrap();
    std::fs::write(folder.join("t.toml"), format!("task = \"classification\"\n{recipe}")).unwrap();
    let select = "select --data waves.ts --folds 2 --test waves.ts --seeds 0";
    let (_, said) = refused(folder, &format!("{select} --recipe r.toml"));
    assert!(said.contains("r.toml: task: is missing (in the first line: task = "), "{said}");
    let (_, said) = refused(folder, &format!("{select} --recipe t.toml --task regression"));
    assert!(said.contains("leave one of the two out"), "{said}");
    let without = run(folder, &format!("{select} --recipe r.toml --task classification"));
    let (said, text) = (stderr(&without), String::from_utf8_lossy(&without.stdout).into_owned());
    assert!(said.contains("2 settings x 2 folds = 4 trainings"), "{said}");
    assert_eq!(ok(folder, &format!("{select} --recipe t.toml")), text);
    for part in ["dropout 0.1\n", " %  ", "without training: the most frequent class 50.0 %, "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn columns_stand_below_their_heads_and_the_season_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows: String = (0..200).map(|t| format!("{t},{}\n", [3, 9, 4, 7][t % 4])).collect();
    std::fs::write(folder.join("data.csv"), format!("t,y\n{rows}")).unwrap();
    let text = ok(folder, "inspect data.csv");
    let line = |starts: &str| text.lines().find(|line| line.starts_with(starts)).unwrap();
    let end = |line: &str| line.split_once("  ").map(|_| line.chars().count());
    assert_eq!(end(line("channel ")), end(line("y ")), "{text}");
    assert!(text.contains("0.00 %") && text.contains("season: 4 steps"), "{text}");
}

#[test]
fn every_command_calls_the_steps_of_a_forecast_horizon() {
    let folder = trained();
    let folder = folder.path();
    let backtest = "backtest --model model --data data.csv --windows 2 -q";
    let text = ok(folder, &format!("{backtest} --horizon 3"));
    let other = ok(folder, &format!("{backtest} --prediction-length 3"));
    let scores = |text: &str| text.lines().filter(|line| line.contains("model")).count();
    assert_eq!(scores(&text), scores(&other));
    let help = ok(folder, "backtest --help");
    assert!(help.contains("horizon]"), "{help}");
}
