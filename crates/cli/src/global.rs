//! Options of every command.

use ptsm::{Error, Result};

use crate::asked::Asked;

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Every command")]
pub(crate) struct Global {
    /// Print one JSON object on stdout instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no remarks on stderr, errors only
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Threads to use; all cores if not given. Results have the same bits for any number
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Instruction set to use: avx512, avx2 or portable; the best of the machine if not given. A run is
    /// resumed with the set of its checkpoint; with another one, whose last bits differ, only if that is named here
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) isa: Option<String>,
    /// What the command was asked for, where it can be resumed.
    #[arg(skip)]
    pub(crate) asked: Asked,
}

/// More threads than this are a slip: no machine has as many cores.
const MAX_THREADS: usize = 1024;

/// Refuses a number of threads that no machine has use for.
pub(crate) fn check_threads(option: &str, threads: usize) -> Result<()> {
    match threads {
        1..=MAX_THREADS => Ok(()),
        _ => Err(Error::config(option, format!("{threads} must be from 1 to {MAX_THREADS}"))),
    }
}
