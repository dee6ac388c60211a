//! The days of the month that a series keeps to.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The days of the month that the rows of a series fall on, rising; a day that a month does not have
/// becomes its last one. So 30 is the 30th and the end of February, 31 the last day of every month.
///
/// One day for steps of months, two or three for parts of months; none where the step does not
/// depend on the day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Anchor {
    /// Unused places are 0.
    days: [u8; 3],
}

impl Anchor {
    /// Steps do not depend on the day.
    pub const NONE: Anchor = Anchor { days: [0; 3] };

    /// One day of the month, 1 to 31.
    pub fn day(day: i8) -> Self {
        Self { days: [day.clamp(1, 31).unsigned_abs(), 0, 0] }
    }

    /// Up to three different days of the month, rising; `None` if they are not.
    pub fn days(days: &[u8]) -> Option<Self> {
        let fits = days.len() <= 3
            && days.iter().all(|day| (1..=31).contains(day))
            && days.is_sorted_by(|a, b| a < b);
        let mut kept = [0; 3];
        fits.then(|| kept[..days.len()].copy_from_slice(days))?;
        Some(Self { days: kept })
    }

    /// The days, rising.
    pub fn as_slice(&self) -> &[u8] {
        let count = self.days.iter().take_while(|&&day| day > 0).count();
        &self.days[..count]
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.days[0] == 0
    }

    /// Whether it cannot be inferred from a single row: the days 29 to 31, or several days.
    pub fn must_be_kept(&self) -> bool {
        self.days[0] > 28 || self.days[1] > 0
    }

    /// The day at a place, in the month of `month`.
    pub(super) fn day_in(&self, place: usize, month: Date) -> i8 {
        (self.days[place].cast_signed()).min(month.days_in_month())
    }

    /// The place among the days that this date falls on.
    pub(super) fn place_of(&self, date: Date) -> Option<usize> {
        let count = self.as_slice().len();
        (0..count).find(|&place| self.day_in(place, date) == date.day())
    }

    /// Whether every date falls on one of the days.
    pub fn fits(&self, mut dates: impl Iterator<Item = Date>) -> bool {
        dates.all(|date| self.place_of(date).is_some())
    }
}

impl TryFrom<Vec<u8>> for Anchor {
    type Error = String;

    fn try_from(days: Vec<u8>) -> Result<Self, String> {
        Self::days(&days).ok_or_else(|| format!("{days:?} are not up to three rising days"))
    }
}

impl From<Anchor> for Vec<u8> {
    fn from(anchor: Anchor) -> Self {
        anchor.as_slice().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_a_month_lacks_is_its_last_one() {
        let february = Date::constant(2023, 2, 28);
        for day in 28..=31 {
            assert_eq!(Anchor::day(day).place_of(february), Some(0), "{day}");
        }
        assert_eq!(Anchor::day(27).place_of(february), None);
        assert_eq!(Anchor::day(30).place_of(Date::constant(2023, 3, 31)), None);
        let halves = Anchor::days(&[15, 31]).unwrap();
        assert_eq!(halves.place_of(february), Some(1));
        assert!(Anchor::days(&[15, 1]).is_none() && Anchor::days(&[0]).is_none());
    }

    #[test]
    fn an_anchor_is_written_as_a_list() {
        let text = serde_json::to_string(&Anchor::day(30)).unwrap();
        assert_eq!(text, "[30]");
        assert_eq!(serde_json::from_str::<Anchor>(&text).unwrap(), Anchor::day(30));
        assert!(serde_json::from_str::<Anchor>("[32]").is_err());
    }
}
