//! How stamps are written: every form that is read can be written back.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::names::{MonthName, NameForm};
use crate::civil::{DAY, SECOND, civil, time_of_day};

/// Which part of a date comes first; written `day-first`, `month-first` or `year-first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DateOrder {
    /// 2016-07-31.
    YearMonthDay,
    /// 31.07.2016.
    DayMonthYear,
    /// 07/31/2016.
    MonthDayYear,
}

/// How the stamps of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeStyle {
    /// A date and perhaps a time of day.
    Calendar(CalendarStyle),
    /// Time since 1970-01-01 00:00 UTC, in a unit.
    Epoch {
        /// The unit.
        unit: EpochUnit,
        /// Digits after the point.
        decimals: u8,
    },
    /// Digits alone, such as 20160731 or 2016073108.
    Compact(CompactForm),
    /// Days since 1899-12-30, with the time of day as a fraction, as Excel counts.
    ExcelDays,
    /// Whole numbers that are no dates: the index of each series.
    Index,
}

/// What a number since 1970 counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EpochUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl EpochUnit {
    /// Length in nanoseconds.
    pub fn nanoseconds(self) -> i64 {
        match self {
            EpochUnit::Seconds => SECOND,
            EpochUnit::Milliseconds => 1_000_000,
            EpochUnit::Microseconds => 1000,
            EpochUnit::Nanoseconds => 1,
        }
    }
}

/// The last part of a stamp of digits alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompactForm {
    /// 201607.
    Month,
    /// 20160731.
    Day,
    /// 2016073108.
    Hour,
    /// 201607310800.
    Minute,
    /// 20160731080000.
    Second,
}

/// How a calendar stamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarStyle {
    /// The date.
    pub date: DateForm,
    /// The time of day; `None` = the date alone.
    pub time: Option<ClockForm>,
    /// The offset from UTC.
    pub offset: OffsetForm,
}

/// How a date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateForm {
    /// 2016-07-31, 31.07.2016, 7/31/16.
    Numbers {
        /// Order of year, month and day.
        order: DateOrder,
        /// Between the parts: `-`, `/`, `.` or a space.
        separator: char,
        /// Whether day and month have two digits always.
        padded: bool,
        /// Whether the year has two digits.
        short_year: bool,
    },
    /// 31-Jul-2016, July 31, 2016, 2016 Jul 31.
    Named {
        /// Order of year, month and day.
        order: DateOrder,
        /// Between the parts.
        separator: char,
        /// Whether there is a comma in front of the year.
        comma: bool,
        /// How the month is written.
        name: NameForm,
        /// Whether the day has two digits always.
        padded: bool,
        /// Whether the year has two digits.
        short_year: bool,
    },
    /// 2016-07, 07/2016.
    Month {
        /// Whether the year comes first.
        year_first: bool,
        /// Between year and month.
        separator: char,
        /// Whether the month has two digits always.
        padded: bool,
    },
    /// Jul-2016, 2016 July, Jul-16.
    NamedMonth {
        /// Whether the year comes first.
        year_first: bool,
        /// Between year and month.
        separator: char,
        /// How the month is written.
        name: NameForm,
        /// Whether the year has two digits.
        short_year: bool,
    },
    /// 20160731, in front of a time of day.
    Compact,
    /// 1990Q1, 1990-Q1, Q1 1990.
    Quarter {
        /// Whether the quarter comes first.
        quarter_first: bool,
        /// Between year and quarter.
        separator: Option<char>,
        /// Whether the letter is small.
        small: bool,
    },
    /// 2014-W02, 2014W02, 2014-W02-1.
    Week {
        /// Whether there are hyphens between the parts.
        hyphens: bool,
        /// Whether the day of the week is written.
        day: bool,
    },
}

/// The finest part of a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 08.
    Hour,
    /// 08:00.
    Minute,
    /// 08:00:00.
    Second,
}

/// How a time of day is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockForm {
    /// Between date and time of day: a space, `T` or `:`.
    pub between: char,
    /// The finest part.
    pub precision: Precision,
    /// Digits of the fraction of a second.
    pub fraction: u8,
    /// Whether there is a comma in front of the fraction.
    pub comma: bool,
    /// Whether the hour has two digits always.
    pub padded_hour: bool,
    /// Whether there are colons: 08:00, not 0800.
    pub colons: bool,
    /// Hours from 1 to 12 with AM or PM.
    pub half_days: Option<HalfDays>,
    /// Whether midnight is 24:00 of the day before.
    pub midnight_24: bool,
}

/// How AM and PM are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfDays {
    /// Whether there is a space in front.
    pub space: bool,
    /// am, not AM.
    pub small: bool,
}

