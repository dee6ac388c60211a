//! The rows of one series on their way to the grid: order, double rows, gaps.

use super::calendar::{Anchor, Calendar, length_text};
use super::possible_id::possible_id;
use super::repair::{Duplicates, Grid, Repair, RepairReport};
use super::roles::Resolved;
use super::rounding::Rounding;
use super::table::Table;
use super::table_rows::TableRows;
use super::zone::{Zone, ZoneSearch};
use crate::civil::SECOND;
use ptsm_core::{Error, MemoryBudget, Result, bytes_of, option};

/// The rows of one series on their way to the grid.
#[derive(Debug)]
pub(super) struct RawSeries {
    pub(super) id: String,
    /// Row of the table that each row came from.
    pub(super) rows: TableRows,
    /// As long as `rows`, or `None` without times: nanoseconds in UTC, in the end those of the
    /// clock on which steps are counted; whole numbers of an index.
    pub(super) times: Option<Vec<i64>>,
    /// Seconds that the clock of each row is ahead of UTC, where rows differ.
    pub(super) offsets: Option<Vec<i32>>,
    /// The clock of the series.
    pub(super) zone: Zone,
    /// The days of the month that it keeps to.
    pub(super) anchor: Anchor,
    /// `[T, C]`, NaN = missing; `None` as long as they are those of `rows` in the table.
    pub(super) values: Option<Vec<f64>>,
}

impl RawSeries {
    /// The values, taken out.
    pub(super) fn take_values(&mut self, origin: Origin<'_>) -> Vec<f64> {
        self.values.take().unwrap_or_else(|| {
            let columns = origin.cells;
            if let [cells] = columns {
                return self.rows.of(cells);
            }
            let mut values = Vec::with_capacity(self.rows.len() * columns.len());
            for index in 0..self.rows.len() {
                let row = self.rows.at(index);
                values.extend(columns.iter().map(|cells| cells[row]));
            }
            values
        })
    }

    /// Its times; none without times.
    pub(super) fn times(&self) -> &[i64] {
        self.times.as_deref().unwrap_or_default()
    }

    /// Whether each row is later than the one above it.
    pub(super) fn rises(&self) -> bool {
        self.times().windows(2).all(|pair| pair[0] < pair[1])
    }

    /// What the clock of a row shows.
    pub(super) fn local_time(&self, index: usize) -> Option<i64> {
        let instant = *self.times.as_ref()?.get(index)?;
        Some(match &self.offsets {
            Some(offsets) => instant.saturating_add(i64::from(offsets[index]) * SECOND),
            None => self.zone.local(instant),
        })
    }

    pub(super) fn move_time(&mut self, index: usize, by: i64) {
        if let Some(time) = self.times.as_mut().and_then(|times| times.get_mut(index)) {
            *time = time.saturating_add(by);
        }
    }

    /// Takes the clock of the series from its rows, which rise.
    pub(super) fn settle_zone(&mut self, search: &mut ZoneSearch) {
        if let (Some(times), Some(offsets)) = (&self.times, self.offsets.take()) {
            self.zone = Zone::of_rows(times.iter().copied().zip(offsets), search);
        }
    }
}

/// Where the rows come from, for messages.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) table: &'a Table,
    pub(super) roles: &'a Resolved<'a>,
    /// The cells of each channel.
    pub(super) cells: &'a [&'a [f64]],
    /// What the series may take together.
    pub(super) budget: &'a MemoryBudget,
}

impl Origin<'_> {
    pub(super) fn at_row(&self, raw: &RawSeries, index: usize, message: String) -> Error {
        let column = self.roles.timestamp.as_ref().map_or("", |time| &time.name);
        let series = match raw.id.as_str() {
            "" => String::new(),
            id => format!("series \"{id}\": "),
        };
        Error::input(format!("{series}{message}")).at(self.table.place(raw.rows.at(index), column))
    }

    /// The time of a row as written in the table.
    pub(super) fn show(&self, raw: &RawSeries, index: usize) -> String {
        let column = self.roles.timestamp.as_ref().and_then(|time| self.table.column(&time.name));
        column.map_or_else(String::new, |column| column.values.text(raw.rows.at(index)))
    }

    /// The hint that another column names the series, if one explains the order of the times.
    fn id_hint(&self) -> String {
        match possible_id(self.table, self.roles) {
            Some(name) => {
                let option = option("id", Some(name));
                format!("use {option} if that column names the series, or ")
            }
            None => "use ".to_owned(),
        }
    }
}

