//! Influences as a table.

use super::answer::{Explanation, Influence, Source};
use crate::Result;
use crate::data::{Column, NO_COLUMN, Series, SeriesSet, Table};
use crate::forecast::free_name;

/// A row for each series, channel that is forecast, and source: id (of a long table), `channel`, `kind` (past or
/// covariate), `source` (its name), `from` and `to` (first and last row of the stretch as times, or numbers; empty for
/// a covariate), `size` (mean absolute change over the steps), `mean` (with its sign) and the change in each step,
/// `step_1` to `step_H`; data units.
///
/// # Errors
///
/// `InvalidInput` if two columns have one name.
pub fn explanation_table(set: &SeriesSet, all: &[Explanation]) -> Result<Table> {
    let series = set.by_id();
    let of_id = |one: &Explanation| series.get(one.forecast.id.as_str()).copied();
    let rows: Vec<Row<'_>> = all.iter().flat_map(|one| rows_of(set, of_id(one), one)).collect();
    let mut columns = Vec::new();
    if let Some(id) = set.roles.id.as_ref().filter(|name| *name != NO_COLUMN) {
        columns.push(Column::repeated_texts(id, rows.iter().map(|row| (row.id, 1))));
    }
    let taken: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let text = |name: &str, of: fn(&Row<'_>) -> String| {
        Column::text(free_name(name, &taken), rows.iter().map(of).collect())
    };
    let own = [
        text("channel", |row| row.channel.to_owned()),
        text("kind", |row| row.kind.to_owned()),
        text("source", |row| row.source.to_owned()),
        text("from", |row| row.from.clone()),
        text("to", |row| row.to.clone()),
    ];
    columns.extend(own);
    let number = |name: String, of: &dyn Fn(&Row<'_>) -> f64| {
        Column::numbers(free_name(&name, &taken), rows.iter().map(of).collect())
    };
    columns.push(number("size".into(), &|row| row.influence.size(row.k, row.channels)));
    columns.push(number("mean".into(), &|row| row.influence.mean(row.k, row.channels)));
    let steps = all.first().map_or(0, |one| one.forecast.prediction_length());
    for step in 0..steps {
        let of = move |row: &Row<'_>| row.influence.change[step * row.channels + row.k];
        columns.push(number(format!("step_{}", step + 1), &of));
    }
    Table::new(columns)
}

/// An influence on one channel.
struct Row<'a> {
    id: &'a str,
    channel: &'a str,
    kind: &'static str,
    source: &'a str,
    from: String,
    to: String,
    influence: &'a Influence,
    /// Number of the channel among those that are forecast, and their number.
    k: usize,
    channels: usize,
}

fn rows_of<'a>(set: &'a SeriesSet, series: Option<&Series>, one: &'a Explanation) -> Vec<Row<'a>> {
    let channels = one.forecast.channels.len();
    let place = |row: usize| {
        let time = series.and_then(|series| Some((series, series.timestamps.as_ref()?.get(row)?)));
        time.map_or_else(|| row.to_string(), |(series, time)| set.time_text(series, time))
    };
    let row = |k: usize, influence: &'a Influence| {
        let (kind, source, from, to) = match &influence.source {
            Source::Past { channel, rows } => {
                ("past", &set.channels[*channel], place(rows.start), place(rows.end - 1))
            }
            Source::Covariate { number } => {
                ("covariate", &set.covariates[*number], String::new(), String::new())
            }
        };
        let channel = &one.forecast.channels[k];
        Row { id: &one.forecast.id, channel, kind, source, from, to, influence, k, channels }
    };
    (0..channels).flat_map(|k| one.influences.iter().map(move |one| row(k, one))).collect()
}
