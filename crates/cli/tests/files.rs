//! Files and cells as other programs write them: each kind is read as the plain file is, or refused
//! with its cell and the way out.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{TINY, csv, json, ok, run, stderr};

fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What `inspect` says of the channels and the times.
fn understood(folder: &Path, arguments: &str) -> serde_json::Value {
    let found = json(folder, &format!("inspect {arguments}"));
    serde_json::json!([found["channels"], found["frequency"], found["series"][0]["span"]])
}

fn refused(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "ptsm {arguments}\n{}", stderr(&output));
    assert!(output.stdout.is_empty(), "ptsm {arguments}");
    stderr(&output)
}

#[test]
fn the_same_rows_are_read_from_every_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plain = csv(60);
    write(folder, "plain.csv", &plain);
    let (header, rows) = plain.split_once('\n').unwrap();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let object = |line: &str| {
        let [time, load, wind] = &cells(line)[..] else { panic!("three cells") };
        let wind = if wind.is_empty() { "null" } else { wind };
        format!("{{\"time\": \"{time}\", \"load\": {load}, \"wind\": {wind}}}")
    };
    let objects: Vec<String> = rows.lines().map(object).collect();
    write(folder, "rows.json", format!("[{}]", objects.join(",\n")));
    write(folder, "rows.jsonl", objects.join("\n"));
    write(folder, "remarks.csv", format!("# station 12\n# in kW\n{plain}"));
    write(folder, "header.csv", format!("# station 12\n#{plain}"));
    write(
        folder,
        "excel.csv",
        format!("sep=;\r\n{}", plain.replace(',', ";").replace('\n', "\r\n")),
    );
    write(folder, "units.csv", format!("{header}\n,MW,m/s\n{rows}"));
    write(folder, "station.csv", format!("Station: 12\nHeight: 5 m\n\n{plain}"));
    write(folder, "notes.csv", plain.replace("2024-01-02", "%corrected, twice\n2024-01-02"));
    let lines: Vec<&str> = rows.lines().collect();
    for (part, name) in [(&lines[..9], "day=1/2.csv"), (&lines[9..], "day=1/10.csv")] {
        write(folder, &format!("parts/{name}"), format!("{header}\n{}\n", part.join("\n")));
    }
    let wanted = understood(folder, "plain.csv");
    for arguments in [
        "rows.json",
        "rows.jsonl",
        "remarks.csv",
        "header.csv",
        "excel.csv",
        "units.csv",
        "station.csv --skip-lines 3",
        "notes.csv --comment %",
        "parts",
        "parts/*/*.csv",
        "parts/day=*",
    ] {
        assert_eq!(understood(folder, arguments), wanted, "{arguments}");
    }
    let text = refused(folder, "inspect station.csv");
    assert!(text.contains("--skip-lines 3"), "{text}");
    let told = stderr(&run(folder, "inspect remarks.csv"));
    assert!(told.contains("2 lines that begin with #"), "{told}");
}

#[test]
fn no_row_is_lost_or_read_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows =
        |inspect: &str| json(folder, &format!("inspect {inspect}"))["series"][0]["rows"].clone();
    // Without a header, with the day first.
    let day = |day: u32| format!("{day:02}/01/2024,{day}\n");
    write(folder, "days.csv", (13..31).map(day).collect::<String>());
    assert_eq!(rows("days.csv"), 18);
    // A pattern that fits a folder and its files, and files that other programs put beside tables.
    let text: String = (13..31).map(|day| format!("2024-01-{day},{day}\n")).collect();
    write(folder, "in/a/1.csv", format!("date,x\n{text}"));
    write(folder, "in/a/_SUCCESS", "");
    write(folder, "in/_old/1.csv", format!("date,x\n{text}"));
    write(folder, ".cache/in/1.csv", format!("date,x\n{text}"));
    for pattern in ["in/**/*", "in/*", "in/**", "in/*/*", "./in/**/*", "./.cache/in/*"] {
        assert_eq!(rows(pattern), 18, "{pattern}");
    }
    write(folder, "parents.csv", format!("PARENT,PAR1\n{text}"));
    assert_eq!(json(folder, "inspect parents.csv")["channels"][0]["name"], "PAR1");
    let note = stderr(&run(folder, "inspect days.csv --split date:01/02/2024,02/03/2024"));
    assert!(!note.contains("panicked"), "{note}");
    write(folder, "dash.csv", "date,x\n31–07–2016,1\n24年1月5日,2\n");
    assert!(refused(folder, "inspect dash.csv").contains("line 2, column \"date\""));
    let long: String =
        (1..9).map(|day| format!("2024-01-0{day},1,5\n2024-01-0{day},2,6\n")).collect();
    write(folder, "long.csv", format!("date,place,x\n{long}"));
    let text = refused(folder, "inspect long.csv");
    assert!(text.contains("(use --id place if that column names the series, or --dup"), "{text}");
    assert_eq!(json(folder, "inspect long.csv --id place")["series"][1]["id"], "2");
}