/// Makes the times rise: sorts the rows and merges double ones, as far as `repair` allows.
pub(super) fn order(
    raw: &mut RawSeries,
    repair: &Repair,
    origin: Origin<'_>,
    report: &mut RepairReport,
) -> Result<()> {
    let Some(times) = &raw.times else {
        return Ok(());
    };
    let backward = times.windows(2).position(|pair| pair[1] < pair[0]);
    // Rows in descending order are refused, also where the grid is not checked.
    let reversed = times.len() > 2 && times.windows(2).all(|pair| pair[1] <= pair[0]);
    if let Some(index) = backward {
        if repair.sort {
            sort(raw, report);
        } else if repair.grid == Grid::Regular || reversed {
            let (before, time) = (origin.show(raw, index), origin.show(raw, index + 1));
            let hint = origin.id_hint();
            let message = format!(
                "{time} comes after {before}, but times must rise ({hint}{} to order the rows)",
                option("sort", None)
            );
            return Err(origin.at_row(raw, index + 1, message));
        }
    }
    match repair.grid {
        Grid::Regular => merge_duplicates(raw, repair.duplicates, origin, report),
        Grid::Rows => Ok(()),
    }
}

/// Puts the rows into the order of their times.
fn sort(raw: &mut RawSeries, report: &mut RepairReport) {
    let times = raw.times.take().unwrap_or_default();
    let mut latest = i64::MIN;
    for &time in &times {
        report.rows_reordered += usize::from(time < latest);
        latest = latest.max(time);
    }
    let mut permutation: Vec<usize> = (0..times.len()).collect();
    permutation.sort_by_key(|&index| times[index]);
    raw.rows = raw.rows.choose(permutation.iter().copied());
    if let Some(offsets) = &mut raw.offsets {
        *offsets = permutation.iter().map(|&index| offsets[index]).collect();
    }
    raw.times = Some(permutation.iter().map(|&index| times[index]).collect());
}

/// Merges rows of one time, which lie together, as far as `repair` allows.
pub(super) fn merge_duplicates(
    raw: &mut RawSeries,
    duplicates: Duplicates,
    origin: Origin<'_>,
    report: &mut RepairReport,
) -> Result<()> {
    let times = raw.times.as_deref().unwrap_or_default();
    let Some(index) = times.windows(2).position(|pair| pair[0] == pair[1]) else {
        return Ok(());
    };
    if duplicates == Duplicates::Error {
        return Err(double(raw, index, origin));
    }
    let channels = origin.cells.len();
    let all = raw.take_values(origin);
    let times = raw.times.as_deref().unwrap_or_default();
    let (mut kept, mut firsts, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    for group in times.chunk_by(|a, b| a == b) {
        let cells = &all[first * channels..(first + group.len()) * channels];
        firsts.push(first);
        kept.push(group[0]);
        let channel = |channel| merge(cells.iter().skip(channel).step_by(channels), duplicates);
        values.extend((0..channels).map(channel));
        if let Some(offsets) = &mut raw.offsets {
            offsets[kept.len() - 1] = offsets[first];
        }
        first += group.len();
    }
    report.duplicates_merged += times.len() - kept.len();
    if let Some(offsets) = &mut raw.offsets {
        offsets.truncate(kept.len());
    }
    raw.rows = raw.rows.choose(firsts.into_iter());
    (raw.times, raw.values) = (Some(kept), Some(values));
    Ok(())
}

/// The error of a row that has the time of the row before, which is number `index`.
fn double(raw: &RawSeries, index: usize, origin: Origin<'_>) -> Error {
    let earlier = origin.table.row_name(raw.rows.at(index));
    let (before, time) = (origin.show(raw, index), origin.show(raw, index + 1));
    // Stamps of two offsets may be one time, or show one time of day where a clock is put back.
    let was = match before == time {
        true => "was there before".to_owned(),
        false => format!("falls on the same step as {before}"),
    };
    let message = format!(
        "{time} {was}, in {earlier} ({}{} first, last or mean to merge such rows, {} to take every row \
         as one step)",
        origin.id_hint(),
        option("duplicates", None),
        option("grid", Some("rows"))
    );
    origin.at_row(raw, index + 1, message)
}

/// One cell out of those of one channel and time.
fn merge<'a>(mut cells: impl Iterator<Item = &'a f64>, duplicates: Duplicates) -> f64 {
    let cell = match duplicates {
        Duplicates::First | Duplicates::Error => cells.next().copied(),
        Duplicates::Last => cells.last().copied(),
        Duplicates::Mean => {
            let (sum, count) = cells
                .filter(|cell| !cell.is_nan())
                .fold((0.0, 0.0), |(sum, count), cell| (sum + cell, count + 1.0));
            Some(sum / count)
        }
    };
    cell.unwrap_or(f64::NAN)
}

