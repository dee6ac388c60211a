//! `ptsm detect`: its table, its picture, its answers, what it refuses, and a stream beside it.

// A failed `unwrap` in a test helper is a failed test.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{TINY, csv, json, ok, run, stderr, trained};

/// Rows like those of `data.csv` with two spikes near their end.
fn with_spikes(folder: &Path) {
    let spike = |(number, line): (usize, &str)| match number {
        370 | 371 | 390 => {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{},{},{}", cells[0], 60.0, cells[2])
        }
        _ => line.to_owned(),
    };
    let text: Vec<String> = csv(400).lines().enumerate().map(spike).collect();
    std::fs::write(folder.join("spikes.csv"), text.join("\n") + "\n").unwrap();
}

#[test]
fn spikes_are_flagged_in_every_format_and_said_in_words() {
    let folder = trained();
    let folder = folder.path();
    with_spikes(folder);
    // 300 rows to calibrate on are enough for a level of 0.01.
    std::fs::write(folder.join("calm.csv"), csv(300)).unwrap();
    let detect = "detect --model model --data spikes.csv --calibration calm.csv --alpha 0.01";
    let told = ok(folder, &format!("{detect} --out p.csv --plot p.svg --save d.json -q"));
    assert!(told.contains("spikes.csv: 739 points scanned, one step ahead"), "{told}");
    assert!(told.contains("calibrated on") && told.contains("all rows of calm.csv"), "{told}");
    assert!(told.contains("2024-01-16 09:00"), "{told}");
    let text = std::fs::read_to_string(folder.join("p.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), "time,channel,value,expected,score,p,q,anomaly");
    for time in ["2024-01-16 09:00", "2024-01-16 10:00", "2024-01-17 05:00"] {
        let found =
            text.lines().find(|line| line.starts_with(&format!("{time},load,60,"))).unwrap();
        assert!(found.ends_with(",1"), "{found}");
    }
    let svg = std::fs::read_to_string(folder.join("p.svg")).unwrap();
    assert!(svg.contains("anomaly") && svg.contains("expected"));
    for name in ["p.parquet", "p.arrow", "p.json", "p.jsonl"] {
        ok(folder, &format!("{detect} --out {name} -q"));
        let again = ok(folder, &format!("inspect {name} --timestamp none --id none"));
        assert!(again.contains("739 rows"), "{name}: {again}");
    }
    let got = json(folder, detect);
    assert_eq!(got["scanned"].as_u64(), Some(739));
    assert_eq!(got["flag_by"]["level"].as_f64(), Some(0.01));
    assert_eq!(got["expected_false_alarms"].as_f64(), Some(0.01 * 739.0));
    assert!(got["events"][0]["score"].as_f64().unwrap() > 10.0, "{got}");
    assert_eq!(got["not_scored"]["without_context"].as_u64(), Some(47));
    // The saved calibration gives the same points.
    ok(
        folder,
        "detect --model model --data spikes.csv --detector d.json --alpha 0.01 --out q.csv -q",
    );
    assert_eq!(text, std::fs::read_to_string(folder.join("q.csv")).unwrap());
    for threads in ["--threads 1", "--threads 3"] {
        ok(folder, &format!("{detect} --out t.csv -q {threads}"));
        assert_eq!(text, std::fs::read_to_string(folder.join("t.csv")).unwrap());
    }
}

#[test]
fn a_stream_says_of_each_row_what_the_scan_says() {
    let folder = trained();
    let folder = folder.path();
    with_spikes(folder);
    std::fs::write(folder.join("calm.csv"), csv(300)).unwrap();
    ok(
        folder,
        "detect --model model --data spikes.csv --calibration calm.csv --alpha 0.01 --out p.csv --save d.json -q",
    );
    let stream = "stream --model model --detector d.json --no-forecasts --alpha 0.01 -q --input";
    let told = ok(folder, &format!("{stream} spikes.csv"));
    let mut points = Vec::new();
    for line in told.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for (channel, point) in line["points"].as_object().unwrap() {
            let number = |name: &str| point[name].as_f64().unwrap().to_string();
            let flag = u8::from(point["anomaly"].as_bool().unwrap());
            points.push(format!(
                "{},{channel},{},{},{},{},{flag}",
                line["time"].as_str().unwrap(),
                number("value"),
                number("expected"),
                number("score"),
                number("p")
            ));
        }
    }
    // Without the adjusted p-value, which a stream does not have.
    let text = std::fs::read_to_string(folder.join("p.csv")).unwrap();
    let kept = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        [&cells[..6], &cells[7..]].concat().join(",")
    };
    let wanted: Vec<String> = text.lines().skip(1).map(kept).collect();
    assert_eq!(points, wanted);

    // Without unexpected points in later forecasts.
    ok(
        folder,
        "detect --model model --data spikes.csv --detector d.json --alpha 0.01 --hide 0.02 --out h.csv -q",
    );
    let hidden = ok(folder, &format!("{} spikes.csv", stream.replace("-q", "-q --hide 0.02")));
    let expected = |text: &str| -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_owned()).collect()
    };
    let of_line = |line: &str| -> Vec<String> {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let points = line["points"].as_object().unwrap();
        points.values().map(|one| one["expected"].as_f64().unwrap().to_string()).collect()
    };
    let of_lines: Vec<String> = hidden.lines().flat_map(of_line).collect();
    let wanted = expected(&std::fs::read_to_string(folder.join("h.csv")).unwrap());
    assert_eq!(of_lines, wanted);
    assert_ne!(wanted, expected(&text));

    // In two halves, with a level that adapts.
    let rows = std::fs::read_to_string(folder.join("spikes.csv")).unwrap();
    let lines: Vec<&str> = rows.lines().collect();
    let half = |rows: &[&str]| [&lines[..1], rows].concat().join("\n") + "\n";
    std::fs::write(folder.join("a.csv"), half(&lines[1..200])).unwrap();
    std::fs::write(folder.join("b.csv"), half(&lines[200..])).unwrap();
    let adapt = stream.replace("--alpha 0.01", "--alpha 0.01 --adapt 0.05");
    let whole = ok(folder, &format!("{adapt} spikes.csv"));
    let first = ok(folder, &format!("{adapt} a.csv --state s.json"));
    let second = ok(folder, &format!("{adapt} b.csv --state s.json"));
    assert_eq!(first + &second, whole);
    assert_ne!(whole, told);
    for (options, wanted) in [
        ("--alpha 0.01", "another detector, alpha, adapt or hide"),
        ("--alpha 0.02 --adapt 0.05", "another detector, alpha, adapt or hide"),
    ] {
        let refused = run(
            folder,
            &format!(
                "stream --model model --detector d.json --input b.csv --state s.json {options}"
            ),
        );
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains(wanted), "{}", stderr(&refused));
    }
    let refused = run(folder, "stream --model model --input b.csv --state s.json");
    assert!(stderr(&refused).contains("with a detector"), "{}", stderr(&refused));
}

