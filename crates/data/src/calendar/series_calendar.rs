//! Steps forward and steps between, on the calendar of one series.

use jiff::civil::Date;

use super::anchor::Anchor;
use super::frequency::Frequency;
use super::holidays::Holidays;
use crate::civil::{
    DAY, date, date_of_day, day_number, is_weekday, midnight, month_number, month_start,
    time_of_day,
};

/// The times of one series: its step, the days of the month that it keeps to, and the holidays that
/// it passes over. Times are local, in nanoseconds; for an integer index they are whole numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// The step.
    pub step: Frequency,
    /// Days of the month, where the step depends on them; without any, the later one of the days of
    /// the times at hand.
    pub anchor: Anchor,
    /// Working days that are passed over.
    pub holidays: Holidays,
}

/// A calendar of days, each of which has a number: the next row has the next number.
enum Days<'a> {
    Months(Anchor),
    MondayToFriday(&'a Holidays),
    MonthEdges { ends: bool, holidays: &'a Holidays },
}

impl Calendar {
    /// Of a step that needs neither anchor nor holidays.
    pub fn of(step: Frequency) -> Self {
        Self { step, anchor: Anchor::NONE, holidays: Holidays::default() }
    }

    /// The time `steps` steps after `time` (before it if negative). A time that is not on the
    /// calendar counts as the last one in front of it. Beyond the range of times it stays at its
    /// border.
    pub fn after(&self, time: i64, steps: i64) -> i64 {
        let Some((days, count)) = self.days([time, time]) else {
            return time.saturating_add(self.fixed().saturating_mul(steps));
        };
        let number = days.floor(date(time)).saturating_add(steps.saturating_mul(count));
        let found = days.date(number).and_then(midnight);
        let past_calendar = if steps < 0 { i64::MIN } else { i64::MAX };
        found.map_or(past_calendar, |midnight| midnight.saturating_add(time_of_day(time)))
    }

    /// Number of steps from one time to another; `None` if it is not whole, or one of the two is not
    /// on the calendar.
    pub fn steps_between(&self, from: i64, to: i64) -> Option<i64> {
        let Some((days, count)) = self.days([from, to]) else {
            let distance = to.checked_sub(from)?;
            let step = self.fixed();
            return (distance % step == 0).then_some(distance / step);
        };
        if time_of_day(from) != time_of_day(to) {
            return None;
        }
        let distance = days.number(date(to))? - days.number(date(from))?;
        (distance % count == 0).then_some(distance / count)
    }

    /// Whether each time is one step after the one in front of it, where the step is a fixed length; of
    /// other steps nothing is said.
    pub(crate) fn is_even(&self, times: &[i64]) -> bool {
        let is_fixed = matches!(self.step, Frequency::Nanoseconds(_) | Frequency::Index(_));
        let step = self.fixed();
        is_fixed && times.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(step))
    }

    /// The same calendar on the day of the month of `time`, where the step depends on one day.
    #[must_use]
    pub fn anchored_at(&self, time: i64) -> Self {
        let anchor = match self.step {
            Frequency::Months(_) => Anchor::day(date(time).day()),
            _ => self.anchor,
        };
        Self { anchor, ..self.clone() }
    }

    /// The same calendar without days of the month of its own.
    #[must_use]
    pub fn without_anchor(&self) -> Self {
        match self.step {
            Frequency::Months(_) => Self { anchor: Anchor::NONE, ..self.clone() },
            _ => self.clone(),
        }
    }

    /// Whether a row may have this time.
    pub fn holds(&self, time: i64) -> bool {
        self.steps_between(time, time) == Some(0)
    }

    /// The fixed step, in units of the times.
    fn fixed(&self) -> i64 {
        match self.step {
            Frequency::Nanoseconds(step) | Frequency::Index(step) => step,
            _ => DAY,
        }
    }

    /// The numbered days, and how many numbers one step is; `None` if the step is a fixed length.
    fn days(&self, times: [i64; 2]) -> Option<(Days<'_>, i64)> {
        let anchor = || match self.anchor {
            Anchor::NONE => {
                Anchor::day(times.map(|time| date(time).day()).into_iter().max().unwrap_or(1))
            }
            anchor => anchor,
        };
        let holidays = &self.holidays;
        Some(match self.step {
            Frequency::Nanoseconds(_) | Frequency::Index(_) => return None,
            Frequency::Months(count) => (Days::Months(anchor()), i64::from(count)),
            Frequency::MonthEnds(count) => (Days::Months(Anchor::day(31)), i64::from(count)),
            Frequency::MonthParts(_) => (Days::Months(anchor()), 1),
            Frequency::BusinessDays(count) => (Days::MondayToFriday(holidays), i64::from(count)),
            Frequency::BusinessMonthStarts(count) => {
                (Days::MonthEdges { ends: false, holidays }, i64::from(count))
            }
            Frequency::BusinessMonthEnds(count) => {
                (Days::MonthEdges { ends: true, holidays }, i64::from(count))
            }
        })
    }
}

