//! `ptsm stream`: reads rows as they arrive, and writes forecasts at once.

mod notes;
mod output;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ptsm::data::{DateOrder, Duplicates, NO_COLUMN, ReadOptions, RowColumns, RowReader, TimeRules};
use ptsm::detect::Detector;
use ptsm::preprocessor::Preprocessor;
use ptsm::stream::{DriftOptions, StreamDetection, StreamOptions, StreamPanel, StreamRow};
use ptsm::zero_shot::zero_shot_network;
use ptsm::{Error, ErrorKind, Forecaster, Result};

use crate::commands::cases::check_forecasts;
use crate::global::Global;
use crate::opening::{Opening, Purpose};
use crate::output::{flag, message, remark};
use crate::source::{DataArgs, ORDERS, TextArgs, refuse_unused};
use crate::words::{counted, words};
use ptsm_backends::open;

use notes::Notes;
use output::{Form, Writer};

/// Options of `stream`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory, or builtin: the model inside the binary, which forecasts any series
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Table with the columns of the rows to come, for models that forecast any series: its channels, step
    /// and season are theirs
    #[arg(long, value_name = "FILE")]
    like: Option<String>,
    /// Steps to forecast, for models that forecast any series; the usual ones of the step if not given
    #[arg(long, value_name = "STEPS", visible_alias = "horizon", requires = "like")]
    prediction_length: Option<usize>,
    /// Steps of the season, for models that forecast any series; that of the table if not given
    #[arg(long, value_name = "N", requires = "like")]
    season: Option<usize>,
    /// Rows: CSV with a header, or a JSON object a line; "-" = stdin
    #[arg(long, default_value = "-", value_name = "FILE")]
    input: String,
    /// Rows from one forecast to the next
    #[arg(long, default_value_t = 1, value_name = "K")]
    every: u64,
    /// Rows before the first forecast [default: the whole context; of classical methods
    /// two seasons, 8 at least; with --detector as many as it was calibrated with]
    #[arg(long, value_name = "N")]
    min_rows: Option<u64>,
    /// A second row of the newest time: error, first (keep it), or last (take the new one)
    #[arg(long, default_value = "last", value_name = "RULE", value_parser = words::<Duplicates>(["error", "first", "last"]))]
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
    /// Column of times, if it has another name than in training; "none" = rows are numbered
    #[arg(long, value_name = "COLUMN")]
    timestamp: Option<String>,
    /// Column that names the series of a row, if it has another name than in training; "none" = one
    /// series
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// Order of dates such as 7/1/2016: day-first or month-first (year-first for 16-07-01); that of
    /// the training data if not given
    #[arg(long, value_name = "ORDER", value_parser = words::<DateOrder>(ORDERS))]
    dates: Option<DateOrder>,
    /// Drift alarm: rows from which mean and deviation of the normal error are taken
    #[arg(long, default_value_t = DriftOptions::default().baseline, value_name = "N")]
    drift_baseline: u64,
    /// Drift alarm: deviations above the mean up to which an error is normal
    #[arg(long, default_value_t = DriftOptions::default().slack, value_name = "X")]
    drift_slack: f64,
    /// Drift alarm: sum of the deviations beyond that which raises it
    #[arg(long, default_value_t = DriftOptions::default().threshold, value_name = "X")]
    drift_threshold: f64,
    /// Compare every row with its forecast by the calibration that `ptsm detect --save` wrote: a line for each, with
    /// p-values and anomalies
    #[arg(long, value_name = "FILE")]
    detector: Option<PathBuf>,
    /// Flag points with a p-value of at most this
    #[arg(long, default_value_t = 0.001, value_name = "LEVEL", requires = "detector")]
    alpha: f64,
    /// Have the level follow the share of flagged points, by steps of this size, such as 0.005 (adaptive conformal
    /// inference); 0 = it stays at --alpha
    #[arg(long, default_value_t = 0.0, value_name = "GAMMA", requires = "detector")]
    adapt: f64,
    /// Make later forecasts without the points whose p-value is at most this, as in `ptsm detect`
    #[arg(long, value_name = "LEVEL", requires = "detector")]
    hide: Option<f64>,
    /// Write no forecasts, only p-values and alarms
    #[arg(long, requires = "detector")]
    no_forecasts: bool,
    /// Backend that computes: cpu, tenstorrent or tenstorrent-emulator
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    backend: String,
    #[command(flatten)]
    text: TextArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnError {
    Stop,
    Skip,
}

