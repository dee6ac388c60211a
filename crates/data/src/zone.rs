//! How far local clocks are from UTC.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::civil::{DAY, SECOND, civil, nanoseconds, time_of_day};

/// How far the clock of one series is ahead of UTC.
#[derive(Debug, Clone, PartialEq)]
pub enum Zone {
    /// Always this many seconds; 0 also for stamps without an offset.
    Fixed(i32),
    /// The offsets written in the stamps.
    Written(Arc<WrittenOffsets>),
    /// The offsets of the time zone database.
    Named(TimeZone),
}

/// Offsets that change from row to row, as written in the stamps.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenOffsets {
    /// From each time in UTC on, so many seconds; the first also before.
    changes: Vec<Change>,
    /// The offsets, each once.
    different: Vec<i32>,
    /// The last time that has a stamp.
    last: i64,
    /// A zone with the same changes, used for times after the last row and between the rows around a
    /// change.
    rule: Option<TimeZone>,
}

/// A change of the offset, between two rows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Change {
    /// The last time with the offset before.
    before: i64,
    /// The first time with this offset.
    from: i64,
    offset: i32,
}

impl WrittenOffsets {
    fn offset_at(&self, instant: i64) -> i32 {
        let after = self.changes.partition_point(|change| change.from <= instant);
        let next_known = self.changes.get(after).is_none_or(|next| instant <= next.before);
        match &self.rule {
            Some(rule) if instant > self.last || !next_known => offset_in(rule, instant),
            _ => self.changes[after.saturating_sub(1)].offset,
        }
    }

    /// The time in UTC at which the clock shows `local`. Takes a time that grows with the number of
    /// different offsets, of which there are few, and not with the changes, of which each row may be
    /// one.
    fn instant(&self, local: i64) -> i64 {
        let ahead = |offset: i32| local.saturating_sub(i64::from(offset) * SECOND);
        let instants = || self.different.iter().map(|&offset| (ahead(offset), offset));
        // Between rows of one offset nothing is in doubt.
        let known = instants().filter(|&(instant, offset)| self.is_known(instant, offset)).min();
        if let Some((instant, _)) = known {
            return instant;
        }
        if let Some(rule) = &self.rule {
            return instant_in(rule, local);
        }
        let shown = instants().filter(|&(instant, offset)| self.offset_at(instant) == offset).min();
        if let Some((instant, _)) = shown {
            return instant;
        }
        // A time that the clock passes over counts by the offset before.
        let first = instants().map(|(instant, _)| instant).min().unwrap_or(local);
        let from = self.changes.partition_point(|change| change.from < first).saturating_sub(1);
        let passed = |pair: &&[Change]| {
            ahead(pair[0].offset) >= pair[1].from && ahead(pair[1].offset) < pair[1].from
        };
        let passed = self.changes[from..].windows(2).find(passed).map(|pair| pair[0].offset);
        ahead(passed.unwrap_or(self.changes[self.changes.len() - 1].offset))
    }

    /// Whether a time lies between rows of this offset.
    fn is_known(&self, instant: i64, offset: i32) -> bool {
        let after = self.changes.partition_point(|change| change.from <= instant);
        let Some(change) = after.checked_sub(1).map(|at| &self.changes[at]) else { return false };
        let end = self.changes.get(after).map_or(self.last, |next| next.before);
        change.offset == offset && instant <= end
    }

    /// Whether a zone has the same changes.
    fn is_like(&self, zone: &TimeZone) -> bool {
        let same = |change: &Change| offset_in(zone, change.from) == change.offset;
        self.changes.iter().all(same)
            && self.changes.windows(2).all(|pair| offset_in(zone, pair[1].before) == pair[0].offset)
            && self.changes.last().is_some_and(|c| offset_in(zone, self.last) == c.offset)
    }

    /// A zone that has the same changes: of all such, one with the commonest next three years.
    fn find_rule(&self) -> Option<TimeZone> {
        const MONTH: i64 = 30 * DAY;
        let zones = jiff::tz::db().available().filter_map(|name| TimeZone::get(name.as_str()).ok());
        let mut found: Vec<(Vec<i32>, TimeZone, usize)> = Vec::new();
        for zone in zones.filter(|zone| self.is_like(zone)) {
            let months = (1..=36).map(|month| self.last.saturating_add(month * MONTH));
            let next: Vec<i32> = months.map(|time| offset_in(&zone, time)).collect();
            match found.iter_mut().find(|(known, ..)| *known == next) {
                Some((.., count)) => *count += 1,
                None => found.push((next, zone, 1)),
            }
        }
        found.into_iter().max_by_key(|(.., count)| *count).map(|(_, zone, _)| zone)
    }
}

fn offset_in(zone: &TimeZone, instant: i64) -> i32 {
    let stamp = Timestamp::from_nanosecond(i128::from(instant));
    stamp.map_or(0, |stamp| zone.to_offset(stamp).seconds())
}

