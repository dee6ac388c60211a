//! The step of a regular time grid: found, written as `1h` or `1mo`, and continued past the end.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::timestamp::{civil_from_seconds, seconds_from_civil};
use ptsm_core::{Error, Result};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// No calendar step is shorter than the shortest month.
const SHORTEST_MONTH: i64 = 28 * DAY;

/// Distance between the rows of a regular series.
///
/// Written as a number and a unit: `s`, `min`, `h`, `d`, `w` (fixed lengths), `mo`, `q`, `y`
/// (calendar months, the same day each time), or `mo-end` (last days of months).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Frequency {
    /// A fixed number of seconds, at least 1.
    Seconds(i64),
    /// A number of calendar months, at least 1, on the same day of the month (an earlier one in
    /// months that are too short).
    Months(u32),
    /// A number of calendar months, at least 1, on the last day of the month.
    MonthEnds(u32),
}

impl Frequency {
    /// The step that most neighbouring rows have, over all series; the shorter one of two that are
    /// equally common. `None` if no two rows differ.
    ///
    /// `series`: rising times, in seconds.
    pub fn detect<'a>(series: impl Iterator<Item = &'a [i64]> + Clone) -> Option<Self> {
        let step = most_common(series.clone(), |from, to| to.saturating_sub(from))?;
        if step < SHORTEST_MONTH {
            return Some(Frequency::Seconds(step));
        }
        let months = most_common(series.clone(), |from, to| {
            month_number(civil_from_seconds(to)) - month_number(civil_from_seconds(from))
        });
        // At least 28 days, so at most a few thousand months in any calendar.
        let months = months.map(|months| months as u32).filter(|&months| months > 0);
        let Some(months) = months else {
            return Some(Frequency::Seconds(step));
        };
        let mut times = series.flatten().map(|&time| civil_from_seconds(time));
        let first = times.clone().next()?;
        if times.clone().all(|t| t.day() == first.day() && t.time() == first.time()) {
            return Some(Frequency::Months(months));
        }
        let ends = times.all(|t| t.date() == t.date().last_of_month() && t.time() == first.time());
        Some(if ends { Frequency::MonthEnds(months) } else { Frequency::Seconds(step) })
    }

    /// The time `steps` steps after `time` (before it if negative), in seconds.
    pub fn after(self, time: i64, steps: i64) -> i64 {
        let (months, at_end) = match self {
            Frequency::Seconds(step) => return time.saturating_add(step.saturating_mul(steps)),
            Frequency::Months(months) => (months, false),
            Frequency::MonthEnds(months) => (months, true),
        };
        let from = civil_from_seconds(time);
        let number = month_number(from).saturating_add(steps.saturating_mul(i64::from(months)));
        let month = (number.rem_euclid(12) + 1) as i8;
        let first = i16::try_from(number.div_euclid(12))
            .ok()
            .and_then(|year| Date::new(year, month, 1).ok());
        let date = first.and_then(|first| {
            let last = first.days_in_month();
            let day = if at_end { last } else { from.day().min(last) };
            Date::new(first.year(), month, day).ok()
        });
        let past_calendar = if steps < 0 { i64::MIN } else { i64::MAX };
        date.and_then(|date| seconds_from_civil(date.to_datetime(from.time())))
            .unwrap_or(past_calendar)
    }

    /// Number of steps from one time to another; `None` if it is not whole.
    pub fn steps_between(self, from: i64, to: i64) -> Option<i64> {
        let steps = match self {
            Frequency::Seconds(step) => (to - from) / step,
            Frequency::Months(months) | Frequency::MonthEnds(months) => {
                let distance =
                    month_number(civil_from_seconds(to)) - month_number(civil_from_seconds(from));
                distance / i64::from(months)
            }
        };
        (self.after(from, steps) == to).then_some(steps)
    }

    /// How many steps the usual season has: 24 for hours, 96 for 15 minutes, 1,440 for minutes, 7
    /// for days, 52 for weeks, 12 for months, 4 for quarters; 1 (none) for others.
    pub fn seasonal_period(self) -> usize {
        let season = match self {
            Frequency::Seconds(step) => match step {
                WEEK => 52,
                DAY => 7,
                MINUTE..DAY if DAY % step == 0 => DAY / step,
                1..MINUTE if MINUTE % step == 0 => MINUTE / step,
                _ => 1,
            },
            Frequency::Months(months) | Frequency::MonthEnds(months) => match months {
                1..=12 if 12 % months == 0 => i64::from(12 / months),
                _ => 1,
            },
        };
        season as usize
    }
}

fn month_number(civil: DateTime) -> i64 {
    i64::from(civil.year()) * 12 + i64::from(civil.month()) - 1
}

