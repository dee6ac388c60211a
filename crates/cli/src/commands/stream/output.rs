//! How `ptsm stream` writes forecasts: a JSON object for each, or lines of CSV.

use std::io::{BufWriter, Write};

use ptsm::forecast::{ForecastColumns, free_name};
use ptsm::stream::{StreamPanel, WatchedPoint};
use ptsm::{Error, ErrorKind, Forecast, Result};
use serde_json::{Map, Value, json};

use crate::output::message;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    Jsonl,
    Csv,
}

/// Where forecasts go.
pub(super) struct Writer<W: Write> {
    out: BufWriter<W>,
    form: Form,
    /// The columns of a CSV, once its header has been written.
    columns: Option<ForecastColumns>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, form: Form) -> Self {
        Self { out: BufWriter::new(out), form, columns: None }
    }

    /// The text of a forecast.
    pub(super) fn form(&mut self, forecast: &Forecast, times: Option<Vec<String>>) -> String {
        match self.form {
            Form::Jsonl => as_json(forecast, times).to_string() + "\n",
            Form::Csv => self.as_csv(forecast, times.as_deref()),
        }
    }

    /// A line of the newest row of a series, if its points were compared with their forecasts.
    pub(super) fn watched(
        &mut self,
        stream: &StreamPanel,
        series: &str,
        time: impl FnOnce() -> Option<String>,
    ) -> Result<()> {
        let points = stream.watched(series);
        let Some(row) = stream.newest_row(series).filter(|_| !points.is_empty()) else {
            return Ok(());
        };
        let names = stream.model().preprocessor();
        let channels = stream.model().output_spec().channels();
        let point = |one: &WatchedPoint| {
            let name = names.channels[channels[one.channel]].clone();
            let numbers = json!({
                "value": one.value, "expected": one.expected, "score": one.score, "p": one.p,
                "level": one.level, "anomaly": one.anomaly,
            });
            (name, numbers)
        };
        let mut line = Map::new();
        if !series.is_empty() {
            line.insert("id".into(), series.into());
        }
        line.insert("row".into(), row.into());
        if let Some(time) = time() {
            line.insert("time".into(), time.into());
        }
        line.insert("anomaly".into(), points.iter().any(|one| one.anomaly).into());
        line.insert("points".into(), points.iter().map(point).collect::<Map<_, _>>().into());
        self.write(&format!("{}\n", Value::from(line)))
    }

    /// A line of its own in JSON; a remark otherwise.
    pub(super) fn alarm(&mut self, row: u64, series: &str, time: Option<String>) -> Result<()> {
        if self.form == Form::Jsonl {
            let mut line = json!({"alarm": "drift", "row": row, "time": time});
            if !series.is_empty() {
                line["id"] = series.into();
            }
            return self.write(&format!("{line}\n"));
        }
        let of = if series.is_empty() { String::new() } else { format!(" of series \"{series}\"") };
        message(&format!("drift alarm in row {row}{of} {}", time.unwrap_or_default()));
        Ok(())
    }

    /// Writes and flushes, because a reader may be waiting for each forecast.
    pub(super) fn write(&mut self, text: &str) -> Result<()> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|e| Error::new(ErrorKind::Io, "stdout cannot be written").because(e))
    }

    /// A line for each step, with a header in front of the first forecast: series, row that the
    /// forecast begins at, step and time, then the columns of the forecast.
    fn as_csv(&mut self, forecast: &Forecast, times: Option<&[String]>) -> String {
        let mut text = String::new();
        let columns = self.columns.get_or_insert_with(|| {
            let id = (!forecast.id.is_empty()).then_some("id");
            let own = [id, Some("origin"), Some("step"), times.map(|_| "time")];
            let own = own.into_iter().flatten().map(|name| free_name(name, &forecast.channels));
            let own: Vec<String> = own.collect();
            let columns = ForecastColumns::new(forecast, &own);
            push_line(&mut text, own.iter().chain(columns.names()).map(String::as_str));
            columns
        });
        for step in 0..forecast.prediction_length() {
            let [origin, number] = [forecast.first_row, step + 1].map(|x| x.to_string());
            let id = (!forecast.id.is_empty()).then_some(forecast.id.as_str());
            let time = times.map(|times| times[step].as_str());
            let numbers: Vec<String> = columns.row(forecast, step).map(|x| x.to_string()).collect();
            let own = [id, Some(&origin), Some(&number), time].into_iter().flatten();
            push_line(&mut text, own.chain(numbers.iter().map(String::as_str)));
        }
        text
    }
}

/// Adds a line of CSV.
fn push_line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (number, cell) in cells.enumerate() {
        if number > 0 {
            text.push(',');
        }
        // Also what a reader may take for the delimiter.
        match cell.contains([',', ';', '\t', '|', '"', '\n', '\r']) {
            true => text.push_str(&format!("\"{}\"", cell.replace('"', "\"\""))),
            false => text.push_str(cell),
        }
    }
    text.push('\n');
}

fn as_json(forecast: &Forecast, times: Option<Vec<String>>) -> Value {
    let width = forecast.channels.len();
    let by_channel = |values: &[f64]| -> Map<String, Value> {
        let column = |c: usize| values.iter().skip(c).step_by(width).copied().collect::<Vec<f64>>();
        let names = forecast.channels.iter().enumerate();
        names.map(|(c, name)| (name.clone(), json!(column(c)))).collect()
    };
    let mut line = Map::new();
    if !forecast.id.is_empty() {
        line.insert("id".into(), forecast.id.as_str().into());
    }
    line.insert("row".into(), forecast.first_row.into());
    if let Some(times) = times {
        line.insert("times".into(), json!(times));
    }
    line.insert("forecast".into(), by_channel(&forecast.values).into());
    if !forecast.intervals.is_empty() {
        let ends = forecast.intervals.iter().map(|interval| {
            json!({
                "level": interval.level,
                "lower": by_channel(&interval.lower), "upper": by_channel(&interval.upper),
            })
        });
        line.insert("intervals".into(), ends.collect::<Vec<_>>().into());
    }
    if !forecast.quantiles.is_empty() {
        let all = forecast.quantiles.iter();
        let all = all.map(|q| json!({"level": q.level, "values": by_channel(&q.values)}));
        line.insert("quantiles".into(), all.collect::<Vec<_>>().into());
    }
    line.into()
}
