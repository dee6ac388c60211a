//! Options of every command.

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
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
}
