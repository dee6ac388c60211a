//! `ptsm explain`: its table, its picture, its answers, and what it refuses.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

mod common;

use common::{json, ok, run, stderr, trained};

#[test]
fn influences_are_told_written_and_drawn() {
    let folder = trained();
    let folder = folder.path();
    let explain = "explain --model model --data data.csv";
    let told = ok(folder, &format!("{explain} --out i.csv --plot i.svg -q"));
    assert!(told.contains("load: forecast of size"), "{told}");
    assert!(told.contains("by channel of the past: load 100 %; 1 channel has none"), "{told}");
    let text = std::fs::read_to_string(folder.join("i.csv")).unwrap();
    let mut lines = text.lines();
    let head = "channel,kind,source,from,to,size,mean,step_1,step_2,step_3,step_4";
    assert_eq!(lines.next().unwrap(), head);
    // Two channels that are forecast, of each six patches of both.
    assert_eq!(lines.clone().count(), 2 * 2 * 6);
    assert!(
        lines
            .clone()
            .any(|line| line.starts_with("load,past,wind,") && line.ends_with(",0,0,0,0,0,0"))
    );
    assert!(
        lines.any(|line| line.starts_with("load,past,load,2024-01-17 12:00,2024-01-17 15:00,"))
    );
    assert!(std::fs::read_to_string(folder.join("i.svg")).unwrap().contains("largest influence"));
    for name in ["i.parquet", "i.json"] {
        ok(folder, &format!("{explain} --out {name} -q"));
        assert!(
            ok(folder, &format!("inspect {name} --timestamp none --id none")).contains("24 rows"),
            "{name}"
        );
    }
    for threads in ["--threads 1", "--threads 3"] {
        ok(folder, &format!("{explain} --out t.csv -q {threads}"));
        assert_eq!(text, std::fs::read_to_string(folder.join("t.csv")).unwrap());
    }
    let got = json(folder, explain);
    let load = &got["forecasts"][0];
    assert_eq!(load["channel"], "load");
    assert_eq!(load["channels"][0]["share"].as_f64(), Some(1.0));
    assert!(load["past"][0]["size"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_cutoff_is_a_time_or_a_number_of_rows() {
    let folder = trained();
    let folder = folder.path();
    let rows = "explain --model model --data data.csv -q --rows-before-end 24 --out a.csv";
    ok(folder, rows);
    let output = common::ptsm(folder)
        .args(["explain", "--model", "model", "--data", "data.csv", "-q", "--out", "b.csv"])
        .args(["--cutoff", "2024-01-16 16:00"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("a.csv"), read("b.csv"));
    ok(folder, "explain --model builtin --data data.csv -q --prediction-length 4 --stretch 40");
    for (options, place, wanted) in [
        ("--cutoff yesterday", "--cutoff", "is no row of the data"),
        ("--stretch 25", "--stretch", "must be from 1 to 24"),
        ("--prediction-length 4", "--prediction-length", "this one has its own"),
        ("--season 4", "--season", "leave it out"),
    ] {
        let refused = run(folder, &format!("explain --model model --data data.csv {options}"));
        let text = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{options}: {text}");
        assert!(text.contains(wanted) && text.contains(place), "{options}: {text}");
    }
}

#[test]
fn more_influences_than_fit_into_memory_are_refused_before() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let names: Vec<String> = (0..100).map(|c| format!("c{c}")).collect();
    let row = |row: usize| {
        let cell = |c: usize| format!("{:.3}", (row as f64 * 0.26 + c as f64).sin());
        (0..100).map(cell).collect::<Vec<_>>().join(",")
    };
    let rows: Vec<String> = (0..1200).map(row).collect();
    std::fs::write(folder.join("wide.csv"), format!("{}\n{}\n", names.join(","), rows.join("\n")))
        .unwrap();
    let tiny = "--context-length 96 --prediction-length 96 --patch-length 8 --patch-stride 8 --d-model 4 \
                --num-layers 1 --epochs 1 --batch-size 128";
    ok(folder, &format!("train --data wide.csv --out model -q {tiny}"));
    let explain = |stretch: usize| {
        let line = format!("explain --model model --data wide.csv -q --stretch {stretch}");
        let mut command = common::ptsm(folder);
        command.args(line.split_whitespace()).env("PTSM_MEMORY_LIMIT", "500MiB").output().unwrap()
    };
    // 100 channels, 96 stretches, 96 steps of 100 channels, eight bytes: 703 MiB.
    let refused = explain(1);
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(6), "{text}");
    assert!(
        text.contains("the influences of all stretches") && text.contains("--stretch"),
        "{text}"
    );
    assert!(explain(96).status.success());
}
