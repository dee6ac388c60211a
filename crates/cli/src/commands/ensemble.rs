//! `ptsm ensemble`: joins several trained forecasters into one model directory.

use std::path::PathBuf;

use ptsm::Result;
use ptsm::ensemble::join;
use serde_json::json;

use crate::global::Global;
use crate::output::{answer, refuse_taken};
use crate::words::counted;

/// Options of `ensemble`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directories whose forecasts are averaged
    #[arg(required = true, num_args = 1.., value_name = "DIR")]
    members: Vec<PathBuf>,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace a model that is in DIR
    #[arg(long)]
    overwrite: bool,
}

/// Copies the members and describes them.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    refuse_taken(&args.out, args.overwrite)?;
    let parameters = join(&args.out, &args.members)?;
    let value = json!({"out": args.out, "members": args.members, "num_parameters": parameters});
    let text = format!(
        "{}: {}, {}\n",
        args.out.display(),
        counted(args.members.len(), "member"),
        counted(parameters, "parameter")
    );
    answer(global, &value, &text)
}
