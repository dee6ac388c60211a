//! Covariates that the time of a row tells by itself: no file is needed for them, and they are known for ever.

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::calendar::Holidays;
use super::civil::{civil, day_number};
use ptsm_core::Error;

/// One property of the calendar, as several numbers of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalendarFeature {
    /// Hour of the day: 24 indicators.
    Hour,
    /// Day of the week: 7 indicators, from Monday.
    Weekday,
    /// Hour of the week: 168 indicators, from Monday at midnight.
    WeekHour,
    /// Day of the month: sine and cosine of one, two and three turns a month.
    MonthDay,
    /// Month of the year: 12 indicators.
    Month,
    /// Day of the year: sine and cosine of one, two and three turns a year.
    YearDay,
    /// Whether the date is one of the holidays: an indicator.
    Holiday,
}

/// Turns of a period whose sine and cosine are taken.
const TURNS: usize = 3;

impl CalendarFeature {
    /// Every feature.
    pub const ALL: [Self; 7] = [
        Self::Hour,
        Self::Weekday,
        Self::WeekHour,
        Self::MonthDay,
        Self::Month,
        Self::YearDay,
        Self::Holiday,
    ];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Weekday => "weekday",
            Self::WeekHour => "weekhour",
            Self::MonthDay => "monthday",
            Self::Month => "month",
            Self::YearDay => "yearday",
            Self::Holiday => "holiday",
        }
    }

    /// How many numbers it is.
    pub fn width(self) -> usize {
        match self {
            Self::Hour => 24,
            Self::Weekday => 7,
            Self::WeekHour => 168,
            Self::MonthDay | Self::YearDay => 2 * TURNS,
            Self::Month => 12,
            Self::Holiday => 1,
        }
    }

    /// Names of its numbers, such as `weekday_1`.
    pub fn names(self) -> Vec<String> {
        match self.width() {
            1 => vec![self.name().to_owned()],
            width => (0..width).map(|number| format!("{}_{number}", self.name())).collect(),
        }
    }

    /// Appends its numbers at a time, in nanoseconds since 1970-01-01 00:00 on the clock of the series.
    pub(crate) fn push(self, time: i64, holidays: &Holidays, to: &mut Vec<f64>) {
        let time = civil(time);
        let date = time.date();
        let hour = usize::from(time.hour().unsigned_abs());
        let weekday = usize::from(date.weekday().to_monday_zero_offset().unsigned_abs());
        let share = |day: i16, days: i16| f64::from(day - 1) / f64::from(days);
        match self {
            Self::Hour => indicator(hour, 24, to),
            Self::Weekday => indicator(weekday, 7, to),
            Self::WeekHour => indicator(weekday * 24 + hour, 168, to),
            Self::Month => indicator(usize::from(date.month().unsigned_abs()) - 1, 12, to),
            Self::MonthDay => {
                let share = share(i16::from(date.day()), i16::from(date.days_in_month()));
                turns(share + within_day(time, f64::from(date.days_in_month())), to);
            }
            Self::YearDay => {
                let share = share(date.day_of_year(), date.days_in_year());
                turns(share + within_day(time, f64::from(date.days_in_year())), to);
            }
            Self::Holiday => to.push(f64::from(u8::from(holidays.contains(day_number(date))))),
        }
    }
}

/// The share of a period of so many days that has gone since midnight.
fn within_day(time: DateTime, days: f64) -> f64 {
    (f64::from(time.hour()) + f64::from(time.minute()) / 60.0) / 24.0 / days
}

fn indicator(of: usize, width: usize, to: &mut Vec<f64>) {
    to.extend((0..width).map(|number| f64::from(u8::from(number == of))));
}

fn turns(share: f64, to: &mut Vec<f64>) {
    for turn in 1..=TURNS {
        let (sine, cosine) = (TAU * turn as f64 * share).sin_cos();
        to.extend([sine, cosine]);
    }
}

impl fmt::Display for CalendarFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CalendarFeature {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|feature| feature.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            Error::config("calendar", format!("\"{text}\" is none of {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::civil::nanoseconds;
    use jiff::civil::date;

    fn numbers(feature: CalendarFeature, time: DateTime) -> Vec<f64> {
        let mut to = Vec::new();
        let holidays = Holidays::new([date(2024, 12, 25)]);
        feature.push(nanoseconds(time).unwrap(), &holidays, &mut to);
        to
    }

    #[test]
    fn every_feature_is_what_the_calendar_shows() {
        // A Wednesday.
        let time = date(2024, 12, 25).at(13, 30, 0, 0);
        for feature in CalendarFeature::ALL {
            let found = numbers(feature, time);
            assert_eq!(found.len(), feature.width());
            assert_eq!(found.len(), feature.names().len());
            assert_eq!(feature.name().parse::<CalendarFeature>().unwrap(), feature);
            let on = |number: usize| found.iter().sum::<f64>() == 1.0 && found[number] == 1.0;
            match feature {
                CalendarFeature::Hour => assert!(on(13)),
                CalendarFeature::Weekday => assert!(on(2)),
                CalendarFeature::WeekHour => assert!(on(2 * 24 + 13)),
                CalendarFeature::Month => assert!(on(11)),
                CalendarFeature::Holiday => assert!(on(0)),
                CalendarFeature::MonthDay | CalendarFeature::YearDay => {
                    let squares = found.chunks(2).map(|pair| pair[0].hypot(pair[1]));
                    assert!(squares.into_iter().all(|one| (one - 1.0).abs() < 1e-12));
                }
            }
        }
        assert_eq!(numbers(CalendarFeature::Holiday, date(2024, 12, 24).at(0, 0, 0, 0)), [0.0]);
        // The year begins at the angle 0, and has gone half in the night to the second of July.
        let first = numbers(CalendarFeature::YearDay, date(2023, 1, 1).at(0, 0, 0, 0));
        assert_eq!(first[..2], [0.0, 1.0]);
        let half = numbers(CalendarFeature::YearDay, date(2023, 7, 2).at(12, 0, 0, 0));
        assert!((half[1] + 1.0).abs() < 1e-12);
        assert!("day".parse::<CalendarFeature>().unwrap_err().to_string().contains("weekday"));
    }
}
