use proptest::prelude::*;

use super::super::{Duplicates, NO_COLUMN, ReadOptions};
use super::*;
use crate::civil::DAY;

fn table(text: &str) -> Table {
    Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap()
}

fn set(text: &str) -> SeriesSet {
    SeriesSet::from_table(&table(text), &Roles::default(), &Repair::default()).unwrap()
}

fn name(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_wide_table_is_one_series_and_missing_is_zero_and_masked() {
    let got = set("note,date,a,b\nx,2020-01-01,1,NA\ny,2020-01-02,2,4\n");
    assert_eq!(got.channels, ["a", "b"]);
    assert_eq!(got.series.len(), 1);
    let series = &got.series[0];
    assert_eq!((series.id.as_str(), series.num_rows()), ("", 2));
    assert_eq!(series.values, [1.0, 0.0, 2.0, 4.0]);
    assert_eq!(series.observed.as_deref(), Some(&[true, false, true, true][..]));
    assert_eq!(series.get(0, 1), None);
    assert_eq!(got.frequency.unwrap().to_string(), "1d");
    assert_eq!(got.repairs.missing[1].share, 0.5);
    assert_eq!(got.repairs.ignored_columns[0].name, "note");
    assert_eq!(got.roles.timestamp, name("date"));
    assert_eq!(got.roles.id, name(NO_COLUMN));
    let next = got.future_timestamps(series, 1).unwrap();
    assert_eq!(got.time_text(series, next[0]), "2020-01-03");
}

#[test]
fn a_long_table_is_split_in_order_of_first_appearance() {
    let text = "unique_id,ds,y\nb,2020-01-01,1\na,2020-01-01,2\nb,2020-01-02,3\na,2020-01-02,4\n";
    let got = set(text);
    let ids: Vec<&str> = got.series.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
    assert_eq!(got.series[0].values, [1.0, 3.0]);
    assert_eq!(got.series[1].values, [2.0, 4.0]);
    assert_eq!(got.channels, ["y"]);
}

#[test]
fn a_table_without_times_has_numbered_rows() {
    let got = set("a,b\n1,2\n3,4\n");
    assert_eq!(got.series[0].timestamps, None);
    assert_eq!(got.frequency, None);
    assert_eq!(got.future_timestamps(&got.series[0], 3), None);
}

#[test]
fn gaps_become_masked_rows_and_are_reported() {
    let got = set("date,x\n2020-01-01,1\n2020-01-02,2\n2020-01-04,4\n");
    let series = &got.series[0];
    assert_eq!(series.values, [1.0, 2.0, 0.0, 4.0]);
    assert_eq!(series.get(2, 0), None);
    let times = series.timestamps.as_ref().unwrap();
    assert_eq!(times.to_vec()[2] - times.to_vec()[1], DAY);
    assert_eq!(got.repairs.rows_inserted, 1);
    assert_eq!(
        got.repairs.notes()[0].to_string(),
        "1 row was inserted as missing, to fill gaps in time"
    );
}

#[test]
fn monthly_gaps_follow_the_calendar() {
    let got = set("month,x\n2020-01,1\n2020-02,2\n2020-04,4\n2020-05,5\n");
    let times = got.series[0].timestamps.as_ref().unwrap();
    assert_eq!(got.time_text(&got.series[0], times.get(2).unwrap()), "2020-03");
    assert_eq!(got.repairs.rows_inserted, 1);
}

#[test]
fn order_and_duplicates_are_repaired_when_asked() {
    let text = "date,x\n2020-01-02,2\n2020-01-01,1\n2020-01-03,3\n2020-01-03,5\n2020-01-03,\n";
    for (duplicates, last) in
        [(Duplicates::First, Some(3.0)), (Duplicates::Last, None), (Duplicates::Mean, Some(4.0))]
    {
        let repair = Repair { sort: true, duplicates, ..Repair::default() };
        let got = SeriesSet::from_table(&table(text), &Roles::default(), &repair).unwrap();
        let series = &got.series[0];
        assert_eq!((series.num_rows(), series.get(0, 0)), (3, Some(1.0)));
        assert_eq!(series.get(2, 0), last, "{duplicates}");
        assert_eq!(got.repairs.rows_reordered, 1);
        assert_eq!(got.repairs.duplicates_merged, 2);
    }
}

#[test]
fn the_grid_of_rows_takes_everything_as_it_comes() {
    let text = "date,x\n2020-01-02,2\n2020-01-01,1\n2020-01-01,3\n2020-02-01,5\n";
    let repair = Repair { grid: Grid::Rows, ..Repair::default() };
    let got = SeriesSet::from_table(&table(text), &Roles::default(), &repair).unwrap();
    assert_eq!(got.series[0].values, [2.0, 1.0, 3.0, 5.0]);
    assert_eq!(got.repairs.rows_inserted, 0);
}

#[test]
fn a_saved_set_of_roles_reads_the_same_columns_again() {
    let first = set("index,date,b,a\n0,2020-01-01,1,2\n1,2020-01-02,3,4\n");
    assert_eq!(first.channels, ["b", "a"]);
    let json = serde_json::to_string(&first.roles).unwrap();
    let roles: Roles = serde_json::from_str(&json).unwrap();
    let more = table("a,new,b,date\n9,x,NA,2020-01-01\n9,y,NA,2020-01-02\n");
    let got = SeriesSet::from_table(&more, &roles, &Repair::default()).unwrap();
    assert_eq!(got.channels, ["b", "a"]);
    assert_eq!(got.series[0].get(0, 1), Some(9.0));
    assert_eq!(got.series[0].get(0, 0), None);
}

/// Text, roles (time, id, targets), and what the message must hold.
type BadInput = (&'static str, [Option<&'static str>; 3], &'static [&'static str]);

