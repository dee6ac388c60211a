use super::*;
use crate::civil::DAY;

fn reader(text: &str) -> Result<Option<RowReader<&[u8]>>> {
    let columns = RowColumns {
        channels: vec!["load".into(), "wind".into()],
        timestamp: Some("time".into()),
        id: None,
    };
    RowReader::new(text.as_bytes(), columns, &ReadOptions::default(), &TimeRules::default())
}

fn rows(text: &str) -> Vec<(Option<i64>, Vec<f64>)> {
    let mut reader = reader(text).unwrap().unwrap();
    let (mut found, mut values) = (Vec::new(), Vec::new());
    while let Some(time) = reader.next_row(&mut values).unwrap() {
        found.push((time, values.clone()));
    }
    found
}

#[test]
fn csv_and_json_give_the_same_rows() {
    let csv = "\u{feff}wind;other;time;load\n2.5;x;1970-01-02;1\n\n; ;1970-01-03;\"4\"\r\n";
    let json = "{\"load\": 1, \"wind\": \"2.5\", \"time\": \"1970-01-02\"}\n\
                {\"load\": 4, \"wind\": null, \"time\": \"1970-01-03\"}\n";
    for text in [csv, json] {
        let found = rows(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], (Some(DAY), vec![1.0, 2.5]));
        assert_eq!(found[1].0, Some(2 * DAY));
        assert!(found[1].1[0] == 4.0 && found[1].1[1].is_nan());
    }
    assert_eq!(rows("time,load,wind\n1700000000,1,2\n")[0].0, Some(1_700_000_000 * SECOND));
    assert_eq!(rows("{\"time\": 1700000000000}")[0].0, Some(1_700_000_000 * SECOND));
    assert!(reader("\n\n").unwrap().is_none());
}

/// The times of lines, on the clock of the rules, and the last one as text.
fn times(lines: &[&str], rules: &TimeRules) -> (Vec<i64>, String) {
    let text =
        format!("time,x\n{}", lines.iter().map(|line| format!("{line},1\n")).collect::<String>());
    let columns =
        RowColumns { channels: vec!["x".into()], timestamp: Some("time".into()), id: None };
    let reader = RowReader::new(text.as_bytes(), columns, &ReadOptions::default(), rules);
    let mut reader = reader.unwrap().unwrap();
    let (mut found, mut values) = (Vec::new(), Vec::new());
    while let Some(time) = reader.next_row(&mut values).unwrap() {
        found.extend(time);
    }
    let last = reader.time_texts(&found[found.len() - 1..]).unwrap().remove(0);
    (found, last)
}

#[test]
fn times_are_read_by_the_rules_of_the_model() {
    let order = Some(DateOrder::DayMonthYear);
    let days = TimeRules { order, ..TimeRules::default() };
    let (found, last) = times(&["01/02/1970"], &days);
    assert_eq!((found, last.as_str()), (vec![31 * DAY], "01/02/1970"));
    let index = TimeRules { style: Some(TimeStyle::Index), ..TimeRules::default() };
    assert_eq!(times(&["1990", "1991"], &index), (vec![1990, 1991], "1991".to_owned()));
    let hours = ["1970-01-01T03:00:00+02:00", "1970-01-01T03:00:00+01:00"];
    let utc = TimeRules { clock: Clock::Utc, ..TimeRules::default() };
    let hour = 3600 * SECOND;
    assert_eq!(times(&hours, &utc), (vec![hour, 2 * hour], hours[1].to_owned()));
    let round = Some("5min".parse().unwrap());
    let rounded = TimeRules { round, ..TimeRules::default() };
    assert_eq!(times(&["1970-01-02 00:00:04"], &rounded).0, [DAY]);
    // In São Paulo the 4th of November 2018 began at 01:00.
    let days =
        ["2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"];
    let found = times(&days, &TimeRules::default()).0;
    assert_eq!([found[1] - found[0], found[2] - found[1]], [DAY; 2]);
}

