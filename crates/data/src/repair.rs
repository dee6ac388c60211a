//! What may be done to rows to put them on a regular time grid, and the report of what was done.
//!
//! Changes are made only on request and are counted; without the request an error names the row and the
//! option.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::calendar::{Frequency, Holidays, length_text};
use super::choice::{choice_of, name_of};
use super::resample::Resample;
use super::roles::IgnoredColumn;
use super::rounding::Rounding;
use super::time_rules::TimeRules;
use super::timestamp::DateOrder;
use super::zone::Clock;
use ptsm_core::{Error, Note, Result};

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
    /// The step, in place of the most common one.
    pub frequency: Option<Frequency>,
    /// Which of day and month comes first in dates such as 7/1/2016; `None`: what every row fits.
    pub dates: Option<DateOrder>,
    /// Moves times to a grid that they are close to.
    pub round: Option<Rounding>,
    /// Makes one row of all that lie in one step.
    pub resample: Option<Resample>,
    /// Working days without rows, for steps of working days.
    pub holidays: Holidays,
    /// A model that the rows are read for.
    pub model: Option<ModelTimes>,
}

/// What the rows of a model's training data were like: rows that are read for it must be so too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelTimes {
    /// The step.
    pub frequency: Frequency,
    /// How the times were read.
    pub rules: TimeRules,
}

impl Repair {
    /// Refuses what only dates can have.
    pub(super) fn refuse_without_times(&self, why: &str) -> Result<()> {
        let unused = [("round", self.round.is_some()), ("resample", self.resample.is_some())];
        match unused.iter().find(|(_, given)| *given) {
            Some((field, _)) => {
                let text = format!("needs dates, but {why} (leave it out, or name their column)");
                Err(Error::config(*field, text))
            }
            None => Ok(()),
        }
    }

    /// The clock of the model's steps.
    pub(super) fn model_clock(&self) -> Clock {
        self.model.as_ref().map_or(Clock::Local, |model| model.rules.clock)
    }
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

/// What resampling did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resampled {
    /// How.
    pub rule: Resample,
    /// Rows before.
    pub from: usize,
    /// Rows after.
    pub to: usize,
    /// Rows at the ends of series that were left out, since their step was not complete.
    pub left_out: usize,
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
    /// Rows whose time was moved to the grid.
    pub rows_rounded: usize,
    /// The furthest that a time was moved, in nanoseconds.
    pub rounded_by: i64,
    /// Rows that were made one for each step, and what they became.
    pub resampled: Option<Resampled>,
    /// What was assumed about the times, in a sentence each.
    pub remarks: Vec<Note>,
    /// Per channel, in channel order.
    pub missing: Vec<MissingShare>,
    /// Columns that are not used.
    pub ignored_columns: Vec<IgnoredColumn>,
}

impl RepairReport {
    /// One sentence for each change of times, and each thing that was assumed about them.
    pub fn time_notes(&self) -> Vec<Note> {
        let mut notes: Vec<Note> = Vec::new();
        if self.rows_rounded > 0 {
            let (rows, far) = (self.rows_rounded, length_text(self.rounded_by));
            notes.push(format!("{rows} rows were moved in time, by at most {far}").into());
        }
        if let Some(Resampled { rule, from, to, left_out }) = self.resampled {
            notes.push(format!("{from} rows became {to} ({rule})").into());
            if left_out > 0 {
                notes.push(format!("{left_out} rows of incomplete steps were left out").into());
            }
        }
        notes.extend(self.remarks.iter().cloned());
        notes
    }

    /// One sentence for each thing that a user should know; empty if the table was perfect.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes: Vec<Note> = Vec::new();
        for IgnoredColumn { name, reason } in &self.ignored_columns {
            notes.push(format!("column \"{name}\" is not used: {reason}").into());
        }
        let mut count = |rows: usize, what: &str| {
            if rows > 0 {
                let s = if rows == 1 { " was" } else { "s were" };
                notes.push(format!("{rows} row{s} {what}").into());
            }
        };
        count(self.rows_reordered, "put into the order of their times");
        count(self.duplicates_merged, "merged with another row of the same time");
        count(self.rows_inserted, "inserted as missing, to fill gaps in time");
        notes.extend(self.time_notes());
        let gaps = self.missing.iter().filter(|missing| missing.share > 0.0);
        for MissingShare { channel, share } in gaps {
            let percent = share * 100.0;
            notes.push(format!("channel \"{channel}\" misses {percent:.2} % of its points").into());
        }
        notes
    }
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
    fn a_perfect_table_has_nothing_to_report() {
        let report = RepairReport {
            rows_read: 5,
            missing: vec![MissingShare { channel: "x".to_owned(), share: 0.0 }],
            ..RepairReport::default()
        };
        assert!(report.notes().is_empty());
    }
}
