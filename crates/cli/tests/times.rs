//! Times as people's files have them: forms of stamps, calendars, zones, steps, indices.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::{json, ok, ptsm, run, stderr};
use jiff::civil::{DateTime, date};
use jiff::{Span, ToSpan};

/// Flags of a model that trains in a blink on few rows.
const SMALL: &str = "--context-length 8 --prediction-length 3 --patch-length 4 --patch-stride 4 \
    --d-model 4 --num-layers 1 --epochs 1 --overwrite -q";

fn value(row: usize) -> f64 {
    ((row as f64 * 0.9).sin() * 100.0).round() / 10.0
}

/// A table of stamps and values.
fn table(stamps: impl IntoIterator<Item = String>) -> String {
    let rows = stamps.into_iter().enumerate();
    let rows = rows.map(|(row, stamp)| format!("\"{stamp}\",{}\n", value(row)));
    format!("date,y\n{}", rows.collect::<String>())
}

fn stamps(start: DateTime, step: Span, count: i64, form: &str) -> Vec<String> {
    let at = |row| start.checked_add(step.checked_mul(row).unwrap()).unwrap();
    (0..count).map(|row| at(row).strftime(form).to_string()).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// The first column of a forecast.
fn forecast(folder: &Path, arguments: &str) -> Vec<String> {
    let text = ok(folder, &format!("predict --model model -q {arguments}"));
    let first = |line: &str| line.split(',').next().unwrap().to_owned();
    text.lines().skip(1).map(first).collect()
}

fn refused(folder: &Path, arguments: &str, says: &[&str]) {
    let output = run(folder, arguments);
    assert!(!output.status.success(), "ptsm {arguments} is refused");
    let text = stderr(&output);
    for wanted in says {
        assert!(text.contains(wanted), "{arguments}: {text} lacks {wanted}");
    }
}

#[test]
fn every_form_of_stamps_is_read_and_continued_in_the_same_form() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (new_year, hour, day, month) =
        (date(2024, 1, 1).at(0, 0, 0, 0), 1.hour(), 1.day(), 1.month());
    for (form, step, wanted, next) in [
        ("%Y%m%d%H", hour, "1h", "2024010312"),
        ("%Y%m%d%H%M", hour, "1h", "202401031200"),
        ("%Y%m%d%H%M%S", hour, "1h", "20240103120000"),
        ("%Y%m%d", day, "1d", "20240301"),
        ("%Y%m", month, "1mo", "202901"),
        ("%s", hour, "1h", "1704283200"),
        ("%s000", hour, "1h", "1704283200000"),
        ("%s000000", hour, "1h", "1704283200000000"),
        ("%s000000000", hour, "1h", "1704283200000000000"),
        ("%m/%d/%Y %I:%M:%S %p", hour, "1h", "01/03/2024 12:00:00 PM"),
        ("%d-%m-%Y", day, "1d", "01-03-2024"),
        ("%d-%b-%Y", day, "1d", "01-Mar-2024"),
        ("%B %d, %Y", day, "1d", "\"March 01, 2024\""),
        ("%m/%d/%y", day, "1d", "03/01/24"),
        ("%Y-%m-%d %H", hour, "1h", "2024-01-03 12"),
        ("%Y-%m-%d %H:%M:%S +0000", hour, "1h", "2024-01-03 12:00:00 +0000"),
        ("%Y-%m-%d %H:%M:%S,000", hour, "1h", "\"2024-01-03 12:00:00,000\""),
        ("%G-W%V", 1.week(), "1w", "2025-W09"),
    ] {
        let cells = match form.strip_prefix("%s") {
            None => stamps(new_year, step, 60, form),
            Some(rest) => {
                (0..60).map(|hour| format!("{}{rest}", 1_704_067_200 + 3600 * hour)).collect()
            }
        };
        write(folder, "t.csv", &table(cells));
        let found = json(folder, "inspect t.csv");
        assert_eq!(found["frequency"], wanted, "{form}");
        ok(folder, &format!("train --data t.csv --out model {SMALL}"));
        let text = ok(folder, "predict --model model --data t.csv -q");
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with(&format!("{next},")), "{form}: {line}");
    }
    let quarters = (0..40).map(|row| format!("{}Q{}", 1990 + row / 4, row % 4 + 1));
    write(folder, "t.csv", &table(quarters));
    ok(folder, &format!("train --data t.csv --out model {SMALL}"));
    assert_eq!(forecast(folder, "--data t.csv"), ["2000Q1", "2000Q2", "2000Q3"]);
    let serials = (0..60).map(|row| (45_292.0 + f64::from(row) / 24.0).to_string());
    write(folder, "t.csv", &table(serials));
    assert_eq!(json(folder, "inspect t.csv")["frequency"], "1h");
}

