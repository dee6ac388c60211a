//! The `ptsm` command: reads arguments, calls the library, prints.
//!
//! Results go to stdout, messages go to stderr, and the exit code tells the kind of a failure.

mod args;
mod commands;
mod forecast_report;
mod global;
mod html;
mod mix;
mod output;
mod pictures;
mod plot;
mod progress;
mod scoring;
mod source;

use std::process::ExitCode;

use clap::Parser;
use ptsm::ErrorKind;

use args::Args;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, not mistakes; clap prints each to the right place.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    std::panic::set_hook(Box::new(|info| {
        output::message(&format!(
            "error: this is a defect of ptsm, please report it with the command: {info}"
        ));
    }));
    match std::panic::catch_unwind(|| commands::run(args)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let text = error.spelled(output::flag);
            output::message(&format!("error: {text}"));
            ExitCode::from(error.kind().exit_code())
        }
        Err(_) => ExitCode::from(ErrorKind::Internal.exit_code()),
    }
}
