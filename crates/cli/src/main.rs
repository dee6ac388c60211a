//! The `ptsm` command: reads arguments, calls the library, prints.
//!
//! Results go to stdout, messages go to stderr, and the exit code tells the kind of a failure.

mod agreement;
mod args;
mod command_line;
mod commands;
mod forecast_output;
mod forecast_report;
mod global;
mod html;
mod interrupt;
mod mix;
mod numbers;
mod opening;
mod output;
mod paths;
mod pictures;
mod plot;
mod progress;
mod scoring;
mod signals;
mod source;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use ptsm::ErrorKind;

use args::Args;

fn main() -> ExitCode {
    let mut command = Args::command();
    let parsed = command.try_get_matches_from_mut(std::env::args_os()).and_then(|matches| {
        let args = Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        Ok((matches, args))
    });
    let (matches, args) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are answers, not mistakes; clap prints each to the right place.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    signals::report_as_errors();
    signals::end_when_interrupted(interrupt::Kept::of(&matches));
    std::panic::set_hook(Box::new(|info| {
        if ptsm::data::is_foreign_code() {
            return; // Its panics are caught, and reported as damage of the file.
        }
        output::message(&format!(
            "error: this is a defect of ptsm, please report it with the command: {info}"
        ));
    }));
    match std::panic::catch_unwind(AssertUnwindSafe(|| {
        check(&command, &matches).and_then(|()| commands::run(args))
    })) {
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

/// What is checked of every command line before its command runs.
fn check(command: &clap::Command, matches: &clap::ArgMatches) -> ptsm::Result<()> {
    numbers::check(command, matches)?;
    opening::check_names(matches)?;
    paths::check(matches)
}
