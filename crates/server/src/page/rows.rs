//! `POST /page/rows`: one series of a table as the server reads it, so that a browser need read no table.
//!
//! The route belongs to the page: it may change with it, and is not in the OpenAPI document.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use bytes::Bytes;
use ptsm::data::{Series, SeriesSet, TimeStyle, Times};
use ptsm::forecast::OpenSeries;
use ptsm::spec::DataSpec;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::{Answered, Code, Failure};
use crate::forecast::{Media, Rows, beside, open};
use crate::http::answer::Refused;
use crate::http::asked::Asked;
use crate::http::options::{TableSchema, of_json, of_query};
use crate::http::{body, media};
use crate::state::Service;

/// Numbers of a series that are answered at most: its last ones.
const MOST_NUMBERS: usize = 400_000;

/// A table as JSON; with other bodies the schema is in the query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableBody<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    schema: TableSchema,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    series: usize,
    #[serde(default)]
    steps: usize,
}

/// The series of a table, and the rows of one of them.
#[derive(Serialize)]
pub(super) struct TableRows {
    /// Names of all series, in the order of the table.
    ids: Vec<String>,
    channels: Vec<String>,
    /// Step of the rows.
    frequency: Option<String>,
    /// Steps of the season; 1 = none.
    season: usize,
    /// Steps that are usually forecast from such rows.
    usual_steps: usize,
    /// Whether times are the whole numbers of an index.
    is_index: bool,
    series: OneSeries,
}

/// Rows of a series, and the times that follow them.
#[derive(Serialize)]
pub(super) struct OneSeries {
    id: String,
    /// Rows of the series, T.
    rows: usize,
    /// The first row that is answered, R = T - this; long series are cut at their start.
    first_row: usize,
    /// `[R + steps]`, ascending: milliseconds since 1970 on the clock of the table (what it shows a second time, where it
    /// goes back, is spread up to the next later time), or numbers of an index or of rows.
    at: Vec<i64>,
    /// The same as the table writes them; `null` where rows are only numbered.
    times: Option<Vec<String>>,
    /// `[C][R]`, `null` = missing.
    values: Vec<Vec<Option<f64>>>,
}

/// Reads a table and answers one series of it.
pub(super) async fn post(
    State(service): State<Arc<Service>>,
    asked: Asked,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<TableRows>, Refused> {
    let media = media::of_request(&headers)?;
    let bytes = body::read(body, &service).await?;
    let answer = beside(bytes.len(), move || {
        let (rows, data, wanted) = table(media, bytes, &query.unwrap_or_default())?;
        answered(&rows, &data, &wanted, &Reader { service: &service, asked: &asked })
    });
    Ok(Json(answer.await?))
}

/// Who reads, for whom.
struct Reader<'a> {
    service: &'a Service,
    asked: &'a Asked,
}

/// Which series is wanted, and how many times that follow it.
#[derive(Default)]
struct Wanted {
    /// The model that reads the table, as for its forecasts; `None` = as for any series.
    model: Option<String>,
    /// Its number in the order of the table.
    series: usize,
    steps: usize,
}

impl Wanted {
    /// Takes its own fields out of a query; what is left is the schema's.
    fn of_query(query: &str) -> Answered<(Self, String)> {
        let (mut wanted, mut rest) = (Self::default(), Vec::new());
        for part in query.split('&') {
            let field = match part.split_once('=') {
                Some(("series", number)) => Some((&mut wanted.series, number)),
                Some(("steps", number)) => Some((&mut wanted.steps, number)),
                _ => None,
            };
            match field {
                Some((field, number)) => {
                    *field = number.parse().map_err(|_| {
                        let text = format!("query: {part}: wanted a whole number");
                        Failure::new(Code::Unreadable, text)
                    })?;
                }
                None => rest.push(part),
            }
        }
        Ok((wanted, rest.join("&")))
    }
}

/// The table of a request, which is not read yet, how it is read, and what is wanted of it.
fn table(media: Media, bytes: Bytes, query: &str) -> Answered<(Rows, DataSpec, Wanted)> {
    if media == Media::Json {
        if !query.is_empty() {
            let text = "query: options of a request with a body of JSON are its fields";
            return Err(Failure::new(Code::Unreadable, text));
        }
        let TableBody { data, schema, model, series, steps } = of_json(&bytes)?;
        refuse_unused(&schema, media)?;
        let rows = Rows { name: "data", media, bytes: bytes.slice_ref(data.get().as_bytes()) };
        return Ok((rows, schema.spec(), Wanted { model, series, steps }));
    }
    let (mut wanted, query) = Wanted::of_query(query)?;
    let (options, schema) = of_query(&query)?;
    if let Some(name) = options.given().iter().find(|name| **name != "model") {
        return Err(Failure::unusable(format!("{name}: rows are read, and nothing is forecast")));
    }
    refuse_unused(&schema, media)?;
    wanted.model = options.model;
    Ok((Rows { name: "data", media, bytes }, schema.spec(), wanted))
}