#[test]
fn a_time_that_cannot_be_read_is_an_error_with_the_cell_and_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (cell, says) in [
        ("17-Foo-2024", "\"17-Foo-2024\" is not a timestamp"),
        ("Mon 2024-01-01", "\"Mon 2024-01-01\" is not a timestamp"),
        ("2024-02-30", "\"2024-02-30\" is not a timestamp"),
        ("0.5", "\"0.5\" is not a timestamp"),
    ] {
        write(folder, "t.csv", &table(vec![cell.to_owned(); 20]));
        for command in ["inspect t.csv".to_owned(), format!("train --data t.csv --out m {SMALL}")] {
            refused(folder, &command, &["line 2, column \"date\"", says, "--timestamp none"]);
        }
    }
    // Newest rows first are never learned as they stand.
    let mut newest = stamps(date(2024, 1, 1).at(0, 0, 0, 0), 1.hour(), 40, "%d-%b-%Y %H:%M");
    newest.reverse();
    write(folder, "t.csv", &table(newest));
    for grid in ["", "--grid rows"] {
        let command = format!("train --data t.csv --out m {grid} {SMALL}");
        refused(folder, &command, &["line 3", "times must rise", "--sort"]);
    }
    ok(folder, &format!("train --data t.csv --out m --sort {SMALL}"));
    write(folder, "t.csv", "date,time,y\n2024-01-01,00:00,1\n2024-01-01,01:00,2\n");
    refused(folder, "inspect t.csv", &["spread over the columns date, time"]);
}

#[test]
fn the_order_of_day_and_month_is_kept_in_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let days = |from, count| stamps(from, 1.day(), count, "%d/%m/%Y");
    write(folder, "year.csv", &table(days(date(2024, 1, 1).at(0, 0, 0, 0), 60)));
    write(folder, "slice.csv", &table(days(date(2024, 2, 1).at(0, 0, 0, 0), 12)));
    ok(folder, &format!("train --data year.csv --out model {SMALL}"));
    assert_eq!(forecast(folder, "--data slice.csv")[0], "13/02/2024");
    refused(folder, "inspect slice.csv", &["--dates day-first", "--dates month-first"]);
    assert_eq!(json(folder, "inspect slice.csv --dates day-first")["frequency"], "1d");
    let other = stamps(date(2024, 2, 10).at(0, 0, 0, 0), 1.day(), 12, "%m/%d/%Y");
    write(folder, "other.csv", &table(other));
    let says = ["\"02/13/2024\" is no date with the day first", "--dates month-first"];
    refused(folder, "predict --model model --data other.csv", &says);
    assert_eq!(forecast(folder, "--data other.csv --dates month-first")[0], "02/22/2024");
    let text = std::fs::read_to_string(folder.join("slice.csv")).unwrap();
    let found = stream(folder, "", &text);
    assert_eq!(found.last().unwrap()["times"][0], "13/02/2024");
}

