//! `ptsm stream`: reads rows as they arrive, and writes forecasts at once.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ptsm::data::{DateOrder, Duplicates, ReadOptions, RowColumns, RowReader, TimeRules};
use ptsm::preprocessor::Preprocessor;
use ptsm::stream::{DriftOptions, StreamOptions, StreamPanel, StreamRow};
use ptsm::{Error, ErrorKind, Forecast, Forecaster, Result};
use serde_json::{Map, Value, json};

use crate::global::Global;
use crate::output::{flag, message, remark};
use ptsm_backends::open;

/// Options of `stream`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Rows: CSV with a header, or a JSON object a line; "-" = stdin
    #[arg(long, default_value = "-", value_name = "FILE")]
    input: String,
    /// Rows from one forecast to the next
    #[arg(long, default_value_t = 1, value_name = "K")]
    every: u64,
    /// Rows before the first forecast [default: the whole context]
    #[arg(long, value_name = "N")]
    min_rows: Option<u64>,
    /// A second row of the newest time: error, first (keep it) or last (take the new one)
    #[arg(long, default_value = "last", value_name = "RULE")]
    duplicates: Duplicates,
    /// A row that cannot be used: stop, or say so and skip it
    #[arg(long, default_value = "stop", value_enum)]
    on_error: OnError,
    /// How forecasts are written: jsonl (an object for each) or csv (a line for each step)
    #[arg(long, default_value = "jsonl", value_enum)]
    output: Form,
    /// File that keeps the state: read at the start if it is there, written at the end and every
    /// --save-every rows
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Rows from one save of the state to the next
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    save_every: u64,
    /// Column of times, if it has another name than in training
    #[arg(long, value_name = "COLUMN")]
    timestamp: Option<String>,
    /// Column that names the series of a row, if it has another name than in training
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// Order of dates such as 7/1/2016: day-first or month-first (year-first for 16-07-01); that of
    /// the training data if not given
    #[arg(long, value_name = "ORDER")]
    dates: Option<DateOrder>,
    /// Character between cells; detected if not given ("tab" for a tabulator)
    #[arg(long, value_name = "CHAR")]
    delimiter: Option<String>,
    /// Further texts that mean "missing"
    #[arg(long, value_delimiter = ',', value_name = "TEXT,...", allow_hyphen_values = true)]
    missing: Vec<String>,
    /// Decimal numbers have a comma: 1,5 is one and a half
    #[arg(long)]
    decimal_comma: bool,
    /// Drift alarm: rows from which mean and deviation of the normal error are taken
    #[arg(long, default_value_t = DriftOptions::default().baseline, value_name = "N")]
    drift_baseline: u64,
    /// Drift alarm: deviations above the mean up to which an error is normal
    #[arg(long, default_value_t = DriftOptions::default().slack, value_name = "X")]
    drift_slack: f64,
    /// Drift alarm: sum of the deviations beyond that which raises it
    #[arg(long, default_value_t = DriftOptions::default().threshold, value_name = "X")]
    drift_threshold: f64,
    /// Backend that computes: cpu, tenstorrent or tenstorrent-emulator
    #[arg(long, default_value = "cpu")]
    backend: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnError {
    Stop,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Jsonl,
    Csv,
}

