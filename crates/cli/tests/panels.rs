//! Tables of many series: of quite another size, short ones, streams of several, odd values.

#![allow(clippy::unwrap_used)]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::{json, ok, run, stderr};

const MODEL: &str = "--context-length 24 --prediction-length 4 --patch-length 4 --patch-stride 4 \
    --d-model 4 --num-layers 1 --epochs 2 -q";

/// Series "a" of size 10, "b" a million times larger, "c" of 9 rows; hourly.
fn rows() -> Vec<String> {
    let mut rows = Vec::new();
    for (id, factor, count) in [("a", 1.0, 200), ("b", 1e6, 200), ("c", 3.0, 9)] {
        for row in 0..count {
            let value = factor * (10.0 + (f64::from(row) * 0.26).sin() + 0.01 * f64::from(row % 7));
            let (day, hour) = (1 + row / 24, row % 24);
            rows.push(format!("{id},2024-01-{day:02} {hour:02}:00:00,{value}"));
        }
    }
    rows
}

fn write(folder: &Path, name: &str, rows: &[String]) {
    let text = format!("unique_id,ds,y\n{}\n", rows.join("\n"));
    std::fs::write(folder.join(name), text).unwrap();
}

/// Rows of the series in turn, as they would arrive.
fn interleaved(rows: &[String]) -> Vec<String> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.split(',').nth(1).unwrap().to_owned());
    rows
}

#[test]
fn small_large_and_short_series_are_trained_scored_and_forecast() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "long.csv", &rows());
    let output = run(folder, &format!("train --data long.csv --out m {}", MODEL.replace("-q", "")));
    assert!(stderr(&output).contains("1 of 3 series are shorter"), "{}", stderr(&output));
    let scores = json(folder, "evaluate --model m --data long.csv --borders last:4 --by series");
    let series = scores["per_series"].as_array().unwrap();
    assert_eq!(series.len(), 3, "{scores}");
    let mse = |i: usize| series[i]["mse"].as_f64().unwrap();
    assert!((mse(0) / mse(1) - 1.0).abs() < 1e-3, "{scores}");
    let text = ok(folder, "predict --model m --data long.csv -q");
    let values = |id: &str| -> Vec<f64> {
        let own = text.lines().filter(|line| line.starts_with(id));
        own.map(|line| line.split(',').nth(2).unwrap().parse().unwrap()).collect()
    };
    let (small, large) = (values("a,"), values("b,"));
    assert!(small.iter().zip(&large).all(|(a, b)| (a - b / 1e6).abs() < 1e-3), "{text}");
    assert!(values("c,").iter().all(|x| (x - 30.0).abs() < 10.0), "{text}");
    assert_eq!(scores["windows"], 3, "{scores}");
    assert_eq!(scores["series_mean"]["series"], 3, "{scores}");
    let heads = ok(folder, "predict --model m --data long.csv --heads main -q");
    assert_eq!(
        heads,
        text.replacen("unique_id,ds,y", "unique_id,ds,main.y", 1),
        "series and times"
    );
}

#[test]
fn a_stream_of_several_series_has_a_window_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = rows();
    write(folder, "long.csv", &rows);
    ok(folder, &format!("train --data long.csv --out m {MODEL}"));
    let rows = interleaved(&rows);
    write(folder, "rows.csv", &rows);
    let text = ok(folder, "stream --model m --input rows.csv --every 200 --min-rows 200 -q");
    let found: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = found.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b"], "{text}");
    let wanted = json(folder, "predict --model m --data long.csv");
    for line in &found {
        let all = wanted["forecasts"].as_array().unwrap();
        let own = all.iter().find(|forecast| forecast["id"] == line["id"]).unwrap();
        let values: Vec<f64> =
            own["values"].as_array().unwrap().iter().map(|v| v[0].as_f64().unwrap()).collect();
        assert_eq!(line["forecast"]["y"], serde_json::json!(values), "{line}");
        assert_eq!(line["times"], own["timestamps"], "{line}");
    }
    // In two halves with a saved state, and as JSON lines: the same.
    let half = rows.len() / 2;
    write(folder, "first.csv", &rows[..half]);
    let mut lines = String::new();
    for row in &rows[half..] {
        let [id, ds, y] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        writeln!(lines, "{{\"unique_id\": \"{id}\", \"ds\": \"{ds}\", \"y\": {y}}}").unwrap();
    }
    std::fs::write(folder.join("second.jsonl"), lines).unwrap();
    let options = "--every 200 --min-rows 200 --state s.json -q";
    ok(folder, &format!("stream --model m --input first.csv {options}"));
    let again = ok(folder, &format!("stream --model m --input second.jsonl {options}"));
    assert_eq!(again, text);
    let nameless = "unique_id,ds,y\n,2024-01-01 00:00:00,1\n";
    std::fs::write(folder.join("bad.csv"), nameless).unwrap();
    let output = run(folder, "stream --model m --input bad.csv");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("name of the series is missing"), "{}", stderr(&output));
}