/// What `ptsm stream` answers.
fn stream(folder: &Path, arguments: &str, input: &str) -> Vec<serde_json::Value> {
    let mut child = ptsm(folder)
        .args(format!("stream --model model -q {arguments}").split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Months on a day of the month, or on the last one of a shorter month.
fn months(day: i8, count: i64) -> Vec<String> {
    let month = |row: i64| date(2019, 1, day).checked_add(row.months()).unwrap();
    (0..count).map(|row| month(row).to_string()).collect()
}

#[test]
fn each_series_keeps_its_day_of_the_month() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let panel = |from: usize, to: usize| {
        let mut text = "id,date,y\n".to_owned();
        for (id, day) in [("a", 30), ("b", 15), ("c", 31)] {
            for (row, stamp) in months(day, 60).into_iter().enumerate().take(to).skip(from) {
                text += &format!("{id},{stamp},{}\n", value(row));
            }
        }
        text
    };
    write(folder, "t.csv", &panel(0, 60));
    // From one February to another, so that the rows alone do not all say their day.
    write(folder, "cut.csv", &panel(13, 26));
    assert_eq!(json(folder, "inspect t.csv")["frequency"], "1mo");
    ok(folder, &format!("train --data t.csv --out model {SMALL}"));
    let text = ok(folder, "predict --model model --data cut.csv -q");
    let found: Vec<&str> = text.lines().skip(1).map(|line| &line[..12]).collect();
    let wanted = [
        "a,2021-03-30",
        "a,2021-04-30",
        "a,2021-05-30",
        "b,2021-03-15",
        "b,2021-04-15",
        "b,2021-05-15",
        "c,2021-03-31",
        "c,2021-04-30",
        "c,2021-05-31",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_stream_keeps_the_day_of_the_month_over_two_processes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "t.csv", &table(months(30, 60)));
    ok(folder, &format!("train --data t.csv --out model {SMALL}"));
    let all = months(30, 60);
    let first = stream(folder, "--state s.json", &table(all[2..14].to_vec()));
    assert_eq!(
        first.last().unwrap()["times"],
        serde_json::json!(["2020-03-30", "2020-04-30", "2020-05-30"])
    );
    let second = stream(folder, "--state s.json", &table(all[14..16].to_vec()));
    assert_eq!(second[0]["times"][0], "2020-04-30");
    // A model of another day says nothing of a stream's: its own rows do.
    write(folder, "t.csv", &table(months(15, 60)));
    ok(folder, &format!("train --data t.csv --out model {SMALL}"));
    let found = stream(folder, "", &table(all[1..14].to_vec()));
    assert_eq!(found.last().unwrap()["times"][0], "2020-03-30");
}

#[test]
fn days_and_months_are_counted_in_local_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let local = |start: DateTime, step: Span, count: i64| -> Vec<String> {
        let at = |row| start.checked_add(step.checked_mul(row).unwrap()).unwrap();
        let zoned = |row| at(row).to_zoned(zone.clone()).unwrap();
        (0..count).map(|row| zoned(row).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()).collect()
    };
    let start = date(2023, 9, 1).at(0, 0, 0, 0);
    for (step, count, wanted, next) in [
        // The last row is 2024-03-30; on the 31st the clock goes forward, and that day is shorter.
        (1.day(), 212, "1d", ["2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"]),
        (1.week(), 31, "1w", ["2024-04-05T00:00:00+02:00", "2024-04-12T00:00:00+02:00"]),
        (1.month(), 43, "1mo", ["2027-04-01T00:00:00+02:00", "2027-05-01T00:00:00+02:00"]),
        (6.hours(), 400, "6h", ["2023-12-10T00:00:00+01:00", "2023-12-10T06:00:00+01:00"]),
    ] {
        write(folder, "t.csv", &table(local(start, step, count)));
        let found = json(folder, "inspect t.csv");
        assert_eq!(
            (&found["frequency"], &found["repairs"]["rows_inserted"]),
            (&wanted.into(), &0.into())
        );
        ok(folder, &format!("train --data t.csv --out model {SMALL}"));
        assert_eq!(forecast(folder, "--data t.csv")[..2], next, "{wanted}");
    }
    // A fixed offset: the ends of months are those of its own clock.
    let ends = months(31, 40).into_iter().map(|day| format!("{day}T00:00:00+05:30"));
    write(folder, "t.csv", &table(ends));
    ok(folder, &format!("train --data t.csv --out model {SMALL}"));
    assert_eq!(forecast(folder, "--data t.csv")[0], "2022-05-31T00:00:00+05:30");
}