#[test]
fn the_test_part_is_scanned_by_the_validation_part_and_the_model_inside_needs_no_training() {
    let folder = trained();
    let folder = folder.path();
    let told = ok(folder, "detect --model model --data data.csv -q");
    assert!(told.starts_with("data.csv, test part: "), "{told}");
    assert!(told.contains("the validation part of data.csv, split 7:1:2"), "{told}");
    assert!(told.contains("are beyond all calibration points"), "{told}");
    let told =
        ok(folder, "detect --model builtin --data data.csv --alpha 0.01 --prediction-length 4 -q");
    assert!(told.contains("the rows before the test part of data.csv"), "{told}");
}

#[test]
fn what_would_mislead_is_refused_with_the_way_out() {
    let folder = trained();
    let folder = folder.path();
    let table = [
        ("--ahead 5", "--ahead", "must be from 1 to 4"),
        ("--fdr 1", "--fdr", "must be above 0 and below 1"),
        ("--alpha 0", "--alpha", "must be above 0 and below 1"),
        ("--prediction-length 4", "--prediction-length", "this one has its own"),
        ("--season 4", "--season", "leave it out"),
        ("--detector data.csv", "data.csv", "damaged"),
        ("--head other", "other", "is not there"),
    ];
    for (options, place, wanted) in table {
        let refused = run(folder, &format!("detect --model model --data data.csv {options}"));
        let text = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{options}: {text}");
        assert!(text.contains(wanted) && text.contains(place), "{options}: {text}");
    }
    let told = ok(folder, "detect --model model --data data.csv --alpha 0.001 -q");
    assert!(told.contains("no point can be flagged at this level"), "{told}");
    ok(folder, &format!("train --data data.csv --out seen -q --with-validation {TINY}"));
    let refused = run(folder, "detect --model seen --data data.csv");
    assert!(stderr(&refused).contains("--borders"), "{}", stderr(&refused));
    ok(folder, "detect --model seen --data data.csv --borders 18:1:1 -q");
    let refused = run(folder, "stream --model model --input data.csv --adapt 0.1");
    assert!(stderr(&refused).contains("--detector"), "{}", stderr(&refused));
}

