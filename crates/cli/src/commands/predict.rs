//! `ptsm predict`: forecasts the steps after the end of the data, or labels cases.

use std::path::PathBuf;

use ptsm::core::SampleOptions;
use ptsm::data::{SeriesSet, Table, write_table};
use ptsm::forecast::{IntervalNames, forecast_table, forecast_table_named, with_first_column};
use ptsm::heads::{SharedModel, heads_table};
use ptsm::{Error, Forecast, Forecaster, Result};
use serde_json::{Value, json};

use crate::commands::cases;
use crate::global::Global;
use crate::output::{answer, answer_table, print, remark, remark_note};
use crate::pictures::forecast_plot;
use crate::plot;
use crate::source::{DataArgs, far_values, refuse_unused, summary};
use ptsm_backends::{only_cpu, open};

/// Options of `predict`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Model directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// File for the forecasts: .csv, .parquet, .arrow, .feather, .json or .jsonl; CSV on stdout if not
    /// given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Picture of the forecast with its context, and the truth where it is known (.svg or .png)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["heads", "samples"])]
    plot: Option<PathBuf>,
    /// Start the forecast this many rows before the end of the data
    #[arg(long, default_value_t = 0, value_name = "N")]
    rows_before_end: usize,
    /// Columns of the labels, for models that label cases
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Outputs of these heads from one pass: main, and those of `ptsm heads`
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    heads: Option<Vec<String>>,
    /// Steps to forecast, where they are not those of the model: fewer are cut, for more the model is
    /// fed its own forecasts (without intervals)
    #[arg(long, value_name = "H", conflicts_with_all = ["heads", "samples"])]
    prediction_length: Option<usize>,
    /// Draw this many samples of the forecast instead (a column `sample` numbers them)
    #[arg(long, value_name = "N", conflicts_with = "heads")]
    samples: Option<usize>,
    /// Seed of the samples
    #[arg(long, default_value_t = 0, requires = "samples")]
    seed: u64,
    /// Names of the columns of intervals: quantile (y_q0.1, y_q0.9) or nixtla (y-lo-80, y-hi-80)
    #[arg(long, value_enum, value_name = "NAMES", conflicts_with_all = ["heads", "samples"])]
    interval_names: Option<Names>,
    /// Backend that computes: cpu, tenstorrent or tenstorrent-emulator
    #[arg(long, default_value = "cpu")]
    backend: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Names {
    Quantile,
    Nixtla,
}

impl From<Names> for IntervalNames {
    fn from(names: Names) -> Self {
        match names {
            Names::Quantile => Self::Quantile,
            Names::Nixtla => Self::Nixtla,
        }
    }
}

/// Forecasts and writes.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let labels = cases::labels(&args.model)?;
    args.data.without_season()?;
    if labels {
        args.only_labels()?;
        let request = cases::Request {
            model: &args.model,
            data: &args.data,
            label: args.label.as_ref(),
            backend: &args.backend,
            plot: None,
            out: args.out.as_ref(),
        };
        return cases::predict(global, &request);
    }
    let why = "is for models that label cases; this one forecasts";
    refuse_unused(&[("label", args.label.is_some())], why)?;
    let mut forecaster = Forecaster::from_dir(&args.model, open(&args.backend)?.as_ref())?;
    let source = args.data.read_for(global, forecaster.preprocessor())?;
    let set = forecaster.read_as(&source.table, &args.data.roles(), &args.data.repair(&source)?)?;
    remark(global, &summary(&source.name, &set));
    far_values(global, &set);
    set.repairs.time_notes().iter().for_each(|note| remark_note(global, note));
    // The series have all that is needed, so the memory of the table is released.
    let source_name = source.name.clone();
    drop(source);
    if let Some(names) = &args.heads {
        only_cpu(&args.backend, "several heads on one backbone")?;
        let mut shared = SharedModel::from_dir(&args.model, names, open(&args.backend)?.as_ref())?;
        let table = heads_table(&forecaster, &mut shared, &set, args.rows_before_end)?;
        return write(global, args, &table);
    }
    if let Some(count) = args.samples {
        return write(global, args, &sampled(&mut forecaster, &set, args, count)?);
    }
    let own = forecaster.config().prediction_length;
    let steps = args.prediction_length.unwrap_or(own);
    if steps == 0 {
        return Err(Error::config("prediction_length", "must be at least 1"));
    }
    if steps > own {
        let text = format!(
            "{steps} steps: the model forecasts {own} at a time and is fed its own forecasts; no \
             intervals are given so far ahead"
        );
        remark(global, &text);
    }
    let forecasts = forecaster.predict_steps(&set, args.rows_before_end, steps)?;
    let table = forecast_table_named(&set, &forecasts, args.names(global, &forecasts)?)?;
    if let Some(path) = &args.plot {
        let title = format!("Forecast of {source_name}");
        plot::save(path, &forecast_plot(&title, &forecaster, &set, &forecasts[0]))?;
        remark(global, &format!("picture: {}", path.display()));
    }
    if let Some(path) = &args.out {
        write_table(path, &table)?;
        remark(global, &format!("{} forecasts in {}", forecasts.len(), path.display()));
        return match global.json {
            true => answer(global, &json!({"out": path, "forecasts": forecasts.len()}), ""),
            false => Ok(()),
        };
    }
    if global.json {
        let all: Vec<Value> = forecasts.iter().map(|forecast| describe(&set, forecast)).collect();
        return answer(global, &json!({"forecasts": all}), "");
    }
    let mut csv = Vec::new();
    table
        .write_csv(&mut csv)
        .map_err(|e| Error::internal("a table cannot be written to memory").because(e))?;
    print(&String::from_utf8_lossy(&csv))
}

