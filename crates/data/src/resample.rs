//! Makes one row of all that lie in one step.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::calendar::Frequency;
use super::choice::{choice_named, list_of, name_of};
use ptsm_core::{Error, Result};

/// A longer step, and what becomes of the seen values that lie in one. Written `1h:mean`.
///
/// A step's row has the time at which it begins (the last day for `mo-end`). Weeks begin on Mondays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resample {
    /// The step.
    pub step: Frequency,
    /// What becomes of the values.
    pub rule: Rule,
}

/// What becomes of the seen values of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
    /// The first one.
    First,
    /// The last one.
    Last,
    /// The smallest one.
    Min,
    /// The largest one.
    Max,
}

const RULES: [(Rule, &str); 6] = [
    (Rule::Mean, "mean"),
    (Rule::Sum, "sum"),
    (Rule::First, "first"),
    (Rule::Last, "last"),
    (Rule::Min, "min"),
    (Rule::Max, "max"),
];

impl Rule {
    /// One value out of several; NaN if none was seen.
    pub(super) fn of(self, cells: impl Iterator<Item = f64>) -> f64 {
        let mut seen = cells.filter(|cell| !cell.is_nan());
        let found = match self {
            Rule::Mean => {
                let (sum, count) = seen.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
                Some(sum / count)
            }
            Rule::Sum => seen.reduce(|a, b| a + b),
            Rule::First => seen.next(),
            Rule::Last => seen.last(),
            Rule::Min => seen.reduce(f64::min),
            Rule::Max => seen.reduce(f64::max),
        };
        found.unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Resample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.step, name_of(&self.rule, &RULES))
    }
}

impl FromStr for Resample {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            let text = format!(
                "\"{text}\" is not a step and a rule (write a step of a fixed length, b, mo, q, y or \
                 mo-end, a colon, and one of {}, such as 1h:mean)",
                list_of(&RULES)
            );
            Error::config("resample", text)
        };
        let (step, rule) = text.rsplit_once(':').ok_or_else(bad)?;
        let step: Frequency = step.parse().map_err(|_| bad())?;
        let rule = choice_named(rule, &RULES);
        let known = matches!(
            step,
            Frequency::Nanoseconds(_)
                | Frequency::Months(_)
                | Frequency::MonthEnds(_)
                | Frequency::BusinessDays(1)
        );
        match rule {
            Some(rule) if known => Ok(Self { step, rule }),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for Resample {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Resample> for String {
    fn from(resample: Resample) -> Self {
        resample.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_takes_the_seen_values() {
        let cells = [f64::NAN, 4.0, 1.0, 3.0, f64::NAN];
        let wanted = [8.0 / 3.0, 8.0, 4.0, 3.0, 1.0, 4.0];
        for ((rule, name), wanted) in RULES.iter().zip(wanted) {
            assert_eq!(rule.of(cells.into_iter()), wanted, "{name}");
            assert!(rule.of([f64::NAN].into_iter()).is_nan(), "{name}");
        }
    }

    #[test]
    fn a_resampling_is_written_as_it_is_read() {
        for text in ["1h:mean", "1d:sum", "1mo:last", "3mo-end:max", "1b:first"] {
            assert_eq!(text.parse::<Resample>().unwrap().to_string(), text);
        }
        for text in ["", "1h", "1h:median", "mean", "1/2mo:mean", "3:mean"] {
            let error = text.parse::<Resample>().unwrap_err().to_string();
            assert!(error.contains("such as 1h:mean"), "{error}");
        }
    }
}