#[test]
fn rows_that_the_model_was_fitted_to_are_no_silent_calibration() {
    let folder = trained();
    let folder = folder.path();
    // Of 400 rows the first 280 were trained on; those from 200 to 360 are calibrated on.
    let output = run(folder, "detect --model model --data data.csv --borders 5:4:1");
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(told.contains("(80 of these 160 rows are in the part of the split"), "{told}");
    let text = stderr(&output);
    assert!(text.contains("note: 80 of 160 rows") && text.contains("--borders"), "{text}");
    for borders in ["7:1:2", "8:1:1"] {
        let output =
            run(folder, &format!("detect --model model --data data.csv --borders {borders}"));
        assert!(output.status.success());
        assert!(!stderr(&output).contains("note: "), "{borders}: {}", stderr(&output));
    }
}

/// Rows of two series, hourly, in turn.
fn two_series(rows: usize, ids: &[&str]) -> String {
    let plain = csv(rows);
    let of = |line: &str| -> Vec<String> { ids.iter().map(|id| format!("{id},{line}")).collect() };
    let lines = plain.lines().skip(1).flat_map(of).collect::<Vec<_>>();
    format!("id,{}\n{}\n", plain.lines().next().unwrap(), lines.join("\n"))
}

#[test]
fn series_that_cannot_be_scored_or_flagged_are_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("both.csv"), two_series(400, &["a", "b", "c"])).unwrap();
    std::fs::write(folder.join("one.csv"), two_series(300, &["a"])).unwrap();
    ok(folder, &format!("train --data both.csv --id id --out model -q {TINY}"));
    let scan = "detect --model model --data both.csv --calibration one.csv --save d.json";
    let told = ok(folder, &format!("{scan} --alpha 0.01 -q"));
    assert!(told.contains("note: 2 series of the data cannot be scored"), "{told}");
    assert!(!told.contains("no point can be flagged"), "{told}");
    let told = ok(folder, &format!("{scan} --alpha 0.001 -q"));
    assert!(told.contains("no point can be flagged at this level"), "{told}");
    let stream = |alpha: &str| {
        let stream = "stream --model model --detector d.json --no-forecasts --input both.csv";
        stderr(&run(folder, &format!("{stream} --alpha {alpha}")))
    };
    let text = stream("0.01");
    assert_eq!(text.matches("are not calibrated").count(), 1, "{text}");
    assert!(text.contains("points of series \"b\" are not calibrated"), "{text}");
    assert!(!text.contains("can be flagged at"), "{text}");
    assert!(stream("0.001").contains("no point of series \"a\" can be flagged at --alpha 0.001"));
    assert!(!stream("0.001 --adapt 0.01").contains("can be flagged at"));
}

#[test]
fn a_value_at_the_end_of_single_precision_is_an_anomaly_like_others() {
    let folder = trained();
    let folder = folder.path();
    std::fs::write(folder.join("calm.csv"), csv(300)).unwrap();
    let save = "--alpha 0.01 --save d.json -q";
    ok(folder, &format!("detect --model model --data data.csv --calibration calm.csv {save}"));
    let mut lines: Vec<String> = csv(100).lines().map(str::to_owned).collect();
    let cells: Vec<String> = lines[100].split(',').map(str::to_owned).collect();
    for (value, code) in [("3e38", 0), ("1e39", 2)] {
        lines[100] = format!("{},{value},{}", cells[0], cells[2]);
        std::fs::write(folder.join("huge.csv"), lines.join("\n") + "\n").unwrap();
        let stream = "stream --model model --detector d.json --no-forecasts --input huge.csv -q";
        let output = run(folder, &format!("{stream} --alpha 0.01"));
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        let last: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        let is_last = last["time"] == cells[0].as_str();
        assert_eq!(is_last, code == 0, "a row that is refused is not answered: {last}");
        assert_eq!(last["points"]["load"]["anomaly"], is_last, "{last}");
    }
}
