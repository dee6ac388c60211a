//! Which column is what: time, series, channel, or nothing.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::calendar_feature::CalendarFeature;
use super::id_name::{ID_NAMES, NUMERIC_ID_NAMES};
use super::not_a_number::{is_mostly_numbers, not_a_number};
use super::table::{Column, Table, Values};
use super::text_cells::TextCells;
use super::time_column::{Search, TimeColumn};
use super::timestamp::{DateOrder, TimeStyle};
use super::wanted_column::wanted_column;
use ptsm_core::{Error, Result};

/// Says in [`Roles`] that there is no such column, so none is looked for.
pub const NO_COLUMN: &str = "none";

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
    /// a column called `unique_id`, `series_id`, `item_id`, `ts_id`, `time_series_id`, `series`, `item`
    /// or `id`.
    pub id: Option<String>,
    /// The channels, in this order. `None`: every other numeric column, in file order.
    pub targets: Option<Vec<String>>,
    /// Columns of values that are known ahead of a forecast, in this order. They are no channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub future_covariates: Vec<String>,
    /// Covariates that the times of the rows tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calendar: Vec<CalendarFeature>,
    /// Whether rows at the end without any target are those to be forecast, and not missing ones; so wherever there
    /// are covariates.
    #[serde(skip_serializing_if = "is_false")]
    pub planned: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(value: &bool) -> bool {
    !value
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
pub(super) struct Resolved<'a> {
    pub(super) timestamp: Option<TimeColumn<'a>>,
    pub(super) id: Option<IdColumn<'a>>,
    pub(super) channels: Vec<String>,
    /// Columns that are known ahead.
    pub(super) covariates: Vec<String>,
    pub(super) calendar: Vec<CalendarFeature>,
    /// As [`Roles::planned`].
    pub(super) planned: bool,
    pub(super) ignored: Vec<IgnoredColumn>,
}

/// The column that says which series a row is of.
#[derive(Debug)]
pub(super) struct IdColumn<'a> {
    pub(super) name: String,
    /// Each series once, in order of first appearance.
    pub(super) series: Vec<String>,
    /// Per row, the number of its series.
    pub(super) of_row: Cow<'a, [u32]>,
}

/// How times are read, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KnownTimes {
    /// Which of day and month comes first.
    pub(super) dates: Option<DateOrder>,
    /// How the times of a model were written.
    pub(super) style: Option<TimeStyle>,
}

impl Resolved<'_> {
    /// Whether the times are whole numbers and not dates.
    pub(super) fn is_index(&self) -> bool {
        self.timestamp.as_ref().is_some_and(|time| time.style == TimeStyle::Index)
    }

    /// The roles as they are saved: nothing is left to find out.
    pub(super) fn roles(&self) -> Roles {
        let or_none = |name: Option<&String>| name.cloned().unwrap_or_else(|| NO_COLUMN.to_owned());
        Roles {
            timestamp: Some(or_none(self.timestamp.as_ref().map(|time| &time.name))),
            id: Some(or_none(self.id.as_ref().map(|id| &id.name))),
            targets: Some(self.channels.clone()),
            future_covariates: self.covariates.clone(),
            calendar: self.calendar.clone(),
            planned: self.planned,
        }
    }
}

/// Finds the role of every column.
pub(super) fn resolve<'a>(
    table: &'a Table,
    roles: &Roles,
    known: KnownTimes,
) -> Result<Resolved<'a>> {
    let id = find_id(table, roles)?;
    let id_name = id.as_ref().map(|id| id.name.as_str());
    let search = Search {
        table,
        given: given(&roles.timestamp),
        id: id.as_ref().map(|id| (id.name.as_str(), id.of_row.as_ref())),
        targets: roles.targets.as_deref(),
        dates: known.dates,
        style: known.style,
    };
    let timestamp = search.find()?;
    let time_name = timestamp.as_ref().map(|time| time.name.as_str());
    if id_name == Some(NO_COLUMN) || time_name == Some(NO_COLUMN) {
        let message = "a column of times or series cannot be called \"none\", which says that there \
                       is no such column (rename it)";
        return Err(Error::input(message).at(table.source()));
    }
    let covariates = &roles.future_covariates;
    let free = |column: &&Column| {
        let name = Some(column.name.as_str());
        name != id_name && name != time_name && !covariates.contains(&column.name)
    };
    let mut ignored = Vec::new();
    let channels = match &roles.targets {
        Some(targets) => {
            check_columns(table, "targets", targets, [id_name, time_name])?;
            targets.clone()
        }
        None => find_channels(search, &free, &mut ignored)?,
    };
    check_covariates(table, roles, &channels, [id_name, time_name])?;
    if timestamp.as_ref().is_none_or(|time| time.style == TimeStyle::Index)
        && let Some(feature) = roles.calendar.first()
    {
        let text = format!("{feature} needs dates, and the rows have none (leave calendar out)");
        return Err(Error::config("calendar", text));
    }
    let (covariates, calendar) = (covariates.clone(), roles.calendar.clone());
    let planned = roles.planned || !covariates.is_empty() || !calendar.is_empty();
    Ok(Resolved { timestamp, id, channels, covariates, calendar, planned, ignored })
}

