//! Timestamps as people write them, and back in the same style.
//!
//! A time is a whole number of seconds since 1970-01-01 00:00 UTC. A stamp without an offset is
//! taken as UTC: steps between rows are then what the file says, also where local clocks change.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Which part of a date comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// 2016-07-31.
    YearMonthDay,
    /// 31.07.2016.
    DayMonthYear,
    /// 07/31/2016.
    MonthDayYear,
}

/// The finest part that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 2016-07.
    Month,
    /// 2016-07-31.
    Day,
    /// 2016-07-31 08:00.
    Minute,
    /// 2016-07-31 08:00:00.
    Second,
}

/// What follows the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffsetStyle {
    /// Nothing: the stamp counts as UTC.
    None,
    /// `Z`.
    Zulu,
    /// An offset from UTC in seconds, written as `+02:00`.
    Seconds(i32),
}

/// How the stamps of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeStyle {
    /// A date and perhaps a time of day.
    Calendar(CalendarStyle),
    /// Whole seconds since 1970-01-01 00:00 UTC.
    EpochSeconds,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    EpochMilliseconds,
    /// A date in eight digits, 20160731.
    CompactDate,
}

/// How a calendar stamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarStyle {
    /// Order of year, month and day.
    pub order: DateOrder,
    /// Between the parts of the date: `-`, `/` or `.`.
    pub separator: char,
    /// Between date and time of day: a space or `T`.
    pub between: char,
    /// Whether day and month have two digits always.
    pub padded_date: bool,
    /// Whether the hour has two digits always.
    pub padded_hour: bool,
    /// The finest part that is written.
    pub precision: Precision,
    /// Offset from UTC.
    pub offset: OffsetStyle,
}

impl TimeStyle {
    /// `2016-07-31 08:00:00`, the style of the benchmark files.
    pub const PLAIN: TimeStyle = TimeStyle::Calendar(CalendarStyle {
        order: DateOrder::YearMonthDay,
        separator: '-',
        between: ' ',
        padded_date: true,
        padded_hour: true,
        precision: Precision::Second,
        offset: OffsetStyle::None,
    });

    /// Writes `seconds` since the epoch in this style.
    pub fn format(&self, seconds: i64) -> String {
        match self {
            TimeStyle::EpochSeconds => seconds.to_string(),
            TimeStyle::EpochMilliseconds => (i128::from(seconds) * 1000).to_string(),
            TimeStyle::CompactDate => {
                let date = civil_from_seconds(seconds).date();
                format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
            }
            TimeStyle::Calendar(style) => style.format(seconds),
        }
    }

    /// Takes in the style of one more stamp of the same column: the latest offset, the finest
    /// precision, and padding only where every stamp has it.
    fn merge(self, next: TimeStyle) -> TimeStyle {
        match (self, next) {
            (TimeStyle::Calendar(old), TimeStyle::Calendar(new)) => {
                TimeStyle::Calendar(CalendarStyle {
                    padded_date: old.padded_date && new.padded_date,
                    padded_hour: old.padded_hour && new.padded_hour,
                    precision: old.precision.max(new.precision),
                    ..new
                })
            }
            (_, next) => next,
        }
    }
}

impl CalendarStyle {
    fn format(&self, seconds: i64) -> String {
        let offset = match self.offset {
            OffsetStyle::Seconds(offset) => i64::from(offset),
            OffsetStyle::None | OffsetStyle::Zulu => 0,
        };
        let civil = civil_from_seconds(seconds + offset);
        let pad = |value: i8, padded: bool| {
            let width = if padded { 2 } else { 1 };
            format!("{value:0width$}")
        };
        let year = format!("{:04}", civil.year());
        let month = pad(civil.month(), self.padded_date);
        let day = pad(civil.day(), self.padded_date);
        let sep = self.separator;
        if self.precision == Precision::Month {
            return format!("{year}{sep}{month}");
        }
        let mut text = match self.order {
            DateOrder::YearMonthDay => format!("{year}{sep}{month}{sep}{day}"),
            DateOrder::DayMonthYear => format!("{day}{sep}{month}{sep}{year}"),
            DateOrder::MonthDayYear => format!("{month}{sep}{day}{sep}{year}"),
        };
        if self.precision == Precision::Day {
            return text;
        }
        text.push(self.between);
        text.push_str(&pad(civil.hour(), self.padded_hour));
        text.push_str(&format!(":{:02}", civil.minute()));
        if self.precision == Precision::Second {
            text.push_str(&format!(":{:02}", civil.second()));
        }
        match self.offset {
            OffsetStyle::None => {}
            OffsetStyle::Zulu => text.push('Z'),
            OffsetStyle::Seconds(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                let minutes = offset.abs() / 60;
                text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
            }
        }
        text
    }
}

