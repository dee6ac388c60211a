//! Forecasts as a table in the form of the data that they continue.

use std::borrow::Cow;
use std::collections::HashMap;

use super::answer::Forecast;
use crate::Result;
use crate::data::{Column, NO_COLUMN, Series, SeriesSet, Table};

/// Rounds a level to nine decimals, so that 0.975 is not written as 0.9750000000000001.
fn rounded(level: f64) -> f64 {
    (level * 1e9).round() / 1e9
}

/// `wanted`, with lines below it if `taken` has it already.
fn free_name(wanted: String, taken: &[String]) -> String {
    let mut name = wanted;
    while taken.contains(&name) {
        name.push('_');
    }
    name
}

/// Puts a column in front of the others, under a name that none of them has.
///
/// # Errors
///
/// `InvalidInput` if the column has another number of rows.
pub fn with_first_column(name: &str, cells: Vec<f64>, table: &Table) -> Result<Table> {
    let taken: Vec<String> = table.columns().iter().map(|column| column.name.clone()).collect();
    let mut columns = vec![Column::numbers(free_name(name.to_owned(), &taken), cells)];
    columns.extend(table.columns().iter().cloned());
    Table::new(columns)
}

/// Forecasts as a table in the form of the data they continue: id, time (or row number), channels, and the
/// ends of intervals as quantiles (`load q0.1`, `load q0.9`, ...). Columns of the data keep their
/// names; `row` and the quantiles get a line below (`row_`) where a column of the data is called so.
///
/// # Errors
///
/// `InvalidInput` if two columns have one name.
pub fn forecast_table(set: &SeriesSet, forecasts: &[Forecast]) -> Result<Table> {
    let mut columns = Vec::new();
    let named = |role: &Option<String>| role.clone().filter(|name| name != NO_COLUMN);
    let steps = |f: &Forecast| f.prediction_length();
    let names = forecasts.first().map(|f| f.channels.clone()).unwrap_or_default();
    let mut taken = names.clone();
    taken.extend(named(&set.roles.id));
    taken.extend(named(&set.roles.timestamp));
    if let Some(name) = named(&set.roles.id) {
        let ids = forecasts.iter().map(|f| (f.id.as_str(), steps(f)));
        columns.push(Column::repeated_texts(name, ids));
    }
    let series: HashMap<&str, &Series> = set.series.iter().map(|s| (s.id.as_str(), s)).collect();
    let times: Option<Vec<(&Series, Cow<'_, [i64]>)>> = forecasts
        .iter()
        .map(|f| Some((*series.get(f.id.as_str())?, f.timestamps.as_deref()?.into())))
        .collect();
    match (named(&set.roles.timestamp), times) {
        (Some(name), Some(times)) => columns.push(set.time_column(&name, times.into_iter())),
        _ => {
            let rows = forecasts
                .iter()
                .flat_map(|f| (0..steps(f)).map(|step| (f.first_row + step) as f64));
            columns.push(Column::numbers(free_name("row".to_owned(), &taken), rows.collect()));
        }
    }
    for (c, name) in names.iter().enumerate() {
        let column = |values: fn(&Forecast, usize) -> &Vec<f64>, i: usize| {
            let own = |f: &Forecast| {
                values(f, i).iter().skip(c).step_by(f.channels.len()).copied().collect::<Vec<f64>>()
            };
            forecasts.iter().flat_map(own).collect::<Vec<f64>>()
        };
        columns.push(Column::numbers(name, column(|f, _| &f.values, 0)));
        let Some(first) = forecasts.first() else { continue };
        let mut quantiles = Vec::new();
        for (i, interval) in first.intervals.iter().enumerate() {
            let tail = 0.5 * (1.0 - interval.level);
            quantiles.push((tail, column(|f, i| &f.intervals[i].lower, i)));
            quantiles.push((1.0 - tail, column(|f, i| &f.intervals[i].upper, i)));
        }
        for (i, quantile) in first.quantiles.iter().enumerate() {
            quantiles.push((quantile.level, column(|f, i| &f.quantiles[i].values, i)));
        }
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (level, cells) in quantiles {
            let column = free_name(format!("{name} q{}", rounded(level)), &taken);
            taken.push(column.clone());
            columns.push(Column::numbers(column, cells));
        }
    }
    Table::new(columns)
}
