//! Which column is what: time, series, channel, or nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id_name::{ID_NAMES, NUMERIC_ID_NAMES};
use super::not_a_number::{is_mostly_numbers, not_a_number};
use super::table::{Column, Table, Values};
use super::timestamp::parse_timestamp;
use super::timestamp::{DateOrder, NotATime, TimeStyle, parse_column, parse_numbers};
use ptsm_core::{Error, Result, option};

/// Says in [`Roles`] that there is no such column, so none is looked for.
pub const NO_COLUMN: &str = "none";

/// Names, in small letters, of columns whose whole numbers may be times.
const TIME_NAMES: [&str; 9] =
    ["date", "time", "datetime", "date_time", "timestamp", "time_stamp", "ds", "ts", "epoch"];

/// Which columns of a table are used, and what for. What is `None` is found out.
///
/// Saved with a model, so that its forecasts read the same columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Roles {
    /// The column of times; [`NO_COLUMN`] = the rows are simply numbered. `None`: the first column
    /// that holds times.
    pub timestamp: Option<String>,
    /// The column that names the series of a long table; [`NO_COLUMN`] = one series. `None`:
    /// a column called `unique_id`, `series_id`, `item_id`, `series`, `item` or `id`.
    pub id: Option<String>,
    /// The channels, in this order. `None`: every other numeric column, in file order.
    pub targets: Option<Vec<String>>,
}

/// A column that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IgnoredColumn {
    /// Its name.
    pub name: String,
    /// Why it is not used.
    pub reason: String,
}

/// The roles of one table, all known.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) timestamp: Option<TimeColumn>,
    pub(super) id: Option<IdColumn>,
    pub(super) channels: Vec<String>,
    pub(super) ignored: Vec<IgnoredColumn>,
    /// A text column with repeated cells, which may be the wanted id.
    pub(super) possible_id: Option<String>,
}

/// The column that says which series a row is of.
#[derive(Debug)]
pub(super) struct IdColumn {
    pub(super) name: String,
    /// Each series once, in order of first appearance.
    pub(super) series: Vec<String>,
    /// Per row, the number of its series.
    pub(super) of_row: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct TimeColumn {
    pub(super) name: String,
    /// Per row, in seconds since the epoch.
    pub(super) seconds: Vec<i64>,
    pub(super) style: TimeStyle,
}

impl Resolved {
    /// The roles as they are saved: nothing is left to find out.
    pub(super) fn roles(&self) -> Roles {
        let or_none = |name: Option<&String>| name.cloned().unwrap_or_else(|| NO_COLUMN.to_owned());
        Roles {
            timestamp: Some(or_none(self.timestamp.as_ref().map(|time| &time.name))),
            id: Some(or_none(self.id.as_ref().map(|id| &id.name))),
            targets: Some(self.channels.clone()),
        }
    }
}

/// Finds the role of every column.
pub(super) fn resolve(table: &Table, roles: &Roles) -> Result<Resolved> {
    let id = find_id(table, roles)?;
    let id_name = id.as_ref().map(|id| id.name.as_str());
    let timestamp = find_timestamp(table, roles, id_name)?;
    let time_name = timestamp.as_ref().map(|time| time.name.as_str());
    if id_name == Some(NO_COLUMN) || time_name == Some(NO_COLUMN) {
        let message = "a column of times or series cannot be called \"none\", which says that there \
                       is no such column (rename it)";
        return Err(Error::input(message).at(table.source()));
    }
    let free = |column: &&Column| {
        let name = Some(column.name.as_str());
        name != id_name && name != time_name
    };
    let mut ignored = Vec::new();
    let channels = match &roles.targets {
        Some(targets) => {
            check_targets(table, targets, [id_name, time_name])?;
            targets.clone()
        }
        None => find_channels(table, &free, &mut ignored)?,
    };
    let mut texts = table.columns().iter().filter(free);
    let possible_id = texts.find(|column| repeats(column)).map(|column| column.name.clone());
    Ok(Resolved { timestamp, id, channels, ignored, possible_id })
}

/// The column that is asked for; `Some(None)` if none is to be looked for.
fn given(name: &Option<String>) -> Option<Option<&str>> {
    let name = name.as_deref()?;
    Some((name != NO_COLUMN).then_some(name))
}

fn wanted_column<'a>(table: &'a Table, name: &str, asked_by: &str) -> Result<&'a Column> {
    table.column(name).ok_or_else(|| {
        let mut names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
        let more = names.len().saturating_sub(20);
        names.truncate(20);
        let mut list = names.join(", ");
        if more > 0 {
            list.push_str(&format!(" and {more} more"));
        }
        let asked_by = option(asked_by, None);
        let message = format!("there is no column \"{name}\" ({asked_by}); the columns are {list}");
        Error::input(message).at(table.source())
    })
}

