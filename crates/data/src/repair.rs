//! Puts rows on a regular time grid: order, double rows, gaps. What is changed is asked for, and
//! counted in a report; what is not asked for is an error that names the row and the way out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::frequency::Frequency;
use super::roles::{IgnoredColumn, Resolved};
use super::table::Table;
use ptsm_core::{Error, Result, option};

/// What to do with several rows of one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Refuse them.
    #[default]
    Error,
    /// Keep the first row.
    First,
    /// Keep the last row.
    Last,
    /// Take the mean of the seen cells of each channel.
    Mean,
}

/// What the times mean for the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grid {
    /// Rows lie on a regular grid; a time without a row becomes a row of missing cells.
    #[default]
    Regular,
    /// Each row is one step, whatever its time says; nothing is checked, merged or inserted. The
    /// benchmark papers read their files so.
    Rows,
}

/// Which repairs are allowed; by default only gaps are filled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Repair {
    /// Whether rows may be put into the order of their times.
    pub sort: bool,
    /// Several rows of one time.
    pub duplicates: Duplicates,
    /// Whether the times make a grid.
    pub grid: Grid,
    /// The step, where the most common one is not meant.
    pub frequency: Option<Frequency>,
}

impl Duplicates {
    const NAMES: [(Self, &str); 4] = [
        (Self::Error, "error"),
        (Self::First, "first"),
        (Self::Last, "last"),
        (Self::Mean, "mean"),
    ];
}

impl Grid {
    const NAMES: [(Self, &str); 2] = [(Self::Regular, "regular"), (Self::Rows, "rows")];
}

fn name_of<T: PartialEq>(choice: &T, names: &[(T, &'static str)]) -> &'static str {
    let found = names.iter().find(|(named, _)| named == choice);
    found.expect("every choice has a name").1
}

fn choice_of<T: Copy>(text: &str, names: &[(T, &str)], option: &str) -> Result<T> {
    let found = names.iter().find(|(_, name)| *name == text);
    found.map(|(choice, _)| *choice).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        let message = format!("\"{text}\" is not one of {}", names.join(", "));
        Error::config(option, message)
    })
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(self, &Self::NAMES))
    }
}

impl FromStr for Duplicates {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choice_of(text, &Self::NAMES, "duplicates")
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(self, &Self::NAMES))
    }
}

impl FromStr for Grid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        choice_of(text, &Self::NAMES, "grid")
    }
}

/// How much of a channel is missing, on the final grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MissingShare {
    /// The channel.
    pub channel: String,
    /// Missing points by all points, from 0 to 1.
    pub share: f64,
}

/// What was done to the rows of a table, over all series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// Rows of the table.
    pub rows_read: usize,
    /// Rows of missing cells that fill gaps of the grid.
    pub rows_inserted: usize,
    /// Rows that stood after a row of a later time.
    pub rows_reordered: usize,
    /// Rows that were merged into, or dropped for, another row of the same time.
    pub duplicates_merged: usize,
    /// Per channel, in channel order.
    pub missing: Vec<MissingShare>,
    /// Columns that are not used.
    pub ignored_columns: Vec<IgnoredColumn>,
}

impl RepairReport {
    /// One sentence for each thing that a user should know; empty if the table was perfect.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for column in &self.ignored_columns {
            notes.push(format!("column \"{}\" is not used: {}", column.name, column.reason));
        }
        let mut count = |rows: usize, what: &str| {
            if rows > 0 {
                let s = if rows == 1 { " was" } else { "s were" };
                notes.push(format!("{rows} row{s} {what}"));
            }
        };
        count(self.rows_reordered, "put into the order of their times");
        count(self.duplicates_merged, "merged with another row of the same time");
        count(self.rows_inserted, "inserted as missing, to fill gaps in time");
        let gaps = self.missing.iter().filter(|missing| missing.share > 0.0);
        for MissingShare { channel, share } in gaps {
            notes
                .push(format!("channel \"{channel}\" misses {:.2} % of its points", share * 100.0));
        }
        notes
    }
}

/// The rows of one series on their way to the grid.
#[derive(Debug)]
pub(super) struct RawSeries {
    pub(super) id: String,
    /// Row of the table that each row came from, for messages.
    pub(super) rows: Vec<usize>,
    /// In seconds; as long as `rows`, or `None` without times.
    pub(super) times: Option<Vec<i64>>,
    /// `[T, C]`, NaN = missing.
    pub(super) values: Vec<f64>,
}

/// Where the rows come from, for messages.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) table: &'a Table,
    pub(super) roles: &'a Resolved,
}

