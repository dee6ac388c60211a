//! Times of whole tables: zones, indices, steps, what is refused.

use super::*;
use crate::calendar::Anchor;
use crate::civil::{DAY, HOUR};
use crate::{Clock, Duplicates, ModelTimes, ReadOptions};

fn table(text: &str) -> Table {
    Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
}

fn read(text: &str, repair: &Repair) -> Result<SeriesSet> {
    SeriesSet::from_table(&table(text), &Roles::default(), repair)
}

fn set(text: &str) -> SeriesSet {
    read(text, &Repair::default()).unwrap()
}

fn refused(text: &str, repair: &Repair, says: &[&str]) {
    let error = read(text, repair).expect_err(text).to_string();
    for wanted in says {
        assert!(error.contains(wanted), "{error} lacks {wanted}");
    }
}

/// The times of a series, and of the row that follows, as they are written.
fn written(set: &SeriesSet, series: usize) -> Vec<String> {
    let series = &set.series[series];
    let mut times = series.timestamps.as_ref().unwrap().to_vec();
    times.extend(set.future_timestamps(series, 1).unwrap());
    times.into_iter().map(|time| set.time_text(series, time)).collect()
}

#[test]
fn each_series_has_a_clock_of_its_own() {
    let mut text = "id,date,y\n".to_owned();
    for (id, offsets) in [("a", ["+02:00", "+02:00", "+01:00"]), ("b", ["-05:00"; 3])] {
        for (day, offset) in (28..).zip(offsets) {
            text += &format!("{id},2023-10-{day}T00:00:00{offset},1\n");
        }
    }
    let got = set(&text);
    assert_eq!(
        (got.frequency.unwrap().to_string().as_str(), got.times.clock),
        ("1d", Clock::Local)
    );
    assert_eq!(
        written(&got, 0)[1..],
        ["2023-10-29T00:00:00+02:00", "2023-10-30T00:00:00+01:00", "2023-10-31T00:00:00+01:00"]
    );
    assert_eq!(written(&got, 1)[3], "2023-10-31T00:00:00-05:00");
    let back = table_text(&got);
    assert!(back.starts_with("id,date,y\na,2023-10-28T00:00:00+02:00,1\n"), "{back}");
    assert_eq!(set(&back), got);
}