#[test]
fn forecasts_are_written_in_every_format_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "data.csv", csv(400));
    ok(folder, &format!("train --data data.csv --out model -q {TINY}"));
    let predict =
        |name: &str| ok(folder, &format!("predict --model model --data data.csv -q{name}"));
    predict(" --out f.csv");
    // Parquet and Arrow do not say that times were written without seconds.
    let understood = |name: &str| understood(folder, name).to_string().replace(":00:00\"", ":00\"");
    let wanted = understood("f.csv");
    for name in ["f.parquet", "f.arrow", "f.feather", "f.json", "f.jsonl"] {
        predict(&format!(" --out {name}"));
        assert_eq!(understood(name), wanted, "{name}");
    }
    // A byte-order mark, as some editors write it.
    let config = std::fs::read_to_string(folder.join("model/config.json")).unwrap();
    write(folder, "model/config.json", format!("\u{feff}{config}"));
    ok(folder, "verify model --accept");
    assert_eq!(predict(""), std::fs::read_to_string(folder.join("f.csv")).unwrap());
}

#[test]
fn marks_of_thousands_are_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = |name: &str, number: fn(f64) -> String| {
        let row = |i: u32| {
            let number = number(900.0 + 7.0 * f64::from(i));
            format!("2024-01-01 {:02}:{:02};{number}\n", i / 60, i % 60)
        };
        write(folder, name, format!("time;y\n{}", (0..100).map(row).collect::<String>()));
    };
    file("plain.csv", |x| format!("{x}"));
    file("comma.csv", |x| grouped(x, ","));
    file("dot.csv", |x| grouped(x, "."));
    file("space.csv", |x| grouped(x, "\u{a0}"));
    file("apostrophe.csv", |x| grouped(x, "'"));
    file("european.csv", |x| grouped(x, ".") + ",00");
    let wanted = understood(folder, "plain.csv");
    for arguments in [
        "comma.csv --thousands ,",
        "dot.csv --thousands .",
        "dot.csv --decimal-comma",
        "apostrophe.csv --thousands '",
        "european.csv --decimal-comma",
    ] {
        assert_eq!(understood(folder, arguments), wanted, "{arguments}");
    }
    let mut space = common::ptsm(folder);
    let space =
        space.args(["inspect", "space.csv", "--thousands", " ", "--json"]).output().unwrap();
    let space: serde_json::Value = serde_json::from_slice(&space.stdout).unwrap();
    assert_eq!(space["channels"], wanted[0]);
    for (arguments, says) in [
        (
            "comma.csv",
            "line 17, column \"y\": \"1,005\" is not a number (a comma before three digits \
                       marks thousands: use --thousands ','",
        ),
        ("comma.csv --decimal-comma", "--thousands ','"),
        ("dot.csv", "it may separate thousands (use --thousands '.' if it does, --thousands none"),
        ("space.csv", "--thousands"),
        ("european.csv", "use --decimal-comma"),
        ("comma.csv --decimal-comma --thousands ,", "leave out --decimal-comma"),
    ] {
        let text = refused(folder, &format!("inspect {arguments}"));
        assert!(text.contains(says), "{arguments}: {text}");
    }
}

/// A number with a mark between thousands.
fn grouped(x: f64, mark: &str) -> String {
    let (whole, rest) = (x as u32 / 1000, x as u32 % 1000);
    if whole == 0 { format!("{rest}") } else { format!("{whole}{mark}{rest:03}") }
}

#[test]
fn names_of_series_stay_texts_in_the_forecast() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ids = ["7", "007", "NA", "1.0", "1", "9007199254740993", "9007199254740992"];
    let mut text = "site,time,load\n".to_owned();
    for id in ids {
        for row in csv(60).lines().skip(1) {
            let cells: Vec<&str> = row.split(',').collect();
            text += &format!("{id},{},{}\n", cells[0], cells[1]);
        }
    }
    write(folder, "data.csv", text);
    ok(folder, &format!("train --data data.csv --id site --out model -q {TINY}"));
    let forecast = ok(folder, "predict --model model --data data.csv -q");
    let mut found: Vec<&str> =
        forecast.lines().skip(1).map(|l| l.split(',').next().unwrap()).collect();
    found.dedup();
    assert_eq!(found, ids);
}

