//! `ptsm predict`: forecasts the steps after the end of the data, or labels cases.

use std::path::{Path, PathBuf};

use ptsm::core::SampleOptions;
use ptsm::data::{STANDARD_INPUT, SeriesSet, Table};
use ptsm::forecast::{forecast_table, with_first_column};
use ptsm::heads::{SharedModel, heads_table};
use ptsm::spec::DataSpec;
use ptsm::{Error, Forecast, Forecaster, Result};

use crate::commands::cases;
use crate::forecast_output::{ForecastOutput, ForecastSource, Names, write_rows};
use crate::global::Global;
use crate::opening::{Opened, Opening, Purpose, leave_out_short};
use crate::output::remark;
use crate::run_state::quoted;
use crate::source::{DataArgs, refuse_unused};
use ptsm_backends::{only_cpu, open};

/// Options of `predict`.
///
/// The columns named as the channels hold the point forecast: the median of a model that learnt quantiles, the mean of a
/// distribution, or the forecast that makes the error small by which the model was trained or chosen. Intervals are
/// columns beside it: that of 95 % lies between q0.025 and q0.975 (ptsm calibrate adds intervals to a model without any).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory, or builtin: the model inside the binary, which forecasts any series
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
    /// Table of the covariates in the steps of the forecast (times, ids, covariates), where the data do not hold
    /// them in rows without a target at their end
    #[arg(long, value_name = "FILE", conflicts_with = "heads")]
    future: Option<PathBuf>,
    /// Columns of the labels, for models that label cases
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    /// Outputs of these heads from one pass: main, and those of `ptsm heads`
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    heads: Option<Vec<String>>,
    /// Steps to forecast, where they are not those of the model: fewer are cut, for more the model is
    /// fed its own forecasts (without intervals)
    #[arg(long, value_name = "STEPS", visible_alias = "horizon", conflicts_with_all = ["heads", "samples"])]
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
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    backend: String,
    #[command(flatten)]
    data: DataArgs,
}

/// Forecasts and writes.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    if cases::labels(&args.model)? {
        args.data.without_season()?;
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
    let opening = Opening {
        backend: &args.backend,
        steps: args.prediction_length,
        ..Opening::new(&args.model, &args.data, Purpose::Forecast)
    };
    let mut opened = opening.open(global)?;
    leave_out_short(global, &mut opened, args.rows_before_end)?;
    let Opened { mut forecaster, source, mut set, .. } = opened;
    if let Some(path) = &args.future {
        let preprocessor = forecaster.preprocessor();
        let spec = DataSpec { data: Some(path.display().to_string()), ..args.data.spec() };
        let plan = spec.read_for(preprocessor)?;
        let (roles, repair) = (args.data.roles(), args.data.repair(&source)?);
        set.join_plan(&preprocessor.read_plan(&plan.table, &roles, &repair)?)?;
    }
    // The series have all that is needed, so the memory of the table is released.
    let name = source.name.clone();
    drop(source);
    let out = args.out.as_deref();
    if let Some(names) = &args.heads {
        only_cpu(&args.backend, "several heads on one backbone")?;
        let mut shared = SharedModel::from_dir(&args.model, names, open(&args.backend)?.as_ref())?;
        let table = heads_table(&forecaster, &mut shared, &set, args.rows_before_end)?;
        return write_rows(global, out, &table);
    }
    if let Some(count) = args.samples {
        return write_rows(global, out, &sampled(&mut forecaster, &set, args, count)?);
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
    if forecaster.model().interval_levels().is_empty() {
        remark(global, &args.no_intervals());
    }
    let forecasts = forecaster.predict_steps(&set, args.rows_before_end, steps)?;
    let from = ForecastSource { name: &name, set: &set, forecaster: &forecaster };
    let output =
        ForecastOutput { out, plot: args.plot.as_deref(), interval_names: args.interval_names };
    output.write(global, &from, &forecasts)
}

impl Args {
    /// That there are no intervals, and the command that adds them, which needs rows that may be read again.
    fn no_intervals(&self) -> String {
        let data = self.data.data.as_deref().filter(|data| *data != STANDARD_INPUT);
        let model = quoted(&self.model);
        let data = quoted(Path::new(data.unwrap_or("TRAINING.csv")));
        format!("no intervals; they are added by: ptsm calibrate --model {model} --data {data}")
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
            ("future", self.future.is_some()),
            ("rows_before_end", self.rows_before_end > 0),
            ("prediction_length", self.prediction_length.is_some()),
            ("samples", self.samples.is_some()),
            ("interval_names", self.interval_names.is_some()),
        ];
        refuse_unused(&unused, "is for models that forecast; this one labels cases")
    }
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