/// Refuses what no rows are read with.
fn refuse_unused(schema: &TableSchema, media: Media) -> Answered<()> {
    let given = schema.given();
    for (name, is_used, why) in [
        ("label", false, "is for models that label cases"),
        ("delimiter", media == Media::Csv, "is for rows of CSV"),
    ] {
        if given.contains(&name) && !is_used {
            return Err(Failure::unusable(format!("{name}: {why}")));
        }
    }
    Ok(())
}

fn answered(
    rows: &Rows,
    data: &DataSpec,
    wanted: &Wanted,
    reader: &Reader<'_>,
) -> Answered<TableRows> {
    let Service { limits, registry, .. } = reader.service;
    if wanted.steps > limits.steps {
        let text = format!("steps: {} are more than {}", wanted.steps, limits.steps);
        return Err(Failure::new(Code::TooLarge, text));
    }
    let model = wanted.model.as_deref().map(|name| reader.asked.model(registry, name));
    let OpenSeries { set, season, steps } =
        open(model.transpose()?.as_deref(), rows, data, limits)?;
    let one = set.series.get(wanted.series).ok_or_else(|| {
        let (number, count) = (wanted.series, set.series.len());
        Failure::unusable(format!("series: there are {count}, so there is no number {number}"))
    })?;
    Ok(TableRows {
        ids: set.series.iter().map(|series| series.id.clone()).collect(),
        channels: set.channels.clone(),
        frequency: set.frequency.map(|step| step.to_string()),
        season,
        usual_steps: steps,
        is_index: is_index(&set),
        series: one_series(&set, one, wanted.steps),
    })
}

fn is_index(set: &SeriesSet) -> bool {
    set.time_style.is_none_or(|style| style == TimeStyle::Index)
}

fn one_series(set: &SeriesSet, series: &Series, steps: usize) -> OneSeries {
    let rows = series.num_rows();
    let first_row = rows.saturating_sub(MOST_NUMBERS / set.channels.len().max(1));
    let after = set.future_timestamps(series, steps).unwrap_or_default();
    let times: Option<Vec<i64>> =
        series.timestamps.as_ref().map(|times: &Times| times.iter().skip(first_row).collect());
    let times = times.map(|times| [times, after].concat());
    let numbered = || (first_row as i64..(rows + steps) as i64).collect();
    let on_clock = |times: &Vec<i64>| match is_index(set) {
        true => times.clone(),
        false => ascending(times.iter().map(|&time| milliseconds(set, series, time)).collect()),
    };
    let values = (0..set.channels.len())
        .map(|channel| (first_row..rows).map(|row| series.get(row, channel)).collect());
    OneSeries {
        id: series.id.clone(),
        rows,
        first_row,
        at: times.as_ref().map_or_else(numbered, on_clock),
        times: times.map(|times| times.iter().map(|&time| set.time_text(series, time)).collect()),
        values: values.collect(),
    }
}

/// Milliseconds since 1970 on the clock that the table shows.
fn milliseconds(set: &SeriesSet, series: &Series, time: i64) -> i64 {
    series.zone.both(time, set.times.clock).1.div_euclid(1_000_000)
}

/// Times of a clock such that none is before another one that it follows: those that the clock shows a second time, where
/// it goes back, are spread evenly up to the next later one.
fn ascending(mut times: Vec<i64>) -> Vec<i64> {
    let mut at = 1;
    while at < times.len() {
        let last = times[at - 1];
        let later = times[at..].iter().position(|&time| time > last);
        let (again, until) = match later {
            Some(again) => (again, times[at + again]),
            None => (times.len() - at, last + (times.len() - at) as i64 + 1),
        };
        for (number, time) in times[at..at + again].iter_mut().enumerate() {
            *time = last + (until - last) * (number as i64 + 1) / (again as i64 + 1);
        }
        at += again + 1;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::ascending;

    #[test]
    fn times_ascend_where_a_clock_goes_back() {
        for (shown, wanted) in [
            (&[][..], &[][..]),
            (&[5], &[5]),
            (&[0, 60, 120], &[0, 60, 120]),
            (&[0, 60, 60, 120], &[0, 60, 90, 120]),
            (&[0, 30, 60, 90, 60, 90, 120, 150], &[0, 30, 60, 90, 100, 110, 120, 150]),
            (&[0, 60, 30, 60], &[0, 60, 61, 62]),
            (&[0, 10, 5, 20, 15, 30], &[0, 10, 15, 20, 25, 30]),
        ] {
            assert_eq!(ascending(shown.to_vec()), wanted);
        }
    }
}