const BAD_INPUTS: &[BadInput] = &[
    (
        "date,x\n2020-01-01,1\n",
        [Some("time"), None, None],
        &["t.csv", "no column \"time\" (`timestamp`)", "date, x"],
    ),
    ("date,x\n2020-01-01,1\n", [None, Some("name"), None], &["no column \"name\" (`id`)"]),
    ("date,x\n2020-01-01,1\n", [None, None, Some("y")], &["no column \"y\" (`targets`)"]),
    ("date,x\n2020-01-01,1\n", [None, None, Some("date")], &["\"date\"", "a number"]),
    (
        "date,x\n2020-01-01,1\n",
        [Some("date"), None, Some("date")],
        &["targets", "is the column of the times or of the series"],
    ),
    (
        "date,x,y\n2020-01-01,1,2\n2020-01-02,n.a.,3\n",
        [None; 3],
        &["line 3, column \"x\"", "\"n.a.\" is not a number", "`missing = n.a.`"],
    ),
    ("date;x\n2020-01-01;1,5\n", [None; 3], &["\"1,5\"", "`decimal_comma`"]),
    ("date,x\n2020-01-01,a\n", [None, None, Some("x")], &["line 2, column \"x\"", "\"a\""]),
    (
        "date,x\n2020-01-01,a\n2020-01-02,b\n",
        [None; 3],
        &["there is no numeric column", "\"x\": it is not numeric"],
    ),
    (
        "date,x\n2020-01-01,1\nsoon,2\n",
        [None; 3],
        &["line 3, column \"date\"", "\"soon\" is not a timestamp"],
    ),
    ("date,x\n2020-01-01,1\nNA,2\n", [None; 3], &["line 3", "timestamp is missing"]),
    (
        "date,x\n2020-01-01 0:0:0:0,1\n",
        [None; 3],
        &["line 2, column \"date\"", "\"2020-01-01 0:0:0:0\"", "`timestamp = none`"],
    ),
    (
        "date,x\n2020-01-01,1\n3020-01-01,2\n",
        [None; 3],
        &["line 3, column \"date\"", "\"3020-01-01\" lies outside of 1677-09-21 to 2262-04-11"],
    ),
    (
        "date,x\n01/02/2020,1\n01/03/2020,1\n",
        [None; 3],
        &["day or the month first", "`dates = day-first`", "`dates = month-first`"],
    ),
    ("id,x\na,1\n,2\n", [None; 3], &["line 3, column \"id\"", "name of the series is missing"]),
    (
        "date,x\n2020-01-02,1\n2020-01-01,2\n",
        [None; 3],
        &["line 3, column \"date\"", "2020-01-01 comes after 2020-01-02", "`sort`"],
    ),
    (
        "date,x\n2020-01-01,1\n2020-01-01,2\n",
        [None; 3],
        &["line 3", "2020-01-01 was there before, in line 2", "`duplicates`", "`grid = rows`"],
    ),
    (
        "city,date,x\na,2020-01-01,1\nb,2020-01-01,2\na,2020-01-02,1\n",
        [None; 3],
        &["`duplicates`", "`id = city`"],
    ),
    (
        "city,date,x\na,2020-01-02,1\na,2020-01-01,2\n",
        [None, Some("city"), None],
        &["series \"a\"", "`sort`"],
    ),
    (
        "t,x\n2020-01-01 00:00,1\n2020-01-01 01:00,1\n2020-01-01 02:00,1\n2020-01-01 02:17,1\n",
        [None; 3],
        &["line 5", "02:17 is not on the grid of 1h", "`grid = rows`", "`frequency`"],
    ),
    (
        "t,x\n2020-01-01 00:00:00,1\n2020-01-01 00:00:01,1\n2021-01-01 00:00:00,1\n",
        [None; 3],
        &["grid of 1s", "rows between the 3 given ones are missing"],
    ),
];