/// The most common positive distance between neighbours; the smallest one of several.
fn most_common<'a>(
    series: impl Iterator<Item = &'a [i64]>,
    distance: impl Fn(i64, i64) -> i64,
) -> Option<i64> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for times in series {
        for pair in times.windows(2) {
            let distance = distance(pair[0], pair[1]);
            if distance > 0 {
                *counts.entry(distance).or_default() += 1;
            }
        }
    }
    // The first of the largest: `max_by_key` would give the last.
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|&(_, count)| count == most).map(|(distance, _)| distance)
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Frequency::Seconds(step) => {
                let units = [(WEEK, "w"), (DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s")];
                let unit = units.iter().find(|(unit, _)| step % unit == 0);
                let (unit, name) = unit.expect("every whole number is a multiple of one");
                write!(f, "{}{name}", step / unit)
            }
            Frequency::Months(months) if months % 12 == 0 => write!(f, "{}y", months / 12),
            Frequency::Months(months) => write!(f, "{months}mo"),
            Frequency::MonthEnds(months) => write!(f, "{months}mo-end"),
        }
    }
}

impl FromStr for Frequency {
    type Err = Error;

    /// Reads what `Display` writes, and units alone: `h` is `1h`.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let bad = || {
            Error::config(
                "frequency",
                format!(
                    "\"{text}\" is not a step (write a number and one of s, min, h, d, w, mo, q, \
                     y, mo-end, such as 15min)"
                ),
            )
        };
        let count: u32 = if count.is_empty() { 1 } else { count.parse().map_err(|_| bad())? };
        if count == 0 {
            return Err(bad());
        }
        let months = |each: u32| count.checked_mul(each).ok_or_else(bad);
        let seconds = |each: i64| Frequency::Seconds(i64::from(count) * each);
        Ok(match unit {
            "s" => seconds(1),
            "min" => seconds(MINUTE),
            "h" => seconds(HOUR),
            "d" => seconds(DAY),
            "w" => seconds(WEEK),
            "mo" => Frequency::Months(count),
            "q" => Frequency::Months(months(3)?),
            "y" => Frequency::Months(months(12)?),
            "mo-end" => Frequency::MonthEnds(count),
            _ => return Err(bad()),
        })
    }
}

impl TryFrom<String> for Frequency {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Frequency> for String {
    fn from(frequency: Frequency) -> Self {
        frequency.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DateOrder, parse_timestamp};

    fn times(texts: &[&str]) -> Vec<i64> {
        let parse = |text: &&str| parse_timestamp(text, DateOrder::MonthDayYear).unwrap().0;
        texts.iter().map(parse).collect()
    }

    fn detect(texts: &[&str]) -> Option<Frequency> {
        Frequency::detect(std::iter::once(times(texts).as_slice()))
    }

    #[test]
    fn the_most_common_step_is_found_in_its_largest_unit() {
        for (texts, wanted) in [
            (&["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01 02:00"][..], "1h"),
            (&["2020-01-01 00:00", "2020-01-01 00:15"], "15min"),
            (&["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06"], "1d"),
            (&["2020-01-01", "2020-01-08"], "1w"),
            (&["2020-01-01", "2020-02-01", "2020-03-01"], "1mo"),
            (&["2020-01", "2020-04", "2020-07"], "3mo"),
            (&["2019-02-28", "2019-03-31", "2019-04-30"], "1mo-end"),
            (&["2019-12-31", "2020-12-31"], "1y"),
            (&["2020-01-01", "2020-01-29", "2020-02-26"], "4w"),
            (&["2020-01-01 00:00:00", "2020-01-01 00:00:05"], "5s"),
        ] {
            let got = detect(texts).unwrap();
            assert_eq!(got.to_string(), wanted);
            assert_eq!(wanted.parse::<Frequency>().unwrap(), got);
        }
        assert_eq!(detect(&["2020-01-01"]), None);
    }

    #[test]
    fn steps_and_times_are_inverse() {
        let start = times(&["2019-11-30"])[0];
        for (frequency, end) in [
            (Frequency::Months(1), "2020-02-29"),
            (Frequency::MonthEnds(1), "2020-02-29"),
            (Frequency::Months(12), "2022-11-30"),
            (Frequency::Seconds(DAY), "2019-12-03"),
        ] {
            let end = times(&[end])[0];
            assert_eq!(frequency.after(start, 3), end, "{frequency}");
            assert_eq!(frequency.steps_between(start, end), Some(3), "{frequency}");
            assert_eq!(frequency.steps_between(start, end + 1), None, "{frequency}");
        }
        let mid_month = times(&["2020-01-15"])[0];
        assert_eq!(Frequency::Months(1).steps_between(start, mid_month), None);
        assert_eq!(Frequency::Months(12).after(start, i64::MAX), i64::MAX);
    }

    #[test]
    fn seasons_are_those_of_the_usual_steps() {
        for (text, period) in [
            ("h", 24),
            ("15min", 96),
            ("10min", 144),
            ("min", 1440),
            ("s", 60),
            ("d", 7),
            ("w", 52),
            ("mo", 12),
            ("q", 4),
            ("y", 1),
            ("mo-end", 12),
            ("7h", 1),
            ("3d", 1),
        ] {
            let frequency: Frequency = text.parse().unwrap();
            assert_eq!(frequency.seasonal_period(), period, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0h", "1 h", "15m", "-1h", "99999999999h", "400000000y"] {
            let error = text.parse::<Frequency>().unwrap_err().to_string();
            assert!(error.contains("such as 15min"), "{error}");
        }
    }
}
