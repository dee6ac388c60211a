//! Where training ends, and validation and test begin.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::times::Times;
use super::timestamp::{NotATime, TimeStyle, parse_unambiguous};
use ptsm_core::{Error, Result, did_you_mean, option};

/// How the rows of a series are divided: training first, then validation, then test.
///
/// Written as `ett-hour`, `ett-minute`, `7:1:2`, `fraction:0.7,0.1`, `last:18` or
/// `date:2013-09-01,2013-11-01`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Split {
    /// 12, 4 and 4 months of 30 days in hours (8,640, 2,880 and 2,880 rows); what follows is not
    /// used. The split of all papers on ETTh1 and ETTh2.
    EttHour,
    /// The same in quarters of an hour, for ETTm1 and ETTm2.
    EttMinute,
    /// Parts in this proportion. Training and test are rounded down and validation takes the rest,
    /// as papers do with 7:1:2.
    Ratio {
        /// Training.
        train: u32,
        /// Validation; 0 = none.
        validation: u32,
        /// Test; 0 = none.
        test: u32,
    },
    /// These shares of all rows, from 0 to 1, rounded down; test takes the rest.
    Fraction {
        /// Training.
        train: f64,
        /// Validation; 0 = none.
        validation: f64,
    },
    /// The last rows of each series are its test part, as many rows before them its validation part
    /// where as many are left to train on.
    Last {
        /// Rows of the test part, at least 1.
        rows: usize,
    },
    /// Parts that begin with the first row at or after a time, in nanoseconds since 1970-01-01 00:00.
    Dates {
        /// Start of validation.
        validation_from: i64,
        /// Start of test.
        test_from: i64,
    },
}

impl Default for Split {
    /// 7:1:2.
    fn default() -> Self {
        Split::Ratio { train: 7, validation: 1, test: 2 }
    }
}

/// The rows of each part. Validation and test start `context_length` rows early, so that their
/// first forecast begins right at the border; a part without rows is an empty range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Borders {
    /// Rows that are trained on.
    pub train: Range<usize>,
    /// Rows that choose the best weights.
    pub validation: Range<usize>,
    /// Rows that are scored.
    pub test: Range<usize>,
}

impl Borders {
    /// The borders of the same rows after `pad` rows in front of them; parts that are forecast may
    /// then begin as much earlier, up to a whole context before their first own row.
    pub(super) fn padded(&self, pad: usize, context_length: usize) -> Self {
        if pad == 0 {
            return self.clone();
        }
        let part = |before: usize, rows: &Range<usize>| match rows.is_empty() {
            true => before + pad..before + pad,
            false => (before + pad).saturating_sub(context_length)..rows.end + pad,
        };
        let first_end = self.train.end;
        let second_end = if self.validation.is_empty() { first_end } else { self.validation.end };
        Self {
            train: 0..first_end + pad,
            validation: part(first_end, &self.validation),
            test: part(second_end, &self.test),
        }
    }
}

impl Split {
    /// The rows of each part of a series of `num_rows` rows at these `timestamps`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the series is too short: a part that should have rows has none.
    /// `InvalidConfig` if dates are to split rows without times.
    pub fn borders(
        &self,
        num_rows: usize,
        timestamps: Option<&Times>,
        context_length: usize,
    ) -> Result<Borders> {
        let [train, validation, test] = self.counts(num_rows, timestamps)?;
        let (first_end, second_end) = (train, train + validation);
        let wanted = self.wants();
        for (part, rows, needed) in [
            ("training", train, 1),
            ("validation", validation, usize::from(wanted[0])),
            ("test", test, usize::from(wanted[1])),
        ] {
            if rows < needed {
                let s = if rows == 1 { "" } else { "s" };
                return Err(Error::input(format!(
                    "split {self} gives the {part} part {rows} row{s} of {num_rows}, at least \
                     {needed} is needed (use a longer series or another {})",
                    option("split", None)
                )));
            }
        }
        let early = |start: usize, rows: usize| match rows {
            0 => start..start,
            rows => start.saturating_sub(context_length)..start + rows,
        };
        Ok(Borders {
            train: 0..train,
            validation: early(first_end, validation),
            test: early(second_end, test),
        })
    }

