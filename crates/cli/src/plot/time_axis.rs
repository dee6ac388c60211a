//! Ticks of a time axis: round times with labels that are as short as possible.
//!
//! Each tick has a short text (`06:00`, `14 Mar`, `Apr`) and, where the larger unit changes, a
//! second line (`14 Mar 2018`, `2018`). Times are shown in UTC, as they are in the data.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::axis::round_step;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// From the epoch, a Thursday, to the first Monday.
const FIRST_MONDAY: i64 = 4 * DAY;

/// What the time of a point means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeKind {
    /// Seconds since 1970-01-01 00:00 UTC.
    UnixSeconds,
    /// Number of the time step, where the data have no dates.
    Step,
}

/// A marked time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The time.
    pub(crate) at: i64,
    /// First line.
    pub(crate) label: String,
    /// Second line, where it changes.
    pub(crate) context: Option<String>,
}

/// Distance between ticks.
#[derive(Debug, Clone, Copy)]
enum Spacing {
    Seconds(i64),
    Months(i64),
}

/// The usual distances between dates and times.
const SPACINGS: [Spacing; 29] = [
    Spacing::Seconds(1),
    Spacing::Seconds(2),
    Spacing::Seconds(5),
    Spacing::Seconds(10),
    Spacing::Seconds(15),
    Spacing::Seconds(30),
    Spacing::Seconds(MINUTE),
    Spacing::Seconds(2 * MINUTE),
    Spacing::Seconds(5 * MINUTE),
    Spacing::Seconds(10 * MINUTE),
    Spacing::Seconds(15 * MINUTE),
    Spacing::Seconds(30 * MINUTE),
    Spacing::Seconds(HOUR),
    Spacing::Seconds(2 * HOUR),
    Spacing::Seconds(3 * HOUR),
    Spacing::Seconds(6 * HOUR),
    Spacing::Seconds(12 * HOUR),
    Spacing::Seconds(DAY),
    Spacing::Seconds(2 * DAY),
    Spacing::Seconds(7 * DAY),
    Spacing::Seconds(14 * DAY),
    Spacing::Months(1),
    Spacing::Months(2),
    Spacing::Months(3),
    Spacing::Months(6),
    Spacing::Months(12),
    Spacing::Months(24),
    Spacing::Months(60),
    Spacing::Months(120),
];

impl Spacing {
    fn seconds(self) -> i64 {
        match self {
            Spacing::Seconds(seconds) => seconds,
            Spacing::Months(months) => months * 30 * DAY,
        }
    }
}

/// Round times from `first` to `last`, at most about `most` of them.
pub(crate) fn ticks(kind: TimeKind, first: i64, last: i64, most: usize) -> Vec<Tick> {
    let dated = match kind {
        TimeKind::UnixSeconds => dated_ticks(first, last, most),
        TimeKind::Step => None,
    };
    dated.unwrap_or_else(|| step_ticks(first, last, most))
}

/// A time in full, for text: `14 Mar 2018 06:00`, or `step 512`.
pub(crate) fn moment(kind: TimeKind, at: i64) -> String {
    match (kind, civil(at)) {
        (TimeKind::UnixSeconds, Some(time)) => {
            let form = match at.rem_euclid(DAY) {
                0 => "%-d %b %Y",
                seconds if seconds % MINUTE == 0 => "%-d %b %Y %H:%M",
                _ => "%-d %b %Y %H:%M:%S",
            };
            time.strftime(form).to_string()
        }
        _ => format!("step {at}"),
    }
}

fn step_ticks(first: i64, last: i64, most: usize) -> Vec<Tick> {
    let span = last as f64 - first as f64;
    let step = round_step(span / most.max(1) as f64).max(1.0) as i64;
    multiples(first, last, step)
        .enumerate()
        .map(|(number, at)| Tick {
            at,
            label: at.to_string(),
            context: (number == 0).then(|| "time step".to_owned()),
        })
        .collect()
}

/// Multiples of `step` from `first` to `last`.
fn multiples(first: i64, last: i64, step: i64) -> impl Iterator<Item = i64> {
    let start = first.div_euclid(step).saturating_mul(step);
    std::iter::successors(Some(start), move |at| at.checked_add(step))
        .skip_while(move |at| *at < first)
        .take_while(move |at| *at <= last)
}

/// Ticks at round dates; `None` for times outside the calendar, which ends in some ten thousand
/// years.
fn dated_ticks(first: i64, last: i64, most: usize) -> Option<Vec<Tick>> {
    civil(first)?;
    civil(last)?;
    let span = last - first;
    let enough = |spacing: &&Spacing| span / spacing.seconds() <= most.max(1) as i64;
    let spacing = *SPACINGS.iter().find(enough).unwrap_or(&Spacing::Months(
        // Centuries: a round number of years.
        12 * round_step(span as f64 / most.max(1) as f64 / (365.25 * DAY as f64)) as i64,
    ));
    let moments: Vec<i64> = match spacing {
        Spacing::Seconds(step) if step % (7 * DAY) == 0 => {
            multiples(first - FIRST_MONDAY, last - FIRST_MONDAY, step)
                .map(|at| at + FIRST_MONDAY)
                .collect()
        }
        Spacing::Seconds(step) => multiples(first, last, step).collect(),
        Spacing::Months(months) => month_starts(first, last, months)?,
    };
    labelled(&moments, spacing)
}

