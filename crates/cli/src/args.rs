//! The arguments of the command line: global options, and the list of commands, each of which has
//! its options in its own file.

use clap::{Parser, Subcommand};

#[cfg(feature = "server")]
use crate::commands::serve;
use crate::commands::{
    ablate, backtest, bench, benchmark, calibrate, compare, completions, data, demo, detect,
    doctor, ensemble, evaluate, explain, export, forecast, heads, import, inspect, man, predict,
    pretrain, select, simulate, stream, trace, train, tt_plan, tune, verify,
};
use crate::global::Global;
use crate::version::version;

/// PatchTSMixer for time series: train, score, forecast.
#[derive(Debug, Parser)]
#[command(name = "ptsm", version = version(), max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Forecast a table without training, by the model inside the binary
    Forecast(Box<forecast::Args>),
    /// Train, score, forecast and plot on the data inside the binary
    Demo(demo::Args),
    /// Named data sets: list them, or fetch and verify one
    Data(data::Args),
    /// Describe a table (columns, step, gaps) or a model directory (shape, parameters, cost)
    #[command(override_usage = "ptsm inspect <FILE|NAME|MODEL> [OPTIONS]")]
    Inspect(inspect::Args),
    /// Train a forecaster
    #[command(
        override_usage = "ptsm train --data <FILE|NAME|-> --out <DIR> [OPTIONS]\n       ptsm train --resume <DIR>"
    )]
    Train(Box<train::Args>),
    /// Train one forecaster for any series, on simulated ones
    #[command(
        override_usage = "ptsm pretrain --out <DIR> [OPTIONS]\n       ptsm pretrain --resume <DIR>"
    )]
    Pretrain(Box<pretrain::Args>),
    /// Simulate series, as pretrain learns from them
    Simulate(simulate::Args),
    /// Make a model directory of a folder from Hugging Face and the data that it was trained on
    Import(import::Args),
    /// Score a model on every window of a split, beside baselines
    #[command(override_usage = "ptsm evaluate --model <DIR> --data <FILE|NAME|-> [OPTIONS]")]
    Evaluate(evaluate::Args),
    /// Forecast from rolling cutoffs and score it, beside simple forecasts and other models
    #[command(override_usage = "ptsm backtest --model <DIR> --data <FILE|NAME|-> [OPTIONS]")]
    Backtest(Box<backtest::Args>),
    /// Find points that a forecaster did not expect, with p-values
    Detect(Box<detect::Args>),
    /// Calibrate a forecaster's intervals on windows that training did not see
    #[command(override_usage = "ptsm calibrate --model <DIR> --data <FILE|NAME|-> [OPTIONS]")]
    Calibrate(calibrate::Args),
    /// Forecast past the end of the data
    #[command(override_usage = "ptsm predict --model <DIR> --data <FILE|NAME|-> [OPTIONS]")]
    Predict(predict::Args),
    /// Say what moved a forecast: channels, stretches of the past, covariates
    Explain(Box<explain::Args>),
    /// Forecast while rows come in on stdin
    Stream(stream::Args),
    /// Serve models over HTTP and gRPC
    #[cfg(feature = "server")]
    #[command(
        override_usage = "ptsm serve [OPTIONS] <FOLDER>\n       ptsm serve --model <NAME=DIR>..."
    )]
    Serve(Box<serve::Args>),
    /// Choose settings for labelled cases by cross-validation
    #[command(override_usage = "ptsm select --data <FILE|-> [OPTIONS]")]
    Select(select::Args),
    /// Compare channel modes and reconciliation heads by one recipe
    #[command(override_usage = "ptsm ablate --data <FILE|NAME|-> --recipe <FILE> [OPTIONS]")]
    Ablate(ablate::Args),
    /// Train and score a table of data sets and horizons
    Benchmark(benchmark::Args),
    /// Search a recipe within a time budget
    #[command(override_usage = "ptsm tune --data <FILE|NAME|-> --out <DIR> [OPTIONS]")]
    Tune(tune::Args),
    /// Average several forecasters, as one model directory
    Ensemble(ensemble::Args),
    /// Several tasks on one backbone
    Heads(heads::Args),
    /// Write a model as an ONNX file, for other runtimes
    Export(export::Args),
    /// Check that the files of a model directory are those that were written
    Verify(verify::Args),
    /// Run one batch and write every intermediate tensor
    Trace(trace::Args),
    /// Compare two tensor files
    Compare(compare::Args),
    /// Time a model's forecasts, beside the machine's multiply-add peak
    Bench(bench::Args),
    /// The Tenstorrent program of a model, and its predicted speed
    TtPlan(tt_plan::Args),
    /// Say what this machine offers
    Doctor(doctor::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Print the man page, or write one for every command
    Man(man::Args),
}