/// Calendar date and time of day in UTC; times beyond the years -9999..9999 stop at the border.
pub(super) fn civil_from_seconds(seconds: i64) -> DateTime {
    let stamp = Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    Offset::UTC.to_datetime(stamp)
}

/// Seconds since the epoch of a UTC date and time; `None` beyond what a timestamp can hold.
pub(super) fn seconds_from_civil(civil: DateTime) -> Option<i64> {
    Offset::UTC.to_timestamp(civil).ok().map(Timestamp::as_second)
}

/// Why a text is not a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotATime {
    /// It does not look like one.
    Unknown,
    /// Which of two numbers is the day and which the month, no cell of the column says.
    Ambiguous,
    /// It has a fraction of a second, which a whole number of seconds cannot hold.
    SubSecond,
}

impl std::fmt::Display for NotATime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotATime::Unknown => "is not a timestamp (expected a form such as 2016-07-31 08:00:00)",
            NotATime::Ambiguous => {
                "may have the day or the month first, and no row settles it (write dates as \
                 2016-07-31)"
            }
            NotATime::SubSecond => "is finer than a second, which is not supported",
        })
    }
}

/// Reads one stamp, such as `2016-07-01 00:00:00`, `2016-07-01T02:00+02:00`, `1990/1/1 0:00`,
/// `31.12.2009`, `2016-07`; gives seconds since the epoch and the style.
///
/// A date with slashes and the year at the end (`7/1/2016`) is read in `order`; all others show
/// their order themselves.
///
/// # Errors
///
/// [`NotATime`] if it is no such stamp, or has a fraction of a second other than zero.
pub fn parse_timestamp(text: &str, order: DateOrder) -> Result<(i64, TimeStyle), NotATime> {
    let mut scanner = Scanner { rest: text.trim().as_bytes() };
    let (date, mut style) = scanner.date(order).ok_or(NotATime::Unknown)?;
    let mut civil = date.at(0, 0, 0, 0);
    if !scanner.rest.is_empty() && style.precision == Precision::Day {
        civil = scanner.time_of_day(date, &mut style)?;
        style.offset = scanner.offset().ok_or(NotATime::Unknown)?;
    }
    if !scanner.rest.is_empty() {
        return Err(NotATime::Unknown);
    }
    let offset = match style.offset {
        OffsetStyle::Seconds(offset) => i64::from(offset),
        OffsetStyle::None | OffsetStyle::Zulu => 0,
    };
    let seconds = seconds_from_civil(civil).ok_or(NotATime::Unknown)? - offset;
    Ok((seconds, TimeStyle::Calendar(style)))
}

/// Reads a whole column of stamps and finds its style.
///
/// # Errors
///
/// The number of the first cell that does not fit, and why. Dates such as `7/1/2016` are read with
/// the order that fits every cell; if both do, with the one that gives rising times; if both do
/// that too, the column is ambiguous.
pub(super) fn parse_column<'a>(
    cells: impl Iterator<Item = &'a str> + Clone,
) -> Result<(Vec<i64>, TimeStyle), (usize, NotATime)> {
    let with = |order| {
        let mut times = Vec::new();
        let mut style: Option<TimeStyle> = None;
        for (index, cell) in cells.clone().enumerate() {
            let (seconds, found) = parse_timestamp(cell, order).map_err(|why| (index, why))?;
            style = Some(style.map_or(found, |style| style.merge(found)));
            times.push(seconds);
        }
        Ok((times, style.ok_or((0, NotATime::Unknown))?))
    };
    let month_first = with(DateOrder::MonthDayYear);
    let slashed = cells.clone().next().is_some_and(year_is_last_after_slash);
    if !slashed {
        return month_first;
    }
    let day_first = with(DateOrder::DayMonthYear);
    match (month_first, day_first) {
        (Ok(month), Ok(day)) => {
            let rises = |times: &[i64]| times.is_sorted();
            match (rises(&month.0), rises(&day.0)) {
                (true, false) => Ok(month),
                (false, true) => Ok(day),
                _ if month.0 == day.0 => Ok(month),
                _ => Err((0, NotATime::Ambiguous)),
            }
        }
        (Ok(month), Err(_)) => Ok(month),
        (Err(_), day) => day,
    }
}

