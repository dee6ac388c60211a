//! Bad input of every kind gives an error that says what is wrong, where, and how to mend it, the
//! exit code of its kind, nothing on stdout and no half-written file.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{TINY, csv, run, stderr, trained};

/// One row of the table.
struct Case {
    /// What is wrong.
    name: &'static str,
    /// Makes the bad files in a folder that holds `data.csv` and a good `model`.
    make: fn(&Path),
    /// The arguments; `TINY` is replaced by the flags of a tiny model.
    arguments: &'static str,
    exit_code: i32,
    /// Texts that the message must hold.
    says: &'static [&'static str],
}

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// `bad.csv`: the good rows with one cell or line changed.
fn edit(folder: &Path, change: impl Fn(usize, &str) -> String) {
    let text: String =
        csv(400).lines().enumerate().map(|(i, line)| change(i, line) + "\n").collect();
    write(folder, "bad.csv", text);
}

/// Replaces the second cell of every data row.
fn edit_load(folder: &Path, cell: impl Fn(usize) -> String) {
    edit(folder, |i, line| {
        let cells: Vec<&str> = line.split(',').collect();
        if i == 0 { line.into() } else { format!("{},{},{}", cells[0], cell(i), cells[2]) }
    });
}

/// A copy of the good model with one file changed.
fn edit_model(folder: &Path, name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let bad = folder.join("bad");
    std::fs::create_dir(&bad).unwrap();
    for file in ["config.json", "model.safetensors", "preprocessor.json"] {
        std::fs::copy(folder.join("model").join(file), bad.join(file)).unwrap();
    }
    let bytes = std::fs::read(bad.join(name)).unwrap();
    std::fs::write(bad.join(name), change(bytes)).unwrap();
}

fn edit_text(folder: &Path, name: &str, from: &str, to: &str) {
    edit_model(folder, name, |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{from} is in {name}");
        text.replace(from, to).into_bytes()
    });
}

/// A safetensors file with this header and `bytes` bytes after it.
fn safetensors(header: &str, bytes: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(std::iter::repeat_n(0, bytes));
    file
}

const TRAIN: &str = "train --data bad.csv --out new TINY";
const PREDICT: &str = "predict --model bad --data data.csv --out new";

const TABLES: &[Case] = &[
    Case {
        name: "ragged row",
        make: |f| edit(f, |i, line| if i == 41 { format!("{line},7") } else { line.into() }),
        arguments: TRAIN,
        exit_code: 2,
        says: &["bad.csv", "line 42", "4", "3"],
    },
    Case {
        name: "no numeric column",
        make: |f| write(f, "bad.csv", "time,what\n2024-01-01,rain\n2024-01-02,snow\n"),
        arguments: TRAIN,
        exit_code: 2,
        says: &["bad.csv", "no numeric column"],
    },
    Case {
        name: "text among numbers",
        make: |f| edit_load(f, |i| if i == 57 { "broken".into() } else { i.to_string() }),
        arguments: TRAIN,
        exit_code: 2,
        says: &["bad.csv", "line 58", "load", "broken", "--missing"],
    },
    Case {
        name: "times out of order",
        make: |f| {
            edit(f, |i, line| {
                if i == 30 { line.replace("2024-01-02 05", "2023-12-02 05") } else { line.into() }
            });
        },
        arguments: TRAIN,
        exit_code: 2,
        says: &["line 31", "2023-12-02", "--sort"],
    },
    Case {
        name: "times twice",
        make: |f| {
            edit(f, |i, line| {
                if i == 30 { line.replace("2024-01-02 05", "2024-01-02 04") } else { line.into() }
            });
        },
        arguments: TRAIN,
        exit_code: 2,
        says: &["2024-01-02 04:00", "--duplicates"],
    },
    Case {
        name: "series too short",
        make: |f| write(f, "bad.csv", csv(12)),
        arguments: TRAIN,
        exit_code: 2,
        says: &["validation part", "--prediction-length 4"],
    },
    Case {
        name: "nothing seen in a channel",
        make: |f| edit_load(f, |_| String::new()),
        arguments: "train --data bad.csv --targets load,wind --out new TINY",
        exit_code: 2,
        says: &["load", "no"],
    },
    Case {
        name: "an infinity",
        make: |f| edit_load(f, |i| if i == 99 { "inf".into() } else { i.to_string() }),
        arguments: TRAIN,
        exit_code: 2,
        says: &["line 100", "load", "inf"],
    },
    Case {
        name: "no such file",
        make: |_| (),
        arguments: "train --data none.csv --out new TINY",
        exit_code: 3,
        says: &["none.csv"],
    },
    Case {
        name: "no such data set",
        make: |_| (),
        arguments: "train --data ETTh9 --out new TINY",
        exit_code: 2,
        says: &["ETTh9", "ETTh1"],
    },
    Case {
        name: "empty file",
        make: |f| write(f, "bad.csv", ""),
        arguments: TRAIN,
        exit_code: 2,
        says: &["bad.csv", "empty"],
    },
    Case {
        name: "column that is not there",
        make: |_| (),
        arguments: "train --data data.csv --targets lood --out new TINY",
        exit_code: 2,
        says: &["lood", "load"],
    },
];

