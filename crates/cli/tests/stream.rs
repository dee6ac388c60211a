//! `ptsm stream` as a process that gets rows from others.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{TINY, csv, ok, ptsm, stderr, trained};
use serde_json::Value;

/// Runs `ptsm stream` with this text on stdin.
fn stream(folder: &Path, arguments: &str, input: &str) -> Output {
    let mut child = ptsm(folder)
        .args(format!("stream --model model {arguments}").split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A child that stops at a mistake closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", stderr(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_last_forecast_is_that_of_predict() {
    let folder = trained();
    let folder = folder.path();
    let found = lines(&stream(folder, "--every 10", &csv(394)));
    assert_eq!(found.len(), 38, "rows 24, 34, ..., 394");
    std::fs::write(folder.join("cut.csv"), csv(394)).unwrap();
    let wanted = ok(folder, "predict --model model --data cut.csv -q");
    let last = found.last().unwrap();
    for (step, line) in wanted.lines().skip(1).enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(last["times"][step], cells[0]);
        assert_eq!(
            last["forecast"]["load"][step].as_f64().unwrap(),
            cells[1].parse::<f64>().unwrap()
        );
        assert_eq!(
            last["forecast"]["wind"][step].as_f64().unwrap(),
            cells[2].parse::<f64>().unwrap()
        );
    }
}

#[test]
fn a_state_carries_a_stream_over_two_processes() {
    let folder = trained();
    let folder = folder.path();
    let text = csv(200);
    let whole = lines(&stream(folder, "-q", &text));
    let header = text.lines().next().unwrap();
    let cut = text.match_indices('\n').nth(90).unwrap().0 + 1;
    let first = lines(&stream(folder, "-q --state state.json", &text[..cut]));
    let rest = format!("{header}\n{}", &text[cut..]);
    let second = lines(&stream(folder, "-q --state state.json", &rest));
    assert_eq!([first, second].concat(), whole);
}

#[test]
fn json_rows_csv_forecasts_and_rows_that_cannot_be_used() {
    let folder = trained();
    let folder = folder.path();
    let mut text = String::new();
    for row in 0..30 {
        text += &format!(
            "{{\"time\":\"2024-01-{:02} {:02}:00\",\"load\":{row}}}\n",
            row / 24 + 1,
            row % 24
        );
    }
    text += "{\"time\":\"2024-01-02 06:30\",\"load\":1}\n";
    let output = stream(folder, "--output csv", &text);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains("line 31") && message.contains("whole number of steps"), "{message}");
    text += "{\"time\":\"2024-01-02 06:00\",\"load\":1}\n";
    let output = stream(folder, "--output csv --on-error skip", &text);
    assert!(
        output.status.success() && stderr(&output).contains("skipped: "),
        "{}",
        stderr(&output)
    );
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(found.lines().next().unwrap(), "origin,step,time,load,wind");
    assert!(found.lines().last().unwrap().starts_with("31,4,2024-01-02 10:00,"), "{found}");

    let output = stream(folder, "", "time,load\n");
    assert!(stderr(&output).contains("no column \"wind\""), "{}", stderr(&output));
    assert_eq!(stream(folder, "--every 0", "").status.code(), Some(2));
    assert!(stream(folder, "-q", "").status.success());
}

#[test]
fn csv_has_the_columns_of_predict_under_names_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let data = csv(400).replacen("time,load,wind", "time,step,wind", 1);
    std::fs::write(folder.join("data.csv"), &data).unwrap();
    ok(folder, &format!("train --data data.csv --out model -q --loss quantile {TINY}"));
    let text = ok(
        folder,
        "stream --model model --input data.csv --output csv -q --every 400 --min-rows 400",
    );
    let header = text.lines().next().unwrap();
    assert!(header.starts_with("origin,step_,time,step_q0.1,step_q0.2,"), "{header}");
    let wanted = ok(folder, "predict --model model --data data.csv -q");
    let without = |text: &str, columns: usize| -> Vec<String> {
        let cells = |line: &str| line.splitn(columns + 1, ',').last().unwrap().to_owned();
        text.lines().map(cells).collect()
    };
    assert_eq!(without(&text, 3), without(&wanted, 1));
    ok(folder, "calibrate --model model --data data.csv --levels 0.8");
    let text = ok(folder, "stream --model model --input data.csv --output csv -q");
    assert!(text.starts_with("origin,step_,time,step_q0.1,step,step_q0.9,wind_q0.1,"), "{text}");
}

#[test]
fn text_is_read_as_in_tables_and_renamed_columns_are_named() {
    let folder = trained();
    let folder = folder.path();
    let text = csv(40);
    let wanted = stream(folder, "-q", &text).stdout;
    let odd = format!("Station 7\n\n{}", text.replace("time,load", "!x\ntime,load"));
    let found = stream(folder, "-q --skip-lines 2 --comment !", &odd);
    assert!(found.status.success(), "{}", stderr(&found));
    assert_eq!(found.stdout, wanted);
    let other = text.replacen("time,", "zeit,", 1);
    let output = stream(folder, "", &other);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("line 1: there is no column \"time\", which held the times"), "{said}");
    assert!(said.contains("--timestamp NAME") && said.contains("zeit, load, wind"), "{said}");
    assert_eq!(stream(folder, "-q --timestamp zeit", &other).stdout, wanted);
    let output = stream(folder, "--no-header", "{\"load\": 1}");
    assert!(stderr(&output).contains("is for CSV"), "{}", stderr(&output));
    let output = stream(folder, "--timestamp none", &text);
    assert!(stderr(&output).contains("the row has no time"), "{}", stderr(&output));

    let bare: String = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.join("bare.csv"), &bare).unwrap();
    ok(folder, &format!("train --data bare.csv --no-header --out bare -q {TINY}"));
    let found = ok(folder, "stream --model bare --input bare.csv --no-header -q");
    assert_eq!(found.lines().count(), 17, "rows 24 to 40");
}
