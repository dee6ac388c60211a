//! `ptsm trace`: one batch with every intermediate.

use std::path::PathBuf;

use ptsm::{Model, Real, Result, TraceOptions, open, read_tensors, run_trace, write_tensors};
use serde_json::json;

use crate::args::Global;
use crate::output::answer;

/// Options of `trace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directory
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Tensors `in.past_values` (B,L,C), `in.observed_mask`, `in.future_values` (B,H,C)
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// File for out.*, trace.*, out.hidden.*, grad.*, after.*
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
    /// Also the gradients of the loss: grad.NAME and grad_in.past_values
    #[arg(long)]
    gradients: bool,
    /// Mode of the norms; train also writes the updated statistics as after.*
    #[arg(long, default_value = "eval")]
    mode: NormMode,
    /// Precision of the computation; f64 is the plain definition
    #[arg(long, default_value = "f32")]
    precision: Precision,
    /// Backend that computes
    #[arg(long, default_value = "cpu")]
    backend: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NormMode {
    Eval,
    Train,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Precision {
    F32,
    F64,
}

/// Runs the batch and writes the tensors.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    open(&args.backend)?;
    let model = Model::from_dir(&args.model)?;
    let count = match args.precision {
        Precision::F32 => write(args, &model),
        Precision::F64 => write(args, &model.cast::<f64>()),
    }?;
    let path = args.outputs.display().to_string();
    let value = json!({"outputs": path, "tensors": count});
    answer(global, &value, &format!("{count} tensors in {path}\n"))
}

fn write<T: Real>(args: &Args, model: &Model<T>) -> Result<usize> {
    let inputs = read_tensors(&args.inputs)?;
    let options =
        TraceOptions { gradients: args.gradients, train_norm: args.mode == NormMode::Train };
    let place = args.inputs.display().to_string();
    let tensors = run_trace(model, &inputs, options).map_err(|e| e.at(place))?;
    write_tensors(&args.outputs, &tensors)?;
    Ok(tensors.len())
}
