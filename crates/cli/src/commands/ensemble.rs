//! `ptsm ensemble`: joins several trained forecasters into one model directory.

use std::path::PathBuf;

use ptsm::ensemble::join;
use ptsm::model_dir::ModelDir;
use ptsm::{Error, Result};
use serde_json::json;

use crate::global::Global;
use crate::output::answer;

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
    if ModelDir::new(&args.out).is_taken() && !args.overwrite {
        let text = "holds a model already (use --overwrite or another folder)";
        return Err(Error::config(args.out.display().to_string(), text));
    }
    let parameters = join(&args.out, &args.members)?;
    let value = json!({"out": args.out, "members": args.members, "num_parameters": parameters});
    let text = format!(
        "{}: {} members, {parameters} parameters\n",
        args.out.display(),
        args.members.len()
    );
    answer(global, &value, &text)
}