#[test]
fn channels_may_be_called_as_columns_of_the_forecast_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = csv(300);
    write(folder, "a.csv", rows.replacen("load,wind", "none,row", 1));
    let untimed: String =
        rows.lines().map(|l| l.split_once(',').unwrap().1.to_owned() + "\n").collect();
    write(folder, "b.csv", untimed.replacen("load,wind", "row,sample", 1));
    for (name, header) in [("a", "time,none,row"), ("b", "row_,row,sample")] {
        ok(folder, &format!("train --data {name}.csv --out {name} -q {TINY} --loss nll"));
        let text = ok(folder, &format!("predict --model {name} --data {name}.csv -q"));
        let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let own: Vec<&str> = names.into_iter().filter(|name| !name.contains("_q0")).collect();
        assert_eq!(own.join(","), header);
        let text = ok(folder, &format!("predict --model {name} --data {name}.csv -q --samples 2"));
        let sample = if name == "b" { "sample_" } else { "sample" };
        assert!(text.starts_with(&format!("{sample},{header}\n")), "{text}");
    }
    write(folder, "c.csv", rows.replacen("time,", "none,", 1));
    let text = refused(folder, &format!("train --data c.csv --out c {TINY}"));
    assert!(text.contains("cannot be called \"none\""), "{text}");
}

#[test]
fn a_run_that_diverged_says_so_and_its_forecast_is_called_not_finite() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "time,sales\n".to_owned();
    for row in 0..600u32 {
        // Ninety of a hundred days sell nothing, one a million.
        let sales = if row % 97 == 5 {
            1_000_000
        } else if row % 10 == 3 {
            row % 7
        } else {
            0
        };
        text += &format!("{row},{sales}\n");
    }
    write(folder, "data.csv", text.replacen("time,sales", "index,sales", 1));
    let flags = "--context-length 56 --prediction-length 7 --patch-length 7 --patch-stride 7 --epochs 3 \
                 --num-layers 2 --d-model 8 --loss nll --distribution-output negative_binomial \
                 --scaling none";
    let told = ok(folder, &format!("train --data data.csv --targets sales --out model -q {flags}"));
    assert!(told.contains("the training diverged: the best validation loss is"), "{told}");
}

#[test]
fn cases_with_a_mark_and_labels_with_decimals_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "\u{feff}@problemName waves\n@class_labels true 1 2\n@data\n".to_owned();
    for case in 0..24u32 {
        let point = |t: u32| f64::from((t * (case % 2 + 1)) % 7 + case / 8);
        let points: Vec<String> = (0..16).map(|t| format!("{:.1}", point(t))).collect();
        let label = ["1", "2.0", "1.0", "2"][case as usize % 4];
        text += &format!("{}:{label}\n", points.join(","));
    }
    write(folder, "waves.ts", text);
    let found = json(folder, "inspect waves.ts");
    assert_eq!(found["cases"], 24);
    assert_eq!(found["labels"]["classes"][1], serde_json::json!({"class": "2", "cases": 12}));
    assert!(ok(folder, "inspect waves.ts").contains("class 1: 12 cases"));
    let flags = "--context-length 16 --patch-length 4 --patch-stride 4 --d-model 4 --num-layers 1 \
                 --epochs 1";
    ok(folder, &format!("train --task classification --data waves.ts --out model -q {flags}"));
}

#[test]
fn formats_and_cells_that_are_not_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "book.xlsx", b"PK\x03\x04\x14\0\0\0");
    write(folder, "page.csv", "<!DOCTYPE html><html>");
    let rows = |cell: &str| format!("time,y,z\n2024-01-01,{cell},1\n2024-01-02,{cell},2\n");
    write(folder, "dollars.csv", rows("$5"));
    write(folder, "percent.csv", rows("5 %"));
    write(folder, "minus.csv", rows("5-"));
    write(folder, "dash.csv", rows("\u{2013}5"));
    for (file, says) in [
        ("book.xlsx", "an Excel workbook"),
        ("page.csv", "HTML"),
        ("dollars.csv", "line 2, column \"y\": \"$5\" is not a number (a currency sign"),
        ("percent.csv", "\"5 %\" is not a number (a percent sign"),
        ("minus.csv", "\"5-\" is not a number (a minus after the number"),
    ] {
        let text = refused(folder, &format!("inspect {file}"));
        assert!(text.contains(says), "{file}: {text}");
    }
    assert_eq!(json(folder, "inspect dash.csv")["channels"][0]["max"], -5.0);
    let output = run(folder, "inspect nothing/*.csv");
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no file fits the pattern"), "{}", stderr(&output));
}