/// Finds zones for offsets that are written; one that was found is tried first for the next series.
#[derive(Debug, Default)]
pub(crate) struct ZoneSearch {
    last: Option<TimeZone>,
    /// Searches so far, each through the whole database.
    searches: usize,
}

/// Searches for one table; series beyond them keep their last offset.
const MOST_SEARCHES: usize = 100;

impl ZoneSearch {
    fn rule(&mut self, offsets: &WrittenOffsets) -> Option<TimeZone> {
        if let Some(known) = self.last.as_ref().filter(|zone| offsets.is_like(zone)) {
            return Some(known.clone());
        }
        if self.searches == MOST_SEARCHES {
            return None;
        }
        self.searches += 1;
        let found = offsets.find_rule();
        self.last = found.clone().or(self.last.take());
        found
    }
}

/// On which clock steps are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// What the clock on the wall shows: days and months begin at local midnight.
    #[default]
    Local,
    /// UTC: hours are equally long also where the clock on the wall changes.
    Utc,
}

impl Default for Zone {
    fn default() -> Self {
        Zone::Fixed(0)
    }
}

impl Zone {
    /// The zone of rows in the order of their times.
    pub(crate) fn of_rows(rows: impl Iterator<Item = (i64, i32)>, search: &mut ZoneSearch) -> Self {
        let mut changes: Vec<Change> = Vec::new();
        let mut last = i64::MIN;
        for (from, offset) in rows {
            if changes.last().is_none_or(|change| change.offset != offset) {
                changes.push(Change { before: last, from, offset });
            }
            last = from;
        }
        match changes.as_slice() {
            [] => Zone::default(),
            [Change { offset, .. }] => Zone::Fixed(*offset),
            _ => {
                let mut different: Vec<i32> = changes.iter().map(|change| change.offset).collect();
                different.sort_unstable();
                different.dedup();
                let mut offsets = WrittenOffsets { changes, different, last, rule: None };
                offsets.rule = search.rule(&offsets);
                Zone::Written(Arc::new(offsets))
            }
        }
    }

    /// Whether the clock changes.
    pub(crate) fn changes(&self) -> bool {
        !matches!(self, Zone::Fixed(_))
    }

    /// Seconds that the clock is ahead of UTC at a time in UTC.
    pub fn offset_at(&self, instant: i64) -> i32 {
        match self {
            Zone::Fixed(offset) => *offset,
            Zone::Written(offsets) => offsets.offset_at(instant),
            Zone::Named(zone) => offset_in(zone, instant),
        }
    }

    /// What the clock shows at a time in UTC.
    pub fn local(&self, instant: i64) -> i64 {
        instant.saturating_add(i64::from(self.offset_at(instant)) * SECOND)
    }

    /// The time in UTC at which the clock shows `local`: the first one of two, and the time after a
    /// gap for one that it never shows.
    pub fn instant(&self, local: i64) -> i64 {
        let ahead = |offset: i32| local.saturating_sub(i64::from(offset) * SECOND);
        match self {
            Zone::Fixed(offset) => ahead(*offset),
            Zone::Named(zone) => instant_in(zone, local),
            Zone::Written(offsets) => offsets.instant(local),
        }
    }

    /// A time on one of the two clocks, as it is in UTC and as the clock on the wall shows it. (A
    /// midnight that the clock passes over is the first time after it.)
    pub fn both(&self, time: i64, clock: Clock) -> (i64, i64) {
        let instant = match clock {
            Clock::Local => self.instant(time),
            Clock::Utc => time,
        };
        (instant, self.local(instant))
    }

    /// What the clock shows at times in UTC. Where it passes over the time of day at which the others
    /// are, as some clocks do at midnight, that time of day is given.
    pub(crate) fn local_times(&self, instants: &[i64]) -> Vec<i64> {
        let mut times: Vec<i64> = instants.iter().map(|&instant| self.local(instant)).collect();
        if !self.changes() {
            return times;
        }
        let usual = times.iter().map(|&time| time_of_day(time)).min().unwrap_or(0);
        for (time, &instant) in times.iter_mut().zip(instants) {
            *time = at_usual(*time, usual, |meant| self.instant(meant) == instant);
        }
        times
    }
}

/// What the clock of a row shows, and how far it is ahead of UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) local: i64,
    pub(crate) offset: i32,
}

impl Shown {
    /// What the clock of this row shows, or the time of day of the row before where the clock went
    /// forward over it since, as [`Zone::local_times`] for rows of which only two are known.
    pub(crate) fn after(self, before: Shown) -> i64 {
        let forward = i64::from(self.offset - before.offset) * SECOND;
        let is_passed = |meant: i64| forward > 0 && self.local.checked_sub(forward) == Some(meant);
        at_usual(self.local, time_of_day(before.local), is_passed)
    }
}

