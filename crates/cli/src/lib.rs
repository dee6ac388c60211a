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
mod detect_output;
mod explain_output;
mod forecast_output;
mod forecast_report;
mod global;
mod html;
mod interrupt;
mod intervals;
mod kept_run;
mod line_error;
mod manual;
mod mix;
mod numbers;
mod opening;
mod output;
mod paths;
mod pictures;
mod plot;
mod progress;
mod run_state;
mod scoring;
mod signals;
mod source;
mod unfinished;
mod version;
mod words;
mod wrapping;

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;

use clap::{ArgMatches, FromArgMatches};
use ptsm::ErrorKind;

use args::Args;
use asked::{Asked, Completed, Finished};

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
            line_error::print(&error, &command);
            return if error.use_stderr() { 2 } else { 0 };
        }
        Err(Refused::Run(error)) => return fail(&error, &[]),
        Err(Refused::Finished(finished)) => {
            say(&finished);
            return 0;
        }
    };
    signals::report_as_errors();
    // A server answers what waits before it ends.
    if matches.subcommand_name() != Some("serve") {
        signals::end_when_interrupted(interrupt::Kept::of(&matches));
    }
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
        Ok(Err(error)) => fail(&error, &command_line::typed(&command, &matches)),
        Err(_) => ErrorKind::Internal.exit_code(),
    }
}

/// Says that a run is over: on the standard output with `--json`, as every answer.
fn say(finished: &Finished) {
    let Finished { out, json, quiet } = finished;
    if *json {
        let _ = output::print(&format!("{}\n", serde_json::json!({"out": out, "finished": true})));
    } else if !quiet {
        output::message(&format!("{} is finished: nothing to do", out.display()));
    }
}

/// Prints an error; a field that is one of the options that were `typed` is named as it was typed.
fn fail(error: &ptsm::Error, typed: &[String]) -> u8 {
    let text = error.spelled(output::flag);
    let place = error.place().unwrap_or_default();
    let option = typed.iter().find(|option| option.replace('-', "_") == place.replace('-', "_"));
    let text = match option.and_then(|option| Some((option, text.strip_prefix(place)?))) {
        Some((option, rest)) => format!("--{option}{rest}"),
        None => text,
    };
    output::message(&format!("error: {text}"));
    error.kind().exit_code()
}

/// Why a command line is not run.
enum Refused {
    /// It is not understood, or asks for help.
    Line(clap::Error),
    /// The run that it resumes is another one.
    Run(ptsm::Error),
    /// The run that it resumes is over.
    Finished(Finished),
}

/// What is given on a command line; where it resumes a run, with what that was asked for.
fn parsed(command: &mut clap::Command, line: Vec<OsString>) -> Result<(ArgMatches, Args), Refused> {
    let mut matches = command.try_get_matches_from_mut(line).map_err(Refused::Line)?;
    match asked::completed(command, &matches).map_err(Refused::Run)? {
        Completed::AsTyped => {}
        Completed::Line(line) => {
            matches = command.try_get_matches_from_mut(line).map_err(Refused::Line)?;
        }
        Completed::Finished(finished) => return Err(Refused::Finished(finished)),
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
    unfinished::check(matches)?;
    paths::check(matches)
}
