//! Random tables of times - steps, zones, gaps, orders, several series - that are written in every
//! format give the same series and go on with the same times.

// A failed `unwrap` in a test is a failed test.
#![allow(clippy::unwrap_used)]

use jiff::tz::TimeZone;
use proptest::prelude::*;
use ptsm_data::{
    Calendar, CalendarStyle, ClockForm, Column, DateForm, Frequency, OffsetForm, Offsets,
    ReadOptions, Repair, Roles, SeriesSet, Table, TimeCells, TimeStyle, Values, Zone, write_table,
};

const ENDINGS: [&str; 5] = ["csv", "jsonl", "json", "parquet", "arrow"];

const STEPS: [&str; 7] = ["100ms", "15min", "1h", "1d", "1b", "1mo", "1w"];

const ZONES: [&str; 4] = ["none", "+05:30", "Europe/Berlin", "America/New_York"];

/// Local time of the first row: Wednesday, 31 January 2024.
const START: i64 = 1_706_659_200_000_000_000;

fn offsets(zone: &str) -> Offsets {
    match zone {
        "none" => Offsets::Fixed(0),
        "+05:30" => Offsets::Fixed(19_800),
        name => Offsets::Zone(TimeZone::get(name).unwrap()),
    }
}

fn style(step: Frequency, zone: &str) -> TimeStyle {
    let fine = matches!(step, Frequency::Nanoseconds(step) if step < 1_000_000_000);
    let offset = match zone {
        "none" => OffsetForm::None,
        _ => OffsetForm::Signed { space: false, colon: true, minutes: true },
    };
    let time = Some(ClockForm::PLAIN);
    let style = TimeStyle::Calendar(CalendarStyle { date: DateForm::ISO, time, offset });
    if fine { style.holding([100_000_000]) } else { style }
}

/// Whether a step is whole days or longer.
fn counts_days(step: Frequency) -> bool {
    !matches!(step, Frequency::Nanoseconds(step) if step % 86_400_000_000_000 != 0)
}

/// A table of one or more series.
#[derive(Debug, Clone)]
struct Case {
    step: Frequency,
    zone: &'static str,
    table: Table,
}

prop_compose! {
    fn case()(
        step in proptest::sample::select(STEPS.to_vec()),
        zone in proptest::sample::select(ZONES.to_vec()),
        series in 1usize..4,
        rows in 12usize..40,
    )(
        first in 0i64..500,
        dropped in proptest::collection::vec(proptest::bool::weighted(0.1), series * rows),
        cells in proptest::collection::vec(-1000i32..1000, series * rows),
        order in Just((0..series * rows).collect::<Vec<_>>()).prop_shuffle(),
        shuffled in any::<bool>(),
        (step, zone, rows) in Just((step, zone, rows)),
    ) -> Case {
        let step: Frequency = step.parse().unwrap();
        let calendar = Calendar::of(step);
        let start = calendar.after(START, first);
        let offsets = offsets(zone);
        let clock = match &offsets {
            Offsets::Zone(zone) => Zone::Named(zone.clone()),
            Offsets::Fixed(offset) => Zone::Fixed(*offset),
            Offsets::Rows(_) => unreachable!("no rows of their own"),
        };
        // Days and longer steps are counted by the clock on the wall, shorter ones in UTC.
        let instant = |row: usize| match counts_days(step) {
            true => clock.instant(calendar.after(start, row as i64)),
            false => calendar.after(clock.instant(start), row as i64),
        };
        let keep = |&row: &usize| !dropped[row] || row % rows == 0 || row % rows > rows - 4;
        let order: Vec<usize> = match shuffled {
            true => order.into_iter().filter(keep).collect(),
            false => (0..dropped.len()).filter(keep).collect(),
        };
        let id = order.iter().map(|row| format!("s{}", row / rows)).collect();
        let instants = order.iter().map(|row| instant(row % rows)).collect();
        let load = order.iter().map(|&row| f64::from(cells[row]) / 8.0).collect();
        let times = TimeCells { instants, offsets, style: style(step, zone) };
        let table = Table::new(vec![
            Column::text("unique_id", id),
            Column { name: "ds".into(), values: Values::Times(times) },
            Column::numbers("load", load),
        ]);
        Case { step, zone, table: table.unwrap() }
    }
}

/// The series in the order of their names, and the times that follow each, where no clock changes.
fn read(table: &Table, case: &Case) -> (SeriesSet, Vec<Vec<String>>) {
    let repair = Repair { sort: true, ..Repair::default() };
    let mut set = SeriesSet::from_table(table, &Roles::default(), &repair).unwrap();
    set.series.sort_by(|a, b| a.id.cmp(&b.id));
    let next = |series| {
        let times = set.future_timestamps(series, 3).unwrap();
        times.into_iter().map(|time| set.time_text(series, time)).collect()
    };
    let fixed = !case.zone.contains('/');
    let next = if fixed { set.series.iter().map(next).collect() } else { Vec::new() };
    (set, next)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_format_gives_the_same_series_and_goes_on_alike(case in case()) {
        let folder = tempfile::tempdir().unwrap();
        let (wanted, following) = read(&case.table, &case);
        let step = wanted.frequency.unwrap();
        // The 31st of every month is the end of each.
        let month_ends = case.step == Frequency::Months(1) && step == Frequency::MonthEnds(1);
        prop_assert!(step == case.step || month_ends, "{} for {}", step, case.step);
        for ending in ENDINGS {
            let path = folder.path().join(format!("table.{ending}"));
            write_table(&path, &case.table).unwrap();
            let back = Table::read(&path, &ReadOptions::default()).unwrap();
            let (found, next) = read(&back, &case);
            prop_assert_eq!(found.frequency, wanted.frequency, "{}", ending);
            prop_assert_eq!(found.times.clock, wanted.times.clock, "{}", ending);
            prop_assert_eq!(found.fingerprint(), wanted.fingerprint(), "{}", ending);
            if ending != "parquet" && ending != "arrow" {
                prop_assert_eq!(&next, &following, "{}", ending);
            }
            let steps = |set: &SeriesSet| -> Vec<_> {
                set.series.iter().map(|s| set.future_timestamps(s, 3)).collect()
            };
            if !case.zone.contains('/') {
                prop_assert_eq!(steps(&found), steps(&wanted), "{}", ending);
            }
        }
    }
}