const SETTINGS: &[Case] = &[
    Case {
        name: "context not longer than the patch",
        make: |_| (),
        arguments: "train --data data.csv --out new --context-length 8 --patch-length 8",
        exit_code: 2,
        says: &["context_length", "--patch-length", "8"],
    },
    Case {
        name: "heads that do not divide d_model",
        make: |_| (),
        arguments: "train --data data.csv --out new TINY --self-attn true --self-attn-heads 3",
        exit_code: 2,
        says: &["--self-attn-heads", "3", "d_model", "4"],
    },
    Case {
        name: "unknown field in a recipe",
        make: |f| write(f, "r.toml", "[model]\nd_modell = 8\n"),
        arguments: "train --data data.csv --out new --recipe r.toml",
        exit_code: 2,
        says: &["d_modell"],
    },
    Case {
        name: "unknown option",
        make: |_| (),
        arguments: "train --data data.csv --out new --d-modell 8",
        exit_code: 2,
        says: &["--d-modell", "--d-model"],
    },
    Case {
        name: "output below a file",
        make: |_| (),
        arguments: "train --data data.csv --out data.csv/new TINY",
        exit_code: 3,
        says: &["data.csv/new"],
    },
    Case {
        name: "output folder that is not there",
        make: |_| (),
        arguments: "predict --model model --data data.csv --out new/f.csv",
        exit_code: 3,
        says: &["new/f.csv", "must exist"],
    },
    Case {
        name: "a model is there already",
        make: |_| (),
        arguments: "train --data data.csv --out model TINY",
        exit_code: 2,
        says: &["model", "--overwrite"],
    },
    Case {
        name: "backend that is not there",
        make: |_| (),
        arguments: "predict --model model --data data.csv --backend abacus",
        exit_code: 5,
        says: &["abacus", "cpu"],
    },
];