/// What follows the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffsetForm {
    /// Nothing: the stamp counts as UTC.
    None,
    /// `Z`.
    Zulu,
    /// ` UTC`.
    Utc,
    /// An offset from UTC, such as `+02:00`.
    Signed {
        /// Whether there is a space in front.
        space: bool,
        /// Whether there is a colon between hours and minutes.
        colon: bool,
        /// Whether the minutes are written.
        minutes: bool,
    },
}

impl TimeStyle {
    /// `2016-07-31 08:00:00`, the style of the benchmark files.
    pub const PLAIN: TimeStyle = TimeStyle::Calendar(CalendarStyle {
        date: DateForm::ISO,
        time: Some(ClockForm::PLAIN),
        offset: OffsetForm::None,
    });

    /// Whether stamps of this style say how far they are from UTC.
    pub fn has_offset(&self) -> bool {
        match self {
            TimeStyle::Calendar(style) => style.offset != OffsetForm::None,
            TimeStyle::Epoch { .. } => true,
            TimeStyle::Compact(_) | TimeStyle::ExcelDays | TimeStyle::Index => false,
        }
    }

    /// Writes a time in this style: `local` nanoseconds since 1970-01-01 00:00, which are `offset`
    /// seconds ahead of UTC; a whole number for an index.
    pub fn format(&self, local: i64, offset: i32) -> String {
        match self {
            TimeStyle::Index => local.to_string(),
            TimeStyle::Epoch { unit, decimals } => {
                let utc = i128::from(local) - i128::from(offset) * i128::from(SECOND);
                epoch_text(utc, unit.nanoseconds(), *decimals)
            }
            TimeStyle::ExcelDays => {
                let days = local.div_euclid(DAY) + EXCEL_ORIGIN_DAYS;
                match time_of_day(local) {
                    0 => days.to_string(),
                    part => format!("{:.9}", days as f64 + part as f64 / DAY as f64),
                }
            }
            TimeStyle::Compact(form) => form.format(civil(local)),
            TimeStyle::Calendar(style) => style.format(local, offset),
        }
    }
}

/// Days from 1899-12-30 to 1970-01-01.
pub(super) const EXCEL_ORIGIN_DAYS: i64 = 25_569;

fn epoch_text(utc: i128, unit: i64, decimals: u8) -> String {
    let unit = i128::from(unit);
    let (whole, part) = (utc.div_euclid(unit), utc.rem_euclid(unit));
    if decimals == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{part:0digits$}");
    let kept = &fraction[..digits.min(decimals as usize)];
    format!("{whole}.{kept}")
}

impl CompactForm {
    fn format(self, civil: DateTime) -> String {
        let mut text = format!("{:04}{:02}", civil.year(), civil.month());
        for (form, part) in [
            (CompactForm::Day, civil.day()),
            (CompactForm::Hour, civil.hour()),
            (CompactForm::Minute, civil.minute()),
            (CompactForm::Second, civil.second()),
        ] {
            if self >= form {
                text.push_str(&format!("{part:02}"));
            }
        }
        text
    }
}

impl DateForm {
    /// 2016-07-31.
    pub const ISO: DateForm = DateForm::Numbers {
        order: DateOrder::YearMonthDay,
        separator: '-',
        padded: true,
        short_year: false,
    };

    /// The order, where day, month and year are all written.
    pub fn order(&self) -> Option<DateOrder> {
        match self {
            DateForm::Numbers { order, .. } | DateForm::Named { order, .. } => Some(*order),
            _ => None,
        }
    }

    fn format(&self, at: DateTime) -> String {
        let number = |value: i8, padded: bool| {
            let width = if padded { 2 } else { 1 };
            format!("{value:0width$}")
        };
        let year = |short: bool| match short {
            true => format!("{:02}", at.year().rem_euclid(100)),
            false => format!("{:04}", at.year()),
        };
        let name = |form: NameForm| MonthName(at.month()).text(form);
        match *self {
            DateForm::Numbers { order, separator, padded, short_year } => {
                let (y, m, d) =
                    (year(short_year), number(at.month(), padded), number(at.day(), padded));
                in_order(order, [y, m, d], [separator; 2])
            }
            DateForm::Named { order, separator, comma, name: form, padded, short_year } => {
                let mut year = year(short_year);
                if comma {
                    year.insert(0, ' ');
                }
                let last = if comma { ',' } else { separator };
                let parts = [year, name(form), number(at.day(), padded)];
                in_order(order, parts, [separator, last])
            }
            DateForm::Month { year_first, separator, padded } => {
                pair(year_first, year(false), number(at.month(), padded), Some(separator))
            }
            DateForm::NamedMonth { year_first, separator, name: form, short_year } => {
                pair(year_first, year(short_year), name(form), Some(separator))
            }
            DateForm::Compact => CompactForm::Day.format(at),
            DateForm::Quarter { quarter_first, separator, small } => {
                let letter = if small { 'q' } else { 'Q' };
                let quarter = format!("{letter}{}", (at.month() + 2) / 3);
                pair(!quarter_first, year(false), quarter, separator)
            }
            DateForm::Week { hyphens, day } => {
                let week = at.date().iso_week_date();
                let hyphen = if hyphens { "-" } else { "" };
                let mut text = format!("{:04}{hyphen}W{:02}", week.year(), week.week());
                if day {
                    text.push_str(&format!("{hyphen}{}", week.weekday().to_monday_one_offset()));
                }
                text
            }
        }
    }
}