#[test]
fn another_step_than_the_models_is_refused_or_resampled() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let start = date(2024, 1, 1).at(0, 0, 0, 0);
    let rows = |step, count| table(stamps(start, step, count, "%Y-%m-%d %H:%M"));
    write(folder, "hours.csv", &rows(1.hour(), 100));
    write(folder, "days.csv", &table(stamps(start, 1.day(), 100, "%Y-%m-%d")));
    write(folder, "quarters.csv", &rows(15.minutes(), 400));
    ok(folder, &format!("train --data hours.csv --out model {SMALL}"));
    let says = ["line 2", "the rows come every 1d", "trained on rows every 1h"];
    for command in ["predict", "evaluate"] {
        refused(folder, &format!("{command} --model model --data days.csv"), &says);
    }
    let finer = ["every 15min", "every 1h", "--resample 1h:mean"];
    refused(folder, "predict --model model --data quarters.csv", &finer);
    let found = forecast(folder, "--data quarters.csv --resample 1h:mean");
    assert_eq!(found[0], "2024-01-05 04:00");
    refused(
        folder,
        "predict --model model --data days.csv --resample 1d:mean",
        &["not the model's step"],
    );
    refused(folder, "inspect days.csv --resample 1h:mean", &["every 1d, a longer step than 1h"]);
    // Days as hours of which 23 are missing: only when told, and never written as days.
    let told = forecast(folder, "--data days.csv --frequency 1h");
    assert_eq!(told[0], "2024-04-09 01:00");
    let mut child = ptsm(folder)
        .args(["stream", "--model", "model", "--input", "days.csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(!child.wait().unwrap().success());
    let text = stderr(&child.wait_with_output().unwrap());
    assert!(text.contains("every 24 steps of 1h"), "{text}");

    let mut panel = "id,date,y\n".to_owned();
    for (row, stamp) in stamps(start, 1.hour(), 100, "%Y-%m-%d %H:%M").iter().enumerate() {
        panel += &format!("a,{stamp},{}\n", value(row));
    }
    for (row, stamp) in stamps(start, 1.day(), 50, "%Y-%m-%d %H:%M").iter().enumerate() {
        panel += &format!("b,{stamp},{}\n", value(row));
    }
    write(folder, "panel.csv", &panel);
    let says = ["series \"b\"", "every 1d", "series \"a\" every 1h", "--resample 1d:mean"];
    refused(folder, "inspect panel.csv", &says);
    assert_eq!(json(folder, "inspect panel.csv --resample 1d:mean")["frequency"], "1d");
}

#[test]
fn whole_numbers_are_the_index_of_each_series() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut panel = "unique_id,ds,y\n".to_owned();
    for (id, start) in [("a", 0), ("b", 7)] {
        for row in 0..50 {
            panel += &format!("{id},{},{}\n", start + row, value(row));
        }
    }
    write(folder, "t.csv", &panel);
    ok(folder, &format!("train --data t.csv --out model {SMALL}"));
    let text = ok(folder, "predict --model model --data t.csv -q");
    let found: Vec<&str> = text.lines().skip(1).map(|line| &line[..4]).collect();
    assert_eq!(found, ["a,50", "a,51", "a,52", "b,57", "b,58", "b,59"]);
    write(folder, "gap.csv", &panel.replace("\na,20,", "\nb,999,"));
    let found = json(folder, "inspect gap.csv --sort");
    assert_eq!(found["repairs"]["rows_inserted"], 1 + 942);
    write(folder, "dates.csv", &table(stamps(date(2024, 1, 1).at(0, 0, 0, 0), 1.day(), 50, "%F")));
    let says = ["the times are dates", "trained on whole numbers"];
    refused(folder, "predict --model model --data dates.csv --timestamp date --id none", &says);
    let years = table((0..40).map(|row| (1950 + row).to_string())).replace("date", "year");
    write(folder, "years.csv", &years);
    ok(folder, &format!("train --data years.csv --out model --season 10 {SMALL}"));
    assert_eq!(forecast(folder, "--data years.csv"), ["1990", "1991", "1992"]);
    let kept = std::fs::read_to_string(folder.join("model/preprocessor.json")).unwrap();
    assert!(kept.contains("\"seasonal_period\": 10"), "{kept}");
    write(folder, "parts.csv", "year,month,y\n2020,1,1\n2020,2,2\n2020,3,1\n");
    refused(folder, "inspect parts.csv", &["spread over the columns year, month"]);
    // A data frame's own numbers, after a filter.
    write(folder, "frame.csv", ",date,y\n3,2024-01-01,1\n9,2024-01-02,2\n10,2024-01-03,3\n");
    let found = json(folder, "inspect frame.csv");
    assert_eq!(found["channels"].as_array().unwrap().len(), 1);
}

