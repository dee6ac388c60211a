//! Nanoseconds since 1970-01-01 00:00 and the calendar.
//!
//! A time is an `i64` of nanoseconds, so it lies between 1677-09-21 and 2262-04-11.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
pub(crate) const WEEK: i64 = 7 * DAY;

/// Date and time of day.
pub(crate) fn civil(nanoseconds: i64) -> DateTime {
    // Every i64 is within the years that jiff knows.
    let stamp =
        Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH);
    Offset::UTC.to_datetime(stamp)
}

/// The date alone.
pub(crate) fn date(nanoseconds: i64) -> Date {
    civil(nanoseconds).date()
}

/// The time since midnight, from 0 to below a day.
pub(crate) fn time_of_day(nanoseconds: i64) -> i64 {
    nanoseconds.rem_euclid(DAY)
}

/// `None` outside of the years that nanoseconds can hold.
pub(crate) fn nanoseconds(civil: DateTime) -> Option<i64> {
    let stamp = Offset::UTC.to_timestamp(civil).ok()?;
    // Both parts have the sign of the time; the whole does not always fit before they are added.
    let whole = i128::from(stamp.as_second()) * i128::from(SECOND);
    i64::try_from(whole + i128::from(stamp.subsec_nanosecond())).ok()
}

/// Midnight at the start of a date.
pub(crate) fn midnight(date: Date) -> Option<i64> {
    nanoseconds(date.at(0, 0, 0, 0))
}

/// Whether a day, counted from 1970-01-01, is one from Monday to Friday.
pub(crate) fn is_weekday(day: i64) -> bool {
    // The first of them was a Thursday.
    (day.rem_euclid(7) + 3) % 7 < 5
}

/// Months since the year 0.
pub(crate) fn month_number(date: Date) -> i64 {
    i64::from(date.year()) * 12 + i64::from(date.month()) - 1
}

/// The first day of the month with this number.
pub(crate) fn month_start(number: i64) -> Option<Date> {
    let year = i16::try_from(number.div_euclid(12)).ok()?;
    Date::new(year, (number.rem_euclid(12) + 1) as i8, 1).ok()
}

/// Days since 1970-01-01.
pub(crate) fn day_number(date: Date) -> i64 {
    midnight(date).map_or(0, |time| time.div_euclid(DAY))
}

/// The date with this number of days since 1970-01-01.
pub(crate) fn date_of_day(number: i64) -> Option<Date> {
    number.checked_mul(DAY).map(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_days_of_seven_are_week_days() {
        for day in (-400..400).chain([i64::MIN, i64::MAX]) {
            let weekday = date_of_day(day).map(|date| date.weekday().to_monday_one_offset());
            assert!(weekday.is_none_or(|number| is_weekday(day) == (number <= 5)), "{day}");
        }
    }

    #[test]
    fn times_and_dates_are_inverse_to_the_ends_of_the_range() {
        for time in [i64::MIN, -DAY - 1, -1, 0, 1, SECOND, 1_704_067_200 * SECOND, i64::MAX] {
            assert_eq!(nanoseconds(civil(time)), Some(time));
        }
        assert_eq!(nanoseconds(Date::constant(2300, 1, 1).at(0, 0, 0, 0)), None);
        assert_eq!(nanoseconds(Date::constant(1600, 1, 1).at(0, 0, 0, 0)), None);
        let date = Date::constant(2024, 2, 29);
        assert_eq!(month_start(month_number(date)), Some(Date::constant(2024, 2, 1)));
        assert_eq!(date_of_day(day_number(date)), Some(date));
    }
}
