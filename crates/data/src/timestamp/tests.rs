use super::*;
use crate::civil::{DAY, HOUR, MINUTE, SECOND};

const JULY: i64 = 1_467_331_200 * SECOND; // 2016-07-01 00:00 UTC

fn back(stamp: Stamp) -> String {
    TimeStyle::Calendar(stamp.style).format(stamp.local, stamp.offset.unwrap_or(0))
}

#[test]
fn common_forms_are_read_and_written_back_as_they_came() {
    for (text, time) in [
        ("2016-07-01 00:00:00", JULY),
        ("2016-07-01T00:00:00Z", JULY),
        ("2016-07-01T02:00:00+02:00", JULY),
        ("2016-06-30T19:30-04:30", JULY),
        ("2016-07-01 00:00:00 +0000", JULY),
        ("2016-07-01 00:00:00 UTC", JULY),
        ("2016-07-01 02:00:00+0200", JULY),
        ("2016-07-01 02:00:00+02", JULY),
        ("2016-07-01 01:00", JULY + HOUR),
        ("2016-07-01 01", JULY + HOUR),
        ("2016-07-01", JULY),
        ("2016-07", JULY),
        ("07/2016", JULY),
        ("01.07.2016 00:10:00", JULY + 10 * MINUTE),
        ("1990/1/1 0:00", 631_152_000 * SECOND),
        ("1969-12-31 23:59:59", -SECOND),
        ("7/1/2016", JULY),
        ("07-01-2016", JULY),
        ("07/01/16", JULY),
        ("07/01/2016 12:30:00 AM", JULY + 30 * MINUTE),
        ("7/1/2016 1:05 pm", JULY + 13 * HOUR + 5 * MINUTE),
        ("07/01/2016 12:00PM", JULY + 12 * HOUR),
        ("7/1/2016 3 PM", JULY + 15 * HOUR),
        ("01-Jul-2016 15:00", JULY + 15 * HOUR),
        ("1 July 2016", JULY),
        ("1 Jul 2016", JULY),
        ("01-JUL-16", JULY),
        ("Jul 1, 2016", JULY),
        ("July 1 2016", JULY),
        ("2016-Jul-01", JULY),
        ("01/Jul/2016:00:00:00 +0000", JULY),
        ("Jul-2016", JULY),
        ("July 2016", JULY),
        ("Jul-16", JULY),
        ("2016Q3", JULY),
        ("2016-Q3", JULY),
        ("2016q3", JULY),
        ("Q3 2016", JULY),
        ("2016-W26", JULY - 4 * DAY),
        ("2016W26", JULY - 4 * DAY),
        ("2016-W26-5", JULY),
        ("2016-06-30 24:00", JULY),
        ("2016-07-01 00:00:00.125", JULY + SECOND / 8),
        ("2016-07-01 00:00:00,000", JULY),
        ("2016-07-01T00:00:00.000000001Z", JULY + 1),
        ("20160701T0130", JULY + HOUR + 30 * MINUTE),
        ("20160701T013000Z", JULY + HOUR + 30 * MINUTE),
        ("20160701 01:30", JULY + HOUR + 30 * MINUTE),
    ] {
        let got = parse_timestamp(text, DateOrder::MonthDayYear);
        let got = got.unwrap_or_else(|why| panic!("{text} {why}"));
        assert_eq!(got.instant(), Some(time), "{text}");
        assert_eq!(back(got), text);
    }
}

#[test]
fn forms_that_are_not_written_back_are_read_all_the_same() {
    for text in [
        " 2016-07-01T00:00:00.000000000000Z ",
        "2016-07-01 00:00:00 GMT",
        "2016-07-01  00:00",
        "1 Jul 2016, 00:00",
        "1 Jul. 2016",
    ] {
        let got = parse_timestamp(text, DateOrder::MonthDayYear);
        assert_eq!(got.map(|stamp| stamp.instant()), Ok(Some(JULY)), "{text}");
    }
}

#[test]
fn other_texts_are_refused() {
    for text in [
        "",
        "abc",
        "2016",
        "2016.5",
        "3.14",
        "07.2016",
        "1-2-3",
        "2016-13-01",
        "2021-02-29",
        "2016-07-01 24:01",
        "2016-07-01 25:00",
        "2016-07-01 1",
        "2016-07-01 13:00 PM",
        "2016-07-01 0:00 PM",
        "2016-07-01X10:00",
        "2016-07/01",
        "2016-07-01 10:00+1",
        "10:00:00",
        "1.5.2",
        "-5",
        "20160701",
        "2016Q5",
        "2016-W54",
        "17-Jan",
        "Jan",
        "May 17",
        "31-Feb-2016",
        "2016-07 10:00",
    ] {
        let got = parse_timestamp(text, DateOrder::MonthDayYear);
        assert_eq!(got, Err(NotATime::Unknown), "{text}");
    }
    for text in ["1500-01-01", "2300-01-01", "9999-12-31 23:59:59"] {
        let got = parse_timestamp(text, DateOrder::MonthDayYear);
        assert_eq!(got, Err(NotATime::OutOfRange), "{text}");
    }
}

