//! The `ptsm` command: reads arguments, calls the library, prints.
//!
//! Results go to stdout, messages go to stderr, and the exit code tells the kind of a failure. Programs that have the
//! command inside, such as the Python package, call [`run`]; computations are in the crate `ptsm`.

mod agreement;
mod args;
mod asked;
mod backtest_output;
mod command_line;
mod commands;
mod forecast_output;
mod forecast_report;
mod global;
mod html;
mod interrupt;
mod kept_run;
mod manual;
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
mod version;
mod words;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;

use clap::{ArgMatches, FromArgMatches};
use ptsm::ErrorKind;

use args::Args;
use asked::Asked;

/// Runs one command line, the name of the command first, and gives the exit code of the process.
///
/// It answers signals, and says what a panic is, in its own way, for the rest of the process: call it once, and end with
/// the code.
pub fn run(line: Vec<OsString>) -> u8 {
    command_line::remember(&line);
    let mut command = manual::command();
    let (matches, args) = match parsed(&mut command, line) {
        Ok(parsed) => parsed,
        Err(Refused::Line(error)) => {
            // Help and version are answers, not mistakes; clap prints each to the right place.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
        Err(Refused::Run(error)) => return fail(&error),
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
        Ok(Err(error)) if output::is_closed_pipe(&error) => 0,
        Ok(Err(error)) => fail(&error),
        Err(_) => ErrorKind::Internal.exit_code(),
    }
}

fn fail(error: &ptsm::Error) -> u8 {
    output::message(&format!("error: {}", error.spelled(output::flag)));
    error.kind().exit_code()
}

/// Why a command line is not run.
enum Refused {
    /// It is not understood, or asks for help.
    Line(clap::Error),
    /// The run that it resumes is another one.
    Run(ptsm::Error),
}

/// What is given on a command line; where it resumes a run, with what that was asked for.
fn parsed(command: &mut clap::Command, line: Vec<OsString>) -> Result<(ArgMatches, Args), Refused> {
    let mut matches = command.try_get_matches_from_mut(line).map_err(Refused::Line)?;
    if let Some(line) = asked::completed(command, &matches).map_err(Refused::Run)? {
        matches = command.try_get_matches_from_mut(line).map_err(Refused::Line)?;
    }
    let args = Args::from_arg_matches(&matches);
    let mut args = args.map_err(|error| Refused::Line(error.format(command)))?;
    args.global.asked = Asked::of(command, &matches);
    Ok((matches, args))
}

/// What is checked of every command line before its command runs.
fn check(command: &clap::Command, matches: &clap::ArgMatches) -> ptsm::Result<()> {
    numbers::check(command, matches)?;
    opening::check_names(matches)?;
    paths::check(matches)
}