#[test]
fn a_renamed_column_of_times_or_series_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = table(stamps(date(2024, 1, 1).at(0, 0, 0, 0), 1.hour(), 60, "%F %R"));
    write(folder, "t.csv", &text);
    write(folder, "other.csv", &text.replace("date,y", "when,y"));
    ok(folder, &format!("train --data t.csv --out model {SMALL}"));
    let says = ["there is no column \"date\"", "--timestamp NAME", "--timestamp none", "when, y"];
    for command in ["predict", "evaluate", "calibrate"] {
        refused(folder, &format!("{command} --model model --data other.csv"), &says);
    }
    assert_eq!(forecast(folder, "--data other.csv --timestamp when")[0], "2024-01-03 12:00");
    assert_eq!(forecast(folder, "--data other.csv --timestamp none")[0], "60");
    let says = ["id: the model was trained without a column of series"];
    refused(folder, "predict --model model --data t.csv --id y", &says);
    let mut panel = "shop,date,y\n".to_owned();
    for (row, line) in text.lines().skip(1).enumerate() {
        panel += &format!("s{},{line}\n", row / 30);
    }
    write(folder, "panel.csv", &panel);
    ok(folder, &format!("train --data panel.csv --id shop --out model {SMALL}"));
    write(folder, "renamed.csv", &panel.replace("shop", "store"));
    let says = ["there is no column \"shop\"", "--id NAME"];
    refused(folder, "predict --model model --data renamed.csv", &says);
    let found = ok(folder, "predict --model model --data renamed.csv --id store -q");
    assert!(found.starts_with("store,date,y\ns0,"), "{found}");
}