#[test]
fn another_horizon_is_cut_or_fed_forward() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "long.csv", &rows());
    ok(folder, &format!("train --data long.csv --out m --loss quantile {MODEL}"));
    let own = ok(folder, "predict --model m --data long.csv -q");
    assert!(own.lines().next().unwrap().contains("y_q0.1,y_q0.2"), "{own}");
    let short = ok(folder, "predict --model m --data long.csv --prediction-length 2 -q");
    assert_eq!(short.lines().count(), 1 + 3 * 2);
    assert!(short.lines().all(|line| own.contains(line)), "{short}");
    let output = run(folder, "predict --model m --data long.csv --prediction-length 10");
    assert!(stderr(&output).contains("no intervals"), "{}", stderr(&output));
    let long = String::from_utf8(output.stdout).unwrap();
    assert_eq!((long.lines().count(), long.lines().next()), (1 + 3 * 10, Some("unique_id,ds,y")));
    let cell = |text: &str, column: &str| {
        let place = text.lines().next().unwrap().split(',').position(|name| name == column);
        text.lines().nth(1).unwrap().split(',').nth(place.unwrap()).unwrap().to_owned()
    };
    assert_eq!(cell(&long, "y"), cell(&own, "y"));
    assert!(long.contains("a,2024-01-09 17:00:00,"), "{long}");
}

#[test]
fn lengths_that_nobody_chose_suit_short_data_and_far_values_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "month,passengers\n".to_owned();
    for month in 0..144 {
        let value = 100.0
            + f64::from(month)
            + 20.0 * (f64::from(month) * std::f64::consts::FRAC_PI_6).sin();
        let value = if month % 30 == 7 { -9999.0 } else { value };
        writeln!(text, "{}-{:02},{value}", 1949 + month / 12, 1 + month % 12).unwrap();
    }
    std::fs::write(folder.join("air.csv"), text).unwrap();
    let output = run(folder, "train --data air.csv --out m --epochs 1");
    let told = stderr(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("context_length 24, prediction_length 12"), "{told}");
    assert!(told.contains("is -9999 in 5 rows") && told.contains("--missing -9999"), "{told}");
    let looked = ok(folder, "inspect air.csv");
    assert!(looked.contains("is -9999 in 5 rows"), "{looked}");
    ok(folder, "evaluate --model m --data air.csv -q");
}