fn find_id(table: &Table, roles: &Roles) -> Result<Option<IdColumn>> {
    let column = match given(&roles.id) {
        Some(None) => return Ok(None),
        Some(Some(name)) => wanted_column(table, name, "id")?,
        None => match detect_id(table, roles) {
            Some(column) => column,
            None => return Ok(None),
        },
    };
    number_series(table, column).map(Some)
}

/// Numbers the series of a table by their first rows.
fn number_series(table: &Table, column: &Column) -> Result<IdColumn> {
    let mut found = IdColumn {
        name: column.name.clone(),
        series: Vec::new(),
        of_row: Vec::with_capacity(table.num_rows()),
    };
    let mut numbers: HashMap<String, u32> = HashMap::new();
    for row in 0..table.num_rows() {
        let id: Cow<'_, str> = match &column.values {
            Values::Text(cells) => cells[row].as_deref().unwrap_or_default().into(),
            values => values.text(row).into(),
        };
        if id.is_empty() {
            let message = "the name of the series is missing";
            return Err(Error::input(message).at(table.place(row, &column.name)));
        }
        // The rows of a series mostly lie together.
        let last = found.of_row.last().copied();
        let number = match last.filter(|&last| found.series[last as usize] == id) {
            Some(last) => last,
            None => match numbers.get(id.as_ref()) {
                Some(&known) => known,
                None => {
                    let new = u32::try_from(found.series.len())
                        .map_err(|_| Error::input("there are more than 2^32 series"))?;
                    found.series.push(id.clone().into_owned());
                    numbers.insert(id.into_owned(), new);
                    new
                }
            },
        };
        found.of_row.push(number);
    }
    Ok(found)
}

fn detect_id<'a>(table: &'a Table, roles: &Roles) -> Option<&'a Column> {
    let is_target = |name: &String| roles.targets.as_ref().is_some_and(|t| t.contains(name));
    let fits = |column: &Column, wanted: &str| {
        let numeric = matches!(column.values, Values::Numbers(_));
        column.name.eq_ignore_ascii_case(wanted)
            && (!numeric || NUMERIC_ID_NAMES.contains(&wanted))
            && !is_target(&column.name)
            && roles.timestamp.as_ref() != Some(&column.name)
    };
    let mut names = ID_NAMES.iter();
    names.find_map(|wanted| table.columns().iter().find(|column| fits(column, wanted)))
}

fn find_timestamp(table: &Table, roles: &Roles, id: Option<&str>) -> Result<Option<TimeColumn>> {
    let column = match given(&roles.timestamp) {
        Some(None) => return Ok(None),
        Some(Some(name)) => wanted_column(table, name, "timestamp")?,
        None => {
            let is_target =
                |name: &String| roles.targets.as_ref().is_some_and(|t| t.contains(name));
            let found = table.columns().iter().find(|column| {
                Some(column.name.as_str()) != id && !is_target(&column.name) && holds_times(column)
            });
            match found {
                Some(column) => column,
                None => return Ok(None),
            }
        }
    };
    read_times(table, column).map(Some)
}

/// Whether the column is taken for the times: a text column by its first cell, so that a later
/// cell that is no time is an error and not an ignored column.
fn holds_times(column: &Column) -> bool {
    match &column.values {
        Values::Times { .. } => true,
        Values::Text(cells) => cells.iter().flatten().next().is_some_and(|cell| {
            let read = |order| parse_timestamp(cell, order) != Err(NotATime::Unknown);
            read(DateOrder::MonthDayYear) || read(DateOrder::DayMonthYear)
        }),
        Values::Numbers(cells) => is_time_name(&column.name) && parse_numbers(cells).is_ok(),
    }
}

fn is_time_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TIME_NAMES.contains(&name.as_str()) || name.ends_with("_time") || name.ends_with("_date")
}

