//! The step of given rows, and the days of the month that each series keeps to.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::anchor::Anchor;
use super::frequency::Frequency;
use super::holidays::Holidays;
use super::series_calendar::Calendar;
use crate::civil::{DAY, date, date_of_day, day_number, month_number, time_of_day};

/// The step that most neighbouring rows have, over all series; the shorter one of two that are
/// equally common. `None` if no two rows differ.
///
/// `series`: rising local times. A calendar step (months, working days) is found where every row
/// lies on its calendar.
pub(crate) fn detect<'a>(
    series: impl Iterator<Item = &'a [i64]> + Clone,
    holidays: &Holidays,
) -> Option<Frequency> {
    let step = common_distance(series.clone(), |from, to| to.saturating_sub(from))?;
    let fixed = Frequency::Nanoseconds(step);
    if step < DAY {
        return Some(fixed);
    }
    let days = step / DAY;
    let found = match days {
        1 => business_days(series, holidays),
        8..=11 => month_parts(series, 3),
        12..=18 => month_parts(series, 2),
        28.. => months(series, holidays),
        _ => None,
    };
    Some(found.unwrap_or(fixed))
}

/// The days of the month that one series keeps to; `None` if its rows do not fit such a step.
pub(crate) fn anchor(times: &[i64], step: Frequency) -> Option<Anchor> {
    let dates = times.iter().map(|&time| date(time));
    let found = match step {
        Frequency::MonthEnds(_) => Anchor::day(31),
        Frequency::Months(_) => Anchor::day(dates.clone().map(Date::day).max()?),
        Frequency::MonthParts(parts) => parts_of(dates.clone(), parts as usize)?,
        _ => return Some(Anchor::NONE),
    };
    found.fits(dates).then_some(found)
}

/// The smallest set of days of the month that all dates lie on.
fn parts_of(dates: impl Iterator<Item = Date>, parts: usize) -> Option<Anchor> {
    let mut days = [false; 32];
    dates.for_each(|date| days[date.day().unsigned_abs() as usize] = true);
    let found: Vec<u8> = (1..=31).filter(|&day| days[day as usize]).collect();
    // The last days of the months are several days that mean one.
    let early = found.iter().filter(|&&day| day < 28).count();
    let mut kept: Vec<u8> = found[..early].to_vec();
    kept.extend(found[early..].last());
    (kept.len() == parts).then(|| Anchor::days(&kept)).flatten()
}

fn months<'a>(
    series: impl Iterator<Item = &'a [i64]> + Clone,
    holidays: &Holidays,
) -> Option<Frequency> {
    let distance = |from, to| month_number(date(to)) - month_number(date(from));
    let months = u32::try_from(common_distance(series.clone(), distance)?).ok()?;
    if !series.clone().all(one_time_of_day) {
        return None;
    }
    let same_days = |times: &[i64]| {
        let days = times.first().map(|&time| date(time).day());
        times.iter().all(|&time| Some(date(time).day()) == days)
    };
    if series.clone().all(same_days) {
        return Some(Frequency::Months(months));
    }
    let is_end = |&time: &i64| date(time) == date(time).last_of_month();
    if series.clone().all(|times| times.iter().all(is_end)) {
        return Some(Frequency::MonthEnds(months));
    }
    let step = Frequency::Months(months);
    if series.clone().all(|times| anchor(times, step).is_some()) {
        return Some(step);
    }
    let of = |step| Calendar { holidays: holidays.clone(), ..Calendar::of(step) };
    [Frequency::BusinessMonthEnds(months), Frequency::BusinessMonthStarts(months)]
        .into_iter()
        .find(|&step| series.clone().flatten().all(|&time| of(step).holds(time)))
}

fn month_parts<'a>(
    series: impl Iterator<Item = &'a [i64]> + Clone,
    parts: u32,
) -> Option<Frequency> {
    let step = Frequency::MonthParts(parts);
    let mut fits = series.clone().all(|times| {
        one_time_of_day(times) && (times.len() < parts as usize || anchor(times, step).is_some())
    });
    // Twelve rows two weeks apart may hit two days of the month by chance; three months do not.
    fits &= series.into_iter().any(|times| times.len() >= 3 * parts as usize);
    fits.then_some(step)
}

/// Working days: no row on a weekend, and a weekend that rows pass over.
fn business_days<'a>(
    series: impl Iterator<Item = &'a [i64]> + Clone,
    holidays: &Holidays,
) -> Option<Frequency> {
    let calendar =
        Calendar { holidays: holidays.clone(), ..Calendar::of(Frequency::BusinessDays(1)) };
    let all = series
        .clone()
        .all(|times| one_time_of_day(times) && times.iter().all(|&time| calendar.holds(time)));
    let passes = |times: &[i64]| {
        let (Some(&first), Some(&last)) = (times.first(), times.last()) else { return false };
        let friday = |day: i64| date_of_day(day).map(|date| date.weekday());
        let (from, to) = (day_number(date(first)), day_number(date(last)));
        (from..to).take(7).any(|day| friday(day) == Some(jiff::civil::Weekday::Friday))
    };
    (all && series.into_iter().any(passes)).then_some(Frequency::BusinessDays(1))
}

