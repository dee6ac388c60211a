//! `ptsm explain`: what moved a forecast.

use std::path::PathBuf;

use ptsm::data::{SeriesSet, Table, write_table};
use ptsm::explain::{ExplainOptions, Explanation, explanation_table};
use ptsm::spec::DataSpec;
use ptsm::{Error, Result};

use crate::commands::cases::check_forecasts;
use crate::explain_output::{influence_plot, summary, text};
use crate::global::Global;
use crate::opening::{Opened, Opening, Purpose, leave_out_short};
use crate::output::{answer, remark};
use crate::plot;
use crate::progress::Progress;
use crate::source::{DataArgs, OWN_STEPS, refuse_unused};

/// Options of `explain`.
///
/// Stretches of the past of each channel are made missing, one at a time, and the forecast is made again: the change is
/// the influence of the stretch. What a covariate adds is computed exactly. Influences are in the units of the forecast.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory, or builtin: the model inside the binary, which forecasts any series
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Start the forecast at this time, or number of the row, where rows have no times; past the end of the data if
    /// not given
    #[arg(long, value_name = "TIME", conflicts_with = "rows_before_end")]
    cutoff: Option<String>,
    /// Start the forecast this many rows before the end of the data
    #[arg(long, default_value_t = 0, value_name = "N")]
    rows_before_end: usize,
    /// Rows that are hidden at a time; a patch of the model, or several of a long context, if not given
    #[arg(long, value_name = "ROWS")]
    stretch: Option<usize>,
    /// Steps to forecast, for models that forecast any series; the usual ones of the step if not given
    #[arg(long, value_name = "STEPS", visible_alias = "horizon")]
    prediction_length: Option<usize>,
    /// Table of the covariates in the steps of the forecast, as for predict
    #[arg(long, value_name = "FILE")]
    future: Option<PathBuf>,
    /// File for the influences, a row for each channel and source: .csv, .parquet, .arrow, .feather, .json or .jsonl
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Picture of the influences over the past, with the forecast (.svg or .png)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
}

/// Forecasts, hides, writes.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    check_forecasts(&args.model, "explain")?;
    let opening = Opening {
        steps: args.prediction_length,
        ..Opening::new(&args.model, &args.data, Purpose::Forecast)
    };
    let mut opened = opening.open(global)?;
    if !opened.zero_shot {
        refuse_unused(&[("prediction_length", args.prediction_length.is_some())], OWN_STEPS)?;
    }
    let rows_before_end = args.start(&opened)?;
    leave_out_short(global, &mut opened, rows_before_end)?;
    let Opened { mut forecaster, source, mut set, .. } = opened;
    if let Some(path) = &args.future {
        let preprocessor = forecaster.preprocessor();
        let spec = DataSpec { data: Some(path.display().to_string()), ..args.data.spec() };
        let plan = spec.read_for(preprocessor)?;
        let (roles, repair) = (args.data.roles(), args.data.repair(&source)?);
        set.join_plan(&preprocessor.read_plan(&plan.table, &roles, &repair)?)?;
    }
    let options = ExplainOptions { rows_before_end, stretch: args.stretch };
    let found: Vec<Explanation> =
        Progress::of(global, "hiding stretches", |tell| forecaster.explain(&set, &options, tell))?;
    args.write(global, Found { name: &source.name, set: &set, all: &found })
}

/// What is told of.
struct Found<'a> {
    /// Name of the data.
    name: &'a str,
    set: &'a SeriesSet,
    all: &'a [Explanation],
}

impl Args {
    fn write(&self, global: &Global, Found { name, set, all }: Found<'_>) -> Result<()> {
        if let Some(path) = &self.out {
            let table: Table = explanation_table(set, all)?;
            write_table(path, &table)?;
            remark(global, &format!("{} influences in {}", table.num_rows(), path.display()));
        }
        if let Some(path) = &self.plot {
            plot::save(path, &influence_plot(name, set, all))?;
            remark(global, &format!("picture: {}", path.display()));
        }
        let found = summary(name, set, all);
        answer(global, &found, &text(&found))
    }

    /// How many rows before its end a forecast begins, of every series.
    fn start(&self, opened: &Opened) -> Result<usize> {
        let Some(cutoff) = &self.cutoff else { return Ok(self.rows_before_end) };
        let mut found = None;
        for series in &opened.set.series {
            let is = |row: &usize| match &series.timestamps {
                Some(times) => times
                    .get(*row)
                    .is_some_and(|time| opened.set.time_text(series, time) == *cutoff),
                None => row.to_string() == *cutoff,
            };
            let Some(row) = (0..series.num_rows()).find(is) else {
                let of = if series.id.is_empty() { "the data" } else { &series.id };
                let text = format!(
                    "\"{cutoff}\" is no row of {of} (write a time as the table does, or use --rows-before-end)"
                );
                return Err(Error::config("cutoff", text));
            };
            let rows = series.num_rows() - row;
            if *found.get_or_insert(rows) != rows {
                let text = format!(
                    "\"{cutoff}\" is not as many rows before the end of every series (give one series, or use \
                     --rows-before-end)"
                );
                return Err(Error::config("cutoff", text));
            }
        }
        Ok(found.unwrap_or_default())
    }
}