/// Reads, forecasts, writes, until the input ends.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    check_forecasts(&args.model, "stream")?;
    let forecaster = args.forecaster(global)?;
    let mut stream = args.stream(forecaster)?;
    if let Some(path) = args.state.as_deref().filter(|path| path.exists()) {
        stream.restore_state(path)?;
        let rows = stream.counters().rows;
        remark(global, &format!("{}: resumes after {rows} rows", path.display()));
    }
    let input: Box<dyn BufRead> = match args.input.as_str() {
        "-" => Box::new(std::io::stdin().lock()),
        path => {
            let path = Path::new(path);
            let file = File::open(path).map_err(|e| Error::io(path, "cannot be read", e))?;
            Box::new(BufReader::new(file))
        }
    };
    let mut out = Writer::new(std::io::stdout().lock(), args.output);
    let began = Instant::now();
    let mut timing = Timing::default();
    let (columns, rules) = args.reading(stream.model().preprocessor())?;
    let options = args.read_options(stream.model().preprocessor())?;
    let done = match RowReader::new(input, columns, &options, &rules)? {
        Some(rows) => {
            let notes = Notes::default();
            let (stream, out, timing) = (&mut stream, &mut out, &mut timing);
            Reading { global, args, stream, out, timing, notes }.all(rows)
        }
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

/// The rows as they are read.
struct Reading<'a, W: Write> {
    global: &'a Global,
    args: &'a Args,
    stream: &'a mut StreamPanel,
    out: &'a mut Writer<W>,
    timing: &'a mut Timing,
    notes: Notes,
}

/// A row, and when it came.
struct Row<'a> {
    time: Option<i64>,
    values: &'a [f64],
    began: Instant,
}

impl<W: Write> Reading<'_, W> {
    fn all(&mut self, mut rows: RowReader<impl BufRead>) -> Result<()> {
        let mut values = Vec::new();
        loop {
            match rows.next_row(&mut values) {
                Ok(Some(time)) => {
                    let row = Row { time, values: &values, began: Instant::now() };
                    self.row(&rows, &row)?;
                }
                Ok(None) => return Ok(()),
                Err(error) => self.args.skip(error)?,
            }
        }
    }

    fn row(&mut self, rows: &RowReader<impl BufRead>, row: &Row<'_>) -> Result<()> {
        let series = self.stream.num_series();
        let alarms = self.stream.drift(rows.series()).alarms;
        self.push(rows, row)?;
        if self.stream.num_series() > series {
            self.notes.of_series(self.global, self.stream, rows.series());
        }
        let drift = self.stream.drift(rows.series());
        if drift.alarms > alarms {
            let time = text_of(rows, row.time);
            self.out.alarm(drift.last_alarm.unwrap_or_default(), rows.series(), time)?;
        }
        if let Some(path) = &self.args.state
            && self.args.save_every > 0
            && self.stream.rows().is_multiple_of(self.args.save_every)
        {
            self.stream.save_state(path)?;
        }
        Ok(())
    }

    /// Takes in a row, and writes what is said of it and forecast from it.
    fn push(&mut self, rows: &RowReader<impl BufRead>, row: &Row<'_>) -> Result<()> {
        let Self { args, stream, out, timing, .. } = self;
        let (taken, time) = (stream.rows(), row.time);
        match stream.push(rows.series(), StreamRow { time, values: row.values }) {
            Ok(forecast) => {
                let due = forecast.is_some();
                let line = forecast.filter(|_| !args.no_forecasts).map(|forecast| {
                    let times = forecast.timestamps.as_ref();
                    let times = times.and_then(|times| rows.time_texts(times));
                    out.form(forecast, times)
                });
                if due {
                    timing.push(row.began.elapsed().as_secs_f64());
                }
                out.watched(stream, rows.series(), || text_of(rows, time))?;
                line.map_or(Ok(()), |line| out.write(&line))
            }
            Err(error) => {
                // The row itself can be taken in, where only its forecast fails.
                if stream.rows() > taken {
                    out.watched(stream, rows.series(), || text_of(rows, time))?;
                }
                args.skip(error.at(format!("line {}", rows.line_number())))
            }
        }
    }
}

