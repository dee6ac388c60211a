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
use ptsm::forecast::{AnySeriesOptions, OpenSeries};
use ptsm::spec::{DataSpec, Source};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::{Answered, Code, Failure};
use crate::forecast::{Media, Rows, beside};
use crate::http::answer::Refused;
use crate::http::asked::Asked;
use crate::http::options::{ForecastOptions, TableSchema, of_json, of_query};
use crate::http::{body, media};
use crate::limits::Limits;
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
    /// `[R + steps]`: milliseconds since 1970 on the clock of the table, or numbers of an index or of rows.
    at: Vec<i64>,
    /// The same as the table writes them; `null` where rows are only numbered.
    times: Option<Vec<String>>,
    /// `[C][R]`, `null` = missing.
    values: Vec<Vec<Option<f64>>>,
}

/// Reads a table and answers one series of it.
pub(super) async fn post(
    State(service): State<Arc<Service>>,
    _: Asked,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<TableRows>, Refused> {
    let media = media::of_request(&headers)?;
    let bytes = body::read(body, &service).await?;
    let limits = service.limits.clone();
    let answer = beside(bytes.len(), move || {
        let (rows, data, wanted) = table(media, bytes, &query.unwrap_or_default())?;
        answered(&rows, &data, &limits, &wanted)
    });
    Ok(Json(answer.await?))
}

/// Which series is wanted, and how many times that follow it.
#[derive(Default)]
struct Wanted {
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
        let TableBody { data, schema, series, steps } = of_json(&bytes)?;
        let rows = Rows { name: "data", media, bytes: bytes.slice_ref(data.get().as_bytes()) };
        return Ok((rows, schema.spec(), Wanted { series, steps }));
    }
    let (wanted, query) = Wanted::of_query(query)?;
    let (options, schema) = of_query(&query)?;
    let ForecastOptions { model, prediction_length, rows_before_end, levels, interval_names } =
        options;
    let unused = [
        ("model", model.is_some()),
        ("prediction_length", prediction_length.is_some()),
        ("rows_before_end", rows_before_end.is_some()),
        ("levels", levels.is_some()),
        ("interval_names", interval_names.is_some()),
    ];
    if let Some((name, _)) = unused.iter().find(|(_, is_given)| *is_given) {
        return Err(Failure::unusable(format!("{name}: rows are read without a model")));
    }
    Ok((Rows { name: "data", media, bytes }, schema.spec(), wanted))
}

fn answered(rows: &Rows, data: &DataSpec, limits: &Limits, wanted: &Wanted) -> Answered<TableRows> {
    if wanted.steps > limits.steps {
        let text = format!("steps: {} are more than {}", wanted.steps, limits.steps);
        return Err(Failure::new(Code::TooLarge, text));
    }
    let source = Source::of_table(rows.read(&data.read_options()?, limits)?);
    let options = AnySeriesOptions { data, steps: None, levels: None, season_from: None };
    let OpenSeries { set, season, steps } = OpenSeries::read(&source, &options)?;
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
        false => times.iter().map(|&time| milliseconds(set, series, time)).collect(),
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
