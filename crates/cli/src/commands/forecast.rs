//! `ptsm forecast`: forecasts a table without training, by the model inside the binary.

use std::path::PathBuf;

use ptsm::Result;
use ptsm::zero_shot::BUILTIN;

use crate::forecast_output::{ForecastOutput, ForecastSource, Names};
use crate::global::Global;
use crate::numbers::level;
use crate::opening::{Opened, Opening, Purpose, leave_out_short};
use crate::source::DataArgs;

/// Options of `forecast`.
///
/// The columns of times and of series, the step and the season are looked for, and said. The columns named as the
/// channels hold the forecast, which is the median. The model was
/// trained on simulated series alone, and needs no training on the data: train a model (ptsm train) and
/// compare both (ptsm evaluate --model builtin) where the history is long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Table (CSV, JSON, Parquet, Arrow; .gz, .zst), a folder or pattern of tables, the name of a data
    /// set, or - for the standard input
    #[arg(value_name = "FILE", conflicts_with = "data", required_unless_present = "data")]
    file: Option<String>,
    /// Steps to forecast; the usual ones of the step of the rows if not given (12 months, 28 days, 48
    /// hours, ...)
    #[arg(long, value_name = "STEPS", visible_alias = "prediction-length")]
    horizon: Option<usize>,
    /// Levels of the intervals, from 1 to 95 %, as 80,95 or 0.8,0.95: that of 95 % lies between the columns q0.025 and
    /// q0.975
    #[arg(long, value_delimiter = ',', value_name = "LEVEL,...", value_parser = level, default_value = "80,95")]
    levels: Vec<f64>,
    /// Picture of the forecast with its context (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// File for the forecasts: .csv, .parquet, .arrow, .feather, .json or .jsonl; CSV on stdout if not
    /// given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Names of the columns of intervals: quantile (y_q0.1, y_q0.9) or nixtla (y-lo-80, y-hi-80)
    #[arg(long, value_enum, value_name = "NAMES")]
    interval_names: Option<Names>,
    /// builtin, or a directory of `ptsm pretrain`
    #[arg(long, value_name = "DIR", default_value = BUILTIN)]
    model: PathBuf,
    /// Start the forecast this many rows before the end of the data
    #[arg(long, default_value_t = 0, value_name = "N")]
    rows_before_end: usize,
    #[command(flatten)]
    data: DataArgs,
}

/// Forecasts and writes.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let data = DataArgs { data: args.file.clone().or(args.data.data.clone()), ..args.data.clone() };
    let opening = Opening {
        steps: args.horizon,
        levels: Some(&args.levels),
        ..Opening::new(&args.model, &data, Purpose::ZeroShot)
    };
    let mut opened = opening.open(global)?;
    leave_out_short(global, &mut opened, args.rows_before_end)?;
    let Opened { mut forecaster, source, set, .. } = opened;
    // The series have all that is needed, so the memory of the table is released.
    let name = source.name.clone();
    drop(source);
    let forecasts = forecaster.predict(&set, args.rows_before_end)?;
    let from = ForecastSource { name: &name, set: &set, forecaster: &forecaster };
    let output = ForecastOutput {
        out: args.out.as_deref(),
        plot: args.plot.as_deref(),
        interval_names: args.interval_names,
    };
    output.write(global, &from, &forecasts)
}