    /// Rows of training, validation and test.
    fn counts(&self, num_rows: usize, timestamps: Option<&Times>) -> Result<[usize; 3]> {
        let share = |share: f64| (share * num_rows as f64) as usize;
        match *self {
            Split::EttHour => self.ett(num_rows, 24),
            Split::EttMinute => self.ett(num_rows, 96),
            Split::Ratio { train, validation, test } => {
                let whole = f64::from(train) + f64::from(validation) + f64::from(test);
                let train = share(f64::from(train) / whole);
                let rest = num_rows - train;
                let test = match (validation, test) {
                    (_, 0) => 0,
                    (0, _) => rest,
                    _ => share(f64::from(test) / whole),
                };
                // Without a test and a validation part, the rounding goes to training.
                Ok(match (validation, test) {
                    (0, 0) => [num_rows, 0, 0],
                    _ => [train, rest - test, test],
                })
            }
            Split::Fraction { train, validation } => {
                let (train, validation) = (share(train), share(validation));
                let test = num_rows.saturating_sub(train + validation);
                Ok([train, validation, test])
            }
            Split::Last { rows } => {
                let before = num_rows.saturating_sub(rows);
                let validation = if before / 2 >= rows { rows } else { 0 };
                Ok([before - validation, validation, num_rows - before])
            }
            Split::Dates { validation_from, test_from } => {
                let Some(times) = timestamps else {
                    let message = format!(
                        "{self} needs a column of times (see {})",
                        option("timestamp", None)
                    );
                    return Err(Error::config("split", message));
                };
                let first = |from| times.iter().position(|time| time >= from);
                let validation = first(validation_from).unwrap_or(times.len());
                let test = first(test_from).unwrap_or(times.len()).max(validation);
                Ok([validation, test - validation, times.len() - test])
            }
        }
    }

    fn ett(&self, num_rows: usize, steps_a_day: usize) -> Result<[usize; 3]> {
        let month = 30 * steps_a_day;
        let needed = 20 * month;
        if num_rows < needed {
            return Err(Error::input(format!(
                "split {self} needs {needed} rows, the series has {num_rows} (it is made for the \
                 ETT files; use {})",
                option("split", Some("7:1:2"))
            )));
        }
        Ok([12 * month, 4 * month, 4 * month])
    }

    /// Whether there should be validation rows, and test rows.
    fn wants(&self) -> [bool; 2] {
        match *self {
            Split::Ratio { validation, test, .. } => [validation > 0, test > 0],
            Split::Fraction { train, validation } => [validation > 0.0, train + validation < 1.0],
            Split::EttHour | Split::EttMinute | Split::Dates { .. } => [true, true],
            Split::Last { .. } => [false, true],
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Split::EttHour => f.write_str("ett-hour"),
            Split::EttMinute => f.write_str("ett-minute"),
            Split::Ratio { train, validation, test } => write!(f, "{train}:{validation}:{test}"),
            Split::Fraction { train, validation } => write!(f, "fraction:{train},{validation}"),
            Split::Last { rows } => write!(f, "last:{rows}"),
            Split::Dates { validation_from, test_from } => {
                let date = |time: i64| {
                    let text = TimeStyle::PLAIN.holding([time]).format(time, 0);
                    text.strip_suffix(" 00:00:00").map_or(text.clone(), str::to_owned)
                };
                write!(f, "date:{},{}", date(*validation_from), date(*test_from))
            }
        }
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = match text.split_once(':') {
            None => match text {
                "ett-hour" => Some(Split::EttHour),
                "ett-minute" => Some(Split::EttMinute),
                _ => None,
            },
            Some(("fraction", shares)) => parse_fraction(shares),
            Some(("date", dates)) => parse_dates(dates)?,
            Some(("last", rows)) => {
                let rows = rows.parse().ok().filter(|rows| *rows > 0);
                rows.map(|rows| Split::Last { rows })
            }
            Some(_) => parse_ratio(text),
        };
        parsed.ok_or_else(|| {
            let near = did_you_mean(text, ["ett-hour", "ett-minute"]);
            let message = format!(
                "\"{text}\" is not a split{near} (write ett-hour, ett-minute, train:validation:test such \
                 as 7:1:2, fraction:0.7,0.1, last:18 or date:2013-09-01,2013-11-01)"
            );
            Error::config("split", message)
        })
    }
}

fn parse_fraction(text: &str) -> Option<Split> {
    let (train, validation) = text.split_once(',')?;
    let (train, validation): (f64, f64) = (train.parse().ok()?, validation.parse().ok()?);
    let valid = train > 0.0 && validation >= 0.0 && train + validation <= 1.0;
    valid.then_some(Split::Fraction { train, validation })
}

/// Two dates, in the one order of day and month that fits both; `None` if they are none.
///
/// # Errors
///
/// `InvalidConfig` if they are others with the month first than with the day first.
fn parse_dates(text: &str) -> Result<Option<Split>> {
    let Some((validation, test)) = text.split_once(',') else { return Ok(None) };
    match parse_unambiguous(&[validation, test]) {
        Ok(times) if times[0].local < times[1].local => {
            let (validation_from, test_from) = (times[0].local, times[1].local);
            Ok(Some(Split::Dates { validation_from, test_from }))
        }
        Err((_, NotATime::Ambiguous)) => {
            let message = format!(
                "\"date:{text}\" may have the day or the month first (write dates as 2013-09-01)"
            );
            Err(Error::config("split", message))
        }
        _ => Ok(None),
    }
}

