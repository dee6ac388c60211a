//! The step from one row to the next, and how it is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::civil::{DAY, HOUR, MINUTE, SECOND, WEEK};
use ptsm_core::{Error, Result};

/// Distance between the rows of a regular series.
///
/// Written as a number and a unit: `ns`, `us`, `ms`, `s`, `min`, `h`, `d`, `w` (fixed lengths), `b`
/// (Monday to Friday), `mo`, `q`, `y` (calendar months, the same day each time), `mo-end` (last days
/// of months), `bmo-start`, `bmo-end` (first and last working days of months); `1/2mo`, `1/3mo` are
/// two and three fixed days in each month. A number alone is a step of an integer index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Frequency {
    /// A fixed number of nanoseconds, at least 1.
    Nanoseconds(i64),
    /// A number of calendar months, at least 1, on the same day of the month (the last one in months
    /// that are too short).
    Months(u32),
    /// A number of calendar months, at least 1, on the last day of the month.
    MonthEnds(u32),
    /// So many fixed days in each month, 2 or 3: the 1st and the 15th, say.
    MonthParts(u32),
    /// A number of working days, at least 1: Monday to Friday without holidays.
    BusinessDays(u32),
    /// A number of calendar months, at least 1, on the first working day of the month.
    BusinessMonthStarts(u32),
    /// A number of calendar months, at least 1, on the last working day of the month.
    BusinessMonthEnds(u32),
    /// The times are whole numbers, this far apart, at least 1.
    Index(i64),
}

impl Frequency {
    /// How many steps the usual season has: 24 for hours, 96 for 15 minutes, 1,440 for minutes, 7
    /// for days, 5 for working days, 52 for weeks, 12 for months, 4 for quarters; 1 (none) for
    /// others, and for an integer index.
    pub fn seasonal_period(self) -> usize {
        let season = match self {
            Frequency::Nanoseconds(step) => match step {
                WEEK => 52,
                DAY => 7,
                MINUTE..DAY if DAY % step == 0 => DAY / step,
                SECOND..MINUTE if MINUTE % step == 0 => MINUTE / step,
                _ => 1,
            },
            Frequency::Months(months)
            | Frequency::MonthEnds(months)
            | Frequency::BusinessMonthStarts(months)
            | Frequency::BusinessMonthEnds(months) => match months {
                1..=12 if 12 % months == 0 => i64::from(12 / months),
                _ => 1,
            },
            Frequency::MonthParts(parts) => i64::from(12 * parts),
            Frequency::BusinessDays(1) => 5,
            Frequency::BusinessDays(_) | Frequency::Index(_) => 1,
        };
        season as usize
    }

    /// How many steps people usually want to know in advance: 12 months, 8 quarters, 6 years, 13 weeks,
    /// 28 days, 21 working days, 48 hours or half hours, a day of other steps of 5 minutes or more that
    /// divide it, but 8 steps at least, an hour of minutes; `None` for others, and for an integer index.
    pub fn usual_horizon(self) -> Option<usize> {
        let steps = match self {
            Frequency::Nanoseconds(step) => match step {
                WEEK => 13,
                DAY => 28,
                HOUR => 48,
                _ if step >= 5 * MINUTE && DAY % step == 0 => (DAY / step).max(8) as usize,
                MINUTE => 60,
                _ => return None,
            },
            Frequency::Months(months)
            | Frequency::MonthEnds(months)
            | Frequency::BusinessMonthStarts(months)
            | Frequency::BusinessMonthEnds(months) => match months {
                1 | 2 => 12,
                3 | 4 => 8,
                _ => 6,
            },
            Frequency::MonthParts(parts) => 12 * parts as usize,
            Frequency::BusinessDays(1) => 21,
            Frequency::BusinessDays(_) | Frequency::Index(_) => return None,
        };
        Some(steps)
    }

    /// Whether steps are whole days or longer, which are counted in local time.
    pub(crate) fn counts_days(self) -> bool {
        match self {
            Frequency::Nanoseconds(step) => step % DAY == 0,
            Frequency::Index(_) => false,
            _ => true,
        }
    }

    /// Whether the times are whole numbers and not dates.
    pub fn is_index(self) -> bool {
        matches!(self, Frequency::Index(_))
    }

    /// The usual length in nanoseconds; `None` for an integer index.
    pub(crate) fn usual_length(self) -> Option<i64> {
        // A month of 365.2425 days by twelve.
        const MONTH: i64 = 2_629_746 * SECOND;
        Some(match self {
            Frequency::Nanoseconds(step) => step,
            Frequency::Months(months)
            | Frequency::MonthEnds(months)
            | Frequency::BusinessMonthStarts(months)
            | Frequency::BusinessMonthEnds(months) => MONTH.saturating_mul(i64::from(months)),
            Frequency::MonthParts(parts) => MONTH / i64::from(parts),
            Frequency::BusinessDays(days) => DAY.saturating_mul(i64::from(days)),
            Frequency::Index(_) => return None,
        })
    }
}

/// Lengths of the units, longest first.
const UNITS: [(i64, &str); 8] = [
    (WEEK, "w"),
    (DAY, "d"),
    (HOUR, "h"),
    (MINUTE, "min"),
    (SECOND, "s"),
    (1_000_000, "ms"),
    (1000, "us"),
    (1, "ns"),
];

