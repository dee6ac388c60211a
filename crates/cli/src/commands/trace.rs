//! `ptsm trace`: runs one batch and writes every intermediate tensor.

use std::path::PathBuf;

use ptsm::core::{
    NamedTensor, Real, TraceOptions, batch_from_tensors, read_tensors, run_trace, write_tensors,
};
use ptsm::{Backend, Error, Model, Prediction, Result};
use serde_json::json;

use crate::global::Global;
use crate::output::answer;
use ptsm_backends::open;

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
    /// Backend that computes: cpu, tenstorrent or tenstorrent-emulator; those that are not the CPU
    /// give the outputs (out.prediction, out.loc, out.scale, ...) and no intermediates
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
    let backend = open(&args.backend)?;
    let model = Model::from_dir(&args.model)?;
    let count = match args.precision {
        _ if args.backend != "cpu" => write_outputs(args, &model, backend.as_ref()),
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

/// Writes the outputs alone, for backends that keep no intermediates.
fn write_outputs(args: &Args, model: &Model, backend: &dyn Backend) -> Result<usize> {
    let plain = args.precision == Precision::F32 && args.mode == NormMode::Eval;
    if args.gradients || !plain {
        let text = "gives outputs in evaluation only; gradients, f64 and the norms' train mode are the CPU's";
        return Err(Error::config("--backend", format!("{} {text}", backend.name())));
    }
    let place = args.inputs.display().to_string();
    let batch =
        batch_from_tensors::<f32>(&read_tensors(&args.inputs)?).map_err(|e| e.at(&place))?;
    let mut out = Prediction::default();
    backend.load(model)?.session()?.forward(&batch, &mut out).map_err(|e| e.at(place))?;
    let tensors = outputs(model, batch.size(), out);
    write_tensors(&args.outputs, &tensors)?;
    Ok(tensors.len())
}

/// The outputs under the names of a trace.
fn outputs(model: &Model, batch: usize, out: Prediction) -> Vec<NamedTensor<f32>> {
    let output = model.output();
    let mut tensors = output.named("out.prediction", batch, &out.numbers);
    let mut push = |name: &str, shape: Vec<usize>, values: Vec<f32>| {
        tensors.push(NamedTensor { name: name.to_owned(), shape, values });
    };
    if let Some(shape) = output.aggregates_shape(batch) {
        push("out.aggregates", shape, out.aggregates);
    }
    let statistics = vec![batch, 1, output.num_input_channels()];
    push("out.loc", statistics.clone(), out.loc);
    push("out.scale", statistics, out.scale);
    tensors
}
