//! Makes one row of all that lie in one step, for every series.

use super::calendar::{Calendar, Frequency, Holidays, common_distance};
use super::raw_series::{Origin, RawSeries};
use super::repair::{RepairReport, Resampled};
use super::resample::Resample;
use super::zone::Clock;
use crate::civil::{DAY, SECOND, WEEK, date, midnight, month_number, month_start, time_of_day};
use ptsm_core::{Result, option};

/// On which clock its steps are counted.
fn clock(step: Frequency) -> Clock {
    if step.counts_days() { Clock::Local } else { Clock::Utc }
}

/// Makes one row of those in each step, for every series. Rows must rise.
///
/// The first and the last step of a series are left out where they have fewer rows than most.
pub(super) fn resample(
    rule: Resample,
    series: &mut [RawSeries],
    holidays: &Holidays,
    origin: Origin<'_>,
    report: &mut RepairReport,
) -> Result<()> {
    check_longer(rule, series, origin)?;
    let mut done = Resampled { rule, from: 0, to: 0, left_out: 0 };
    for raw in series {
        done.from += raw.rows.len();
        done.left_out += one(rule, raw, holidays, origin);
        done.to += raw.rows.len();
    }
    report.resampled = Some(done);
    Ok(())
}

fn check_longer(rule: Resample, series: &[RawSeries], origin: Origin<'_>) -> Result<()> {
    let times = || series.iter().filter_map(|raw| raw.times.as_deref());
    let distance = common_distance(times(), |from, to| to.saturating_sub(from));
    // Months differ in length: a step of 31 days is no longer than a month.
    let too_long = |distance: i64| {
        rule.step.usual_length().is_some_and(|length| distance > length + length / 9)
    };
    match (distance.filter(|&distance| too_long(distance)), series.first()) {
        (Some(distance), Some(raw)) => {
            let message = format!(
                "the rows come every {}, a longer step than {} ({} joins rows, it makes no new \
                 ones)",
                Frequency::Nanoseconds(distance),
                rule.step,
                option("resample", None)
            );
            Err(origin.at_row(raw, 0, message))
        }
        _ => Ok(()),
    }
}

/// Resamples one series; gives the number of rows that are left out.
fn one(rule: Resample, raw: &mut RawSeries, holidays: &Holidays, origin: Origin<'_>) -> usize {
    let Some(times) = raw.times.take() else { return 0 };
    let calendar = Calendar { holidays: holidays.clone(), ..Calendar::of(rule.step) };
    let (clock, zone) = (clock(rule.step), raw.zone.clone());
    // Half hours of an offset shift where hours begin.
    let first_offset = times.first().map_or(0, |&time| zone.offset_at(time));
    let shift = i64::from(first_offset) * SECOND;
    let start = |&time: &i64| match clock {
        Clock::Local => zone.instant(floor(&calendar, zone.local(time))),
        Clock::Utc => floor(&calendar, time + shift) - shift,
    };
    let starts: Vec<i64> = times.iter().map(start).collect();
    let channels = origin.cells.len();
    let all = raw.take_values(origin);
    let mut groups: Vec<std::ops::Range<usize>> = Vec::new();
    let mut from = 0;
    for group in starts.chunk_by(|a, b| a == b) {
        groups.push(from..from + group.len());
        from += group.len();
    }
    let (kept, left_out) = complete(&groups);
    let cell = |rows: &std::ops::Range<usize>, c: usize| {
        rule.rule.of(rows.clone().map(|row| all[row * channels + c]))
    };
    let values = kept.iter().flat_map(|rows| (0..channels).map(move |c| cell(rows, c)));
    let values: Vec<f64> = values.collect();
    raw.rows = raw.rows.choose(kept.iter().map(|rows| rows.start));
    raw.times = Some(kept.iter().map(|rows| starts[rows.start]).collect());
    raw.values = Some(values);
    left_out
}

/// The groups without an incomplete first and last one, and how many rows that leaves out.
fn complete(groups: &[std::ops::Range<usize>]) -> (&[std::ops::Range<usize>], usize) {
    let mut counts: Vec<usize> = groups.iter().map(ExactSizeIterator::len).collect();
    if groups.len() < 3 {
        return (groups, 0);
    }
    let (first, last) = (counts[0], counts[counts.len() - 1]);
    let middle = counts.len() / 2;
    let (_, &mut usual, _) = counts.select_nth_unstable(middle);
    let (mut kept, mut left_out) = (groups, 0);
    if first < usual {
        (kept, left_out) = (&kept[1..], first);
    }
    if last < usual {
        (kept, left_out) = (&kept[..kept.len() - 1], left_out + last);
    }
    (kept, left_out)
}

/// The start of the step that a time lies in, on the clock of its steps.
fn floor(calendar: &Calendar, time: i64) -> i64 {
    let months = |count: u32| {
        let count = i64::from(count);
        month_start(month_number(date(time)).div_euclid(count) * count)
    };
    let found = match calendar.step {
        Frequency::Nanoseconds(step) if step % WEEK == 0 => {
            // The first Monday of 1970 was the 5th of January.
            let monday = 4 * DAY;
            Some((time - monday).div_euclid(step) * step + monday)
        }
        Frequency::Nanoseconds(step) => Some(time.div_euclid(step) * step),
        Frequency::Months(count) => months(count).and_then(midnight),
        Frequency::MonthEnds(count) => months(count).and_then(|first| {
            let last = month_start(month_number(first) + i64::from(count) - 1)?;
            midnight(last.last_of_month())
        }),
        // A weekend counts to the working day in front of it.
        _ => Some(calendar.after(time - time_of_day(time), 0)),
    };
    found.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_begin_where_people_expect() {
        let time = |text: &str| crate::civil::nanoseconds(text.parse().unwrap()).unwrap();
        for (step, at, wanted) in [
            ("1h", "2024-05-15T13:59:59", "2024-05-15T13:00:00"),
            ("1d", "2024-05-15T13:59:59", "2024-05-15T00:00:00"),
            ("1w", "2024-05-15T13:59:59", "2024-05-13T00:00:00"),
            ("1b", "2024-05-19T13:59:59", "2024-05-17T00:00:00"),
            ("1mo", "2024-05-15T13:59:59", "2024-05-01T00:00:00"),
            ("q", "2024-05-15T13:59:59", "2024-04-01T00:00:00"),
            ("y", "2024-05-15T13:59:59", "2024-01-01T00:00:00"),
            ("3mo-end", "2024-05-15T13:59:59", "2024-06-30T00:00:00"),
        ] {
            let calendar = Calendar::of(step.parse().unwrap());
            assert_eq!(floor(&calendar, time(at)), time(wanted), "{step}");
        }
    }
}