impl Args {
    /// How intervals are called; an error where none would be.
    fn names(&self, global: &Global, forecasts: &[Forecast]) -> Result<IntervalNames> {
        let given = self.interval_names.is_some();
        if given && global.json && self.out.is_none() {
            let text =
                "would not be used: --json gives each interval with its level (leave it out)";
            return Err(Error::config("interval_names", text));
        }
        if given && forecasts.iter().all(|forecast| forecast.intervals.is_empty()) {
            let text = "would not be used: these forecasts have no intervals (run ptsm calibrate \
                        first, and forecast no more steps than the model's own)";
            return Err(Error::config("interval_names", text));
        }
        Ok(self.interval_names.map(IntervalNames::from).unwrap_or_default())
    }

    /// Refuses what a model that labels cases does not use.
    fn only_labels(&self) -> Result<()> {
        if self.heads.is_some() {
            let text =
                "wanted a model directory whose own head forecasts: its windows are the rows";
            return Err(Error::config("heads", text));
        }
        let unused = [
            ("plot", self.plot.is_some()),
            ("rows_before_end", self.rows_before_end > 0),
            ("prediction_length", self.prediction_length.is_some()),
            ("samples", self.samples.is_some()),
            ("interval_names", self.interval_names.is_some()),
        ];
        refuse_unused(&unused, "is for models that forecast; this one labels cases")
    }
}

/// Writes a table to the file or prints it.
fn write(global: &Global, args: &Args, table: &Table) -> Result<()> {
    if let Some(path) = &args.out {
        write_table(path, table)?;
        return match global.json {
            true => answer(global, &json!({"out": path, "rows": table.num_rows()}), ""),
            false => Ok(()),
        };
    }
    answer_table(global, "rows", table)
}

/// Samples of every series as one table: the forecast's columns, and the number of the sample.
fn sampled(
    forecaster: &mut Forecaster,
    set: &SeriesSet,
    args: &Args,
    count: usize,
) -> Result<Table> {
    if count == 0 {
        return Err(Error::config("samples", "must be at least 1"));
    }
    let options = SampleOptions { count, seed: args.seed, first_window: 0 };
    let all = forecaster.sample(set, args.rows_before_end, options)?;
    let number = |(k, path): (usize, &Forecast)| vec![(k % count) as f64; path.prediction_length()];
    let numbers = all.iter().enumerate().flat_map(number).collect();
    with_first_column("sample", numbers, &forecast_table(set, &all)?)
}

fn describe(set: &SeriesSet, forecast: &Forecast) -> Value {
    let series = set.series.iter().find(|series| series.id == forecast.id);
    let times: Option<Vec<String>> = match (&forecast.timestamps, series) {
        (Some(times), Some(series)) => {
            Some(times.iter().map(|&time| set.time_text(series, time)).collect())
        }
        _ => None,
    };
    let by_step = |values: &[f64]| -> Vec<Vec<f64>> {
        values.chunks_exact(forecast.channels.len()).map(<[f64]>::to_vec).collect()
    };
    let intervals = forecast
        .intervals
        .iter()
        .map(|i| json!({"level": i.level, "lower": by_step(&i.lower), "upper": by_step(&i.upper)}));
    let quantiles =
        forecast.quantiles.iter().map(|q| json!({"level": q.level, "values": by_step(&q.values)}));
    json!({
        "intervals": intervals.collect::<Vec<_>>(),
        "quantiles": quantiles.collect::<Vec<_>>(),
        "id": forecast.id, "channels": forecast.channels, "timestamps": times,
        "first_row": forecast.first_row, "values": by_step(&forecast.values),
    })
}