fn in_order(order: DateOrder, [year, month, day]: [String; 3], [one, two]: [char; 2]) -> String {
    match order {
        DateOrder::YearMonthDay => format!("{year}{one}{month}{two}{day}"),
        DateOrder::DayMonthYear => format!("{day}{one}{month}{two}{year}"),
        DateOrder::MonthDayYear => format!("{month}{one}{day}{two}{year}"),
    }
}

fn pair(year_first: bool, year: String, other: String, separator: Option<char>) -> String {
    let separator = separator.map(String::from).unwrap_or_default();
    match year_first {
        true => format!("{year}{separator}{other}"),
        false => format!("{other}{separator}{year}"),
    }
}

impl ClockForm {
    /// ` 08:00:00`.
    pub const PLAIN: ClockForm = ClockForm {
        between: ' ',
        precision: Precision::Second,
        fraction: 0,
        comma: false,
        padded_hour: true,
        colons: true,
        half_days: None,
        midnight_24: false,
    };

    fn format(&self, at: DateTime, midnight_24: bool) -> String {
        let mut hour = if midnight_24 { 24 } else { at.hour() };
        if self.half_days.is_some() {
            hour = (hour + 11) % 12 + 1;
        }
        let width = if self.padded_hour { 2 } else { 1 };
        let mut text = format!("{}{hour:0width$}", self.between);
        let colon = if self.colons { ":" } else { "" };
        if self.precision >= Precision::Minute {
            text.push_str(&format!("{colon}{:02}", at.minute()));
        }
        if self.precision >= Precision::Second {
            text.push_str(&format!("{colon}{:02}", at.second()));
        }
        if self.fraction > 0 {
            let digits = format!("{:09}", at.subsec_nanosecond());
            text.push(if self.comma { ',' } else { '.' });
            text.push_str(&digits[..usize::from(self.fraction).min(9)]);
        }
        if let Some(HalfDays { space, small }) = self.half_days {
            let half = match (at.hour() < 12, small) {
                (true, true) => "am",
                (true, false) => "AM",
                (false, true) => "pm",
                (false, false) => "PM",
            };
            text.push_str(if space { " " } else { "" });
            text.push_str(half);
        }
        text
    }
}

impl OffsetForm {
    fn format(self, offset: i32) -> String {
        match self {
            OffsetForm::None => String::new(),
            OffsetForm::Zulu if offset == 0 => "Z".to_owned(),
            OffsetForm::Utc if offset == 0 => " UTC".to_owned(),
            OffsetForm::Zulu | OffsetForm::Utc => signed(offset, ["", ":"], true),
            OffsetForm::Signed { space, colon, minutes } => {
                let [space, colon] =
                    [(space, " "), (colon, ":")].map(|(on, s)| if on { s } else { "" });
                signed(offset, [space, colon], minutes || offset % 3600 != 0)
            }
        }
    }
}

fn signed(offset: i32, [space, colon]: [&str; 2], minutes: bool) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let total = offset.abs() / 60;
    let mut text = format!("{space}{sign}{:02}", total / 60);
    if minutes {
        text.push_str(&format!("{colon}{:02}", total % 60));
    }
    text
}

impl CalendarStyle {
    fn format(&self, local: i64, offset: i32) -> String {
        let ends_day = self.time.is_some_and(|time| time.midnight_24) && time_of_day(local) == 0;
        let shown = if ends_day { local.saturating_sub(DAY) } else { local };
        let at = civil(shown);
        let mut text = self.date.format(at);
        if let Some(time) = &self.time {
            text.push_str(&time.format(at, ends_day));
            text.push_str(&self.offset.format(offset));
        }
        text
    }
}