/// Inserted rows that are always allowed, besides twenty for each row that is there.
const FREE_ROWS: usize = 100_000;

/// Puts rising rows on the calendar, from the first one on; gaps become rows of NaN.
pub(super) fn fill_gaps(
    raw: &mut RawSeries,
    calendar: &Calendar,
    origin: Origin<'_>,
    report: &mut RepairReport,
) -> Result<()> {
    let times = raw.times.as_deref().unwrap_or_default();
    let Some(&start) = times.first() else {
        return Ok(());
    };
    if calendar.is_even(times) {
        return Ok(());
    }
    let mut places = Vec::with_capacity(times.len());
    for (index, &time) in times.iter().enumerate() {
        let Some(place) = calendar.steps_between(start, time) else {
            return Err(off_grid(raw, index, calendar, origin));
        };
        match usize::try_from(place).ok().filter(|place| places.last().is_none_or(|p| p < place)) {
            Some(place) => places.push(place),
            None => return Err(not_later(raw, index, origin)),
        }
    }
    let length = places.last().map_or(0, |last| last + 1);
    let inserted = length - times.len();
    if inserted == 0 {
        return Ok(());
    }
    if inserted > FREE_ROWS + 20 * times.len() {
        let (rows, step) = (times.len(), calendar.step);
        let message = format!(
            "on a grid of {step}, {inserted} rows between the {rows} given ones are missing (use {} \
             to give a longer step, or {} to take every row as one step)",
            option("frequency", None),
            option("grid", Some("rows"))
        );
        return Err(origin.at_row(raw, 0, message));
    }
    report.rows_inserted += inserted;
    let channels = origin.cells.len();
    // Values, whether each is known, and times twice on the way.
    origin.budget.take(bytes_of(&[length, 2 * channels + channels / 4 + 4]))?;
    let seen = raw.take_values(origin);
    let mut values = vec![f64::NAN; length * channels];
    for (row, place) in places.into_iter().enumerate() {
        let cells = &seen[row * channels..][..channels];
        values[place * channels..][..channels].copy_from_slice(cells);
    }
    raw.values = Some(values);
    raw.times = Some((0..length).map(|place| calendar.after(start, place as i64)).collect());
    Ok(())
}

/// The error of a row that is later than the row before, but not on the clock of the steps.
fn not_later(raw: &RawSeries, index: usize, origin: Origin<'_>) -> Error {
    let (before, time) = (origin.show(raw, index.saturating_sub(1)), origin.show(raw, index));
    let message = format!(
        "{time} is not later than {before} on the local clock, which was put back between them (use {} \
         for a step that fits the rows in UTC, or {} to take every row as one step)",
        option("frequency", None),
        option("grid", Some("rows"))
    );
    origin.at_row(raw, index, message)
}

/// The error of a row that is not on the calendar.
fn off_grid(raw: &RawSeries, index: usize, calendar: &Calendar, origin: Origin<'_>) -> Error {
    let (time, start) = (origin.show(raw, index), origin.show(raw, 0));
    let times = raw.times.as_deref().filter(|_| !calendar.step.is_index());
    let rounding = times.and_then(Rounding::that_helps).map_or(String::new(), |(rounding, far)| {
        let option = option("round", Some(&rounding.to_string()));
        format!(", {option}, which moves no time by more than {}", length_text(far))
    });
    let message = format!(
        "{time} is not on the grid of {} that starts at {start} (use {} to give another step{rounding}, \
         or {} to take every row as one step)",
        calendar.step,
        option("frequency", None),
        option("grid", Some("rows"))
    );
    origin.at_row(raw, index, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_double_cells_leaves_out_missing_ones() {
        let cells = [1.0, f64::NAN, 4.0];
        assert_eq!(merge(cells.iter(), Duplicates::Mean), 2.5);
        assert!(merge([f64::NAN; 2].iter(), Duplicates::Mean).is_nan());
    }
}