fn read_times(table: &Table, column: &Column) -> Result<TimeColumn> {
    let name = &column.name;
    let missing = match &column.values {
        Values::Numbers(cells) => cells.iter().position(|cell| cell.is_nan()),
        Values::Text(cells) => cells.iter().position(Option::is_none),
        Values::Times { seconds, .. } => seconds.iter().position(Option::is_none),
    };
    if let Some(row) = missing {
        let none = option("timestamp", Some("none"));
        let message =
            format!("the timestamp is missing (remove the row, or use {none} to number the rows)");
        return Err(Error::input(message).at(table.place(row, name)));
    }
    let read = match &column.values {
        Values::Numbers(cells) => parse_numbers(cells),
        Values::Text(cells) => parse_column(cells.iter().flatten().map(AsRef::as_ref)),
        Values::Times { seconds, style } => {
            Ok((seconds.iter().flatten().copied().collect(), *style))
        }
    };
    let (seconds, style) = read.map_err(|(row, why)| {
        let cell = column.values.text(row);
        let way_out = match why {
            NotATime::SubSecond => {
                format!(" (use {} to number the rows)", option("timestamp", Some("none")))
            }
            _ => String::new(),
        };
        Error::input(format!("\"{cell}\" {why}{way_out}")).at(table.place(row, name))
    })?;
    Ok(TimeColumn { name: name.clone(), seconds, style })
}

fn check_targets(table: &Table, targets: &[String], taken: [Option<&str>; 2]) -> Result<()> {
    if targets.is_empty() {
        return Err(Error::config("targets", "name at least one column"));
    }
    for (index, name) in targets.iter().enumerate() {
        let column = wanted_column(table, name, "targets")?;
        if targets[..index].contains(name) {
            return Err(Error::config("targets", format!("\"{name}\" comes twice")));
        }
        if taken.contains(&Some(name.as_str())) {
            let message = format!("\"{name}\" is the column of the times or of the series");
            return Err(Error::config("targets", message));
        }
        match &column.values {
            Values::Numbers(_) => {}
            Values::Text(cells) => return Err(not_a_number(table, name, cells)),
            Values::Times { .. } => {
                let message = "a column of times cannot be a channel";
                return Err(Error::input(message).at(table.place(0, name)));
            }
        }
    }
    Ok(())
}

/// All columns that are numeric throughout and hold something.
fn find_channels(
    table: &Table,
    free: &dyn Fn(&&Column) -> bool,
    ignored: &mut Vec<IgnoredColumn>,
) -> Result<Vec<String>> {
    let mut channels = Vec::new();
    for column in table.columns().iter().filter(free) {
        let reason = match &column.values {
            Values::Times { .. } => Some("it holds times"),
            Values::Text(cells) => {
                // Mostly numbers: a typing error, not a text column.
                if is_mostly_numbers(table, &column.name, cells) {
                    return Err(not_a_number(table, &column.name, cells));
                }
                Some("it is not numeric")
            }
            Values::Numbers(cells) if cells.iter().all(|cell| cell.is_nan()) => {
                Some("every cell is missing")
            }
            Values::Numbers(cells) if is_row_number(&column.name, cells) => {
                Some("it numbers the rows")
            }
            Values::Numbers(_) => None,
        };
        match reason {
            Some(reason) => {
                ignored.push(IgnoredColumn { name: column.name.clone(), reason: reason.to_owned() })
            }
            None => channels.push(column.name.clone()),
        }
    }
    if channels.is_empty() {
        let reasons: Vec<String> = ignored
            .iter()
            .map(|column| format!("\"{}\": {}", column.name, column.reason))
            .collect();
        let message = format!("there is no numeric column to forecast ({})", reasons.join(", "));
        return Err(Error::input(message).at(table.source()));
    }
    Ok(channels)
}

/// An index column as other programs write them: 0, 1, 2, ... or 1, 2, 3, ...
fn is_row_number(name: &str, cells: &[f64]) -> bool {
    let lower = name.to_ascii_lowercase();
    let named = lower.starts_with("unnamed") || lower.starts_with("__index_level_");
    (named || lower == "index" || is_time_name(&lower))
        && matches!(cells[0], 0.0 | 1.0)
        && cells.windows(2).all(|pair| pair[1] == pair[0] + 1.0)
}

fn repeats(column: &Column) -> bool {
    let Values::Text(cells) = &column.values else {
        return false;
    };
    let mut sorted: Vec<&Arc<str>> = cells.iter().flatten().collect();
    sorted.sort_unstable();
    sorted.len() == cells.len() && sorted.windows(2).any(|pair| pair[0] == pair[1])
}