#[test]
fn lines_that_are_no_rows_are_treated_as_in_a_table() {
    let read = |text: &str, options: ReadOptions| -> Result<Vec<Vec<f64>>> {
        let names = match options.header {
            Some(false) => ["1", "2"],
            _ => ["load", "wind"],
        };
        let columns =
            RowColumns { channels: names.map(str::to_owned).to_vec(), timestamp: None, id: None };
        let rules = TimeRules::default();
        let reader = RowReader::new(text.as_bytes(), columns, &options, &rules)?;
        let (mut reader, mut found, mut values) = (reader.unwrap(), Vec::new(), Vec::new());
        while reader.next_row(&mut values)?.is_some() {
            found.push(values.clone());
        }
        Ok(found)
    };
    let base = ReadOptions::default;
    let comment = ReadOptions { comment: Some(b';'), ..base() };
    let skip = ReadOptions { skip_lines: 2, ..base() };
    let bare = ReadOptions { header: Some(false), ..base() };
    let thousands = Some(crate::ThousandsMark::Space);
    let marks = ReadOptions { delimiter: Some(b'\t'), thousands, ..base() };
    for (text, options) in [
        ("load,wind\n1000,2\n3,4\n", base()),
        ("# x\n#a\nload,wind\n1000,2\n3,4\n", base()),
        ("\u{feff}# x\n#load,wind\n1000,2\n3,4\n", base()),
        ("sep=;\nload;wind\n1000;2\n3;4\n", base()),
        ("; x\n# z\nload,wind\n1000,2\n; y\n3,4\n", comment),
        ("Station: 12\n\nload,wind\n1000,2\n3,4\n", skip.clone()),
        ("9,1000,2\n9,3,4\n", bare.clone()),
        ("load\twind\n1 000\t2\n3\t4\n", marks.clone()),
    ] {
        let found = read(text, options).unwrap();
        assert_eq!(found, [[1000.0, 2.0], [3.0, 4.0]], "{text}");
    }
    let json = "{\"load\": 1, \"wind\": 2}\n";
    for (options, field) in [(bare, "no_header"), (marks, "delimiter")] {
        assert_eq!(read(json, options).unwrap_err().place(), Some(field));
    }
    assert!(read("a\n", skip).unwrap_err().to_string().contains("has only 1 lines"));
}

#[test]
fn a_renamed_column_of_times_or_series_is_named_with_the_ways_out() {
    for text in ["zeit,load,wind\n", "{\"zeit\": \"1970-01-02\", \"load\": 1}\n"] {
        let read = || reader(text)?.map_or(Ok(None), |mut r| r.next_row(&mut Vec::new()));
        let error = read().unwrap_err().to_string();
        let wanted = ["line 1", "\"time\", which held the times", "timestamp = NAME", "zeit"];
        assert!(wanted.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn a_number_names_the_same_series_in_a_stream_and_in_a_table() {
    let lines = ["1", "1.0", "2.5", "9007199254740993", "-7", "\"1.0\"", "true"];
    for id in lines {
        let line = format!("{{\"unique_id\": {id}, \"x\": 1}}");
        let options = ReadOptions::default();
        let table = crate::json_file::read(line.as_bytes(), "t", &options).unwrap();
        let columns = RowColumns {
            channels: vec!["x".into()],
            timestamp: None,
            id: Some("unique_id".into()),
        };
        let rules = TimeRules::default();
        let mut reader =
            RowReader::new(line.as_bytes(), columns, &options, &rules).unwrap().unwrap();
        reader.next_row(&mut Vec::new()).unwrap();
        assert_eq!(reader.series(), table.columns()[0].values.text(0), "{id}");
    }
}

#[test]
fn mistakes_name_line_and_column_and_the_next_row_goes_on() {
    let table = [
        ("time,load,wind\n1970-01-02,1,2,3\n1970-01-02,1,2\n", "line 2", "has 4 cells"),
        ("time,load,wind\n1970-01-02,1,windy\n1970-01-02,1,2\n", "line 2", "\"wind\""),
        ("time,load,wind\nsoon,1,2\n1970-01-02,1,2\n", "line 2", "\"soon\" is not a timestamp"),
        (
            "{\"load\": [1]}\n{\"time\": \"1970-01-02\", \"load\": 1, \"wind\": 2}\n",
            "line 1",
            "[1]",
        ),
        ("{\"load\"\n{\"time\": \"1970-01-02\", \"load\": 1, \"wind\": 2}\n", "line 1", "JSON"),
    ];
    for (text, place, wanted) in table {
        let mut reader = reader(text).unwrap().unwrap();
        let mut values = Vec::new();
        let error = reader.next_row(&mut values).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains(wanted), "{error}");
        assert_eq!(reader.next_row(&mut values).unwrap(), Some(Some(DAY)));
        assert_eq!(values, [1.0, 2.0]);
    }
    let error = reader("time,load\n").err().unwrap().to_string();
    assert!(error.contains("\"wind\"") && error.contains("time, load"), "{error}");
}