/// The time `local`, or that of the same day at the time of day `usual` if the clock passed over
/// this one, so that `local` is what it showed in its place.
fn at_usual(local: i64, usual: i64, is_passed: impl Fn(i64) -> bool) -> i64 {
    let meant = local.checked_sub(time_of_day(local)).and_then(|day| day.checked_add(usual));
    meant.filter(|&meant| meant != local && is_passed(meant)).unwrap_or(local)
}

fn instant_in(zone: &TimeZone, local: i64) -> i64 {
    let found = zone.to_ambiguous_timestamp(civil(local)).compatible().ok();
    let found = found.and_then(|stamp| i64::try_from(stamp.as_nanosecond()).ok());
    found.or_else(|| nanoseconds(civil(local))).unwrap_or(local)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::civil::HOUR;

    #[test]
    fn written_offsets_and_a_named_zone_say_the_same() {
        // Berlin leaves summer time on 2023-10-29 01:00 UTC.
        let change = nanoseconds(jiff::civil::date(2023, 10, 29).at(1, 0, 0, 0)).unwrap();
        let hours = (-30..30).map(|hour| change + hour * HOUR);
        let rows = hours.clone().map(|time| (time, if time < change { 7200 } else { 3600 }));
        let mut search = ZoneSearch::default();
        let written = Zone::of_rows(rows, &mut search);
        let named = Zone::Named(TimeZone::get("Europe/Berlin").unwrap());
        for time in hours {
            assert_eq!(written.offset_at(time), named.offset_at(time));
            let local = written.local(time);
            // The hour that comes twice is the first of the two.
            let twice = (0..HOUR).contains(&(time - change));
            let wanted = if twice { time - HOUR } else { time };
            assert_eq!(written.instant(local), wanted);
            assert_eq!(named.instant(local), wanted);
        }
        let same = Zone::of_rows([(5, 60), (9, 60)].into_iter(), &mut search);
        assert_eq!(same, Zone::Fixed(60));
        // The zone that was found knows the next change, on 2024-03-31 01:00 UTC.
        let change = nanoseconds(jiff::civil::date(2024, 3, 31).at(1, 0, 0, 0)).unwrap();
        assert_eq!([change - 1, change].map(|time| written.offset_at(time)), [3600, 7200]);
        assert_eq!(written.instant(written.local(change)), change);
    }
    /// The first rule of `instant`, in the order of the changes.
    fn instant_by_search(zone: &Zone, local: i64) -> Option<i64> {
        let Zone::Written(offsets) = zone else { return None };
        let ends = offsets.changes.iter().skip(1).map(|change| change.before);
        let mut known = offsets.changes.iter().zip(ends.chain([offsets.last]));
        known.find_map(|(change, end)| {
            let instant = local - i64::from(change.offset) * SECOND;
            (change.from..=end).contains(&instant).then_some(instant)
        })
    }

    #[test]
    fn clocks_of_any_changes_are_read_back() {
        // Offsets that no zone has, which change after some rows each.
        for length in [1, 2, 5] {
            let rows =
                (0..200).map(|row| (row * HOUR, [3600, 5400, 7200][row as usize / length % 3]));
            let zone = Zone::of_rows(rows.clone(), &mut ZoneSearch::default());
            for (instant, offset) in rows {
                let local = instant + i64::from(offset) * SECOND;
                assert_eq!(zone.local(instant), local);
                assert_eq!(Some(zone.instant(local)), instant_by_search(&zone, local), "{length}");
            }
        }
    }

    #[test]
    fn offsets_that_alternate_take_no_longer_than_others() {
        const ROWS: i64 = 100_000;
        let rows = (0..ROWS).map(|row| (row * HOUR + 5, if row % 2 == 0 { 3600 } else { 7200 }));
        let zone = Zone::of_rows(rows, &mut ZoneSearch::default());
        let instants: Vec<i64> = (0..ROWS).map(|row| row * HOUR + 5).collect();
        let begin = std::time::Instant::now();
        let times = zone.local_times(&instants);
        assert_eq!(times.len(), instants.len());
        // Searches through all changes for each row took minutes.
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }

    #[test]
    fn a_time_of_day_that_the_clock_passes_over_is_kept() {
        let day = |local: i64, offset: i32| Shown { local, offset };
        let midnight = day(3 * DAY, -10_800);
        assert_eq!(day(4 * DAY + HOUR, -7200).after(midnight), 4 * DAY);
        // The clock went back, or did not change, or shows another time of day.
        assert_eq!(day(4 * DAY + HOUR, -14_400).after(midnight), 4 * DAY + HOUR);
        assert_eq!(day(4 * DAY + HOUR, -10_800).after(midnight), 4 * DAY + HOUR);
        assert_eq!(day(4 * DAY + 2 * HOUR, -7200).after(midnight), 4 * DAY + 2 * HOUR);
        for local in [i64::MIN, i64::MAX] {
            assert_eq!(day(local, 3600).after(day(local, 0)), local);
        }
        let zone = Zone::Named(TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(zone.local_times(&[i64::MIN, i64::MAX]).len(), 2);
    }
}