/// Reads, forecasts, writes, until the input ends.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let forecaster = Forecaster::from_dir(&args.model, open(&args.backend)?.as_ref())?;
    let mut stream = StreamPanel::new(forecaster, args.options())?;
    if let Some(path) = args.state.as_deref().filter(|path| path.is_file()) {
        stream.restore_state(path)?;
        let rows = stream.counters().rows;
        remark(global, &format!("{}: going on after {rows} rows", path.display()));
    }
    let input: Box<dyn BufRead> = match args.input.as_str() {
        "-" => Box::new(std::io::stdin().lock()),
        path => {
            let path = Path::new(path);
            let file = File::open(path).map_err(|e| Error::io(path, "cannot be read", e))?;
            Box::new(BufReader::new(file))
        }
    };
    let mut out =
        Writer { out: BufWriter::new(std::io::stdout().lock()), form: args.output, header: false };
    let began = Instant::now();
    let mut timing = Timing::default();
    let (columns, rules) = args.reading(stream.model().preprocessor())?;
    let options = args.read_options(stream.model().preprocessor())?;
    let done = match RowReader::new(input, columns, &options, &rules)? {
        Some(rows) => read_all(args, &mut stream, rows, &mut out, &mut timing),
        None => Ok(()),
    };
    // The state is saved too if a row was refused or the reader of stdout has gone.
    if let Some(path) = &args.state {
        stream.save_state(path)?;
    }
    done?;
    remark(global, &summary(&stream, &timing, began.elapsed().as_secs_f64()));
    Ok(())
}

fn read_all(
    args: &Args,
    stream: &mut StreamPanel,
    mut rows: RowReader<impl BufRead>,
    out: &mut Writer<impl Write>,
    timing: &mut Timing,
) -> Result<()> {
    let mut values = Vec::new();
    loop {
        let time = match rows.next_row(&mut values) {
            Ok(Some(time)) => time,
            Ok(None) => return Ok(()),
            Err(error) => {
                args.skip(error)?;
                continue;
            }
        };
        let began = Instant::now();
        let alarms = stream.drift(rows.series()).alarms;
        match stream.push(rows.series(), StreamRow { time, values: &values }) {
            Ok(None) => {}
            Ok(Some(forecast)) => {
                timing.push(began.elapsed().as_secs_f64());
                let times = forecast.timestamps.as_ref();
                out.forecast(forecast, times.and_then(|times| rows.time_texts(times)))?;
            }
            Err(error) => args.skip(error.at(format!("line {}", rows.line_number())))?,
        }
        let drift = stream.drift(rows.series());
        if drift.alarms > alarms {
            let time = time.and_then(|time| rows.time_texts(&[time])?.pop());
            out.alarm(drift.last_alarm.unwrap_or_default(), rows.series(), time)?;
        }
        if let Some(path) = &args.state
            && args.save_every > 0
            && stream.rows().is_multiple_of(args.save_every)
        {
            stream.save_state(path)?;
        }
    }
}

impl Args {
    fn options(&self) -> StreamOptions {
        StreamOptions {
            every: self.every,
            min_rows: self.min_rows,
            duplicates: self.duplicates,
            drift: DriftOptions {
                baseline: self.drift_baseline,
                slack: self.drift_slack,
                threshold: self.drift_threshold,
            },
        }
    }

    /// Which columns are read, and how their times are.
    fn reading(&self, preprocessor: &Preprocessor) -> Result<(RowColumns, TimeRules)> {
        let (mut columns, mut rules) = (preprocessor.row_columns(), preprocessor.times.clone());
        columns.timestamp = self.timestamp.clone().or(columns.timestamp);
        if columns.id.is_none() && self.id.is_some() {
            let text = "the model was trained without a column of series, so all rows are of one \
                        (leave it out)";
            return Err(Error::config("id", text));
        }
        columns.id = self.id.clone().or(columns.id);
        rules.order = self.dates.or(rules.order);
        Ok((columns, rules))
    }

    fn read_options(&self, preprocessor: &Preprocessor) -> Result<ReadOptions> {
        let data = crate::source::DataArgs {
            delimiter: self.delimiter.clone(),
            missing: self.missing.iter().chain(&preprocessor.missing).cloned().collect(),
            decimal_comma: self.decimal_comma,
            ..Default::default()
        };
        data.spec().read_options()
    }

    /// Handles the error of a row that cannot be used: returns it, or prints it and goes on.
    fn skip(&self, error: Error) -> Result<()> {
        // A failure to read would only be repeated for the next row.
        if self.on_error == OnError::Stop || error.kind() == ErrorKind::Io {
            return Err(error);
        }
        message(&format!("skipped: {}", error.spelled(flag)));
        Ok(())
    }
}