fn year_is_last_after_slash(text: &str) -> bool {
    text.trim().bytes().take(3).any(|byte| byte == b'/')
}

/// Reads a stamp from the front, byte by byte.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl Scanner<'_> {
    /// Up to `max` digits; gives the number and how many digits it had.
    fn number(&mut self, max: usize) -> Option<(i32, usize)> {
        let digits = self.rest.iter().take(max).take_while(|b| b.is_ascii_digit());
        let count = digits.count();
        if count == 0 {
            return None;
        }
        let value =
            self.rest[..count].iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
        self.rest = &self.rest[count..];
        Some((value, count))
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.rest.first() == Some(&wanted);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn date(&mut self, slash_order: DateOrder) -> Option<(Date, CalendarStyle)> {
        let (first, first_digits) = self.number(4)?;
        let separator = *self.rest.first()?;
        if !matches!(separator, b'-' | b'/' | b'.') {
            return None;
        }
        self.rest = &self.rest[1..];
        let (second, second_digits) = self.number(2)?;
        let third = if self.take(separator) { Some(self.number(4)?) } else { None };
        let order = match (first_digits, separator) {
            (4, _) => DateOrder::YearMonthDay,
            (1 | 2, b'.') => DateOrder::DayMonthYear,
            (1 | 2, b'/') => slash_order,
            _ => return None,
        };
        let (year, month, day, day_digits, month_digits) = match (order, third) {
            (DateOrder::YearMonthDay, Some((third, digits @ 1..=2))) => {
                (first, second, third, digits, second_digits)
            }
            // 2016.5 is a number, not a month.
            (DateOrder::YearMonthDay, None) if separator != b'.' => {
                (first, second, 1, 2, second_digits)
            }
            (DateOrder::DayMonthYear, Some((third, 4))) => {
                (third, second, first, first_digits, second_digits)
            }
            (DateOrder::MonthDayYear, Some((third, 4))) => {
                (third, first, second, second_digits, first_digits)
            }
            _ => return None,
        };
        let parts = (year.try_into(), month.try_into(), day.try_into());
        let (Ok(year), Ok(month), Ok(day)) = parts else {
            return None;
        };
        let style = CalendarStyle {
            order,
            separator: char::from(separator),
            between: ' ',
            padded_date: day_digits == 2 && month_digits == 2,
            padded_hour: true,
            precision: third.map_or(Precision::Month, |_| Precision::Day),
            offset: OffsetStyle::None,
        };
        Some((Date::new(year, month, day).ok()?, style))
    }

    fn time_of_day(&mut self, date: Date, style: &mut CalendarStyle) -> Result<DateTime, NotATime> {
        let between = self.rest.first().copied();
        style.between = match between {
            Some(b' ') => ' ',
            Some(b'T' | b't') => 'T',
            _ => return Err(NotATime::Unknown),
        };
        self.rest = &self.rest[1..];
        let (hour, hour_digits) = self.number(2).ok_or(NotATime::Unknown)?;
        if !self.take(b':') {
            return Err(NotATime::Unknown);
        }
        let (minute, _) = self.number(2).ok_or(NotATime::Unknown)?;
        let mut second = 0;
        style.precision = Precision::Minute;
        if self.take(b':') {
            style.precision = Precision::Second;
            second = self.number(2).ok_or(NotATime::Unknown)?.0;
            if self.take(b'.') {
                let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
                if self.rest[..digits].iter().any(|digit| *digit != b'0') {
                    return Err(NotATime::SubSecond);
                }
                self.rest = &self.rest[digits..];
            }
        }
        style.padded_hour = hour_digits == 2;
        // At most two digits each, so the casts keep the value.
        let time = jiff::civil::Time::new(hour as i8, minute as i8, second as i8, 0);
        Ok(date.to_datetime(time.map_err(|_| NotATime::Unknown)?))
    }

    /// `Z`, ` UTC`, `+02`, `+0200` or `+02:00`, or nothing.
    fn offset(&mut self) -> Option<OffsetStyle> {
        if matches!(self.rest, b"Z" | b"z" | b" UTC" | b"UTC") {
            self.rest = &[];
            return Some(OffsetStyle::Zulu);
        }
        let sign = match self.rest.first() {
            None => return Some(OffsetStyle::None),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.rest = &self.rest[1..];
        let (hours, 2) = self.number(2)? else {
            return None;
        };
        let colon = self.take(b':');
        let minutes = match self.number(2) {
            Some((minutes, 2)) => minutes,
            None if !colon => 0,
            _ => return None,
        };
        (hours <= 25 && minutes < 60)
            .then_some(OffsetStyle::Seconds(sign * (hours * 3600 + minutes * 60)))
    }
}

/// Smallest number that counts as seconds since the epoch: 1973; below it a column called `time`
/// rather holds row numbers.
const FIRST_EPOCH_SECOND: f64 = 1e8;
/// Numbers from here on count as milliseconds: the year 5138 in seconds, 1973 in milliseconds.
const FIRST_EPOCH_MILLISECOND: f64 = 1e11;
/// End of the milliseconds: the year 5138.
const END_EPOCH_MILLISECOND: f64 = 1e14;

/// Reads a column of numbers as times: epoch seconds, epoch milliseconds or dates of eight digits.
///
/// # Errors
///
/// The number of the first cell that does not fit, and why.
pub(super) fn parse_numbers(cells: &[f64]) -> Result<(Vec<i64>, TimeStyle), (usize, NotATime)> {
    let first = *cells.first().ok_or((0, NotATime::Unknown))?;
    let style = match first {
        first if compact_date(first).is_some() => TimeStyle::CompactDate,
        FIRST_EPOCH_SECOND..FIRST_EPOCH_MILLISECOND => TimeStyle::EpochSeconds,
        FIRST_EPOCH_MILLISECOND..END_EPOCH_MILLISECOND => TimeStyle::EpochMilliseconds,
        _ => return Err((0, NotATime::Unknown)),
    };
    let one = |&cell: &f64| match style {
        TimeStyle::CompactDate => compact_date(cell).ok_or(NotATime::Unknown),
        _ if !(0.0..END_EPOCH_MILLISECOND).contains(&cell) => Err(NotATime::Unknown),
        TimeStyle::EpochMilliseconds if cell % 1000.0 == 0.0 => Ok((cell / 1000.0) as i64),
        TimeStyle::EpochSeconds if cell.fract() == 0.0 => Ok(cell as i64),
        _ => Err(NotATime::SubSecond),
    };
    let times: Result<Vec<i64>, _> = cells
        .iter()
        .enumerate()
        .map(|(index, cell)| one(cell).map_err(|why| (index, why)))
        .collect();
    Ok((times?, style))
}

/// The midnight of a date such as 20160731, from 1800 to 2199.
fn compact_date(number: f64) -> Option<i64> {
    if !(18_000_101.0..22_000_000.0).contains(&number) || number.fract() != 0.0 {
        return None;
    }
    let whole = number as i32;
    let (year, month, day) = (whole / 10_000, whole / 100 % 100, whole % 100);
    // The range above keeps all three within their types.
    let date = Date::new(year as i16, month as i8, day as i8).ok()?;
    seconds_from_civil(date.at(0, 0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JULY: i64 = 1_467_331_200; // 2016-07-01 00:00 UTC

    #[test]
    fn common_forms_are_read_and_written_back_as_they_came() {
        for (text, seconds) in [
            ("2016-07-01 00:00:00", JULY),
            ("2016-07-01T00:00:00Z", JULY),
            ("2016-07-01T02:00:00+02:00", JULY),
            ("2016-06-30T19:30-04:30", JULY),
            ("2016-07-01 01:00", JULY + 3600),
            ("2016-07-01", JULY),
            ("2016-07", JULY),
            ("01.07.2016 00:10:00", JULY + 600),
            ("1990/1/1 0:00", 631_152_000),
            ("1969-12-31 23:59:59", -1),
            ("2020-02-29", 1_582_934_400),
        ] {
            let (got, style) = parse_timestamp(text, DateOrder::MonthDayYear).unwrap();
            assert_eq!(got, seconds, "{text}");
            assert_eq!(style.format(got), text);
        }
    }

    #[test]
    fn forms_that_are_not_written_back_are_read_all_the_same() {
        for text in [
            "2016-07-01 00:00:00.000",
            " 2016-07-01T00:00:00.000000000Z ",
            "2016-07-01 00:00:00 UTC",
            "2016-07-01 02:00:00+0200",
            "2016-07-01 02:00:00+02",
        ] {
            let got = parse_timestamp(text, DateOrder::MonthDayYear);
            assert_eq!(got.map(|(seconds, _)| seconds), Ok(JULY), "{text}");
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
            "1-2-3",
            "2016-13-01",
            "2021-02-29",
            "16-07-01",
            "2016-07-01 24:00",
            "2016-07-01 1",
            "2016-07-01 10:00 PM",
            "2016-07-01X10:00",
            "2016-07/01",
            "2016-07-01 10:00+1",
            "10:00:00",
            "1.5.2",
            "-5",
        ] {
            let got = parse_timestamp(text, DateOrder::MonthDayYear);
            assert_eq!(got, Err(NotATime::Unknown), "{text}");
        }
        let fine = parse_timestamp("2016-07-01 00:00:00.5", DateOrder::MonthDayYear);
        assert_eq!(fine, Err(NotATime::SubSecond));
    }

    #[test]
    fn a_column_settles_the_order_of_slashed_dates() {
        let days = ["30/06/2016", "01/07/2016"];
        let (times, style) = parse_column(days.into_iter()).unwrap();
        assert_eq!(times[1], JULY);
        assert_eq!(style.format(times[0]), days[0]);
        let months = ["6/30/2016", "7/1/2016"];
        assert_eq!(parse_column(months.into_iter()).unwrap().0[1], JULY);
        // Both orders are possible, but only one of them rises.
        let rising = ["01/12/2016", "02/01/2017", "01/02/2017"];
        let (times, style) = parse_column(rising.into_iter()).unwrap();
        assert!(times.is_sorted());
        assert_eq!(style.format(times[2]), "01/02/2017");
        let both = ["11/01/2015", "12/01/2015", "01/02/2016"];
        assert_eq!(parse_column(both.into_iter()), Err((0, NotATime::Ambiguous)));
    }

    #[test]
    fn the_style_of_a_column_is_padded_only_if_every_stamp_is() {
        let cells = ["1990/1/9 0:00", "1990/10/10 10:00"];
        let (times, style) = parse_column(cells.into_iter()).unwrap();
        assert_eq!(style.format(times[0]), cells[0]);
        let mixed = ["2020-01-01", "2020-01-01 06:00:00"];
        let (times, style) = parse_column(mixed.into_iter()).unwrap();
        assert_eq!(style.format(times[0]), "2020-01-01 00:00:00");
    }

    #[test]
    fn numbers_are_times_only_where_they_look_like_it() {
        let (times, style) = parse_numbers(&[JULY as f64, JULY as f64 + 60.0]).unwrap();
        assert_eq!((times[1], style.format(times[1])), (JULY + 60, (JULY + 60).to_string()));
        let (times, style) = parse_numbers(&[JULY as f64 * 1000.0]).unwrap();
        assert_eq!((times[0], style), (JULY, TimeStyle::EpochMilliseconds));
        let (times, style) = parse_numbers(&[20_160_701.0]).unwrap();
        assert_eq!((times[0], style.format(JULY)), (JULY, "20160701".to_owned()));
        assert_eq!(parse_numbers(&[0.0, 1.0]), Err((0, NotATime::Unknown)));
        let fraction = [JULY as f64, JULY as f64 + 0.5];
        assert_eq!(parse_numbers(&fraction), Err((1, NotATime::SubSecond)));
        assert_eq!(parse_numbers(&[JULY as f64, f64::NAN]), Err((1, NotATime::Unknown)));
    }
}