/// A time as the rows have it.
fn text_of(rows: &RowReader<impl BufRead>, time: Option<i64>) -> Option<String> {
    rows.time_texts(&[time?])?.pop()
}

impl Args {
    /// The model, for rows like those of the table where it forecasts any series.
    fn forecaster(&self, global: &Global) -> Result<Forecaster> {
        if zero_shot_network(&self.model)?.is_none() {
            let why = "is for models that forecast any series; this one knows its columns";
            refuse_unused(&[("like", self.like.is_some())], why)?;
            return Forecaster::from_dir(&self.model, open(&self.backend)?.as_ref());
        }
        if self.like.is_none() {
            let text = "is missing: a model that forecasts any series takes channels, step and season \
                        from a table with the columns of the rows to come, such as their past";
            return Err(Error::config("like", text));
        }
        let data = DataArgs {
            data: self.like.clone(),
            timestamp: self.timestamp.clone(),
            id: self.id.clone(),
            text: self.text.clone(),
            dates: self.dates,
            season: self.season,
            ..DataArgs::default()
        };
        let opening = Opening {
            backend: &self.backend,
            steps: self.prediction_length,
            ..Opening::new(&self.model, &data, Purpose::ZeroShot)
        };
        Ok(opening.open(global)?.forecaster)
    }

    /// The streams, with their detector.
    fn stream(&self, forecaster: Forecaster) -> Result<StreamPanel> {
        let stream = StreamPanel::new(forecaster, self.options())?;
        let Some(path) = &self.detector else { return Ok(stream) };
        if self.output == Form::Csv {
            let text =
                "is csv, whose lines are forecasts; p-values come as JSON (use --output jsonl)";
            return Err(Error::config("output", text));
        }
        let detector = Arc::new(Detector::load(path, stream.model())?);
        stream.with_detector(StreamDetection {
            detector,
            alpha: self.alpha,
            adapt: self.adapt,
            hide: self.hide,
        })
    }

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
        if columns.id.is_none() && self.id.as_deref().is_some_and(|name| name != NO_COLUMN) {
            let text = "the model was trained without a column of series, so all rows are of one \
                        (leave it out)";
            return Err(Error::config("id", text));
        }
        for (column, given) in
            [(&mut columns.timestamp, &self.timestamp), (&mut columns.id, &self.id)]
        {
            match given.as_deref() {
                None => {}
                Some(NO_COLUMN) => *column = None,
                Some(name) => *column = Some(name.to_owned()),
            }
        }
        rules.order = self.dates.or(rules.order);
        Ok((columns, rules))
    }

    fn read_options(&self, preprocessor: &Preprocessor) -> Result<ReadOptions> {
        let mut spec = self.text.spec();
        spec.missing.extend(preprocessor.missing.iter().cloned());
        spec.read_options()
    }

    /// Handles the error of a row that cannot be used: returns it, or prints it and reads on.
    fn skip(&self, error: Error) -> Result<()> {
        // A failure to read would only be repeated for the next row.
        if self.on_error == OnError::Stop || error.kind() == ErrorKind::Io {
            return Err(error);
        }
        message(&format!("skipped: {}", error.spelled(flag)));
        Ok(())
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
    let wanted = stream.wanted_rows();
    if counters.forecasts == 0 && counters.rows < wanted {
        text += &format!("; the first forecast comes after {wanted} rows of a series (--min-rows)");
    }
    if timing.total > 0 {
        let (p50, p99) = (timing.quantile(0.5), timing.quantile(0.99));
        text += &format!("; a forecast takes {p50:.3} ms (p50), {p99:.3} ms (p99)");
    }
    if let (Some(mse), Some(mae)) = (score.mse(), score.mae()) {
        text += &format!(
            "\nMSE {mse:.4}, MAE {mae:.4} in standardised units over {} points",
            score.points
        );
    }
    let watched = stream.watch_counts();
    if watched.scored + watched.not_scored > 0 {
        text += &format!(
            "\n{} compared with their forecasts, {} flagged, {} without a p-value",
            counted(watched.scored as usize, "point"),
            watched.flagged,
            watched.not_scored
        );
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