/// Where forecasts go.
struct Writer<W: Write> {
    out: BufWriter<W>,
    form: Form,
    /// Whether the header of a CSV has been written.
    header: bool,
}

impl<W: Write> Writer<W> {
    fn forecast(&mut self, forecast: &Forecast, times: Option<Vec<String>>) -> Result<()> {
        let text = match self.form {
            Form::Jsonl => as_json(forecast, times).to_string() + "\n",
            Form::Csv => {
                let header = !std::mem::replace(&mut self.header, true);
                as_csv(forecast, times, header)
            }
        };
        self.write(&text)
    }

    /// A line of its own in JSON; a remark otherwise.
    fn alarm(&mut self, row: u64, series: &str, time: Option<String>) -> Result<()> {
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
    fn write(&mut self, text: &str) -> Result<()> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|e| Error::new(ErrorKind::Io, "stdout cannot be written").because(e))
    }
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

fn as_csv(forecast: &Forecast, times: Option<Vec<String>>, header: bool) -> String {
    let width = forecast.channels.len();
    let mut text = String::new();
    if header {
        text += if forecast.id.is_empty() { "origin,step" } else { "id,origin,step" };
        text += if times.is_some() { ",time" } else { "" };
        forecast.channels.iter().for_each(|name| text += &format!(",{}", quoted(name)));
        text.push('\n');
    }
    for (step, row) in forecast.values.chunks_exact(width).enumerate() {
        if !forecast.id.is_empty() {
            text += &format!("{},", quoted(&forecast.id));
        }
        text += &format!("{},{}", forecast.first_row, step + 1);
        if let Some(times) = &times {
            text += &format!(",{}", quoted(&times[step]));
        }
        row.iter().for_each(|value| text += &format!(",{value}"));
        text.push('\n');
    }
    text
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// A histogram of the forecasts' latencies with bins 5 % wide, so that memory does not grow.
#[derive(Default)]
struct Timing {
    /// Forecasts in each bin; the first begins at 100 ns.
    counts: Vec<u64>,
    total: u64,
}

impl Timing {
    const SMALLEST: f64 = 1e-7;
    const RATIO: f64 = 1.05;

    fn push(&mut self, seconds: f64) {
        let place = (seconds.max(Self::SMALLEST) / Self::SMALLEST).ln() / Self::RATIO.ln();
        let place = place as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.total += 1;
    }

    /// A quantile in milliseconds, exact to 5 %.
    fn quantile(&self, share: f64) -> f64 {
        let (wanted, mut sum) = ((self.total as f64 * share).ceil() as u64, 0);
        let place = self.counts.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        place.map_or(0.0, |place| Self::SMALLEST * Self::RATIO.powi(place as i32 + 1) * 1e3)
    }
}

fn summary(stream: &StreamPanel, timing: &Timing, seconds: f64) -> String {
    let (counters, score) = (stream.counters(), stream.score());
    let mut text = format!(
        "{} rows, {} forecasts in {seconds:.1} s ({:.0} rows/s)",
        counters.rows,
        counters.forecasts,
        counters.rows as f64 / seconds.max(1e-9)
    );
    if timing.total > 0 {
        let (p50, p99) = (timing.quantile(0.5), timing.quantile(0.99));
        text += &format!("; a forecast takes {p50:.3} ms (p50), {p99:.3} ms (p99)");
    }
    if let (Some(mse), Some(mae)) = (score.mse(), score.mae()) {
        text += &format!("\nMSE {mse:.4}, MAE {mae:.4} over {} points", score.points);
    }
    text += &format!(
        "\ngap rows {}, duplicates {}, late rows {} used and {} dropped, missing points {}, drift \
         alarms {}",
        counters.gap_rows,
        counters.duplicates,
        counters.late_used,
        counters.late_dropped,
        counters.missing_points,
        stream.alarms()
    );
    text
}
