//! The commands, one file each, and the call of the one that was typed.

pub(crate) mod ablate;
pub(crate) mod backtest;
pub(crate) mod bench;
mod bench_train;
pub(crate) mod benchmark;
pub(crate) mod calibrate;
mod cases;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod demo;
pub(crate) mod detect;
pub(crate) mod doctor;
pub(crate) mod ensemble;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod forecast;
pub(crate) mod heads;
pub(crate) mod import;
pub(crate) mod inspect;
mod joint;
pub(crate) mod man;
pub(crate) mod predict;
pub(crate) mod pretrain;
mod reconstruct;
pub(crate) mod select;
#[cfg(feature = "server")]
pub(crate) mod serve;
mod shapes;
pub(crate) mod simulate;
pub(crate) mod stream;
mod timing;
pub(crate) mod trace;
pub(crate) mod train;
pub(crate) mod tt_plan;
pub(crate) mod tune;
pub(crate) mod verify;

use ptsm::{Error, ErrorKind, Result};

use crate::args::{Args, Command};
use crate::global::check_threads;
use crate::manual;

/// Environment variable by which the thread pool is sized where `--threads` is not given.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Runs the command; gives its exit code.
pub(crate) fn run(args: Args) -> Result<u8> {
    let Args { global, command } = args;
    ptsm::core::check_memory_limit()?;
    if let Some(threads) = global.threads {
        check_threads("--threads", threads)?;
        ptsm::core::set_threads(threads).map_err(|e| {
            let text = format!("{threads} threads could not be started (use fewer --threads)");
            Error::new(ErrorKind::OutOfMemory, text).because(e)
        })?;
    } else if let Ok(Ok(threads)) = std::env::var(THREADS).map(|text| text.parse()) {
        // Zero means all cores there.
        check_threads(THREADS, std::cmp::max(threads, 1))?;
    }
    if let Some(name) = &global.isa {
        ptsm::core::force_instruction_set(name).map_err(|e| e.at("--isa"))?;
    }
    if !matches!(command, Command::Doctor(_) | Command::Completions(_) | Command::Man(_)) {
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
        Command::Forecast(args) => forecast::run(&global, &args),
        Command::Evaluate(args) => evaluate::run(&global, &args),
        Command::Backtest(args) => backtest::run(&global, &args),
        Command::Detect(args) => detect::run(&global, &args),
        Command::Explain(args) => explain::run(&global, &args),
        Command::Predict(args) => predict::run(&global, &args),
        Command::Stream(args) => stream::run(&global, &args),
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(&global, &args),
        Command::Select(args) => select::run(&global, &args),
        Command::Ablate(args) => ablate::run(&global, &args),
        Command::Benchmark(args) => benchmark::run(&global, &args),
        Command::Tune(args) => tune::run(&global, &args),
        Command::Calibrate(args) => calibrate::run(&global, &args),
        Command::Ensemble(args) => ensemble::run(&global, &args),
        Command::Heads(args) => heads::run(&global, &args),
        Command::Export(args) => export::run(&global, &args),
        Command::Verify(args) => verify::run(&global, &args),
        Command::Trace(args) => trace::run(&global, &args),
        Command::Compare(args) => return compare::run(&global, &args),
        Command::Bench(args) => bench::run(&global, &args),
        Command::TtPlan(args) => tt_plan::run(&global, &args),
        Command::Doctor(args) => doctor::run(&global, &args),
        Command::Completions(args) => completions::run(&args, manual::command()),
        Command::Man(args) => {
            let (command, examples) = (manual::book(), manual::examples);
            man::run(&global, &args, man::Book { command, examples })
        }
    }
    .map(|()| 0)
}