#[test]
fn bad_inputs_are_refused_with_place_and_way_out() {
    for (text, [timestamp, id, targets], fragments) in BAD_INPUTS {
        let roles = Roles {
            timestamp: timestamp.map(str::to_owned),
            id: id.map(str::to_owned),
            targets: targets.map(|target| vec![target.to_owned()]),
            ..Roles::default()
        };
        let got = SeriesSet::from_table(&table(text), &roles, &Repair::default());
        let error = got.expect_err(text).to_string();
        for fragment in *fragments {
            assert!(error.contains(fragment), "{text}: {error} lacks {fragment}");
        }
    }
}

#[test]
fn values_from_memory_are_checked() {
    let got = Series::new("a", 2, vec![1.0, f64::NAN]).unwrap();
    assert_eq!(got.get(0, 1), None);
    assert!(Series::new("a", 2, vec![1.0; 3]).is_err());
    assert!(Series::new("a", 0, vec![]).is_err());
    assert!(Series::new("a", 1, vec![f64::INFINITY]).is_err());
}

/// Sets as they come out of a table: any finite numbers, gaps, one or several series.
fn any_set() -> impl Strategy<Value = SeriesSet> {
    let value = prop_oneof![4 => proptest::num::f64::NORMAL, 1 => Just(f64::NAN), 1 => Just(0.0)];
    let shape = (1_usize..4, 2_usize..6, 1_usize..4, any::<bool>(), 1_i64..100_000);
    (shape, prop::collection::vec(value, 75), "[a-z,;\" ]{0,4}").prop_map(
        |((channels, rows, series, timed, step), values, salt)| {
            let start = 1_600_000_000;
            let one = |index: usize| {
                let first = index * rows * channels;
                let values = values[first..first + rows * channels].to_vec();
                let times = timed
                    .then(|| (0..rows as i64).map(|row| (start + row * step) * SECOND).collect());
                let id = if series > 1 { format!("s{salt}{index}") } else { String::new() };
                Series { timestamps: times, ..Series::from_finite(id, channels, values) }
            };
            let channel_names: Vec<String> = (0..channels).map(|c| format!("c{salt}{c}")).collect();
            SeriesSet {
                series: (0..series).map(one).collect(),
                frequency: timed.then_some(Frequency::Nanoseconds(step * SECOND)),
                time_style: timed.then_some(TimeStyle::PLAIN),
                times: TimeRules::default(),
                roles: Roles {
                    timestamp: Some(if timed { "when" } else { NO_COLUMN }.to_owned()),
                    id: Some(if series > 1 { "who" } else { NO_COLUMN }.to_owned()),
                    targets: Some(channel_names.clone()),
                    ..Roles::default()
                },
                covariates: Vec::new(),
                channels: channel_names,
                repairs: RepairReport::default(),
            }
        },
    )
}

proptest! {
    #[test]
    fn csv_to_series_to_csv_is_identity(set in any_set()) {
        let mut text = Vec::new();
        set.to_table().unwrap().write_csv(&mut text).unwrap();
        let table = Table::from_csv(&text, "t.csv", &ReadOptions::default()).unwrap();
        let back = SeriesSet::from_table(&table, &set.roles, &Repair::default()).unwrap();
        prop_assert_eq!(&back.series, &set.series);
        prop_assert_eq!(&back.roles, &set.roles);
        prop_assert_eq!(back.frequency, set.frequency);
        prop_assert_eq!(back.time_style, set.time_style);
        let mut again = Vec::new();
        back.to_table().unwrap().write_csv(&mut again).unwrap();
        prop_assert_eq!(again, text);
    }
}

#[test]
fn a_fingerprint_differs_with_values_gaps_and_names() {
    let set = |text: &str| {
        let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
        SeriesSet::from_table(&table, &Roles::default(), &Repair::default()).unwrap().fingerprint()
    };
    let base = set("a,b\n1,2\n3,4\n");
    assert_eq!(base, set("a,b\n1,2\n3,4\n"));
    for other in ["a,c\n1,2\n3,4\n", "a,b\n1,2\n3,5\n", "a,b\n0,2\n3,4\n", "a,b\n,2\n3,4\n"] {
        assert_ne!(base, set(other), "{other}");
    }
    // A gap is stored as 0, but is no 0.
    assert_ne!(set("a,b\n0,2\n3,4\n"), set("a,b\n,2\n3,4\n"));
}
