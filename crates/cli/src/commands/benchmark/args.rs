//! Options of `benchmark`.

use std::path::PathBuf;

/// Options of `benchmark`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// TOML file that says what is trained on what (see bench/suites)
    #[arg(long, value_name = "FILE")]
    pub(super) suite: PathBuf,
    /// Folder for models, scores and the report; a repeated command goes on in it
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// These data sets or panels of the suite only
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub(super) only: Option<Vec<String>>,
    /// These horizons of the suite only
    #[arg(long, value_delimiter = ',', value_name = "STEPS,...")]
    pub(super) horizons: Option<Vec<usize>>,
    /// These seeds instead of the suite's
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    pub(super) seeds: Option<Vec<u64>>,
}