fn column(cells: &[&str]) -> Result<Stamps, (usize, NotATime)> {
    parse_column(cells.iter().copied(), None)
}

#[test]
fn a_column_settles_the_order_of_dates_with_the_year_last() {
    let days = ["30/06/2016", "01/07/2016"];
    let got = column(&days).unwrap();
    assert_eq!((got.instants[1], got.order), (JULY, Some(DateOrder::DayMonthYear)));
    assert_eq!(got.style.format(got.instants[0], 0), days[0]);
    assert_eq!(column(&["6-30-2016", "7-1-2016"]).unwrap().instants[1], JULY);
    // Both orders are possible, but only one of them rises.
    let rising = ["01/12/2016", "02/01/2017", "01/02/2017"];
    let got = column(&rising).unwrap();
    assert!(got.instants.is_sorted());
    assert_eq!(got.style.format(got.instants[2], 0), "01/02/2017");
    let both = ["11/01/2015", "12/01/2015", "01/02/2016"];
    assert_eq!(column(&both), Err((0, NotATime::Ambiguous)));
    let told = parse_column(both.into_iter(), Some(DateOrder::DayMonthYear)).unwrap();
    assert_eq!(told.style.format(told.instants[1], 0), both[1]);
    let hours = ["01/01/2024 11:00 PM", "01/02/2024 12:00 AM", "01/02/2024 01:00 AM"];
    let got = column(&hours).unwrap();
    assert_eq!(
        (got.instants[2] - got.instants[0], got.order),
        (2 * HOUR, Some(DateOrder::MonthDayYear))
    );
    let wrong = parse_column(["30/06/2016"].into_iter(), Some(DateOrder::MonthDayYear));
    assert_eq!(wrong, Err((0, NotATime::OtherOrder(DateOrder::MonthDayYear))));
    // The cell that is no date in any order, not the first that one order refuses.
    assert_eq!(column(&["30/06/2016", "31/06/2016"]), Err((1, NotATime::Unknown)));
}

#[test]
fn years_of_two_digits_are_last_unless_the_rows_lie_closer_the_other_way() {
    let got = column(&["12/30/15", "12/31/15", "01/01/16"]).unwrap();
    assert_eq!(got.instants[2] - got.instants[0], 2 * DAY);
    assert_eq!(got.style.format(got.instants[2], 0), "01/01/16");
    let got = column(&["16-07-01", "16-07-02"]).unwrap();
    assert_eq!(got.instants[1] - got.instants[0], DAY);
    assert_eq!(got.style.format(got.instants[1], 0), "16-07-02");
    let got = column(&["31.12.68", "01.01.69"]).unwrap();
    assert_eq!(got.style.format(got.instants[1], 0), "01.01.69");
}

#[test]
fn the_style_of_a_column_is_padded_only_if_every_stamp_is() {
    let cells = ["1990/1/9 0:00", "1990/10/10 10:00"];
    let got = column(&cells).unwrap();
    assert_eq!(got.style.format(got.instants[0], 0), cells[0]);
    let mixed = ["2020-01-01", "2020-01-01 06:00:00"];
    let got = column(&mixed).unwrap();
    assert_eq!(got.style.format(got.instants[0], 0), "2020-01-01 00:00:00");
    let named = ["May 1, 2020", "June 1, 2020"];
    let got = column(&named).unwrap();
    assert_eq!(got.style.format(got.instants[1], 0), named[1]);
}

#[test]
fn offsets_are_kept_for_each_row_where_they_differ() {
    let cells =
        ["2023-10-28T00:00:00+02:00", "2023-10-29T00:00:00+02:00", "2023-10-30T00:00:00+01:00"];
    let got = column(&cells).unwrap();
    assert_eq!(got.offsets, [7200, 7200, 3600]);
    assert_eq!(got.instants[2] - got.instants[1], 25 * HOUR);
    assert_eq!(column(&cells[..2]).unwrap().offsets, [7200]);
}