#[test]
fn an_index_has_the_season_of_its_rows_and_any_split_is_scored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "unique_id,ds,y\n".to_owned();
    for id in 0..6 {
        for row in 0..60 {
            let season = [3.0, 9.0, 5.0, 1.0][row % 4];
            let noise = f64::from((row as u32 * 7 + id * 3) % 5) * 0.1;
            writeln!(text, "q{id},{},{}", row + 1, 20.0 + season + noise).unwrap();
        }
    }
    std::fs::write(folder.join("quarters.csv"), text).unwrap();
    let train = format!("train --data quarters.csv --split last:4 {}", MODEL.replace("-q", ""));
    let output = run(folder, &format!("{train} --out m"));
    assert!(stderr(&output).contains("season of 4 (--season N"), "{}", stderr(&output));
    let own = json(folder, "evaluate --model m --data quarters.csv");
    assert!(own["baselines"].to_string().contains("seasonal_naive"), "{own}");
    let last = json(folder, "evaluate --model m --data quarters.csv --split last:4");
    assert!(own["mse"].is_f64() && own["mse"] == last["mse"], "{last}");
    assert_eq!(own["baselines"], last["baselines"]);
    let other = run(folder, "evaluate --model m --data quarters.csv --split last:8");
    assert!(stderr(&other).contains("may hold rows of it"), "{}", stderr(&other));
    for (flags, wanted) in [
        ("--split tests", "\"tests\" is not one of train, validation, test"),
        ("--split last:4 --borders last:8", "leave one of the two out"),
    ] {
        let output = run(folder, &format!("evaluate --model m --data quarters.csv {flags}"));
        assert!(!output.status.success());
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
    let flat = run(folder, &format!("{train} --out n --season 1"));
    assert!(!stderr(&flat).contains("season of"), "{}", stderr(&flat));
}

#[test]
fn coverage_is_listed_by_series_and_the_verdict_has_an_interval_over_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "unique_id,t,y\n".to_owned();
    for series in 0..12u32 {
        for row in 0..60u32 {
            let noise = (row * 7919 + series * 104_729) % 101;
            let y = f64::from(200 + 10 * (row % 4) + noise) * 10f64.powi(series as i32 % 3);
            text += &format!("s{series},{row},{y}\n");
        }
    }
    std::fs::write(folder.join("panel.csv"), text).unwrap();
    let train = "train --data panel.csv --split last:4 --horizon 4 --season 4 --out m -q";
    ok(folder, train);
    ok(folder, "calibrate --model m --data panel.csv -q");
    let scores = json(folder, "evaluate --model m --data panel.csv --by series");
    let interval = &scores["probabilistic"]["intervals"][0]["by_series"];
    assert_eq!(interval["series"], 12, "{scores}");
    assert!(interval["worst_tenth"].as_f64() <= interval["median"].as_f64(), "{scores}");
    assert_eq!(scores["probabilistic"]["per_series"].as_array().unwrap().len(), 12);
    let verdict = &scores["verdict"];
    assert_eq!((&verdict["units"], &verdict["unit"]), (&12.into(), &"series".into()), "{verdict}");
    let (low, high) = (&verdict["interval"]["lower"], &verdict["interval"]["upper"]);
    let ratio = verdict["relative_difference"].as_f64();
    assert!(low.as_f64() <= ratio && ratio <= high.as_f64(), "{verdict}");
    assert_eq!(
        json(folder, "evaluate --model m --data panel.csv --by series")["verdict"],
        *verdict
    );
    let table = ok(folder, "evaluate --model m --data panel.csv --report r.html");
    assert!(table.contains(verdict["sentence"].as_str().unwrap()), "{table}");
    assert!(table.contains("of 12 series the median") && !table.contains("coverage %"), "{table}");
    let page = std::fs::read_to_string(folder.join("r.html")).unwrap();
    assert!(page.matches("<td class=\"number best\">").count() >= 5, "{page}");
}

#[test]
fn scores_of_logarithms_are_given_in_data_units_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "long.csv", &rows());
    ok(folder, &format!("train --data long.csv --out m --transform log1p {MODEL}"));
    let scores = json(folder, "evaluate --model m --data long.csv");
    let own = scores["data_units"]["mae"].as_f64().unwrap();
    assert!(own > 0.0 && own <= scores["data_units"]["rmse"].as_f64().unwrap(), "{scores}");
    assert!(scores["baselines"][0]["data_units"]["mae"].is_number(), "{scores}");
    assert!(ok(folder, "evaluate --model m --data long.csv").contains("in data units"));
    ok(folder, &format!("train --data long.csv --out plain {MODEL}"));
    assert!(json(folder, "evaluate --model plain --data long.csv")["data_units"].is_null());
}
