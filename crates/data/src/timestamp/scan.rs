//! Reads a stamp from the front, byte by byte.

use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};

use super::names::{MonthName, NameForm};
use super::stamp::{NotATime, Stamp};
use super::style::{
    CalendarStyle, ClockForm, DateForm, DateOrder, HalfDays, OffsetForm, Precision,
};
use crate::civil::{DAY, nanoseconds};

/// Reads one stamp, such as `2016-07-01 00:00:00`, `2016-07-01T02:00+02:00`, `1990/1/1 0:00`,
/// `31.12.2009`, `31-Dec-2009 1:30 PM`, `2016-07`, `1990Q1`, `2014-W02`; gives what its clock shows,
/// its offset and its style.
///
/// A date with the year at the end (`7/1/2016`) or with a year of two digits is read in `order`; all
/// others show their order themselves.
///
/// # Errors
///
/// [`NotATime`] if it is no such stamp, or outside of the range of times.
pub fn parse_timestamp(text: &str, order: DateOrder) -> Result<Stamp, NotATime> {
    let mut scanner = Scanner { rest: text.trim_ascii().as_bytes() };
    let (date, form) = scanner.date(order).ok_or(NotATime::Unknown)?;
    let mut style = CalendarStyle { date: form, time: None, offset: OffsetForm::None };
    let mut at = Reading { civil: date.at(0, 0, 0, 0), days: 0, offset: None };
    if !scanner.rest.is_empty() {
        let has_day = !matches!(form, DateForm::Month { .. } | DateForm::NamedMonth { .. });
        if !has_day || matches!(form, DateForm::Quarter { .. } | DateForm::Week { day: false, .. })
        {
            return Err(NotATime::Unknown);
        }
        style.time = Some(scanner.clock(form, &mut at).ok_or(NotATime::Unknown)?);
        (style.offset, at.offset) = scanner.offset().ok_or(NotATime::Unknown)?;
    } else if form == DateForm::Compact {
        // Digits alone are a number, which is read as one.
        return Err(NotATime::Unknown);
    }
    if !scanner.rest.is_empty() {
        return Err(NotATime::Unknown);
    }
    let local = nanoseconds(at.civil).and_then(|local| local.checked_add(at.days * DAY));
    let stamp = Stamp { local: local.ok_or(NotATime::OutOfRange)?, offset: at.offset, style };
    stamp.instant().map(|_| stamp).ok_or(NotATime::OutOfRange)
}

/// Reads a stamp that stands alone, in the first order of day, month and year that it fits: for its
/// form, and for whether it is one. The day and the month may be the other way round.
///
/// # Errors
///
/// [`NotATime::Unknown`] if it is a stamp in no order.
pub(crate) fn parse_in_any_order(text: &str) -> Result<Stamp, NotATime> {
    let mut refused = NotATime::Unknown;
    for order in DateOrder::ALL {
        match parse_timestamp(text, order) {
            Err(NotATime::Unknown) => {}
            Err(why) => refused = why,
            read => return read,
        }
    }
    Err(refused)
}

/// Whether a text is a stamp in some order of day, month and year, be it out of range.
pub(crate) fn is_time_in_any_order(text: &str) -> bool {
    parse_in_any_order(text) != Err(NotATime::Unknown)
}

/// What has been read so far.
struct Reading {
    civil: DateTime,
    /// Days to add: 1 for 24:00.
    days: i64,
    offset: Option<i32>,
}

struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
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

    fn spaces(&mut self) -> bool {
        let count = self.rest.iter().take_while(|&&b| b == b' ').count();
        self.rest = &self.rest[count..];
        count > 0
    }

    fn month_name(&mut self) -> Option<(i8, NameForm)> {
        let count = self.rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        if count < 3 {
            return None;
        }
        let found = MonthName::read(&self.rest[..count])?;
        self.rest = &self.rest[count..];
        // As in "Jan. 17".
        self.take(b'.');
        Some(found)
    }

    fn date(&mut self, order: DateOrder) -> Option<(Date, DateForm)> {
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        match digits {
            0 => self.letters_first(),
            4 => self.year_first(),
            1 | 2 => self.day_or_month_first(order),
            8 => {
                let (number, _) = self.number(8)?;
                let date = date_of(number / 10_000, number / 100 % 100, number % 100)?;
                Some((date, DateForm::Compact))
            }
            _ => None,
        }
    }

    /// 2016-07-31, 2016-07, 2016-Jul-31, 2016 July, 1990Q1, 2014-W02-1.
    fn year_first(&mut self) -> Option<(Date, DateForm)> {
        let (year, _) = self.number(4)?;
        let separator = match *self.rest.first()? {
            byte @ (b'-' | b'/' | b'.' | b' ') => {
                self.rest = &self.rest[1..];
                Some(char::from(byte))
            }
            _ => None,
        };
        match (*self.rest.first()?, separator) {
            (letter @ (b'Q' | b'q'), _) => {
                self.rest = &self.rest[1..];
                let small = letter == b'q';
                let form = DateForm::Quarter { quarter_first: false, separator, small };
                Some((self.quarter_of(year)?, form))
            }
            (b'W' | b'w', None | Some('-')) => self.week_of(year, separator.is_some()),
            (byte, Some(separator)) if byte.is_ascii_alphabetic() => {
                let (month, name) = self.month_name()?;
                let form =
                    DateForm::NamedMonth { year_first: true, separator, name, short_year: false };
                if !self.take(separator as u8) {
                    return Some((date_of(year, month.into(), 1)?, form));
                }
                let (day, digits @ 1..=2) = self.number(2)? else { return None };
                let form = DateForm::Named {
                    order: DateOrder::YearMonthDay,
                    separator,
                    comma: false,
                    name,
                    padded: digits == 2,
                    short_year: false,
                };
                Some((date_of(year, month.into(), day)?, form))
            }
            (byte, Some(separator @ ('-' | '/' | '.'))) if byte.is_ascii_digit() => {
                self.numbers_after(year, separator)
            }
            _ => None,
        }
    }

    /// The month, and perhaps the day, after a year and a separator.
    fn numbers_after(&mut self, year: i32, separator: char) -> Option<(Date, DateForm)> {
        let (month, month_digits) = self.number(2)?;
        if self.take(separator as u8) {
            let (day, day_digits @ 1..=2) = self.number(4)? else { return None };
            let form = DateForm::Numbers {
                order: DateOrder::YearMonthDay,
                separator,
                padded: day_digits == 2 && month_digits == 2,
                short_year: false,
            };
            return Some((date_of(year, month, day)?, form));
        }
        // 2016.5 is a number, not a month.
        let padded = month_digits == 2;
        let form = DateForm::Month { year_first: true, separator, padded };
        (separator != '.').then_some((date_of(year, month, 1)?, form))
    }

    fn quarter_of(&mut self, year: i32) -> Option<Date> {
        let (quarter @ 1..=4, 1) = self.number(2)? else { return None };
        date_of(year, quarter * 3 - 2, 1)
    }

    /// The week of a year that was read, and perhaps its day.
    fn week_of(&mut self, year: i32, hyphens: bool) -> Option<(Date, DateForm)> {
        self.rest = &self.rest[1..];
        let (week, 2) = self.number(2)? else { return None };
        let day = match hyphens {
            true if self.take(b'-') => Some(self.number(2)?),
            false => self.number(2),
            true => None,
        };
        let weekday = match day {
            Some((day @ 1..=7, 1)) => Weekday::from_monday_one_offset(day as i8).ok()?,
            Some(_) => return None,
            None => Weekday::Monday,
        };
        let date = ISOWeekDate::new(year as i16, week as i8, weekday).ok()?.date();
        Some((date, DateForm::Week { hyphens, day: day.is_some() }))
    }

    /// 31.07.2016, 7/31/16, 07/2016, 31-Jul-2016.
    fn day_or_month_first(&mut self, order: DateOrder) -> Option<(Date, DateForm)> {
        let (first, first_digits) = self.number(2)?;
        let separator = match *self.rest.first()? {
            byte @ (b'-' | b'/' | b'.' | b' ') => char::from(byte),
            _ => return None,
        };
        self.rest = &self.rest[1..];
        if self.rest.first()?.is_ascii_alphabetic() {
            return self.named_after_day(first, first_digits, separator);
        }
        if separator == ' ' {
            return None;
        }
        let (second, second_digits) = self.number(4)?;
        if !self.take(separator as u8) {
            // 07.2016 is a number.
            let month_first = second_digits == 4 && separator != '.';
            let padded = first_digits == 2;
            let form = DateForm::Month { year_first: false, separator, padded };
            return month_first.then_some((date_of(second, first, 1)?, form));
        }
        let (third, third_digits) = self.number(4)?;
        let short_year = third_digits == 2;
        if second_digits > 2 || !(third_digits == 4 || short_year) {
            return None;
        }
        let order = match (order, separator, short_year) {
            (_, '.', false) | (DateOrder::YearMonthDay, _, false) => DateOrder::DayMonthYear,
            (order, ..) => order,
        };
        let (year, month, day) = match order {
            DateOrder::YearMonthDay => (first, second, third),
            DateOrder::DayMonthYear => (third, second, first),
            DateOrder::MonthDayYear => (third, first, second),
        };
        if order == DateOrder::YearMonthDay && first_digits != 2 {
            return None;
        }
        let year = if short_year { full_year(year) } else { year };
        let padded = match order {
            DateOrder::YearMonthDay => second_digits == 2,
            _ => first_digits == 2 && second_digits == 2,
        };
        let form = DateForm::Numbers { order, separator, padded, short_year };
        Some((date_of(year, month, day)?, form))
    }

    /// The month's name and the year after a day.
    fn named_after_day(
        &mut self,
        day: i32,
        digits: usize,
        separator: char,
    ) -> Option<(Date, DateForm)> {
        let (month, name) = self.month_name()?;
        let comma = separator == ' ' && self.take(b',');
        if !self.take(separator as u8) {
            return None;
        }
        let (year, short_year) = self.year()?;
        let (order, padded) = (DateOrder::DayMonthYear, digits == 2);
        let form = DateForm::Named { order, separator, comma, name, padded, short_year };
        Some((date_of(year, month.into(), day)?, form))
    }

    /// Four digits, or two for the years 1969 to 2068.
    fn year(&mut self) -> Option<(i32, bool)> {
        match self.number(4)? {
            (year, 4) => Some((year, false)),
            (year, 2) => Some((full_year(year), true)),
            _ => None,
        }
    }

    /// Q1 1990, Jul-2016, July 31, 2016.
    fn letters_first(&mut self) -> Option<(Date, DateForm)> {
        if let [letter @ (b'Q' | b'q'), digit, ..] = *self.rest
            && digit.is_ascii_digit()
        {
            self.rest = &self.rest[1..];
            let (quarter @ 1..=4, 1) = self.number(2)? else { return None };
            let separator = match self.rest.first()? {
                byte @ (b'-' | b'/' | b' ') => char::from(*byte),
                _ => return None,
            };
            self.rest = &self.rest[1..];
            let (year, 4) = self.number(4)? else { return None };
            let (small, separator) = (letter == b'q', Some(separator));
            let form = DateForm::Quarter { quarter_first: true, separator, small };
            return Some((date_of(year, quarter * 3 - 2, 1)?, form));
        }
        let (month, name) = self.month_name()?;
        let separator = match *self.rest.first()? {
            byte @ (b'-' | b'/' | b' ') => char::from(byte),
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let (first, first_digits) = self.number(4)?;
        let comma = separator == ' ' && self.take(b',');
        let day_follows =
            comma || (first_digits <= 2 && self.rest.first() == Some(&(separator as u8)));
        let clock_follows = separator == ' ' && self.rest.get(3).is_some_and(|&b| b == b':');
        if first_digits <= 2 && day_follows && !clock_follows {
            self.take(separator as u8);
            let (year, short_year) = self.year()?;
            let (order, padded) = (DateOrder::MonthDayYear, first_digits == 2);
            let form = DateForm::Named { order, separator, comma, name, padded, short_year };
            return Some((date_of(year, month.into(), first)?, form));
        }
        let (year, short_year) = match first_digits {
            4 => (first, false),
            2 if separator != ' ' => (full_year(first), true),
            _ => return None,
        };
        let form = DateForm::NamedMonth { year_first: false, separator, name, short_year };
        Some((date_of(year, month.into(), 1)?, form))
    }

    /// What follows the date: ` 08:00:00.5 PM`, `T080000`, ` 08`.
    fn clock(&mut self, date: DateForm, at: &mut Reading) -> Option<ClockForm> {
        // A comma in front of the time, as in "17 Jan 2024, 15:00", is not written back.
        let comma = self.take(b',');
        let between = match self.rest.first() {
            Some(b' ') if self.spaces() => ' ',
            Some(b'T' | b't') if !comma && self.take_letter() => 'T',
            Some(b':') if matches!(date, DateForm::Named { .. }) && self.take(b':') => ':',
            _ => return None,
        };
        let mut form = ClockForm { between, precision: Precision::Hour, ..ClockForm::PLAIN };
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (hour, hour_digits) = self.number(2)?;
        let (mut minute, mut second) = (0, 0);
        form.padded_hour = hour_digits == 2;
        form.colons = digits <= 2;
        if !matches!(digits, 1 | 2 | 4 | 6) || (digits > 2 && date != DateForm::Compact) {
            return None;
        }
        if digits >= 4 || self.take(b':') {
            (minute, form.precision) = (self.number(2)?.0, Precision::Minute);
            if digits == 6 || (digits <= 2 && self.take(b':')) {
                (second, form.precision) = (self.number(2)?.0, Precision::Second);
            }
        }
        let nanosecond = match form.precision {
            Precision::Second => self.fraction(&mut form)?,
            _ => 0,
        };
        let hour = self.half_days(hour, &mut form)?;
        if form.precision == Precision::Hour && form.half_days.is_none() && hour_digits != 2 {
            return None;
        }
        if hour == 24 && (minute, second, nanosecond) == (0, 0, 0) {
            (at.days, form.midnight_24) = (1, true);
            return Some(form);
        }
        // At most two digits each, so the casts keep the value.
        let time = jiff::civil::Time::new(hour as i8, minute as i8, second as i8, nanosecond);
        at.civil = at.civil.date().to_datetime(time.ok()?);
        Some(form)
    }

    fn take_letter(&mut self) -> bool {
        self.rest = &self.rest[1..];
        true
    }

    /// Digits after a point or a comma, as nanoseconds.
    fn fraction(&mut self, form: &mut ClockForm) -> Option<i32> {
        form.comma = match self.rest {
            [mark @ (b'.' | b','), digit, ..] if digit.is_ascii_digit() => *mark == b',',
            _ => return Some(0),
        };
        self.rest = &self.rest[1..];
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (kept, finer) = self.rest[..digits].split_at(digits.min(9));
        if finer.iter().any(|digit| *digit != b'0') {
            return None;
        }
        let value = kept.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
        self.rest = &self.rest[digits..];
        form.fraction = kept.len() as u8;
        Some(value * 10_i32.pow(9 - kept.len() as u32))
    }

    /// AM or PM, if there; the hour from 0 to 24.
    fn half_days(&mut self, hour: i32, form: &mut ClockForm) -> Option<i32> {
        let space = self.rest.first() == Some(&b' ');
        let text = &self.rest[usize::from(space)..];
        let (half, length) = match text {
            [a, b'.', b'm' | b'M', b'.', ..] => (*a, 4),
            [a, b'm' | b'M', ..] => (*a, 2),
            _ => return Some(hour),
        };
        let afternoon = match half {
            b'a' | b'A' => false,
            b'p' | b'P' => true,
            _ => return Some(hour),
        };
        self.rest = &text[length..];
        form.half_days = Some(HalfDays { space, small: half.is_ascii_lowercase() });
        // 0:30 AM is written by some programs.
        (hour <= 12 && (hour > 0 || !afternoon)).then(|| hour % 12 + if afternoon { 12 } else { 0 })
    }

    /// `Z`, ` UTC`, `+02`, `+0200`, ` +02:00`, or nothing; and its seconds.
    fn offset(&mut self) -> Option<(OffsetForm, Option<i32>)> {
        let space = self.spaces();
        let form = match self.rest {
            [] => return (!space).then_some((OffsetForm::None, None)),
            b"Z" | b"z" => Some(OffsetForm::Zulu),
            b"UTC" | b"GMT" | b"utc" => Some(OffsetForm::Utc),
            _ => None,
        };
        if let Some(form) = form {
            self.rest = &[];
            return Some((form, Some(0)));
        }
        let sign = match self.rest.first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let (hours, 2) = self.number(2)? else { return None };
        let colon = self.take(b':');
        let (minutes, written) = match self.number(2) {
            Some((minutes, 2)) => (minutes, true),
            None if !colon => (0, false),
            _ => return None,
        };
        let form = OffsetForm::Signed { space, colon, minutes: written };
        (hours <= 25 && minutes < 60).then_some((form, Some(sign * (hours * 3600 + minutes * 60))))
    }
}

/// A year of two digits: 1969 to 2068, as POSIX reads it.
fn full_year(year: i32) -> i32 {
    if year < 69 { 2000 + year } else { 1900 + year }
}

fn date_of(year: i32, month: i32, day: i32) -> Option<Date> {
    let (year, month, day) = (year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?);
    Date::new(year, month, day).ok()
}
