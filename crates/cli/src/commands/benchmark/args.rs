//! Options of `benchmark`.

use std::path::PathBuf;

use ptsm::job::Metric;

use crate::words::words;

/// Options of `benchmark`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tables to compare forecasts on: the default forecaster of `ptsm train` is trained on each and scored on its
    /// test part beside simple forecasts
    #[arg(
        long,
        value_name = "FILE,...",
        value_delimiter = ',',
        required_unless_present = "suite",
        conflicts_with_all = ["suite", "only"]
    )]
    pub(super) data: Vec<String>,
    /// By what is chosen and scored, with --data: mae (shown as MASE), smape or mape [default: mae]
    #[arg(long, value_name = "METRIC", value_parser = words::<Metric>(Metric::NAMES), conflicts_with = "suite")]
    pub(super) metric: Option<Metric>,
    /// TOML file that says what is trained on what, in place of --data: at the least [[panels]], a name, and
    /// source = { data = "load.csv" }
    #[arg(long, value_name = "FILE")]
    pub(super) suite: Option<PathBuf>,
    /// Folder for models, scores and the report; a repeated command continues in it
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// These data sets or panels of the suite only
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub(super) only: Option<Vec<String>>,
    /// These horizons of the suite only; with --data the steps to forecast
    #[arg(long, value_delimiter = ',', value_name = "STEPS,...")]
    pub(super) horizons: Option<Vec<usize>>,
    /// These seeds instead of the suite's
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub(super) seeds: Option<Vec<u64>>,
}