impl Days<'_> {
    /// The number of a date; `None` if it is not one of the days.
    fn number(&self, date: Date) -> Option<i64> {
        let number = self.floor(date);
        (self.date(number) == Some(date)).then_some(number)
    }

    /// The number of the last day at or before a date.
    fn floor(&self, date: Date) -> i64 {
        match self {
            Days::Months(anchor) => {
                let count = anchor.as_slice().len() as i64;
                let month = month_number(date);
                let passed = (0..count).filter(|&p| anchor.day_in(p as usize, date) <= date.day());
                month * count + passed.count() as i64 - 1
            }
            Days::MondayToFriday(holidays) => {
                let day = day_number(date);
                week_days_through(day) - holidays.before(day + 1)
            }
            Days::MonthEdges { .. } => {
                let number = month_number(date);
                number - i64::from(self.date(number).is_some_and(|day| day > date))
            }
        }
    }

    /// The day with a number.
    fn date(&self, number: i64) -> Option<Date> {
        match self {
            Days::Months(anchor) => {
                let count = anchor.as_slice().len() as i64;
                let month = month_start(number.div_euclid(count))?;
                let day = anchor.day_in(number.rem_euclid(count) as usize, month);
                Date::new(month.year(), month.month(), day).ok()
            }
            Days::MondayToFriday(holidays) => {
                // Each holiday that is passed moves the day on, perhaps past another one.
                let mut passed = 0;
                loop {
                    let day = week_day(number.checked_add(passed)?)?;
                    let holidays = holidays.before(day + 1);
                    if holidays == passed {
                        return date_of_day(day);
                    }
                    passed = holidays;
                }
            }
            Days::MonthEdges { ends, holidays } => {
                let first = month_start(number)?;
                let (start, step) = if *ends { (first.last_of_month(), -1) } else { (first, 1) };
                let works = |day: &i64| is_weekday(*day) && !holidays.contains(*day);
                let start = day_number(start);
                (0..28).map(|i| start + step * i).find(works).and_then(date_of_day)
            }
        }
    }
}

/// Monday to Friday up to and with a day, counted from 1969-12-29, a Monday.
fn week_days_through(day: i64) -> i64 {
    let from_monday = day + 3;
    from_monday.div_euclid(7) * 5 + from_monday.rem_euclid(7).min(4)
}

/// The day with this number among Mondays to Fridays.
fn week_day(number: i64) -> Option<i64> {
    Some(number.div_euclid(5).checked_mul(7)? + number.rem_euclid(5) - 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> i64 {
        midnight(text.parse().unwrap()).unwrap()
    }

    fn calendar(step: &str) -> Calendar {
        Calendar::of(step.parse().unwrap())
    }

    #[test]
    fn steps_and_times_are_inverse() {
        for (step, start, end) in [
            ("1mo", "2019-11-30", "2020-02-29"),
            ("1mo-end", "2019-11-30", "2020-02-29"),
            ("1y", "2019-11-30", "2022-11-30"),
            ("1d", "2019-11-30", "2019-12-03"),
            ("1b", "2019-11-29", "2019-12-04"),
            ("1bmo-end", "2019-11-29", "2020-02-28"),
            ("1bmo-start", "2019-11-01", "2020-02-03"),
            ("2w", "2019-11-29", "2020-01-10"),
        ] {
            let (calendar, start, end) = (calendar(step), time(start), time(end));
            assert_eq!(calendar.after(start, 3), end, "{step}");
            assert_eq!(calendar.steps_between(start, end), Some(3), "{step}");
            assert_eq!(calendar.steps_between(end, start), Some(-3), "{step}");
            assert_eq!(calendar.steps_between(start, end + 1), None, "{step}");
            assert!(calendar.holds(start) && calendar.holds(end), "{step}");
        }
        let mid_month = time("2020-01-15");
        assert_eq!(calendar("1mo").steps_between(time("2019-11-30"), mid_month), None);
        assert_eq!(calendar("1y").after(mid_month, i64::MAX), i64::MAX);
        assert_eq!(calendar("1b").after(mid_month, i64::MIN), i64::MIN);
        assert_eq!(calendar("2").after(5, 3), 11);
    }

    #[test]
    fn an_anchor_is_kept_through_short_months() {
        let calendar = Calendar { anchor: Anchor::day(30), ..calendar("1mo") };
        let february = time("2023-02-28");
        assert_eq!(calendar.after(february, 1), time("2023-03-30"));
        assert_eq!(calendar.after(february, 12), time("2024-02-29"));
        assert_eq!(calendar.steps_between(february, time("2023-04-30")), Some(2));
        assert_eq!(calendar.steps_between(february, time("2023-03-28")), None);
        let halves = Calendar {
            anchor: Anchor::days(&[15, 31]).unwrap(),
            ..Calendar::of(Frequency::MonthParts(2))
        };
        assert_eq!(halves.after(time("2023-01-31"), 1), time("2023-02-15"));
        assert_eq!(halves.after(time("2023-01-31"), 2), time("2023-02-28"));
        assert_eq!(halves.steps_between(time("2023-01-15"), time("2023-02-28")), Some(3));
        assert!(!halves.holds(time("2023-02-27")));
    }

    #[test]
    fn working_days_pass_over_weekends_and_holidays() {
        let holidays = ["2024-12-25", "2024-12-26", "2025-01-01"].map(|d| d.parse().unwrap());
        let calendar = Calendar { holidays: Holidays::new(holidays), ..calendar("1b") };
        let mut day = time("2024-12-20");
        for wanted in ["2024-12-23", "2024-12-24", "2024-12-27", "2024-12-30", "2024-12-31"] {
            day = calendar.after(day, 1);
            assert_eq!(date(day).to_string(), wanted);
        }
        assert_eq!(calendar.after(day, 1), time("2025-01-02"));
        assert_eq!(calendar.steps_between(time("2024-12-20"), time("2025-01-02")), Some(6));
        assert!(!calendar.holds(time("2024-12-25")) && !calendar.holds(time("2024-12-28")));
        // Every day of two years, forth and back.
        let start = time("2024-01-01");
        for steps in -300..300 {
            let there = calendar.after(start, steps);
            assert_eq!(calendar.steps_between(start, there), Some(steps), "{steps}");
        }
    }
}
