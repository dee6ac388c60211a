//! Forecasts as a table in the form of the data that they continue.

use super::answer::Forecast;
use super::columns::{ForecastColumns, IntervalNames, free_name};
use crate::Result;
use crate::data::{Column, NO_COLUMN, Series, SeriesSet, Table};
use std::borrow::Cow;

/// Puts a column in front of the others, under a name that none of them has.
///
/// # Errors
///
/// `InvalidInput` if the column has another number of rows.
pub fn with_first_column(name: &str, cells: Vec<f64>, table: &Table) -> Result<Table> {
    let taken: Vec<String> = table.columns().iter().map(|column| column.name.clone()).collect();
    let mut columns = vec![Column::numbers(free_name(name, &taken), cells)];
    columns.extend(table.columns().iter().cloned());
    Table::new(columns)
}

/// Forecasts as a table in the form of the data they continue: id, time (or row number), and the
/// [`ForecastColumns`]. Columns of the data keep their names; `row` and the quantiles get a line below
/// (`row_`) where a column of the data is called so.
///
/// # Errors
///
/// `InvalidInput` if two columns have one name.
pub fn forecast_table(set: &SeriesSet, forecasts: &[Forecast]) -> Result<Table> {
    forecast_table_named(set, forecasts, IntervalNames::Quantile)
}

/// As [`forecast_table`], with other names of the intervals.
///
/// # Errors
///
/// `InvalidInput` if two columns have one name.
pub fn forecast_table_named(
    set: &SeriesSet,
    forecasts: &[Forecast],
    interval_names: IntervalNames,
) -> Result<Table> {
    let names = forecasts.first().map_or(&[][..], |forecast| &forecast.channels);
    let rows: Vec<ForecastRows<'_>> = forecasts.iter().map(ForecastRows::from).collect();
    let mut columns = leading_columns(set, &rows, names);
    if let Some(first) = forecasts.first() {
        let taken: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let own = ForecastColumns::named(first, &taken, interval_names);
        for (index, name) in own.names().iter().enumerate() {
            let cells = forecasts.iter().flat_map(|forecast| own.column(index, forecast));
            columns.push(Column::numbers(name, cells.collect()));
        }
    }
    Table::new(columns)
}

/// The rows that the forecast of one series takes in a table.
pub(crate) struct ForecastRows<'a> {
    /// Name of the series.
    pub(crate) id: &'a str,
    /// Number of the first row, counted from the start of the series.
    pub(crate) first_row: usize,
    /// Times of the rows; `None` without times.
    pub(crate) timestamps: Option<&'a [i64]>,
    /// How many rows there are.
    pub(crate) steps: usize,
}

impl<'a> From<&'a Forecast> for ForecastRows<'a> {
    fn from(forecast: &'a Forecast) -> Self {
        Self {
            id: &forecast.id,
            first_row: forecast.first_row,
            timestamps: forecast.timestamps.as_deref(),
            steps: forecast.prediction_length(),
        }
    }
}

/// A series and times of it.
type SeriesTimes<'a> = (&'a Series, Cow<'a, [i64]>);

/// Which series and time a row is of: the columns of ids (of a long table) and of times, under the
/// names that they have in the data, or `row` with numbers. `others` are names of further columns.
pub(crate) fn leading_columns<'a>(
    set: &'a SeriesSet,
    rows: &[ForecastRows<'a>],
    others: &[String],
) -> Vec<Column> {
    let named = |role: &Option<String>| role.clone().filter(|name| name != NO_COLUMN);
    let (id, timestamp) = (named(&set.roles.id), named(&set.roles.timestamp));
    let mut columns = Vec::new();
    if let Some(name) = &id {
        columns.push(Column::repeated_texts(name, rows.iter().map(|rows| (rows.id, rows.steps))));
    }
    let series = set.by_id();
    let times = |rows: &ForecastRows<'a>| Some((*series.get(rows.id)?, rows.timestamps?.into()));
    let times: Option<Vec<SeriesTimes<'_>>> = rows.iter().map(times).collect();
    columns.push(match (&timestamp, times) {
        (Some(name), Some(times)) => set.time_column(name, times.into_iter()),
        _ => {
            let taken: Vec<String> = others.iter().chain(&id).chain(&timestamp).cloned().collect();
            let numbers = rows.iter().flat_map(|rows| rows.first_row..rows.first_row + rows.steps);
            let numbers = numbers.map(|row| row as f64).collect();
            Column::numbers(free_name("row", &taken), numbers)
        }
    });
    columns
}