/// Starts of every `months`-th month, counted from year 0.
fn month_starts(first: i64, last: i64, months: i64) -> Option<Vec<i64>> {
    let number = |time: DateTime| i64::from(time.year()) * 12 + i64::from(time.month()) - 1;
    let from = number(civil(first)?).div_euclid(months) * months;
    let to = number(civil(last)?);
    let mut starts = Vec::new();
    for month in (from..=to).step_by(months as usize) {
        let year = i16::try_from(month.div_euclid(12)).ok()?;
        let date = Date::new(year, month.rem_euclid(12) as i8 + 1, 1).ok()?;
        let at = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
        if (first..=last).contains(&at) {
            starts.push(at);
        }
    }
    Some(starts)
}

fn labelled(moments: &[i64], spacing: Spacing) -> Option<Vec<Tick>> {
    let (label_form, context_form) = match spacing {
        Spacing::Seconds(step) if step < MINUTE => ("%H:%M:%S", "%-d %b %Y"),
        Spacing::Seconds(step) if step < DAY => ("%H:%M", "%-d %b %Y"),
        Spacing::Seconds(_) => ("%-d %b", "%Y"),
        Spacing::Months(months) if months < 12 => ("%b", "%Y"),
        Spacing::Months(_) => ("%Y", ""),
    };
    let mut before = String::new();
    let mut ticks = Vec::with_capacity(moments.len());
    for at in moments {
        let time = civil(*at)?;
        let context = time.strftime(context_form).to_string();
        let changed = context != before;
        ticks.push(Tick {
            at: *at,
            label: time.strftime(label_form).to_string(),
            context: changed.then(|| context.clone()),
        });
        before = context;
    }
    Some(ticks)
}

fn civil(at: i64) -> Option<DateTime> {
    let timestamp = Timestamp::from_second(at).ok()?;
    Some(timestamp.to_zoned(TimeZone::UTC).datetime())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 14 March 2018, 00:00 UTC.
    const START: i64 = 1_520_985_600;

    fn texts(last: i64, most: usize) -> Vec<String> {
        ticks(TimeKind::UnixSeconds, START, last, most)
            .into_iter()
            .map(|tick| match tick.context {
                Some(context) => format!("{}/{context}", tick.label),
                None => tick.label,
            })
            .collect()
    }

    #[test]
    fn a_day_and_a_half_is_marked_by_hours_with_the_date_where_it_changes() {
        assert_eq!(
            texts(START + 36 * HOUR, 4),
            ["00:00/14 Mar 2018", "12:00", "00:00/15 Mar 2018", "12:00"]
        );
    }

    #[test]
    fn three_weeks_are_marked_on_mondays() {
        assert_eq!(texts(START + 21 * DAY, 4), ["19 Mar/2018", "26 Mar", "2 Apr"]);
    }

    #[test]
    fn years_and_months_begin_on_the_first() {
        assert_eq!(texts(START + 300 * DAY, 4), ["Apr/2018", "Jul", "Oct", "Jan/2019"]);
        assert_eq!(texts(START + 3 * 366 * DAY, 4), ["2019", "2020", "2021"]);
    }

    #[test]
    fn never_far_more_ticks_than_wanted() {
        for power in 0..11 {
            for most in [1, 3, 8] {
                let last = START + 10_i64.pow(power);
                for kind in [TimeKind::UnixSeconds, TimeKind::Step] {
                    let count = ticks(kind, START, last, most).len();
                    assert!(count <= most + 2, "{kind:?} 10^{power}: {count} for {most}");
                }
            }
        }
    }

    #[test]
    fn times_beyond_the_calendar_are_steps() {
        let ticks = ticks(TimeKind::UnixSeconds, i64::MIN, i64::MAX, 4);
        assert!(!ticks.is_empty() && ticks.len() <= 6);
        assert_eq!(moment(TimeKind::UnixSeconds, i64::MAX), format!("step {}", i64::MAX));
    }

    #[test]
    fn a_moment_is_as_exact_as_it_must_be() {
        let text = |at| moment(TimeKind::UnixSeconds, at);
        assert_eq!(text(START), "14 Mar 2018");
        assert_eq!(text(START + 6 * HOUR), "14 Mar 2018 06:00");
        assert_eq!(text(START + 1), "14 Mar 2018 00:00:01");
        assert_eq!(moment(TimeKind::Step, 512), "step 512");
    }

    #[test]
    fn one_moment_is_a_tick_or_none() {
        assert_eq!(ticks(TimeKind::Step, 7, 7, 5).len(), 1);
        assert!(ticks(TimeKind::UnixSeconds, START + 1, START + 1, 5).len() <= 1);
    }
}