fn parse_ratio(text: &str) -> Option<Split> {
    let parts: Option<Vec<u32>> = text.split(':').map(|part| part.parse().ok()).collect();
    let &[train, validation, test] = parts?.as_slice() else {
        return None;
    };
    (train > 0).then_some(Split::Ratio { train, validation, test })
}

impl TryFrom<String> for Split {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Split> for String {
    fn from(split: Split) -> Self {
        split.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::civil::DAY;
    use ptsm_core::ErrorKind;

    fn borders(split: &str, rows: usize, context_length: usize) -> Result<Borders> {
        split.parse::<Split>()?.borders(rows, None, context_length)
    }

    #[test]
    fn borders_are_those_of_the_papers() {
        for (split, rows, wanted) in [
            ("ett-hour", 17_420, [0..8640, 8128..11_520, 11_008..14_400]),
            ("ett-minute", 69_680, [0..34_560, 34_048..46_080, 45_568..57_600]),
            ("7:1:2", 52_696, [0..36_887, 36_375..42_157, 41_645..52_696]),
            ("7:1:2", 7588, [0..5311, 4799..6071, 5559..7588]),
            ("fraction:0.5,0.25", 4000, [0..2000, 1488..3000, 2488..4000]),
            ("8:2:0", 4000, [0..3200, 2688..4000, 4000..4000]),
            ("8:0:2", 4001, [0..3200, 3200..3200, 2688..4001]),
            ("1:0:0", 4001, [0..4001, 4001..4001, 4001..4001]),
            ("fraction:1,0", 4001, [0..4001, 4001..4001, 4001..4001]),
            ("last:18", 4001, [0..3965, 3453..3983, 3471..4001]),
            ("last:18", 53, [0..35, 35..35, 0..53]),
            ("last:18", 54, [0..18, 0..36, 0..54]),
        ] {
            let got = borders(split, rows, 512).unwrap();
            assert_eq!([got.train, got.validation, got.test], wanted, "{split}");
        }
    }

    #[test]
    fn dates_are_the_first_row_at_or_after_them() {
        let times: Times = (0..10).map(|day| day * DAY).collect();
        let split: Split = "date:1970-01-05 12:00,1970-01-09".parse().unwrap();
        let got = split.borders(10, Some(&times), 2).unwrap();
        assert_eq!([got.train, got.validation, got.test], [0..5, 3..8, 6..10]);
        for text in ["date:31/01/2024,01/02/2024", "date:01/31/2024,02/01/2024"] {
            let wanted: Split = "date:2024-01-31,2024-02-01".parse().unwrap();
            assert_eq!(text.parse::<Split>().unwrap(), wanted, "{text}");
        }
        for text in ["date:01/02/2024,02/03/2024", "date:2024-01-01,01/02/2024"] {
            let error = text.parse::<Split>().unwrap_err().to_string();
            assert!(error.contains("write dates as 2013-09-01"), "{error}");
        }
        let error = split.borders(10, None, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.to_string().contains("`timestamp`"));
    }

    #[test]
    fn too_short_a_series_is_refused_with_numbers() {
        for (split, rows, wanted) in [
            ("ett-hour", 14_399, "needs 14400 rows, the series has 14399"),
            ("7:1:2", 1, "training part 0 rows of 1, at least 1 is needed"),
            ("fraction:0.999,0.0005", 1000, "validation part 0 rows of 1000"),
            ("last:9223372036854775808", 1000, "training part 0 rows of 1000"),
            ("last:18446744073709551615", 1000, "training part 0 rows of 1000"),
        ] {
            let error = borders(split, rows, 512).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let times = Times::from(vec![0, DAY, 2 * DAY]);
        let late: Split = "date:1970-01-03,1980-01-01".parse().unwrap();
        let error = late.borders(3, Some(&times), 1).unwrap_err().to_string();
        assert!(error.contains("test part 0 rows of 3"), "{error}");
    }

    #[test]
    fn a_split_is_written_as_it_is_read() {
        for text in [
            "ett-hour",
            "ett-minute",
            "7:1:2",
            "fraction:0.7,0.1",
            "last:18",
            "date:2013-09-01,2013-11-01 06:30:00",
        ] {
            let split: Split = text.parse().unwrap();
            assert_eq!(split.to_string(), text);
            let json = serde_json::to_string(&split).unwrap();
            assert_eq!(serde_json::from_str::<Split>(&json).unwrap(), split);
        }
        for text in [
            "",
            "7:1",
            "0:1:2",
            "a:1:2",
            "7:1:2:3",
            "fraction:0.9,0.2",
            "fraction:0.9",
            "fraction:nan,0",
            "date:2013-11-01,2013-09-01",
            "date:soon,later",
            "half",
            "last:0",
            "last:-1",
        ] {
            let error = text.parse::<Split>().unwrap_err().to_string();
            assert!(error.starts_with("split: ") && error.contains("7:1:2"), "{error}");
        }
    }
}