const MODELS: &[Case] = &[
    Case {
        name: "truncated weights",
        make: |f| edit_model(f, "model.safetensors", |bytes| bytes[..bytes.len() - 5].to_vec()),
        arguments: PREDICT,
        exit_code: 4,
        says: &["bad/model.safetensors"],
    },
    Case {
        name: "header longer than the file",
        make: |f| edit_model(f, "model.safetensors", |_| vec![255; 64]),
        arguments: PREDICT,
        exit_code: 4,
        says: &["bad/model.safetensors"],
    },
    Case {
        name: "overlapping tensors",
        make: |f| {
            edit_model(f, "model.safetensors", |_| {
                let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
                    "b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
                safetensors(header, 12)
            });
        },
        arguments: PREDICT,
        exit_code: 4,
        says: &["bad/model.safetensors"],
    },
    Case {
        name: "shape that overflows",
        make: |f| {
            edit_model(f, "model.safetensors", |_| {
                let header = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],
                    "data_offsets":[0,8]}}"#;
                safetensors(header, 8)
            });
        },
        arguments: PREDICT,
        exit_code: 4,
        says: &["bad/model.safetensors"],
    },
    Case {
        name: "weights of another shape",
        make: |f| edit_text(f, "config.json", "\"d_model\": 4", "\"d_model\": 6"),
        arguments: PREDICT,
        exit_code: 4,
        says: &["bad/model.safetensors", "wanted", "6"],
    },
    Case {
        name: "another model type",
        make: |f| edit_text(f, "config.json", "\"patchtsmixer\"", "\"patchtst\""),
        arguments: PREDICT,
        exit_code: 2,
        says: &["bad/config.json", "model_type", "patchtst"],
    },
    Case {
        name: "configuration of absurd size",
        make: |f| {
            edit_text(
                f,
                "config.json",
                "\"context_length\": 24",
                "\"context_length\": 4000000000000",
            );
        },
        arguments: PREDICT,
        exit_code: 2,
        says: &["bad/config.json"],
    },
    Case {
        name: "broken JSON",
        make: |f| edit_model(f, "config.json", |_| b"{\"d_model\": ".to_vec()),
        arguments: PREDICT,
        exit_code: 2,
        says: &["bad/config.json", "line 1"],
    },
    Case {
        name: "no model in the folder",
        make: |_| (),
        arguments: "predict --model . --data data.csv --out new",
        exit_code: 3,
        says: &["config.json"],
    },
    Case {
        name: "channel of another name",
        make: |f| write(f, "bad.csv", csv(400).replacen("wind", "gust", 1)),
        arguments: "predict --model model --data bad.csv --out new",
        exit_code: 2,
        says: &["wind", "gust"],
    },
    Case {
        name: "channel missing",
        make: |f| edit(f, |_, line| line.rsplit_once(',').unwrap().0.into()),
        arguments: "evaluate --model model --data bad.csv --report new",
        exit_code: 2,
        says: &["wind"],
    },
    Case {
        name: "no row in front of the forecast",
        make: |f| write(f, "bad.csv", csv(20)),
        arguments: "predict --model model --data bad.csv --rows-before-end 20 --out new",
        exit_code: 2,
        says: &["no series has a value before the forecast", "20 rows"],
    },
    Case {
        name: "inputs of another shape",
        make: |f| {
            let header =
                r#"{"in.past_values":{"dtype":"F32","shape":[1,23,2],"data_offsets":[0,184]}}"#;
            write(f, "in.safetensors", safetensors(header, 184));
        },
        arguments: "trace --model model --inputs in.safetensors --outputs new",
        exit_code: 2,
        says: &["past_values", "23", "24"],
    },
];

fn check(good: &Path, case: &Case) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("model")).unwrap();
    for name in
        ["data.csv", "model/config.json", "model/model.safetensors", "model/preprocessor.json"]
    {
        std::fs::copy(good.join(name), folder.join(name)).unwrap();
    }
    (case.make)(folder);
    let before = listing(folder);
    let output = run(folder, &case.arguments.replace("TINY", TINY));
    let said = stderr(&output);
    let mut wrong = Vec::new();
    let mut complain = |text: String| wrong.push(format!("{}: {text}\n  {said}", case.name));
    if output.status.code() != Some(case.exit_code) {
        complain(format!("exit {:?}, wanted {}", output.status.code(), case.exit_code));
    }
    for text in case.says.iter().filter(|text| !said.contains(**text)) {
        complain(format!("does not say {text:?}"));
    }
    if !output.stdout.is_empty() {
        complain("printed something".into());
    }
    if listing(folder) != before {
        complain(format!("left {:?} in the folder", listing(folder)));
    }
    wrong
}

/// Every file below `folder`; a folder made for output but left empty is no harm.
fn listing(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn bad_input_gives_a_clear_error_and_leaves_nothing() {
    let good = trained();
    let cases = TABLES.iter().chain(SETTINGS).chain(MODELS);
    let wrong: Vec<String> = cases.flat_map(|case| check(good.path(), case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_constant_channel_and_a_channel_that_ends_are_no_errors() {
    let good = trained();
    let folder = good.path();
    for (name, cell) in [("flat", "5"), ("ends", "")] {
        edit_load(folder, |i| if i < 200 && name == "ends" { format!("{i}") } else { cell.into() });
        common::ok(folder, &format!("train --data bad.csv --out {name} {TINY}"));
        let text = common::ok(folder, &format!("predict --model {name} --data bad.csv"));
        assert!(!text.to_lowercase().contains("nan"), "{text}");
    }
}
