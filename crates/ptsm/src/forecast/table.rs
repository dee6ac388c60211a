//! Forecasts as a table in the form of the data that they continue.

use std::collections::HashMap;

use super::answer::Forecast;
use crate::Result;
use crate::data::{Column, NO_COLUMN, Series, SeriesSet, Table};

/// Rounds a level to nine decimals, so that 0.975 is not written as 0.9750000000000001.
fn rounded(level: f64) -> f64 {
    (level * 1e9).round() / 1e9
}

/// Forecasts as a table in the form of the data they continue: id, time (or row number), channels, and the
/// ends of intervals as quantiles (`load q0.1`, `load q0.9`, ...).
///
/// # Errors
///
/// `InvalidInput` if two columns have one name.
pub fn forecast_table(set: &SeriesSet, forecasts: &[Forecast]) -> Result<Table> {
    let mut columns = Vec::new();
    let named = |role: &Option<String>| role.clone().filter(|name| name != NO_COLUMN);
    let steps = |f: &Forecast| f.prediction_length();
    if let Some(name) = named(&set.roles.id) {
        let ids = forecasts.iter().map(|f| (f.id.as_str(), steps(f)));
        columns.push(Column::repeated_texts(name, ids));
    }
    let series: HashMap<&str, &Series> = set.series.iter().map(|s| (s.id.as_str(), s)).collect();
    let times: Option<Vec<(&Series, &[i64])>> = forecasts
        .iter()
        .map(|f| Some((*series.get(f.id.as_str())?, f.timestamps.as_deref()?)))
        .collect();
    match (named(&set.roles.timestamp), times) {
        (Some(name), Some(times)) => columns.push(set.time_column(&name, times.into_iter())),
        _ => {
            let rows = forecasts
                .iter()
                .flat_map(|f| (0..steps(f)).map(|step| (f.first_row + step) as f64));
            columns.push(Column::numbers("row", rows.collect()));
        }
    }
    let names = forecasts.first().map(|f| f.channels.clone()).unwrap_or_default();
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
        columns.extend(
            quantiles.into_iter().map(|(level, cells)| {
                Column::numbers(format!("{name} q{}", rounded(level)), cells)
            }),
        );
    }
    Table::new(columns)
}
