//! The commands, one file each, and the call of the one that was typed.

pub(crate) mod ablate;
pub(crate) mod bench;
mod bench_train;
pub(crate) mod benchmark;
pub(crate) mod calibrate;
mod cases;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod ensemble;
pub(crate) mod evaluate;
pub(crate) mod heads;
pub(crate) mod import;
pub(crate) mod inspect;
mod joint;
pub(crate) mod predict;
pub(crate) mod pretrain;
mod reconstruct;
pub(crate) mod select;
mod shapes;
pub(crate) mod simulate;
pub(crate) mod stream;
mod timing;
pub(crate) mod trace;
pub(crate) mod train;
pub(crate) mod tt_plan;
pub(crate) mod tune;

use std::process::ExitCode;

use ptsm::{Error, ErrorKind, Result};

use clap::CommandFactory;

use crate::args::{Args, Command};

/// Runs the command; gives its exit code.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let Args { global, command } = args;
    if let Some(threads) = global.threads {
        if threads == 0 {
            return Err(Error::config("--threads", "0 must be at least 1"));
        }
        ptsm::core::set_threads(threads).map_err(|e| {
            Error::new(ErrorKind::Internal, "no threads could be started").because(e)
        })?;
    }
    if !matches!(command, Command::Doctor(_) | Command::Completions(_)) {
        ptsm::core::instruction_set()?;
    }
    match command {
        Command::Demo(args) => demo::run(&global, &args),
        Command::Data(args) => data::run(&global, &args),
        Command::Inspect(args) => inspect::run(&global, &args),
        Command::Pretrain(args) => pretrain::run(&global, &args),
        Command::Simulate(args) => simulate::run(&global, &args),
        Command::Import(args) => import::run(&global, &args),
        Command::Train(args) => train::run(&global, &args),
        Command::Evaluate(args) => evaluate::run(&global, &args),
        Command::Predict(args) => predict::run(&global, &args),
        Command::Stream(args) => stream::run(&global, &args),
        Command::Select(args) => select::run(&global, &args),
        Command::Ablate(args) => ablate::run(&global, &args),
        Command::Benchmark(args) => benchmark::run(&global, &args),
        Command::Tune(args) => tune::run(&global, &args),
        Command::Calibrate(args) => calibrate::run(&global, &args),
        Command::Ensemble(args) => ensemble::run(&global, &args),
        Command::Heads(args) => heads::run(&global, &args),
        Command::Trace(args) => trace::run(&global, &args),
        Command::Compare(args) => return compare::run(&global, &args),
        Command::Bench(args) => bench::run(&global, &args),
        Command::TtPlan(args) => tt_plan::run(&global, &args),
        Command::Doctor(args) => doctor::run(&global, &args),
        Command::Completions(args) => completions::run(&args, Args::command()),
    }
    .map(|()| ExitCode::SUCCESS)
}