/// Covariates must be columns of numbers that are nothing else, and each feature of the calendar may come once.
fn check_covariates(
    table: &Table,
    roles: &Roles,
    channels: &[String],
    taken: [Option<&str>; 2],
) -> Result<()> {
    let Roles { future_covariates: covariates, calendar, .. } = roles;
    if !covariates.is_empty() {
        check_columns(table, "future_covariates", covariates, taken)?;
    }
    if let Some(name) = covariates.iter().find(|name| channels.contains(name)) {
        let text = format!("\"{name}\" is a target too (name it once)");
        return Err(Error::config("future_covariates", text));
    }
    let twice = |(place, feature): &(usize, &CalendarFeature)| calendar[..*place].contains(feature);
    match calendar.iter().enumerate().find(twice) {
        Some((_, feature)) => Err(Error::config("calendar", format!("{feature} comes twice"))),
        None => Ok(()),
    }
}

/// The column that is asked for; `Some(None)` if none is to be looked for.
fn given(name: &Option<String>) -> Option<Option<&str>> {
    let name = name.as_deref()?;
    Some((name != NO_COLUMN).then_some(name))
}

fn find_id<'a>(table: &'a Table, roles: &Roles) -> Result<Option<IdColumn<'a>>> {
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
pub(super) fn number_series<'a>(table: &Table, column: &'a Column) -> Result<IdColumn<'a>> {
    let missing = |row| {
        let message = "the name of the series is missing";
        Error::input(message).at(table.place(row, &column.name))
    };
    let named = |texts: &TextCells| texts.words().map(str::to_owned).collect();
    let (series, of_row): (Vec<String>, Cow<'a, [u32]>) = match &column.values {
        Values::Text(cells) => {
            let numbers =
                cells.numbers().ok_or_else(|| missing(cells.first_missing().unwrap_or(0)));
            (named(cells), Cow::Borrowed(numbers?))
        }
        values => {
            let texts: TextCells = (0..values.len()).map(|row| Some(values.text(row))).collect();
            (named(&texts), texts.numbers().unwrap_or_default().to_vec().into())
        }
    };
    match series.iter().position(String::is_empty) {
        Some(empty) => {
            let row = of_row.iter().position(|&number| number as usize == empty);
            Err(missing(row.unwrap_or_default()))
        }
        None => Ok(IdColumn { name: column.name.clone(), series, of_row }),
    }
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

/// The columns of the option `field` must be there, hold numbers, and be neither times nor ids.
fn check_columns(
    table: &Table,
    field: &str,
    names: &[String],
    taken: [Option<&str>; 2],
) -> Result<()> {
    if names.is_empty() {
        return Err(Error::config(field, "name at least one column"));
    }
    // Looked up by name, since a search for each of many columns would take long.
    let columns: HashMap<&str, &Column> =
        table.columns().iter().map(|column| (column.name.as_str(), column)).collect();
    let mut before = HashSet::new();
    for name in names {
        let column = match columns.get(name.as_str()) {
            Some(column) => column,
            None => wanted_column(table, name, field)?,
        };
        if !before.insert(name) {
            return Err(Error::config(field, format!("\"{name}\" comes twice")));
        }
        if taken.contains(&Some(name.as_str())) {
            let message = format!("\"{name}\" is the column of the times or of the series");
            return Err(Error::config(field, message));
        }
        match &column.values {
            Values::Numbers(_) => {}
            Values::Text(cells) => return Err(not_a_number(table, name, cells)),
            Values::Times(_) => {
                let message = "a column of times holds no numbers";
                return Err(Error::input(message).at(table.place(0, name)));
            }
        }
    }
    Ok(())
}

/// All columns that are numeric throughout and hold something.
fn find_channels(
    search: Search<'_, '_>,
    free: &dyn Fn(&&Column) -> bool,
    ignored: &mut Vec<IgnoredColumn>,
) -> Result<Vec<String>> {
    let (table, mut channels) = (search.table, Vec::new());
    for column in table.columns().iter().filter(free) {
        let reason = match &column.values {
            Values::Times(_) => Some("it holds times"),
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
            Values::Numbers(cells) => search.no_channel(&column.name, cells),
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