#[test]
fn a_style_is_made_fine_enough_for_what_it_writes() {
    for (text, times, wanted) in [
        ("2016-07-01", &[JULY + HOUR][..], "2016-07-01 00:00"),
        ("2016-07-01", &[JULY + DAY], "2016-07-01"),
        ("2016-07-01", &[JULY + SECOND], "2016-07-01 00:00:00"),
        ("2016-07-01 00:00", &[JULY + SECOND / 10], "2016-07-01 00:00:00.0"),
        ("2016-07-01 00", &[JULY + 30 * MINUTE], "2016-07-01 00:00"),
        ("2016-07", &[JULY + DAY], "2016-07-01"),
        ("2016-07", &[JULY + 31 * DAY], "2016-07"),
        ("2016Q3", &[JULY + 31 * DAY], "2016-07-01"),
        ("2016-W26", &[JULY], "2016-06-27"),
    ] {
        let stamp = parse_timestamp(text, DateOrder::MonthDayYear).unwrap();
        let style = TimeStyle::Calendar(stamp.style).holding(times.iter().copied());
        assert_eq!(style.format(stamp.local, 0), wanted, "{text}");
    }
    let compact = TimeStyle::Compact(CompactForm::Day).holding([JULY + HOUR]);
    assert_eq!(compact.format(JULY, 0), "2016070100");
    let epoch = TimeStyle::Epoch { unit: EpochUnit::Seconds, decimals: 0 };
    assert_eq!(epoch.holding([JULY + SECOND / 4]).format(JULY, 0), "1467331200.00");
}

#[test]
fn numbers_are_times_only_where_they_look_like_it() {
    let seconds = (JULY / SECOND) as f64;
    for (cell, time, text) in [
        (seconds, JULY, "1467331200"),
        (seconds * 1e3, JULY, "1467331200000"),
        (seconds * 1e6, JULY, "1467331200000000"),
        (seconds * 1e9, JULY, "1467331200000000000"),
        (201_607.0, JULY, "201607"),
        (20_160_701.0, JULY, "20160701"),
        (2_016_070_101.0, JULY + HOUR, "2016070101"),
        (201_607_010_130.0, JULY + 90 * MINUTE, "201607010130"),
        (20_160_701_000_001.0, JULY + SECOND, "20160701000001"),
    ] {
        let (times, style) = parse_numbers(&[cell], false).unwrap();
        assert_eq!(times, [time], "{text}");
        assert_eq!(style.format(time, 0), text);
    }
    assert_eq!(parse_numbers(&[0.0, 1.0], true), Err((0, NotATime::Unknown)));
    assert_eq!(parse_numbers(&[seconds, f64::NAN], false), Err((1, NotATime::Unknown)));
    assert_eq!(parse_numbers(&[seconds + 0.125], false).unwrap().0, [JULY + SECOND / 8]);
    assert_eq!(parse_numbers(&[20_160_701.0, 20_160_732.0], false), Err((1, NotATime::Unknown)));
    assert_eq!(parse_numbers(&[1e17, 1e19], false), Err((1, NotATime::OutOfRange)));
}

#[test]
fn excels_days_are_read_where_the_name_says_a_date() {
    // 42552 is 2016-07-01; a 24th part is an hour.
    let cells = [42_552.0, 42_552.041_666_666_664, 42_552.083_333];
    let (times, style) = parse_numbers(&cells, true).unwrap();
    assert_eq!(times, [JULY, JULY + HOUR, JULY + 2 * HOUR]);
    assert_eq!(style.format(times[0], 0), "42552");
    assert_eq!(style.format(times[1], 0), "42552.041666667");
    assert!(parse_numbers(&cells, false).is_err());
}

#[test]
fn whole_numbers_are_an_index() {
    assert_eq!(parse_index(&[5.0, 6.0]).unwrap(), (vec![5, 6], TimeStyle::Index));
    assert_eq!(parse_index(&[5.0, 6.5]), Err((1, NotATime::Unknown)));
    assert_eq!(TimeStyle::Index.format(7, 0), "7");
}

#[test]
fn any_text_is_read_or_refused_wherever_its_letters_begin() {
    let texts =
        ["31–07–2016", "24年1月5日", "1é2é2016", "1\u{a0}2\u{a0}2016", "١/٢/٢٠١٦", "31/٠7/2016"];
    for text in texts {
        for (at, _) in text.char_indices() {
            for part in [&text[at..], &text[..at]].into_iter().filter(|part| !part.is_ascii()) {
                assert!(column(&[part]).is_err(), "{part}");
                assert!(parse_in_any_order(part).is_err(), "{part}");
            }
        }
    }
}

#[test]
fn a_stamp_that_stands_alone_is_one_in_any_order() {
    for text in ["31/01/2024", "01/31/2024", "24-01-31", "31.01.2024", "2024-01-31", "1066-10-14"] {
        assert!(is_time_in_any_order(text), "{text}");
    }
    for text in ["", "32/01/2024", "31/31/2024", "load", "5", "1.5"] {
        assert!(!is_time_in_any_order(text), "{text}");
    }
}
