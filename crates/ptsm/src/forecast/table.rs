//! Forecasts as a table in the form of the data that they continue.

use std::collections::HashMap;

use super::answer::Forecast;
use crate::Result;
use crate::data::{Column, NO_COLUMN, Series, SeriesSet, Table};

/// A level without the noise of its last bits: 0.975, not 0.975 and a trillionth.
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
        let cells = forecasts
            .iter()
            .flat_map(|f| f.values.iter().skip(c).step_by(f.channels.len()).copied());
        columns.push(Column::numbers(name, cells.collect()));
        let count = forecasts.first().map_or(0, |f| f.intervals.len());
        for i in 0..count {
            let level = forecasts[0].intervals[i].level;
            let tail = 0.5 * (1.0 - level);
            for upper in [false, true] {
                let ends = |f: &Forecast| {
                    let interval = &f.intervals[i];
                    let ends = if upper { &interval.upper } else { &interval.lower };
                    ends.iter().skip(c).step_by(f.channels.len()).copied().collect::<Vec<f64>>()
                };
                let level = if upper { 1.0 - tail } else { tail };
                let cells = forecasts.iter().flat_map(ends).collect();
                columns.push(Column::numbers(format!("{name} q{}", rounded(level)), cells));
            }
        }
    }
    Table::new(columns)
}