/// A length of time in its largest unit: `90s`, `5min`.
pub(crate) fn length_text(nanoseconds: i64) -> String {
    let unit = UNITS.iter().find(|(unit, _)| nanoseconds % unit == 0);
    let (unit, name) = unit.copied().unwrap_or((1, "ns"));
    format!("{}{name}", nanoseconds / unit)
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Frequency::Nanoseconds(step) => f.write_str(&length_text(step)),
            Frequency::Months(months) if months % 12 == 0 => write!(f, "{}y", months / 12),
            Frequency::Months(months) => write!(f, "{months}mo"),
            Frequency::MonthEnds(months) => write!(f, "{months}mo-end"),
            Frequency::MonthParts(parts) => write!(f, "1/{parts}mo"),
            Frequency::BusinessDays(days) => write!(f, "{days}b"),
            Frequency::BusinessMonthStarts(months) => write!(f, "{months}bmo-start"),
            Frequency::BusinessMonthEnds(months) => write!(f, "{months}bmo-end"),
            Frequency::Index(step) => write!(f, "{step}"),
        }
    }
}

impl FromStr for Frequency {
    type Err = Error;

    /// Reads what `Display` writes, and units alone: `h` is `1h`.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::config(
                "frequency",
                format!(
                    "\"{text}\" is not a step (write a number and one of ms, s, min, h, d, b \
                     (working days), w, mo, q, y, mo-end, bmo-end, such as 15min; 1/2mo for half \
                     months; a number alone for an integer index)"
                ),
            )
        };
        match text {
            "1/2mo" => return Ok(Frequency::MonthParts(2)),
            "1/3mo" => return Ok(Frequency::MonthParts(3)),
            _ => {}
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let count: u32 = if count.is_empty() { 1 } else { count.parse().map_err(|_| bad())? };
        if count == 0 || text.is_empty() {
            return Err(bad());
        }
        let months = |each: u32| count.checked_mul(each).ok_or_else(bad);
        if let Some((length, _)) = UNITS.iter().find(|(_, name)| *name == unit) {
            let step = i64::from(count).checked_mul(*length).ok_or_else(bad)?;
            return Ok(Frequency::Nanoseconds(step));
        }
        Ok(match unit {
            "b" => Frequency::BusinessDays(count),
            "mo" => Frequency::Months(count),
            "q" => Frequency::Months(months(3)?),
            "y" => Frequency::Months(months(12)?),
            "mo-end" => Frequency::MonthEnds(count),
            "q-end" => Frequency::MonthEnds(months(3)?),
            "y-end" => Frequency::MonthEnds(months(12)?),
            "bmo-start" => Frequency::BusinessMonthStarts(count),
            "bmo-end" => Frequency::BusinessMonthEnds(count),
            "" => Frequency::Index(i64::from(count)),
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

/// Steps that people usually want to know in advance: those of the step of the rows
/// ([`Frequency::usual_horizon`]); else two seasons; else a tenth of the rows, from 1 to 24. `season` = 1 or 0: none.
pub fn usual_horizon(step: Option<Frequency>, season: usize, rows: usize) -> usize {
    let usual = step.and_then(Frequency::usual_horizon);
    usual.unwrap_or(match season {
        0 | 1 => (rows / 10).clamp(1, 24),
        season => 2 * season,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_written_as_it_is_read() {
        for text in [
            "1ns",
            "250us",
            "100ms",
            "5s",
            "15min",
            "1h",
            "1d",
            "1b",
            "2w",
            "1mo",
            "3mo",
            "1y",
            "1mo-end",
            "3mo-end",
            "1bmo-start",
            "1bmo-end",
            "1/2mo",
            "1/3mo",
            "1",
            "10",
        ] {
            assert_eq!(text.parse::<Frequency>().unwrap().to_string(), text);
        }
        assert_eq!("q".parse::<Frequency>().unwrap(), Frequency::Months(3));
        assert_eq!("60min".parse::<Frequency>().unwrap().to_string(), "1h");
    }

    #[test]
    fn seasons_are_those_of_the_usual_steps() {
        for (text, period) in [
            ("h", 24),
            ("15min", 96),
            ("10min", 144),
            ("min", 1440),
            ("s", 60),
            ("100ms", 1),
            ("d", 7),
            ("b", 5),
            ("w", 52),
            ("mo", 12),
            ("q", 4),
            ("y", 1),
            ("mo-end", 12),
            ("bmo-end", 12),
            ("1/2mo", 24),
            ("7h", 1),
            ("3d", 1),
            ("1", 1),
        ] {
            let frequency: Frequency = text.parse().unwrap();
            assert_eq!(frequency.seasonal_period(), period, "{text}");
        }
    }

    #[test]
    fn horizons_are_those_that_people_ask_for() {
        for (text, steps) in [
            ("y", Some(6)),
            ("q", Some(8)),
            ("mo-end", Some(12)),
            ("w", Some(13)),
            ("d", Some(28)),
            ("b", Some(21)),
            ("h", Some(48)),
            ("30min", Some(48)),
            ("15min", Some(96)),
            ("12h", Some(8)),
            ("min", Some(60)),
            ("7h", None),
            ("s", None),
            ("1", None),
        ] {
            let frequency: Frequency = text.parse().unwrap();
            assert_eq!(frequency.usual_horizon(), steps, "{text}");
            assert_eq!(usual_horizon(Some(frequency), 1, 100), steps.unwrap_or(10), "{text}");
        }
        let undated = [(12, 100), (1, 100), (1, 9), (0, 1000)];
        assert_eq!(
            undated.map(|(season, rows)| usual_horizon(None, season, rows)),
            [24, 10, 1, 24]
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0h", "1 h", "15m", "-1h", "99999999999h", "400000000y", "4000000000w"] {
            let error = text.parse::<Frequency>().unwrap_err().to_string();
            assert!(error.contains("such as 15min"), "{error}");
        }
    }
}