fn table_text(set: &SeriesSet) -> String {
    let mut text = Vec::new();
    set.to_table().unwrap().write_csv(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn hours_are_counted_in_utc_through_a_change_of_the_clock() {
    let text = "date,y\n2023-10-29T01:00:00+02:00,1\n2023-10-29T02:00:00+02:00,2\n\
                2023-10-29T02:00:00+01:00,3\n2023-10-29T03:00:00+01:00,4\n";
    let got = set(text);
    assert_eq!((got.frequency.unwrap().to_string().as_str(), got.times.clock), ("1h", Clock::Utc));
    assert_eq!(got.repairs.rows_inserted, 0);
    assert_eq!(table_text(&got), text);
    assert_eq!(written(&got, 0)[4], "2023-10-29T04:00:00+01:00");
}

#[test]
fn a_midnight_that_the_clock_passes_over_is_a_day_like_others() {
    // In São Paulo the 4th of November 2018 began at 01:00.
    let days = ["02T00:00:00-03:00", "03T00:00:00-03:00", "04T01:00:00-02:00", "05T00:00:00-02:00"];
    let rows: String = days.iter().map(|day| format!("2018-11-{day},1\n")).collect();
    let text = format!("date,y\n{rows}");
    let got = set(&text);
    assert_eq!(got.frequency.unwrap().to_string(), "1d");
    assert_eq!(table_text(&got), text);
    let gap = text.replace("2018-11-04T01:00:00-02:00,1\n", "");
    assert_eq!(written(&set(&gap), 0)[2], "2018-11-04T01:00:00-02:00");
}

#[test]
fn an_index_is_checked_and_continued_from_anywhere() {
    let got = set("unique_id,time_idx,y\na,5,1\na,7,2\na,8,3\nb,100,4\nb,101,5\n");
    assert_eq!(got.frequency, Some(Frequency::Index(1)));
    assert_eq!(written(&got, 0), ["5", "6", "7", "8", "9"]);
    assert_eq!(got.series[0].get(1, 0), None);
    assert_eq!(written(&got, 1), ["100", "101", "102"]);
    let twice = "time_idx,y\n0,1\n1,2\n1,3\n";
    refused(twice, &Repair::default(), &["line 4", "1 was there before", "`duplicates`"]);
    // Years that come again are those of several series.
    let text = "country,year,y\nA,1990,1\nA,1991,2\nB,1990,3\nB,1991,4\n";
    refused(text, &Repair::default(), &["1990 comes after 1991", "`id = country`"]);
    // A year beside the times, or a number under such a name that does not count, is a channel.
    assert_eq!(set("date,year,t\n2020-01-01,2020,3\n2020-01-02,2020,9\n").channels, ["year", "t"]);
    let steps = set("date,time_idx,y\n2020-01-01,4,1\n2020-01-02,5,2\n2020-01-03,6,2\n");
    assert_eq!(steps.channels, ["y"]);
    refused("time,y\n0,1\n0.5,2\n", &Repair::default(), &["line 3, column \"time\"", "\"0.5\""]);
}

#[test]
fn a_frames_own_numbers_are_never_a_channel() {
    for numbers in [["7", "9", "12"], ["0", "1", "0"], ["2", "0", "1"]] {
        let rows = numbers.iter().enumerate();
        let rows = rows.map(|(day, number)| format!("{number},2020-01-0{},5\n", day + 1));
        let rows: String = rows.collect();
        for name in ["", "Unnamed: 0", "__index_level_0__"] {
            assert_eq!(set(&format!("{name},date,y\n{rows}")).channels, ["y"], "{numbers:?}");
        }
    }
    // Values without a name stay what they are.
    let got = set("date,y,\n2020-01-01,1,-4\n2020-01-02,2,8.5\n2020-01-03,2,8.5\n");
    assert_eq!(got.channels, ["y", "unnamed 3"]);
}

#[test]
fn series_of_one_table_have_one_step_but_may_have_gaps() {
    let rows = |id: &str, days: &[i64]| -> String {
        let date = |day: i64| crate::civil::date(day * DAY);
        days.iter().map(|&day| format!("{id},{},1\n", date(day))).collect()
    };
    let dense = rows("a", &(0..40).collect::<Vec<_>>());
    let gaps = format!("id,date,y\n{dense}{}", rows("b", &[0, 3, 4, 9, 11, 12]));
    assert_eq!(set(&gaps).frequency.unwrap().to_string(), "1d");
    let weeks = format!("id,date,y\n{dense}{}", rows("b", &[0, 7, 14, 21, 28]));
    refused(
        &weeks,
        &Repair::default(),
        &[
            "series \"b\": the rows come every 1w, but those of series \"a\" every 1d",
            "`resample = 1w:mean`",
            "`frequency = 1d`",
        ],
    );
    let told = Repair { frequency: Some("1d".parse().unwrap()), ..Repair::default() };
    assert_eq!(read(&weeks, &told).unwrap().series[1].num_rows(), 29);
    let weekly = Repair { resample: Some("1w:sum".parse().unwrap()), ..Repair::default() };
    let got = read(&weeks, &weekly).unwrap();
    // 1970-01-01 is a Thursday: the first and the last week are not complete.
    assert_eq!(got.series[0].values, [7.0; 5]);
    assert_eq!(got.series[1].num_rows(), 5);
    assert_eq!(got.repairs.resampled.unwrap().left_out, 4 + 1);
    assert!(got.repairs.notes().iter().any(|note| note.to_string().contains("(1w:sum)")));
}

fn model(step: &str, anchors: &[(&str, i8)]) -> Repair {
    let anchors = anchors.iter().map(|(id, day)| ((*id).to_owned(), Anchor::day(*day)));
    let rules = TimeRules { anchors: anchors.collect(), ..TimeRules::default() };
    let model = ModelTimes { frequency: step.parse().unwrap(), rules };
    Repair { model: Some(model), ..Repair::default() }
}

#[test]
fn a_models_days_of_the_month_are_kept_where_the_rows_fit_them() {
    let text = "id,date,y\na,2023-02-28,1\nb,2023-02-28,1\nc,2023-02-15,1\n";
    let got = read(text, &model("1mo", &[("a", 30), ("c", 30)])).unwrap();
    let next: Vec<String> = (0..3).map(|series| written(&got, series)[1].clone()).collect();
    assert_eq!(next, ["2023-03-30", "2023-03-28", "2023-03-15"]);
}

#[test]
fn rows_of_another_step_than_a_models_are_refused() {
    let hours: String = (0..9).map(|hour| format!("2020-01-01 0{hour}:00,1\n")).collect();
    let text = format!("date,y\n{hours}");
    refused(&text, &model("1d", &[]), &["every 1h", "every 1d", "`resample = 1d:mean`"]);
    refused(&text, &model("1", &[]), &["the times are dates", "whole numbers"]);
    refused(&text, &model("15min", &[]), &["every 1h", "every 15min", "`frequency = 15min`"]);
    // Rows in the middle of the week fit working days, and a gap is a gap.
    let days = "date,y\n2024-05-14,1\n2024-05-15,1\n2024-05-17,1\n";
    assert_eq!(read(days, &model("1b", &[])).unwrap().frequency.unwrap().to_string(), "1b");
    let gap = "date,y\n2020-01-01 00:00,1\n2020-01-01 03:00,1\n2020-01-01 04:00,1\n";
    assert_eq!(read(gap, &model("1h", &[])).unwrap().series[0].num_rows(), 5);
}

#[test]
fn times_are_rounded_on_the_clock_on_the_wall_within_the_tolerance() {
    let text = "date,y\n2024-01-01 00:00:03+05:30,1\n2024-01-01 01:00:02+05:30,2\n\
                2024-01-01 02:00:00+05:30,3\n";
    let repair = Repair { round: Some("1h".parse().unwrap()), ..Repair::default() };
    let got = read(text, &repair).unwrap();
    assert_eq!(written(&got, 0)[3], "2024-01-01 03:00:00+05:30");
    assert_eq!(got.repairs.time_notes(), ["2 rows were moved in time, by at most 3s".into()]);
    let repair = Repair { round: Some("1h:2s".parse().unwrap()), ..Repair::default() };
    refused(text, &repair, &["line 2", "3s from the grid of 1h", "the 2s", "`round = 1h:3s`"]);
    let repair = Repair { round: Some("1h".parse().unwrap()), ..Repair::default() };
    refused("x\n1\n2\n", &repair, &["round: needs dates"]);
    assert_eq!(HOUR, 3600 * SECOND);
}

#[test]
fn a_style_is_widened_where_the_step_is_finer() {
    let repair = Repair { frequency: Some("6h".parse().unwrap()), ..Repair::default() };
    let got = read("date,y\n2020-01-01,1\n2020-01-02,2\n", &repair).unwrap();
    assert_eq!(written(&got, 0)[1], "2020-01-01 06:00");
    let got = read(
        "date,y\n2020-01,1\n2020-02,2\n",
        &Repair { frequency: Some("1d".parse().unwrap()), ..Repair::default() },
    );
    assert_eq!(written(&got.unwrap(), 0)[1], "2020-01-02");
}

#[test]
fn a_clock_that_is_put_back_gives_no_two_rows_one_place() {
    let at = |day: i32, time: &str| format!("2023-10-{day}T{time}:00");
    let rows = |stamps: &[String]| {
        let lines: String = (1..).zip(stamps).map(|(y, stamp)| format!("{stamp},{y}\n")).collect();
        format!("date,y\n{lines}")
    };
    // Each day at 02:30, on the 29th twice.
    let days = rows(&[
        at(27, "02:30") + "+02:00",
        at(28, "02:30") + "+02:00",
        at(29, "02:30") + "+02:00",
        at(29, "02:30") + "+01:00",
        at(30, "02:30") + "+01:00",
    ]);
    let day = |duplicates| Repair {
        frequency: Some("1d".parse().unwrap()),
        duplicates,
        ..Repair::default()
    };
    let says = ["line 5", "falls on the same step as 2023-10-29T02:30:00+02:00", "`duplicates`"];
    refused(&days, &day(Duplicates::Error), &says);
    let got = read(&days, &day(Duplicates::Mean)).unwrap();
    assert_eq!(got.series[0].values, [1.0, 2.0, 3.5, 5.0]);
    assert_eq!(got.repairs.duplicates_merged, 1);
    // Times that lie before an earlier row on the local clock, in every order of steps.
    for step in ["1d", "1h", "30min", "1mo", "1w"] {
        for (first, second) in [("02:00", "02:30"), ("02:30", "02:00"), ("02:30", "02:30")] {
            let text = rows(&[
                at(28, "02:30") + "+02:00",
                at(29, first) + "+02:00",
                at(29, "02:45") + "+02:00",
                at(29, second) + "+01:00",
                at(30, "02:30") + "+01:00",
            ]);
            for duplicates in [Duplicates::Error, Duplicates::Last] {
                let frequency = Some(step.parse().unwrap());
                let repair = Repair { frequency, duplicates, ..Repair::default() };
                let read = read(&text, &repair);
                assert!(read.is_ok() || !read.unwrap_err().to_string().is_empty());
            }
        }
    }
}

#[test]
fn times_at_the_ends_of_their_range_are_read_or_refused() {
    let options = ["1d", "1h", "1b", "1mo", "1w", "1mo-end"];
    for (first, last) in [
        ("1677-09-21 00:12:44", "2262-04-11 23:47:16"),
        ("1677-09-22", "1677-09-23"),
        ("2262-04-10", "2262-04-11"),
        ("1677-09-21T02:00:00+01:00", "2262-04-11T20:00:00-03:00"),
    ] {
        let text = format!("date,y\n{first},1\n{last},2\n");
        for step in options {
            let step = Some(step.parse().unwrap());
            let given = Repair { frequency: step, ..Repair::default() };
            let resampled = step.map(|_| format!("{}:mean", options[0]).parse().unwrap());
            let resampled = Repair { resample: resampled, ..Repair::default() };
            let rounded = Repair { round: Some("1d:12h".parse().unwrap()), ..Repair::default() };
            for repair in [given, resampled, rounded] {
                if let Ok(got) = read(&text, &repair) {
                    assert!(got.to_table().is_ok());
                    let _ = got.future_timestamps(&got.series[0], 3);
                }
            }
        }
        // Below each other, with other offsets.
        let folder = tempfile::tempdir().unwrap();
        for (name, offset) in [("a.csv", ""), ("b.csv", "+05:00")] {
            let stamp = if last.len() < 20 { format!("{last}{offset}") } else { last.to_owned() };
            std::fs::write(folder.path().join(name), format!("date,y\n{stamp},1\n")).unwrap();
        }
        let _ = Table::read(folder.path(), &ReadOptions::default());
    }
    for seconds in ["9223372036.854775807", "9223372036.99", "-9223372036.99", "9223372036"] {
        let _ = read(&format!("timestamp,y\n{seconds},1\n"), &Repair::default());
    }
    let mut more = crate::TimeCells {
        instants: vec![i64::MAX, i64::MIN + 1, crate::TimeCells::MISSING],
        offsets: Offsets::Rows(vec![3600, -3600, 0]),
        style: TimeStyle::PLAIN,
    };
    assert!(more.append(more.clone()) && more.instants.len() == 6);
}
