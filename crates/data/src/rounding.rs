//! Moves times that are close to a grid onto it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::calendar::{Frequency, length_text};
use crate::civil::{DAY, HOUR, MINUTE, SECOND};
use ptsm_core::{Error, Result};

/// A grid that times are moved to, counted from 1970-01-01 00:00 in local time, and how far they may be
/// moved.
///
/// Written `5min`, or `5min:30s` with a tolerance; without one it is a quarter of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rounding {
    /// The step in nanoseconds.
    pub(super) step: i64,
    tolerance: Option<i64>,
}

/// Steps that sensors have, in nanoseconds.
const USUAL_STEPS: [i64; 27] = [
    SECOND / 1000,
    SECOND / 100,
    SECOND / 50,
    SECOND / 20,
    SECOND / 10,
    SECOND / 5,
    SECOND / 2,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    20 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
];

impl Rounding {
    /// The furthest that a time is moved, in nanoseconds.
    pub fn tolerance(&self) -> i64 {
        self.tolerance.unwrap_or(self.step / 4)
    }

    /// Nanoseconds to add to a local time to bring it to the grid, negative for a time after its grid
    /// point; `None` if that is more than the tolerance.
    pub fn correction(&self, local: i64) -> Option<i64> {
        let past = local.rem_euclid(self.step);
        let move_by = if past > self.step / 2 { self.step - past } else { -past };
        (move_by.abs() <= self.tolerance()).then_some(move_by)
    }

    /// A rounding that would put rising times on a grid without making two of them one, and how far
    /// it would move them.
    pub(super) fn that_helps(times: &[i64]) -> Option<(Self, i64)> {
        let mut distances: Vec<i64> =
            times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        if distances.len() < 2 {
            return None;
        }
        let middle = distances.len() / 2;
        let (_, &mut median, _) = distances.select_nth_unstable(middle);
        let near = |step: &&i64| (median - **step).abs() <= **step / 4;
        let nearest = USUAL_STEPS.iter().filter(near).min_by_key(|step| (median - **step).abs());
        let rounding = Self { step: *nearest?, tolerance: None };
        let mut furthest = 0;
        let mut last = None;
        for &time in times {
            let move_by = rounding.correction(time)?;
            let place = time.checked_add(move_by)?;
            if last == Some(place) {
                return None;
            }
            last = Some(place);
            furthest = furthest.max(move_by.abs());
        }
        Some((rounding, furthest))
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&length_text(self.step))?;
        self.tolerance.map_or(Ok(()), |tolerance| write!(f, ":{}", length_text(tolerance)))
    }
}

impl FromStr for Rounding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let length = |text: &str| match text.parse() {
            Ok(Frequency::Nanoseconds(length)) => Some(length),
            _ => None,
        };
        let parsed = match text.split_once(':') {
            None => length(text).map(|step| (step, None)),
            Some((step, tolerance)) => {
                length(step).zip(length(tolerance)).map(|(step, far)| (step, Some(far)))
            }
        };
        let (step, tolerance) = parsed.ok_or_else(|| {
            let text = format!(
                "\"{text}\" is not a grid to round to (write a step such as 5min, or a step and \
                 how far a time may be from it, such as 5min:30s)"
            );
            Error::config("round", text)
        })?;
        if tolerance.is_some_and(|tolerance| tolerance > step / 2) {
            let text = format!("\"{text}\": no time is further from a grid than half its step");
            return Err(Error::config("round", text));
        }
        Ok(Self { step, tolerance })
    }
}

impl TryFrom<String> for Rounding {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Rounding> for String {
    fn from(rounding: Rounding) -> Self {
        rounding.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rounding_is_written_as_it_is_read_and_has_a_tolerance() {
        for (text, tolerance) in [("5min", 75 * SECOND), ("1h:10min", 10 * MINUTE)] {
            let rounding: Rounding = text.parse().unwrap();
            assert_eq!((rounding.to_string().as_str(), rounding.tolerance()), (text, tolerance));
        }
        let rounding: Rounding = "5min".parse().unwrap();
        assert_eq!(rounding.correction(3 * SECOND), Some(-3 * SECOND));
        assert_eq!(rounding.correction(-3 * SECOND), Some(3 * SECOND));
        assert_eq!(rounding.correction(76 * SECOND), None);
        for text in ["", "1mo", "5", "5min:4min", "5min:x"] {
            let error = text.parse::<Rounding>().unwrap_err().to_string();
            assert!(error.starts_with("round: "), "{error}");
        }
    }

    #[test]
    fn a_rounding_is_proposed_only_where_it_helps() {
        let late = |late: [i64; 4]| -> Vec<i64> {
            late.iter()
                .enumerate()
                .map(|(i, late)| 300 * SECOND * i as i64 + late * SECOND)
                .collect()
        };
        let (rounding, far) = Rounding::that_helps(&late([3, 2, 0, 1])).unwrap();
        assert_eq!((rounding.to_string().as_str(), far), ("5min", 3 * SECOND));
        assert!(Rounding::that_helps(&late([3, 2, 100, 1])).is_none());
        assert!(Rounding::that_helps(&[0, 1]).is_none());
    }
}