fn one_time_of_day(times: &[i64]) -> bool {
    times.windows(2).all(|pair| time_of_day(pair[0]) == time_of_day(pair[1]))
}

/// The most common positive distance between neighbours; the smallest one of several.
pub(crate) fn common_distance<'a>(
    series: impl Iterator<Item = &'a [i64]>,
    distance: impl Fn(i64, i64) -> i64,
) -> Option<i64> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for times in series {
        // Neighbours mostly are equally far apart: count them together.
        let (mut last, mut run) = (0, 0);
        for pair in times.windows(2) {
            let distance = distance(pair[0], pair[1]);
            if distance != last {
                *counts.entry(last).or_default() += run;
                (last, run) = (distance, 0);
            }
            run += 1;
        }
        *counts.entry(last).or_default() += run;
    }
    let positive = counts.range(1..).filter(|(_, count)| **count > 0);
    // The first of the largest: `max_by_key` would give the last.
    let most = positive.clone().map(|(_, count)| *count).max()?;
    positive.into_iter().find(|(_, count)| **count == most).map(|(&distance, _)| distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::{DateOrder, parse_timestamp};

    fn times(texts: &[&str]) -> Vec<i64> {
        let parse = |text: &&str| parse_timestamp(text, DateOrder::MonthDayYear).unwrap().local;
        texts.iter().map(parse).collect()
    }

    fn found(texts: &[&str]) -> Option<String> {
        let times = times(texts);
        let found = detect(std::iter::once(times.as_slice()), &Holidays::default());
        found.map(|step| step.to_string())
    }

    #[test]
    fn the_most_common_step_is_found_in_its_largest_unit() {
        for (texts, wanted) in [
            (&["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01 02:00"][..], "1h"),
            (&["2020-01-01 00:00", "2020-01-01 00:15"], "15min"),
            (&["2020-01-01", "2020-01-02", "2020-01-03"], "1d"),
            (&["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04", "2020-01-06"], "1d"),
            (&["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06"], "1b"),
            (&["2020-01-01", "2020-01-08"], "1w"),
            (&["2020-01-01", "2020-02-01", "2020-03-01"], "1mo"),
            (&["2020-01", "2020-04", "2020-07"], "3mo"),
            (&["2019-02-28", "2019-03-31", "2019-04-30"], "1mo-end"),
            (&["2019-03-31", "2019-06-30", "2019-09-30"], "3mo-end"),
            (&["2019-01-30", "2019-02-28", "2019-03-30"], "1mo"),
            (&["2020-01-31", "2020-02-28", "2020-03-31", "2020-05-29"], "1bmo-end"),
            (&["2020-01-01", "2020-02-03", "2020-03-02", "2020-04-01"], "1bmo-start"),
            (&["2019-12-31", "2020-12-31"], "1y"),
            (&["2020-01-01", "2020-01-29", "2020-02-26"], "4w"),
            (&["2020-01-01 00:00:00", "2020-01-01 00:00:05"], "5s"),
            (&["2020-01-01 00:00:00.1", "2020-01-01 00:00:00.2"], "100ms"),
            (
                &[
                    "2020-01-01",
                    "2020-01-15",
                    "2020-02-01",
                    "2020-02-15",
                    "2020-03-01",
                    "2020-03-15",
                ],
                "1/2mo",
            ),
            (
                &[
                    "2020-01-15",
                    "2020-01-31",
                    "2020-02-15",
                    "2020-02-29",
                    "2020-03-15",
                    "2020-03-31",
                ],
                "1/2mo",
            ),
        ] {
            assert_eq!(found(texts).as_deref(), Some(wanted), "{texts:?}");
            assert_eq!(wanted.parse::<Frequency>().unwrap().to_string(), wanted);
        }
        assert_eq!(found(&["2020-01-01"]), None);
    }

    #[test]
    fn each_series_has_an_anchor_of_its_own() {
        let all = [
            times(&["2019-01-30", "2019-02-28", "2019-03-30"]),
            times(&["2019-01-15", "2019-02-15"]),
            times(&["2019-01-31", "2019-02-28", "2019-03-31"]),
        ];
        let step = detect(all.iter().map(Vec::as_slice), &Holidays::default()).unwrap();
        assert_eq!(step, Frequency::Months(1));
        let anchors: Vec<_> = all.iter().map(|times| anchor(times, step).unwrap()).collect();
        assert_eq!(anchors, [Anchor::day(30), Anchor::day(15), Anchor::day(31)]);
        let other = times(&["2019-01-30", "2019-02-27"]);
        assert_eq!(anchor(&other, step), None);
    }
}