#[test]
fn rows_that_come_late_are_rounded_when_asked_and_fractions_of_seconds_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let late = (0..60).map(|row: i64| {
        let at = date(2024, 1, 1).at(0, 0, 0, 0) + (300 * row + row * row % 4).seconds();
        at.strftime("%F %T").to_string()
    });
    write(folder, "t.csv", &table(late));
    let says = ["is not on the grid of", "--round 5min, which moves no time by more than 1s"];
    refused(folder, "inspect t.csv", &says);
    let found = json(folder, "inspect t.csv --round 5min");
    assert_eq!(found["repairs"]["rows_rounded"], 30);
    ok(folder, &format!("train --data t.csv --out model --round 5min {SMALL}"));
    // The model keeps it.
    assert_eq!(forecast(folder, "--data t.csv")[0], "2024-01-01 05:00:00");
    let text = std::fs::read_to_string(folder.join("t.csv")).unwrap();
    assert_eq!(stream(folder, "", &text).last().unwrap()["times"][0], "2024-01-01 05:00:00");
    refused(folder, "inspect t.csv --round 1min:0s", &["round"]);
    for (step, wanted, next) in
        [(100, "100ms", "2024-01-01T00:00:06.000"), (1, "1ms", "2024-01-01T00:00:00.060")]
    {
        let fine = stamps(date(2024, 1, 1).at(0, 0, 0, 0), step.milliseconds(), 60, "%FT%T.%3f");
        write(folder, "t.csv", &table(fine));
        assert_eq!(json(folder, "inspect t.csv")["frequency"], wanted);
        ok(folder, &format!("train --data t.csv --out model {SMALL}"));
        assert_eq!(forecast(folder, "--data t.csv --plot p.svg")[0], next);
    }
}

#[test]
fn working_days_and_the_grid_of_rows_never_invent_dates() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let days = stamps(date(2024, 1, 1).at(0, 0, 0, 0), 1.day(), 88, "%F %a");
    let working = days.iter().filter(|day| !day.contains("Sat") && !day.contains("Sun"));
    let working: Vec<String> = working.map(|day| day[..10].to_owned()).collect();
    write(folder, "t.csv", &table(working));
    write(folder, "holidays.txt", "2024-03-29\n2024-04-01\n");
    assert_eq!(json(folder, "inspect t.csv")["frequency"], "1b");
    for (options, wanted) in [
        ("", ["2024-03-29", "2024-04-01", "2024-04-02"]),
        ("--grid rows", ["2024-03-29", "2024-04-01", "2024-04-02"]),
        ("--holidays holidays.txt", ["2024-04-02", "2024-04-03", "2024-04-04"]),
    ] {
        ok(folder, &format!("train --data t.csv --out model {options} {SMALL}"));
        assert_eq!(forecast(folder, "--data t.csv"), wanted, "{options}");
    }
    let halves = (0..60).map(|half| {
        let month = date(2020, 1, 1) + (half / 2).months();
        if half % 2 == 0 { month.to_string() } else { (month + 14.days()).to_string() }
    });
    write(folder, "t.csv", &table(halves));
    ok(folder, &format!("train --data t.csv --out model --grid rows {SMALL}"));
    assert_eq!(forecast(folder, "--data t.csv"), ["2022-07-01", "2022-07-15", "2022-08-01"]);
    // No calendar has these: row numbers, and a remark.
    let odd =
        (0..60_i64).map(|row| (date(2020, 1, 1) + (row * 7 + row * row % 5).days()).to_string());
    write(folder, "t.csv", &table(odd));
    let note = ok(folder, "inspect t.csv --grid rows");
    assert!(note.contains("the times follow no calendar"), "{note}");
    // A note spells its options as the command does, and shows no mark of the library.
    assert!(note.contains("(see --season)"), "{note}");
    let told = json(folder, "inspect t.csv --grid rows")["repairs"]["remarks"][0].to_string();
    assert!(told.contains("(see --season)") && !told.contains("u0001"), "{told}");
    ok(folder, &format!("train --data t.csv --out model --grid rows {SMALL}"));
    assert_eq!(forecast(folder, "--data t.csv"), ["60", "61", "62"]);
}

#[test]
fn a_model_of_an_older_version_is_read() {
    let folder = common::trained();
    let folder = folder.path();
    let path = folder.join("model/preprocessor.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value.as_object_mut().unwrap().remove("times").unwrap();
    std::fs::write(&path, value.to_string()).unwrap();
    // Earlier versions wrote no checksums.
    std::fs::remove_file(folder.join("model/SHA256SUMS")).unwrap();
    let found = ok(folder, "predict --model model --data data.csv -q");
    assert!(found.lines().count() == 5, "{found}");
}