impl Origin<'_> {
    fn at_row(&self, raw: &RawSeries, index: usize, message: String) -> Error {
        let column = self.roles.timestamp.as_ref().map_or("", |time| &time.name);
        let series = match raw.id.as_str() {
            "" => String::new(),
            id => format!("series \"{id}\": "),
        };
        Error::input(format!("{series}{message}")).at(self.table.place(raw.rows[index], column))
    }

    fn show(&self, time: i64) -> String {
        match &self.roles.timestamp {
            Some(column) => column.style.format(time),
            None => time.to_string(),
        }
    }

    /// The hint that another column may name the series.
    fn id_hint(&self) -> String {
        match (&self.roles.id, &self.roles.possible_id) {
            (None, Some(name)) => {
                let option = option("id", Some(name));
                format!(", or {option} if that column names the series")
            }
            _ => String::new(),
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
    if let Some(index) = backward {
        if repair.sort {
            sort(raw, report);
        } else if repair.grid == Grid::Regular {
            let (before, time) = (origin.show(times[index]), origin.show(times[index + 1]));
            let hint = origin.id_hint();
            let message = format!(
                "{time} comes after {before}, but times must rise (use {} to order the \
                 rows{hint})",
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

fn sort(raw: &mut RawSeries, report: &mut RepairReport) {
    let times = raw.times.take().unwrap_or_default();
    let mut latest = i64::MIN;
    for &time in &times {
        report.rows_reordered += usize::from(time < latest);
        latest = latest.max(time);
    }
    let mut permutation: Vec<usize> = (0..times.len()).collect();
    permutation.sort_by_key(|&index| times[index]);
    let channels = raw.values.len() / times.len();
    raw.rows = permutation.iter().map(|&index| raw.rows[index]).collect();
    let row = |&index: &usize| &raw.values[index * channels..][..channels];
    raw.values = permutation.iter().flat_map(row).copied().collect();
    raw.times = Some(permutation.iter().map(|&index| times[index]).collect());
}

fn merge_duplicates(
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
        let earlier = origin.table.row_name(raw.rows[index]);
        let (time, hint) = (origin.show(times[index]), origin.id_hint());
        let message = format!(
            "{time} was there before, in {earlier} (use {} first, last or mean to merge such rows, {} \
             to take every row as one step{hint})",
            option("duplicates", None),
            option("grid", Some("rows"))
        );
        return Err(origin.at_row(raw, index + 1, message));
    }
    let channels = raw.values.len() / times.len();
    let mut merged =
        RawSeries { id: raw.id.clone(), rows: Vec::new(), times: None, values: Vec::new() };
    let mut kept = Vec::new();
    let mut first = 0;
    for group in times.chunk_by(|a, b| a == b) {
        let rows = &raw.values[first * channels..(first + group.len()) * channels];
        merged.rows.push(raw.rows[first]);
        kept.push(group[0]);
        let channel = |channel| merge(rows.iter().skip(channel).step_by(channels), duplicates);
        merged.values.extend((0..channels).map(channel));
        first += group.len();
    }
    report.duplicates_merged += times.len() - kept.len();
    merged.times = Some(kept);
    *raw = merged;
    Ok(())
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

/// Puts rising rows on the grid of `step` that starts at the first one; gaps become rows of NaN.
pub(super) fn fill_gaps(
    raw: &mut RawSeries,
    step: Frequency,
    origin: Origin<'_>,
    report: &mut RepairReport,
) -> Result<()> {
    let times = raw.times.as_deref().unwrap_or_default();
    let Some(&start) = times.first() else {
        return Ok(());
    };
    let mut places = Vec::with_capacity(times.len());
    for (index, &time) in times.iter().enumerate() {
        let Some(place) = step.steps_between(start, time) else {
            let (time, start) = (origin.show(time), origin.show(start));
            let message = format!(
                "{time} is not on the grid of {step} that starts at {start} (use {} to give \
                 another step, or {} to take every row as one step)",
                option("frequency", None),
                option("grid", Some("rows"))
            );
            return Err(origin.at_row(raw, index, message));
        };
        places.push(place as usize);
    }
    let length = places.last().map_or(0, |last| last + 1);
    let inserted = length - times.len();
    if inserted == 0 {
        return Ok(());
    }
    if inserted > FREE_ROWS + 20 * times.len() {
        let rows = times.len();
        let message = format!(
            "on a grid of {step}, {inserted} rows between the {rows} given ones are missing (use \
             --frequency to give a longer step, or --grid rows to take every row as one step)"
        );
        return Err(origin.at_row(raw, 0, message));
    }
    report.rows_inserted += inserted;
    let channels = raw.values.len() / times.len();
    let mut values = vec![f64::NAN; length * channels];
    for (row, place) in places.into_iter().enumerate() {
        let cells = &raw.values[row * channels..][..channels];
        values[place * channels..][..channels].copy_from_slice(cells);
    }
    raw.values = values;
    raw.times = Some((0..length).map(|place| step.after(start, place as i64)).collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_a_name_that_reads_back() {
        for choice in [Duplicates::Error, Duplicates::First, Duplicates::Last, Duplicates::Mean] {
            assert_eq!(choice.to_string().parse::<Duplicates>().unwrap(), choice);
        }
        for choice in [Grid::Regular, Grid::Rows] {
            assert_eq!(choice.to_string().parse::<Grid>().unwrap(), choice);
        }
        let error = "some".parse::<Grid>().unwrap_err().to_string();
        assert_eq!(error, "grid: \"some\" is not one of regular, rows");
    }

    #[test]
    fn the_mean_of_double_cells_leaves_out_missing_ones() {
        let cells = [1.0, f64::NAN, 4.0];
        assert_eq!(merge(cells.iter(), Duplicates::Mean), 2.5);
        assert!(merge([f64::NAN; 2].iter(), Duplicates::Mean).is_nan());
    }

    #[test]
    fn a_perfect_table_has_nothing_to_report() {
        let report = RepairReport {
            rows_read: 5,
            missing: vec![MissingShare { channel: "x".to_owned(), share: 0.0 }],
            ..RepairReport::default()
        };
        assert!(report.notes().is_empty());
    }
}
